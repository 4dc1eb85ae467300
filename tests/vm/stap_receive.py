#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: what is received, and how an application learns of it."""

import select
import socket
import struct

from lib import bpf, tap
from lib.check import Skip, expect, expect_equal, main, test
from lib.tap import DISCONNECT, DROP, load
from lib.tcp import arrived, connection, error_of, prefixed, readable, receive, unread, wait_for_data

SO_PEEK_OFF = 42


def drops_d(opened: socket.socket, kind: int = bpf.SOCKET_FILTER) -> None:
    tap.tap_all(opened, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}), kind)


@test
def sees_one_message() -> None:
    """From its first byte on, with its own length: several in a segment, and one in several."""
    for kind in (bpf.SOCKET_FILTER, bpf.SK_SKB):
        with connection() as (one, other):
            tap.tap_all(other, bpf.prefixed(), bpf.by_length(5, DROP), kind)
            one.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
            one.sendall(prefixed(b"abc") + prefixed(b"too long") + prefixed(b"def") + prefixed(b""))
            expect_equal(receive(other, 10), prefixed(b"abc") + prefixed(b"def"), "in one segment")
            for byte in prefixed(b"dropped") + prefixed(b"ghi") + prefixed(b"drop"):
                one.sendall(bytes((byte,)))
            arrived(one)
            expect_equal(receive(other, 5), prefixed(b"ghi"), "byte by byte")
            expect(not readable(other), "what was dropped can be read")
            expect_equal(tap.info(other)[1][2:], (3, 15, 4), "counted")


@test
def readiness() -> None:
    """poll, epoll (edge-triggered too), FIONREAD and SO_RCVLOWAT know of judged messages alone."""
    with connection() as (one, other), select.epoll() as poller:
        drops_d(other)
        event = [(other.fileno(), select.EPOLLIN)]
        poller.register(other, select.EPOLLIN | select.EPOLLET)
        one.sendall(prefixed(b"abc")[:4])
        arrived(one)
        expect_equal(poller.poll(0), [], "events of half a message")
        expect(not readable(other), "half a message can be read")
        expect_equal(unread(other), 0, "FIONREAD of half a message")
        one.sendall(b"c")
        expect_equal(poller.poll(20), event, "events of a message")
        expect_equal(unread(other), 5, "FIONREAD")
        one.sendall(prefixed(b"drop"))
        arrived(one)
        expect_equal(poller.poll(0), [], "events of a dropped message")
        expect_equal(other.recv(100), prefixed(b"abc"), "read")
        expect(not readable(other), "a dropped message can be read")
        one.sendall(prefixed(b"e"))
        expect_equal(poller.poll(20), event, "events of the next")
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 4)
        expect(not readable(other), "it is fewer than SO_RCVLOWAT")
        one.sendall(prefixed(b"f"))
        expect(readable(other, 20), "it is enough for SO_RCVLOWAT")
        expect_equal(other.recv(100), prefixed(b"e") + prefixed(b"f"), "read")


@test
def flags_of_recv() -> None:
    with connection() as (one, other):
        drops_d(other)
        other.setblocking(False)
        expect_equal(error_of(lambda: other.recv(10)), "EAGAIN", "nothing there")
        other.settimeout(20)
        one.sendall(prefixed(b"abc") + prefixed(b"drop") + prefixed(b"efgh"))
        wait_for_data(other, 5)
        expect_equal(unread(other), 5, "FIONREAD before a dropped message")
        expect_equal(other.recv(100, socket.MSG_PEEK), prefixed(b"abc"), "peeked")
        expect_equal(other.recv(3, socket.MSG_PEEK), prefixed(b"abc")[:3], "peeked, fewer")
        expect_equal(other.recv(11, socket.MSG_WAITALL), prefixed(b"abc") + prefixed(b"efgh"), "all")
        one.sendall(prefixed(b"hij"))
        buffer = bytearray(b"....")
        expect_equal(other.recv_into(buffer, 4, socket.MSG_TRUNC | socket.MSG_WAITALL), 4, "taken away by MSG_TRUNC")
        expect_equal(bytes(buffer), b"....", "and not copied")
        expect_equal(other.recv(100), b"j", "the rest")
        other.setblocking(True)
        expect_equal(error_of(lambda: other.recv(1, socket.MSG_OOB)), "EINVAL", "MSG_OOB")


@test
def a_limit_for_waiting() -> None:
    """SO_RCVTIMEO ends a call, and not the connection, in the middle of a message too."""
    with connection() as (one, other):
        drops_d(other)
        other.setblocking(True)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq", 0, 50_000))
        expect_equal(error_of(lambda: other.recv(1)), "EAGAIN", "with nothing there")
        one.sendall(prefixed(b"k")[:1])
        arrived(one)
        expect_equal(error_of(lambda: other.recv(1)), "EAGAIN", "in a message")
        one.sendall(prefixed(b"k")[1:])
        arrived(one)
        expect_equal(receive(other, 3), prefixed(b"k"), "later")


@test
def peeking_further() -> None:
    """SO_PEEK_OFF, where TCP has it, ends at the gate too."""
    with connection() as (one, other):
        drops_d(other)
        try:
            other.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, 0)
        except OSError as error:
            raise Skip(f"no SO_PEEK_OFF for TCP here: {error}") from error
        one.sendall(prefixed(b"abc") + prefixed(b"drop") + prefixed(b"efg"))
        wait_for_data(other, 5)
        expect_equal(other.recv(3, socket.MSG_PEEK), prefixed(b"abc")[:3], "first")
        expect_equal(other.recv(100, socket.MSG_PEEK), b"bc", "the rest")
        other.setblocking(False)
        expect_equal(error_of(lambda: other.recv(100, socket.MSG_PEEK)), "EAGAIN", "beyond the gate")


@test
def urgent_data() -> None:
    """They are judged, and read, as part of the stream."""
    with connection() as (one, other):
        tap.tap_all(other, bpf.prefixed(), bpf.by_byte(2, {ord("x"): DISCONNECT}))
        one.sendall(prefixed(b"abc")[:4])
        one.send(b"c", socket.MSG_OOB)
        expect_equal(receive(other, 5), prefixed(b"abc"), "in line")
        one.sendall(prefixed(b"x")[:2])
        one.send(b"x", socket.MSG_OOB)
        expect_equal(error_of(lambda: other.recv(10)), "ECONNABORTED", "judged")


@test
def urgent_data_in_a_dropped_message() -> None:
    """They go with it, and not a byte of it is read."""
    with connection() as (one, other):
        drops_d(other)
        one.send(prefixed(b"a") + prefixed(b"drop")[:3])
        one.send(b"r", socket.MSG_OOB)
        expect_equal(receive(other, 3), prefixed(b"a"), "before it")
        one.send(b"op" + prefixed(b"b"))
        expect_equal(other.recv(100), prefixed(b"b"), "then")


if __name__ == "__main__":
    load()
    main()
