# SPDX-License-Identifier: GPL-2.0
"""Whether what a tapped listener accepts is tapped."""

import contextlib
import os
import socket
from typing import Iterator

from . import bpf, tap
from .check import expect, expect_equal, wait_for
from .iovec import splice
from .tap import DROP, Programs
from .tcp import prefixed, readable, receive

KEPT, WHOLE = prefixed(b"a") + prefixed(b"b"), prefixed(b"a") + prefixed(b"drop") + prefixed(b"b")


def drops_d(opened: socket.socket) -> None:
    tap.tap_all(opened, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))


def drops_d_natively(opened: socket.socket) -> None:
    parse, verdict = bpf.load(bpf.prefixed()), bpf.load(bpf.by_byte(2, {ord("d"): DROP}))
    tap.tap_natively(opened, Programs(parse, verdict, parse, verdict))
    os.close(parse)
    os.close(verdict)


def by_splice(opened: socket.socket, size: int) -> bytes:
    """As recv() does, by way of a pipe."""
    there, back = os.pipe()
    data = b""
    try:
        while len(data) < size:
            expect(readable(opened, 60), f"nothing comes after {data!r}")
            some = splice(opened.fileno(), back, size - len(data))
            if not some:
                break
            data += os.read(there, some)
    finally:
        os.close(there)
        os.close(back)
    return data


def expect_tapped(child: socket.socket, peer: socket.socket, what: str) -> None:
    """By all four programs, and in the functions that a socket has of its own for the system call."""
    child.settimeout(None)
    before = tap.info(child)[1].dropped
    peer.settimeout(60)
    for read in (by_splice, receive):
        peer.sendall(WHOLE)
        expect_equal(read(child, 6), KEPT, f"{what}, by {read.__name__}")
    child.sendall(WHOLE)
    expect_equal(receive(peer, 6), KEPT, f"{what}, sent")
    # What is to be dropped is not there for who polls, either.
    peer.sendall(prefixed(b"drop"))
    wait_for(lambda: tap.info(child)[1].dropped == before + 3, "the last one to be dropped")
    expect(not readable(child), f"{what}: a message that was dropped is readable")


@contextlib.contextmanager
def connected(listener: socket.socket) -> Iterator[socket.socket]:
    with socket.socket(listener.family) as peer:
        peer.settimeout(60)
        peer.connect(listener.getsockname()[:2])
        yield peer
