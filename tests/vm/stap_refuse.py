#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: what would go around its programs is refused, and the connection goes on."""

import mmap
import socket
import struct
import threading

from lib import bpf, tap
from lib.check import expect, expect_equal, main, test, wait_for
from lib.fault import Fault, set_from
from lib.tap import DROP, OK, Programs, load
from lib.tcp import (connect, connection, disconnect, error_of, fast_open, listening, prefixed, readable, receive,
                     setting, wait_for_data)

TCP_REPAIR, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_ZEROCOPY_RECEIVE = 19, 23, 30, 35
TCP_REPAIR_QUEUE, TCP_RECV_QUEUE = 20, 1
MSG_FASTOPEN = 0x20000000


def drops_d(opened: socket.socket) -> None:
    tap.tap_all(opened, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))


def goes_on(one: socket.socket, other: socket.socket) -> None:
    """With its programs, both ways."""
    for sender, receiver in ((one, other), (other, one)):
        sender.sendall(prefixed(b"drop") + prefixed(b"on"))
        expect_equal(receive(receiver, 4), prefixed(b"on"), "it goes on")


@test
def receiving_without_a_copy() -> None:
    """Neither by TCP_ZEROCOPY_RECEIVE nor, to begin with, by mmap()."""
    with connection() as (one, other):
        drops_d(other)
        one.sendall(prefixed(b"a"))
        wait_for_data(other, 3)
        expect_equal(error_of(lambda: other.getsockopt(socket.SOL_TCP, TCP_ZEROCOPY_RECEIVE, 40)), "EOPNOTSUPP",
                     "TCP_ZEROCOPY_RECEIVE")
        expect_equal(error_of(lambda: mmap.mmap(other.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ)), "ENODEV",
                     "mmap()")
        expect_equal(receive(other, 3), prefixed(b"a"), "still there")
        goes_on(one, other)


@test
def sending_before_there_is_a_connection() -> None:
    """MSG_FASTOPEN: neither sent nor connected."""
    with listening() as listener, socket.socket() as one:
        drops_d(one)
        address = listener.getsockname()
        expect_equal(error_of(lambda: one.sendto(prefixed(b"a"), MSG_FASTOPEN, address)), "EOPNOTSUPP", "MSG_FASTOPEN")
        expect_equal(error_of(lambda: one.send(prefixed(b"a"), socket.MSG_NOSIGNAL)), "EPIPE", "not connected")
        with connect(listener, one)[1] as other:
            goes_on(one, other)


@test
def connecting_with_the_first_bytes() -> None:
    """It would wait for them, and they for it: refused, as where there is no fast open."""
    programs = Programs(-1, bpf.load(bpf.constant(OK)), -1, -1)
    with listening() as listener, socket.socket() as early, socket.socket() as late:
        tap.tap(early, programs)
        expect_equal(error_of(lambda: early.setsockopt(socket.SOL_TCP, TCP_FASTOPEN_CONNECT, 1)), "EOPNOTSUPP",
                     "of a tapped socket")
        late.setsockopt(socket.SOL_TCP, TCP_FASTOPEN_CONNECT, 1)
        expect_equal(error_of(lambda: tap.tap(late, programs)), "EOPNOTSUPP", "to tap it before connect()")
        late.connect(listener.getsockname())
        expect_equal(error_of(lambda: tap.tap(late, programs)), "OK", "once it is connected, here without a cookie")
        with listener.accept()[0], connect(listener, early)[1] as other:
            early.sendall(b"hello")
            expect_equal(receive(other, 5), b"hello", "through the tapped one")


@test
def connecting_again_with_the_first_bytes() -> None:
    """Who has connected like that, is tapped, and connects once more: at once, this time."""
    with fast_open(), listening() as listener, socket.socket() as one:
        listener.setsockopt(socket.SOL_TCP, TCP_FASTOPEN, 10)
        one.setsockopt(socket.SOL_TCP, TCP_FASTOPEN_CONNECT, 1)
        one.settimeout(60)
        one.connect(listener.getsockname())
        expect(not readable(listener), "connect() did not wait for the first bytes: there is nothing to test")
        one.sendall(b"with the SYN")
        with listener.accept()[0] as other:
            expect_equal(receive(other, 12), b"with the SYN", "before it is tapped")
            drops_d(one)
            disconnect(one)
            one.connect(listener.getsockname())
            expect(readable(listener, 20), "connect() waits for the first bytes")
            with listener.accept()[0] as again:
                goes_on(one, again)


@test
def repairing() -> None:
    """Who may put bytes and numbers into a connection could put them anywhere."""
    with connection() as (one, other):
        drops_d(one)
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_TCP, TCP_REPAIR, 1)), "EOPNOTSUPP", "TCP_REPAIR")
        goes_on(one, other)


@test
def repairing_by_who_had_begun() -> None:
    """He is in TCP's setsockopt() when the socket is tapped, so he is not refused. What is sent then would be for
    the receive queue, and is not even copied there. (With SO_ULP at SOL_SOCKET the value is read before.)"""
    with setting("/sys/module/stap/parameters/so_ulp", "N"), connection() as (one, _):
        number = Fault()
        thread = threading.Thread(target=set_from, args=(one.fileno(), socket.SOL_TCP, TCP_REPAIR, number))
        thread.start()
        wait_for(number.is_met, "the option to be read")
        drops_d(one)
        number.go_on_with(struct.pack("=i", 1))
        thread.join()
        expect_equal(one.getsockopt(socket.SOL_TCP, TCP_REPAIR), 1, "in repair")
        one.setsockopt(socket.SOL_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE)
        for size in (1, 1000):
            expect_equal(error_of(lambda: one.send(prefixed(b"x" * size))),  # pylint: disable=cell-var-from-loop
                         "EOPNOTSUPP", f"{size} bytes into its own queue")


if __name__ == "__main__":
    load()
    main()
