#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: what is sent."""

import contextlib
import mmap
import os
import socket
import threading

from lib import bpf, tap
from lib.check import expect, expect_equal, main, test
from lib.iovec import splice, splice_memory
from lib.tap import DROP, OK, Programs, load
from lib.tcp import connection, error_of, prefixed, receive, writable


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


@test
def the_mark_is_at_the_last_byte() -> None:
    """However many pieces it is sent in."""
    for tapped in (False, True):
        with connection() as (one, other):
            if tapped:
                parser = bpf.load(bpf.constant(SIZE))
                tap.tap(one, Programs(parser, -1, -1, -1))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * SIZE)
            one.sendall(b"x" * (SIZE // 2))
            one.send(b"x" * (SIZE // 2 - 1) + b"!", socket.MSG_OOB)
            one.shutdown(socket.SHUT_WR)
            expect_equal(len(receive(other, SIZE - 1)), SIZE - 1, f"bytes before the mark, {tapped=}")
            expect_equal(other.recv(10, socket.MSG_OOB), b"!", f"out of band, {tapped=}")
            expect_equal(other.recv(10), b"", f"behind it, {tapped=}")


SIZE = 200_000


@test
def a_mark_in_the_middle_of_a_message() -> None:
    """It is where it was put, though the message is sent later, with other calls and other messages."""
    with connection() as (one, other):
        parser = bpf.load(bpf.constant(1000))
        tap.tap(one, Programs(parser, -1, -1, -1))
        one.sendall(b"a" * 1100)
        one.send(b"b" * 300 + b"!", socket.MSG_OOB)
        one.sendall(b"c" * 2000)
        one.sendall(b"d" * 599)
        expect_equal(receive(other, 1400), b"a" * 1100 + b"b" * 300, "before it")
        expect_equal(other.recv(10, socket.MSG_OOB), b"!", "out of band")
        expect_equal(receive(other, 2599), b"c" * 2000 + b"d" * 599, "behind it")


@test
def what_failed_is_not_sent() -> None:
    """A control message that TCP refuses, at the beginning and in the middle of a message."""
    bad = [(socket.SOL_SOCKET, 99, b"1234")]
    for begun in (b"", prefixed(b"a" * 400)[:200]):
        with connection() as (one, other):
            drops(one, "d")
            one.sendall(begun)
            for failing in (prefixed(b"b" * 300), b"c", b"d" * 1000):
                expect_equal(error_of(lambda: one.sendmsg([failing], bad)), "EINVAL", "refused")
            sent = prefixed(b"a" * 400)
            one.sendall(sent[len(begun):])
            expect_equal(receive(other, len(sent)), sent, "what is sent afterwards")


def counted(one: socket.socket) -> int:
    return tap.info(one)[0].messages


@test
def without_a_parser() -> None:
    """A message is what one call sends: all of it if it waits, what there is room for if not."""
    verdict = bpf.load(bpf.constant(OK))
    with connection() as (one, other):
        tap.tap(one, Programs(-1, verdict, -1, -1))
        for number, size in enumerate((1, 200, 300, 5000, 200_000, 1_000_000), 1):
            sender = threading.Thread(target=one.send, args=(b"x" * size,))
            sender.start()
            receive(other, size)
            sender.join()
            expect_equal(counted(one), number, f"messages after one of {size} bytes")
    with connection() as (one, other):
        tap.tap(one, Programs(-1, verdict, -1, -1))
        one.setblocking(False)
        calls = taken = 0
        with contextlib.suppress(BlockingIOError):
            while taken < LIMIT:
                taken += one.send(b"x" * 10_000_000)
                calls += 1
        expect(taken < LIMIT, "no limit")
        expect_equal(counted(one), calls, "messages of calls that do not wait")
        expect_equal(len(receive(other, taken)), taken, "bytes")


if __name__ == "__main__":
    load()
    main()
