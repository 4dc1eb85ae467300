#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: what is sent."""

import contextlib
import mmap
import os
import socket
import struct
import threading

from lib import bpf, tap
from lib.check import expect, expect_equal, main, test, wait_for
from lib.iovec import splice, splice_memory
from lib.tap import DROP, OK, Programs, load
from lib.tcp import connection, error_of, kept_back, prefixed, receive, writable


SO_TIMESTAMPING, FROM_TIMESTAMPING = 37, 4  # the latter in sock_extended_err
SENT, ACKNOWLEDGED = 0, 2  # which time of a byte
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


def stamps(one: socket.socket) -> list[tuple[int, int]]:
    """The error queue's: of which byte, and which time of it."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            control = one.recvmsg(0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)[1]
            errors = [struct.unpack_from("=IBBBBII", value) for level, _, value in control if level == socket.SOL_IP]
            found += [(error[6], error[5]) for error in errors if error[1] == FROM_TIMESTAMPING]
    return found


@test
def times_of_what_is_sent() -> None:
    """Of the last byte of what one call completes, whether that is its only part or several messages, and of the
    last before each that is dropped. As from TCP, of a call whose bytes wait for more there is none of its own."""
    split = prefixed(b"a") + prefixed(b"drop") + prefixed(b"b") * 3
    longer = prefixed(b"a" * 400) + prefixed(b"drop") + prefixed(b"b" * 400)
    with connection() as (one, other):
        drops(one, "d")
        one.settimeout(None)
        # software, when sent, reported, by the byte's number, when acknowledged, without the data
        one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, 1 << 1 | 1 << 4 | 1 << 7 | 1 << 9 | 1 << 11)
        came = 0
        for parts, ends in (([prefixed(b"abc")], {5}), ([prefixed(b"a" * 3000)], {3002}),
                            ([b"\0", b"\4a", b"bc", b"d"], {6}), ([prefixed(b"a" * 70)[:9], b"a" * 63], {72}),
                            ([split], {3, 12}), ([longer], {402, 804}), ([split[:4], split[4:]], {3, 12})):
            for part in parts:
                one.sendall(part)
            receive(other, max(ends))
            wanted = {(came + end - 1, which) for end in ends for which in (SENT, ACKNOWLEDGED)}
            came += max(ends)
            seen: set[tuple[int, int]] = set()

            def enough() -> bool:
                seen.update(stamps(one))  # pylint: disable=cell-var-from-loop
                return wanted <= seen  # pylint: disable=cell-var-from-loop

            wait_for(enough, f"the times of {parts!r:.60}")
            expect_equal(seen, wanted, f"times of {parts!r:.60}")


@test
def corked_and_without_delay() -> None:
    """TCP_NODELAY pushes what is there, but under TCP_CORK nothing that comes later, unless a timer does."""
    for tapped in (False, True):
        kept: list[int] = []
        while 2 not in kept and len(kept) < 20:
            with connection() as (one, _):
                if tapped:
                    tap.tap_all(one, bpf.constant(1), bpf.constant(OK))
                one.setsockopt(socket.SOL_TCP, socket.TCP_CORK, 1)
                one.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
                one.sendall(b"a")
                one.sendall(b"b")
                kept.append(kept_back(one))
        expect(2 in kept, f"bytes of 2 that were kept back, tapped: {tapped}: {kept}")


@test
def corked_with_little_room() -> None:
    """Who holds back what is no whole segment, and may hold little: it goes on, and all of it arrives."""
    for size, count in ((1, 20), (3000, 300), (10_000, 300)):  # of a send, and of messages
        data = b"".join(prefixed(bytes((number % 256,)) * (number % 400)) for number in range(count))
        for waits in (True, False):
            with connection() as (one, other):
                tap.tap_all(one, bpf.prefixed(), bpf.constant(OK))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
                one.setsockopt(socket.SOL_TCP, socket.TCP_CORK, 1)
                got: list[bytes] = []
                reader = threading.Thread(
                    target=lambda: got.append(receive(other, len(data))))  # pylint: disable=cell-var-from-loop
                reader.start()
                left = data
                while left:
                    try:
                        left = left[one.send(left[:size], 0 if waits else socket.MSG_DONTWAIT):]
                    except BlockingIOError:
                        expect(writable(one, 60), f"no room any more, with {len(left)} bytes left")
                one.shutdown(socket.SHUT_WR)
                reader.join()
                expect(got == [data], f"sends of {size}, waiting: {waits}: {len(got[0])} bytes, not {len(data)}")


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
