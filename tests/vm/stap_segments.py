#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap and a peer that makes its segments by hand: what programs see is what is read."""

import os
import socket
import threading

from lib import bpf, tap
from lib.check import expect, expect_equal, main, test
from lib.iovec import splice
from lib.peer import Peer, Wire
from lib.tap import DROP, OK, load
from lib.tcp import error_of, prefixed, readable, receive, unread

A, EVIL, GOOD, Z = prefixed(b"abc"), prefixed(b"evil"), prefixed(b"good"), prefixed(b"xyz")
wire = Wire()


def drops(opened: socket.socket, first: str, kind: int = bpf.SOCKET_FILTER) -> None:
    tap.tap_all(opened, bpf.prefixed(), bpf.by_byte(2, {ord(first): DROP}), kind)


def spliced(opened: socket.socket, size: int) -> bytes:
    """receive(), by splice()."""
    data = b""
    reads, writes = os.pipe()
    while len(data) < size and (some := splice(opened.fileno(), writes, size - len(data))):
        data += os.read(reads, some)
    os.close(reads)
    os.close(writes)
    return data


WAYS = {"recv": receive, "splice": spliced}


@test
def overlapping_segments() -> None:
    """TCP keeps a segment whole that begins with what was there already, and reads what came first."""
    for name, way in WAYS.items():
        for kind in (bpf.SOCKET_FILTER, bpf.SK_SKB):
            for head in (3, 5):
                peer, opened = wire.connect()
                opened.setblocking(True)
                drops(opened, "e", kind)
                peer.send(A + EVIL[:head])
                peer.arrived()
                peer.send(GOOD[:head] + EVIL[head:], at=len(A))
                peer.send(Z)
                peer.arrived()
                what = f"{head} bytes twice, {name}, programs of type {kind}"
                expect_equal(way(opened, len(A + Z)), A + Z, what)
                expect_equal(tap.info(opened)[1].dropped, 1, "dropped")
                opened.close()


@test
def overlapping_lengths() -> None:
    """The length too is that of the bytes that came first; and what comes again may begin before the message."""
    for again in (0x01, 0xFF):
        for before in (0, 1, len(A)):
            peer, opened = wire.connect()
            drops(opened, "e")
            peer.send(A + GOOD[:1])
            peer.arrived()
            peer.send(b"?" * before + bytes((again,)) + GOOD[1:] + Z, at=len(A) - before)
            peer.arrived()
            what = f"{before + 1} bytes twice, the last as {again}"
            expect_equal(receive(opened, len(A + GOOD + Z)), A + GOOD + Z, what)
            expect_equal(tap.info(opened)[1].messages, 3, f"messages, {what}")
            opened.close()


@test
def a_part_that_comes_thrice() -> None:
    """Each time with a byte more, and with other bytes."""
    peer, opened = wire.connect()
    drops(opened, "e")
    peer.send(A)
    for end in range(1, len(EVIL)):
        peer.send((GOOD if end > 1 else EVIL)[:end - 1] + EVIL[end - 1:end], at=len(A))
        peer.arrived()
    peer.send(EVIL[-1:] + Z)
    expect_equal(receive(opened, len(A + Z)), A + Z, "what passes")
    expect_equal(tap.info(opened)[1].dropped, 1, "dropped")


def marked(opened: socket.socket, peer: Peer, message: bytes, index: int) -> None:
    """A message with an urgent byte, one that is dropped, and all again."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 0)
    peer.send(message + EVIL, urgent=index)
    peer.arrived()


@test
def urgent_marks() -> None:
    """The stream has the urgent bytes, whatever an application makes of SO_OOBINLINE, and none of what is dropped."""
    message = prefixed(b"abcdef")
    for name, way in WAYS.items():
        peer, opened = wire.connect()
        opened.setblocking(True)
        drops(opened, "e")
        for index in range(len(message)):
            marked(opened, peer, message, index)
            expect_equal(way(opened, len(message)), message, f"byte {index} is urgent, {name}")
            expect(not readable(opened), f"byte {index}: there is more to read")
        expect_equal(tap.info(opened)[1].dropped, len(message), "dropped")
        opened.close()


@test
def urgent_marks_and_peeking() -> None:
    message = prefixed(b"abcdef")
    for index in range(len(message)):
        peer, opened = wire.connect()
        drops(opened, "e")
        marked(opened, peer, message, index)
        expect(message.startswith(opened.recv(100, socket.MSG_PEEK)), f"byte {index} is urgent: peeked")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 0)
        expect(message[1:].startswith(opened.recv(1, 0) and opened.recv(100, socket.MSG_PEEK)), "and a byte further")
        expect_equal(receive(opened, len(message) - 1), message[1:], "read")
        expect(not readable(opened), "there is more to read")
        opened.close()


@test
def an_urgent_mark_in_a_dropped_message() -> None:
    """It goes with it."""
    for index in range(len(EVIL)):
        peer, opened = wire.connect()
        drops(opened, "e")
        peer.send(A + EVIL + Z, urgent=len(A) + index)
        peer.arrived()
        expect_equal(receive(opened, len(A + Z)), A + Z, f"byte {index} is urgent")
        opened.close()


@test
def two_urgent_marks() -> None:
    """TCP would skip the first byte of a message that nobody has seen whole."""
    peer, opened = wire.connect()
    drops(opened, "e")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 0)
    peer.send(A[:2], urgent=0)
    peer.arrived()
    peer.send(A[2:] + EVIL, urgent=1)
    peer.arrived()
    expect_equal(receive(opened, len(A)), A, "both are of the stream")
    peer.send(A[:2], urgent=0)
    peer.arrived()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 0)  # this time it wins
    peer.send(A[2:] + EVIL + Z, urgent=1)
    peer.arrived()
    expect_equal(error_of(lambda: opened.recv(100)), "ECONNABORTED", "a message without its first byte")


@test
def an_urgent_mark_behind_one_that_is_next() -> None:
    """TCP takes the first urgent byte away, though it was judged with its message."""
    for index in (0, 2):  # in which the application has read what is before it
        for data in (Z, b""):
            peer, opened = wire.connect()
            drops(opened, "e")
            peer.send(A, urgent=index)
            peer.arrived()
            if index:
                expect_equal(opened.recv(100), A[:index], "up to the mark")
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 0)
            peer.send(data, urgent=1)
            if not data:
                peer.send(Z)
            peer.arrived()
            expect_equal(error_of(lambda: opened.recv(100)), "ECONNABORTED",  # pylint: disable=cell-var-from-loop
                         f"a message without byte {index}, next: {data!r}")
            opened.close()


@test
def one_urgent_mark_after_the_other() -> None:
    """Each is read, peeked at, or dropped, before the next one is there: nothing is taken away."""
    for what in ("read", "peeked at", "dropped"):
        peer, opened = wire.connect()
        drops(opened, "e")
        for _ in range(3):
            peer.send(EVIL if what == "dropped" else A, urgent=0)
            peer.arrived()
            if what == "peeked at":
                expect_equal(opened.recv(100, socket.MSG_PEEK), A, what)
            if what != "dropped":
                expect_equal(receive(opened, len(A)), A, what)
        peer.send(Z)
        peer.arrived()
        expect_equal(receive(opened, len(Z)), Z, f"behind what was {what}")
        opened.close()


def held_memory(size: int, buffer: int) -> None:
    """Always a byte is kept that may be read, and part of a message is behind it, until the window is closed."""
    peer, opened = wire.connect(buffer, size)
    tap.tap_all(opened, bpf.prefixed(), bpf.constant(OK))
    data = prefixed(os.urandom(298)) * 400
    got = b""
    while peer.window() >= size and peer.sent < len(data) // 2:
        peer.send(data[peer.sent:peer.sent + size])
        peer.arrived()
        got += receive(opened, unread(opened) - 1)
    what = f"segments of {size}, buffer {buffer}, {peer.sent} bytes"
    print(f"# {what}: a window of {peer.window()}", flush=True)
    got += opened.recv(10)
    expect_equal(unread(opened), 0, f"{what}: what can be read before the rest has come")
    reader = threading.Thread(target=peer.stream, args=(data[peer.sent:], size))
    reader.start()
    got += receive(opened, len(data) - len(got))
    reader.join()
    expect(got == data, f"{what}: then others")
    opened.close()


@test
def memory_of_what_was_read() -> None:
    """A reader who has read all he may has not made room: TCP keeps an skb as long as a byte of it is unread. The rest
    of the message must be able to come."""
    for size, buffer in ((588, 10_000), (400, 6000), (800, 12_000), (588, 9000)):
        held_memory(size, buffer)


@test
def many_small_segments() -> None:
    """A message whose bytes take a hundred times their room comes to its end, and takes no memory without bounds."""
    peer, opened = wire.connect(10_000)
    size = 30_000
    tap.tap_all(opened, bpf.constant(size), bpf.constant(OK))
    data = os.urandom(size)
    sender = threading.Thread(target=peer.stream, args=(data, 3))
    sender.start()
    expect(receive(opened, size) == data, "other bytes")
    sender.join()
    limit = opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    print(f"# SO_RCVBUF {limit} for a message of {size}", flush=True)
    expect(limit < 20 * size, f"SO_RCVBUF is {limit}")


if __name__ == "__main__":
    load()
    main(wire.close)
