#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: what is sent."""

import contextlib
import mmap
import os
import socket

from lib import bpf, tap
from lib.check import expect, expect_equal, main, test
from lib.iovec import splice, splice_memory
from lib.tap import DROP, OK, load
from lib.tcp import connection, prefixed, receive, writable


LIMIT = 1 << 27  # bytes, more than any buffer takes


def drops(opened: socket.socket, letter: str) -> None:
    tap.tap_all(opened, bpf.prefixed(), bpf.by_byte(2, {ord(letter): DROP}))


@test
def a_slow_reader_stops_the_sender() -> None:
    """Sending without waiting ends in EAGAIN, and begins again once there is room."""
    with connection() as (one, other):
        tap.tap_all(one, bpf.up_to(1000), bpf.constant(OK))
        one.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < LIMIT:
                sent += one.send(b"x" * 10_000)
        expect(sent < LIMIT, "no limit")
        expect(not writable(one), "writable without room")
        expect_equal(len(receive(other, sent)), sent, "received")
        expect(writable(one, 20), "not writable though there is room")


@test
def sendfile_and_splice() -> None:
    """What comes in pages of others is judged as any other."""
    with connection() as (one, other), open("/tmp/page", "w+b") as file:
        drops(one, "d")
        drops(other, "e")
        file.write(prefixed(b"drop") + prefixed(b"e") + prefixed(b"x" * 5000))
        file.flush()
        expect_equal(os.sendfile(one.fileno(), file.fileno(), 0, 100_000), 6 + 3 + 5002, "sent")
        expect_equal(receive(other, 5002), prefixed(b"x" * 5000), "sendfile")
        reading, writing = os.pipe()
        one.sendall(prefixed(b"y" * 3000))
        expect_equal(splice(other.fileno(), writing, 100_000), 3002, "spliced in")
        expect_equal(splice(reading, one.fileno(), 3002), 3002, "spliced out")
        expect_equal(receive(other, 3002), prefixed(b"y" * 3000), "splice")
        os.close(reading)
        os.close(writing)


BEGIN, END = prefixed(b"a" * 5000)[:3000], prefixed(b"a" * 5000)[3000:]


@test
def copied_before_it_is_judged() -> None:
    """Who writes to a file, or to memory, after he has sent it does not change what was sent."""
    with connection() as (one, other), open("/tmp/page", "w+b") as file:
        drops(one, "d")
        file.write(BEGIN)
        file.flush()
        expect_equal(os.sendfile(one.fileno(), file.fileno(), 0, len(BEGIN)), len(BEGIN), "sent of a file")
        file.seek(0)
        file.write(prefixed(b"d" * 2000))
        file.flush()
        one.sendall(END)
        expect(receive(other, 5002) == BEGIN + END, "a file was changed afterwards")
    with connection() as (one, other), mmap.mmap(-1, 4096) as memory:
        drops(one, "d")
        memory[:len(BEGIN)] = BEGIN
        splice_memory(memory, len(BEGIN), one)
        memory[:2002] = prefixed(b"d" * 2000)
        one.sendall(END)
        expect(receive(other, 5002) == BEGIN + END, "memory was changed afterwards")


@test
def urgent_data() -> None:
    """They are judged as any other."""
    with connection() as (one, other):
        drops(one, "d")
        other.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        one.send(prefixed(b"drop"), socket.MSG_OOB)
        one.send(prefixed(b"e"), socket.MSG_OOB)
        expect_equal(receive(other, 3), prefixed(b"e"), "sent")


if __name__ == "__main__":
    load()
    main()
