# SPDX-License-Identifier: GPL-2.0
"""The socket tap from the outside: uapi/stap.h."""

import contextlib
import errno
import socket
import struct
import subprocess
from typing import Callable, Iterator, NamedTuple

TCP_ULP = 31
SOL_STAP = STAP_SO_ULP = 0x5354
SO_ULP = 0x5354
PROGRAMS, INFO, POLICY = 1, 2, 3
OK, DROP, DISCONNECT = 0, 2, 130


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


def load() -> None:
    subprocess.run(["modprobe", "stap"], check=True)


def error_of(function: Callable[[], object]) -> str:
    """The name of the errno that it fails with, or OK."""
    try:
        function()
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error))
        return {"ENOTSUP": "EOPNOTSUPP"}.get(name, name)
    return "OK"


def receive(opened: socket.socket, size: int) -> bytes:
    """So many bytes, or up to the end."""
    data = b""
    while len(data) < size:
        some = opened.recv(size - len(data))
        if not some:
            break
        data += some
    return data


def params(programs: Programs) -> bytes:
    return struct.pack("=4i", *programs)


def tap(opened: socket.socket, programs: Programs) -> None:
    """Both at once."""
    opened.setsockopt(socket.SOL_IP, STAP_SO_ULP, b"stap".ljust(16, b"\0") + params(programs))


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


def length_field(offset: int, width: int, **more: int) -> Framing:
    return Framing(2, offset=offset, width=width)._replace(**more)


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


def tap_by_policy(opened: socket.socket, send: Side, recv: Side) -> None:
    opened.setsockopt(socket.SOL_IP, STAP_SO_ULP, b"stap".ljust(16, b"\0") + policy(send, recv))


def info(opened: socket.socket) -> tuple[Direction, Direction]:
    """Of what is sent and of what is received."""
    values = struct.unpack("=2I3Q2I3Q", opened.getsockopt(SOL_STAP, INFO, 64))
    return Direction(*values[:5]), Direction(*values[5:])


@contextlib.contextmanager
def connection(family: int = 4) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends, through loopback."""
    af, address = (socket.AF_INET, "127.0.0.1") if family == 4 else (socket.AF_INET6, "::1")
    with socket.socket(af) as listener:
        listener.bind((address, 0))
        listener.listen()
        with socket.socket(af) as one:
            one.connect(listener.getsockname()[:2])
            other = listener.accept()[0]
            with other:
                for opened in (one, other):
                    opened.settimeout(20)
                yield one, other
