# SPDX-License-Identifier: GPL-2.0
"""The socket tap from the outside: uapi/stap.h."""

import os
import socket
import struct
import subprocess
from typing import NamedTuple

from . import bpf
from .check import wait_for

TCP_ULP = 31
SOL_STAP = STAP_SO_ULP = 0x5354
SO_ULP = 0x5354
PROGRAMS, INFO, POLICY = 1, 2, 3
OK, DROP, DISCONNECT = 0, 2, 130
ULP = b"stap".ljust(16, b"\0")  # struct ulp_config


class Programs(NamedTuple):
    """Descriptors, or -1."""
    send_parse: int = -1
    send_verdict: int = -1
    recv_parse: int = -1
    recv_verdict: int = -1


class Direction(NamedTuple):
    parse_id: int
    verdict_id: int
    messages: int
    bytes: int
    dropped: int


def load(*options: str) -> None:
    subprocess.run(["modprobe", "stap", *options], check=True)


def unloads() -> bool:
    """Tries to."""
    return not subprocess.run(["modprobe", "-r", "stap"], stderr=subprocess.DEVNULL, check=False).returncode


def unload() -> None:
    """A closed socket is tapped until TCP is through with it, which can take a minute."""
    wait_for(unloads, "the module to be free of taps", 100)


def params(programs: Programs) -> bytes:
    return struct.pack("=4i", *programs)


def tap(opened: socket.socket, programs: Programs) -> None:
    """Both at once."""
    opened.setsockopt(socket.SOL_IP, STAP_SO_ULP, ULP + params(programs))


def tap_natively(opened: socket.socket, programs: Programs) -> None:
    opened.setsockopt(socket.SOL_TCP, TCP_ULP, b"stap")
    opened.setsockopt(SOL_STAP, PROGRAMS, params(programs))


class Framing(NamedTuple):
    """struct stap_framing, or what makes one."""
    kind: int = 0
    maximum: int = 0
    size: int = 0
    offset: int = 0
    width: int = 0
    order: int = 0
    whole: int = 0
    delimiter: bytes = b""


UNTAPPED = Framing(0)
EACH = Framing(1)


def length_field(offset: int, width: int, *, size: int = 0, order: int = 0, whole: int = 0,
                 maximum: int = 0) -> Framing:
    return Framing(2, maximum, size, offset, width, order, whole)


def delimiter(text: bytes, maximum: int = 0) -> Framing:
    return Framing(3, maximum, width=len(text), delimiter=text)


def fixed(size: int) -> Framing:
    return Framing(4, size=size)


class Rule(NamedTuple):
    """These bytes at an offset."""
    value: bytes
    verdict: int
    offset: int = 0
    mask: bytes = b""


Side = tuple[Framing, int, list[Rule]]  # with its default verdict
NOT_TAPPED: Side = (UNTAPPED, OK, [])


def policy(send: Side, recv: Side) -> bytes:
    """struct stap_policy and its rules."""
    head, rules = b"", b""
    for framing, verdict, side in (send, recv):
        *numbers, text = framing
        head += struct.pack("=IIIIBBBx4sII", *numbers, text, verdict, len(side))
        for rule in side:
            mask = rule.mask or b"\xff" * len(rule.value)
            rules += struct.pack("=IBBH32s32s", rule.offset, len(rule.value), rule.verdict, 0, mask, rule.value)
    return head + rules


def tap_all(opened: socket.socket, parse: bpf.Code, verdict: bpf.Code, kind: int = bpf.SOCKET_FILTER) -> None:
    """Both directions, by the same programs."""
    parser, judge = bpf.load(parse, kind), bpf.load(verdict, kind)
    tap(opened, Programs(parser, judge, parser, judge))
    os.close(parser)
    os.close(judge)


def tap_both(*ends: socket.socket) -> None:
    """All messages pass; they are of up to 1000 bytes, so that there are several in most of what is sent."""
    for end in ends:
        tap_all(end, bpf.up_to(1000), bpf.constant(OK))


def tap_by_policy(opened: socket.socket, send: Side, recv: Side) -> None:
    opened.setsockopt(socket.SOL_IP, STAP_SO_ULP, ULP + policy(send, recv))


def info(opened: socket.socket) -> tuple[Direction, Direction]:
    """Of what is sent and of what is received."""
    values = struct.unpack("=2I3Q2I3Q", opened.getsockopt(SOL_STAP, INFO, 64))
    return Direction(*values[:5]), Direction(*values[5:])
