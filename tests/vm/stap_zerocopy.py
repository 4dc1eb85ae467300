#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: MSG_ZEROCOPY and io_uring's SEND_ZC. What they send is copied, as the kernel does where a device
needs it so, and they are told."""

import contextlib
import socket
import struct

from lib import bpf, tap, uring
from lib.check import expect_equal, main, test
from lib.tap import DROP, load
from lib.tcp import connect, connection, error_of, listening, prefixed, receive

SO_ZEROCOPY, MSG_ZEROCOPY = 60, 0x4000000
ORIGIN, COPIED = 5, 1  # SO_EE_ORIGIN_ZEROCOPY, SO_EE_CODE_ZEROCOPY_COPIED


def drops_d(opened: socket.socket) -> None:
    tap.tap_all(opened, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))


def notifications(opened: socket.socket) -> list[tuple[int, int, int]]:
    """Code, first and last number of each that there is."""
    found = []
    limit = opened.gettimeout()
    opened.setblocking(False)  # or python waits for something to read
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(opened.recvmsg(1, 512, socket.MSG_ERRQUEUE))
    opened.settimeout(limit)
    errors = [struct.unpack("=IBBBxII", control[0][2][:16]) for _, control, _, _ in found]
    expect_equal([(error[0], error[1]) for error in errors], [(0, ORIGIN)] * len(errors), "errno and origin")
    return [(error[3], error[4], error[5]) for error in errors]


def numbers(found: list[tuple[int, int, int]]) -> list[int]:
    return [number for _, first, last in found for number in range(first, last + 1)]


@test
def it_means_something_only_after_so_zerocopy() -> None:
    with connection() as (one, other):
        drops_d(one)
        one.send(prefixed(b"drop") + prefixed(b"a"), MSG_ZEROCOPY)
        expect_equal(receive(other, 3), prefixed(b"a"), "without the option")
        expect_equal(notifications(one), [], "notifications")


@test
def it_is_copied_and_told() -> None:
    """One number for each call, whether it is short, long, in the middle of a message, or dropped."""
    with connection() as (one, other):
        drops_d(one)
        one.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        sent = [prefixed(b"a"), prefixed(b"drop"), prefixed(b"b" * 60_000), prefixed(b"c" * 3000)[:1000],
                prefixed(b"c" * 3000)[1000:]]
        for data in sent:
            buffer = bytearray(data)
            expect_equal(one.send(buffer, MSG_ZEROCOPY), len(data), "sent")
            buffer[:] = bytes(len(buffer))
        one.send(prefixed(b"e"))  # which needs none
        wanted = b"".join(data for data in sent if data[2:3] != b"d") + prefixed(b"e")
        expect_equal(receive(other, len(wanted)), wanted, "what arrives")
        found = notifications(one)
        expect_equal({code for code, _, _ in found}, {COPIED}, "codes")
        expect_equal(numbers(found), list(range(len(sent))), "numbers")


@test
def what_fails_has_no_number() -> None:
    with connection() as (one, other):
        drops_d(one)
        one.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        one.send(prefixed(b"a"), MSG_ZEROCOPY)
        bad = [(socket.SOL_SOCKET, 99, b"1234")]
        expect_equal(error_of(lambda: one.sendmsg([prefixed(b"b")], bad, MSG_ZEROCOPY)), "EINVAL", "refused")
        one.send(prefixed(b"c"), MSG_ZEROCOPY)
        expect_equal(receive(other, 6), prefixed(b"a") + prefixed(b"c"), "what arrives")
        expect_equal(numbers(notifications(one)), [0, 1], "numbers")
        one.shutdown(socket.SHUT_WR)
        expect_equal(error_of(lambda: one.send(prefixed(b"d"), MSG_ZEROCOPY | socket.MSG_NOSIGNAL)), "EPIPE", "ended")
        expect_equal(notifications(one), [], "of what failed")


def ring_sends(one: socket.socket, other: socket.socket) -> None:
    ring = uring.Ring()
    for tag, (data, arrives) in enumerate((
            (prefixed(b"a"), True), (prefixed(b"drop"), False), (prefixed(b"b" * 30_000), True)), 1):
        ring.send(uring.SEND_ZC, one.fileno(), data, priority=uring.REPORT_USAGE, tag=tag)
        done = ring.wait()
        expect_equal(done, (tag, len(data), uring.MORE), "what is completed")
        told = ring.wait()
        expect_equal(told, (tag, -uring.COPIED, uring.NOTIFICATION), "the notification")
        if arrives:
            expect_equal(receive(other, len(data)), data, "what arrives")
    ring.send(uring.SEND, one.fileno(), prefixed(b"drop") + prefixed(b"c"), tag=9)
    expect_equal(ring.wait(), (9, 9, 0), "SEND")
    expect_equal(receive(other, 3), prefixed(b"c"), "what arrives of it")
    ring.close()


@test
def by_a_ring() -> None:
    """It asks for a copy that is none, and is told that it was one; also on a connection that was accepted."""
    with connection() as (one, other):
        drops_d(one)
        ring_sends(one, other)
    with listening() as listener:
        drops_d(listener)
        one, other = connect(listener)
        with one, other:
            ring_sends(other, one)


if __name__ == "__main__":
    load()
    main()
