#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: sending when there is no room, or no memory."""

import contextlib
import os
import signal
import socket
import struct
import threading
from typing import Callable, Iterator

from lib import bpf, tap
from lib.check import Failure, expect, expect_equal, main, test, wait_for
from lib.iovec import splice
from lib.tap import OK, Programs, load
from lib.tcp import connect, connection, disconnect, error_of, listening, receive, writable

TCP_NOTSENT_LOWAT = 25
TCP_MEM = "/proc/sys/net/ipv4/tcp_mem"
KIB, MIB = 1 << 10, 1 << 20


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Who sleeps on in a call that must not is waken, and has failed."""
    def late(*_: object) -> None:
        raise Failure(f"it blocked for {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def tapped(opened: socket.socket, size: int) -> None:
    """What it sends, in messages of so many bytes."""
    parser = bpf.load(bpf.constant(size))
    tap.tap(opened, Programs(parser, -1, -1, -1))
    os.close(parser)


@contextlib.contextmanager
def stuck(size: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Little room, and nobody reads."""
    with listening() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
        one, other = connect(listener)
    one.settimeout(None)  # or python waits, and not the call
    with one, other:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * KIB)
        tapped(one, size)
        yield one, other


def until_refused(send: Callable[[bytes], int], most: int) -> int:
    """How much is taken."""
    taken = 0
    with contextlib.suppress(BlockingIOError):
        while taken < most:
            taken += send(b"x" * 10_000)
    return taken


def drain(opened: socket.socket, size: int) -> None:
    expect_equal(len(receive(opened, size)), size, "bytes that came")


def check_limit(send: Callable[[socket.socket], Callable[[bytes], int]], what: str) -> None:
    with stuck(10) as (one, other):
        one.send(b"begin")
        one.setblocking(False)
        taken = until_refused(send(one), 2 * MIB)
        expect(taken < MIB, f"{what}: no limit")
        expect(not writable(one), f"{what}: writable without room")
        drain(other, (5 + taken) // 10 * 10)
        expect(writable(one, 20), f"{what}: not writable though there is room")
        # The message that had begun is still that.
        begun = (5 + taken) % 10
        one.send(b"y" * (10 - begun))
        expect_equal(receive(other, 10)[begun:], b"y" * (10 - begun), f"{what}: the end of the message")


@test
def none_in_the_middle_of_a_message() -> None:
    """It has begun, and is no reason to take more than TCP has room for; however it is sent."""
    reading, writing = os.pipe()
    with open("/tmp/room", "w+b") as file:
        file.write(b"x" * 10_000)
        file.flush()

        def by_splice(to: socket.socket) -> Callable[[bytes], int]:
            def send(data: bytes) -> int:
                os.write(writing, data)
                done = splice(reading, to.fileno(), len(data))
                if done < len(data):
                    os.read(reading, len(data) - done)
                return done
            return send

        check_limit(lambda to: to.send, "send")
        check_limit(lambda to: lambda data: to.send(data, socket.MSG_MORE), "MSG_MORE")
        check_limit(lambda to: lambda data: os.sendfile(to.fileno(), file.fileno(), 0, len(data)), "sendfile")
        check_limit(by_splice, "splice")
    os.close(reading)
    os.close(writing)


@test
def low_water() -> None:
    """TCP_NOTSENT_LOWAT is a lack of room as any other: who does not wait comes back later."""
    with stuck(256 * KIB) as (one, other), within(20):
        one.setsockopt(socket.SOL_TCP, TCP_NOTSENT_LOWAT, 1)
        one.setblocking(False)
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while taken < 4 * MIB:
                taken += one.send(b"x" * 256 * KIB)
        expect(256 * KIB <= taken < 4 * MIB, f"{taken} bytes taken")
        drain(other, taken // (256 * KIB) * 256 * KIB)
        expect(writable(one, 20), "not writable though there is room")


def whole_messages(data: bytes, size: int) -> str:
    """Their letters; each has one."""
    messages = [data[at:at + size] for at in range(0, len(data), size)]
    for message in messages:
        expect_equal(len(set(message)), 1, "different bytes in one message")
    return "".join(chr(message[0]) for message in messages)


@test
def senders_take_turns() -> None:
    """However long one has to wait in the middle of his message, no other's is in between."""
    with stuck(MIB) as (one, other):
        one.setsockopt(socket.SOL_TCP, TCP_NOTSENT_LOWAT, 1)

        def send(letter: bytes) -> None:
            for _ in range(3):
                one.sendall(letter * MIB)

        threads = [threading.Thread(target=send, args=(letter,)) for letter in (b"a", b"b")]
        for thread in threads:
            thread.start()
        data = receive(other, 6 * MIB)
        for thread in threads:
            thread.join()
        expect_equal(sorted(whole_messages(data, MIB)), sorted("aaabbb"), "messages")


@test
def not_my_turn() -> None:
    """While another waits in the middle of his, who would not wait is told so, and told when he may."""
    with stuck(256 * KIB) as (one, other), within(40):
        sender = threading.Thread(target=one.sendall, args=(b"a" * 512 * KIB + b"a" * 100,))
        sender.start()
        wait_for(lambda: tap.info(one)[0].messages >= 1, "the first message")
        seen: set[str] = set()
        for _ in range(100):
            seen.add(error_of(lambda: one.send(b"b", socket.MSG_DONTWAIT)))
        drain(other, 512 * KIB)
        sender.join()
        expect_equal(seen, {"EAGAIN"}, "what the other is told")
        expect(writable(one, 20), "not writable though there is room")
        one.sendall(b"a" * (256 * KIB - 100))
        expect_equal(set(receive(other, 256 * KIB)), {ord("a")}, "the message that was begun")


def model_of(one: socket.socket, other: socket.socket, data: bytes) -> None:
    """What send() says is sent is what arrives, once, interrupted or not."""
    came: list[bytes] = []
    reader = threading.Thread(target=lambda: came.append(receive(other, len(data))))
    ticks: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: ticks.append(1))
    signal.siginterrupt(signal.SIGALRM, True)
    reader.start()
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    at = 0
    while at < len(data):
        at += one.send(data[at:at + 300_000])
    signal.setitimer(signal.ITIMER_REAL, 0)
    reader.join()
    signal.signal(signal.SIGALRM, before)
    expect(len(ticks) > 3, f"no signals ({len(ticks)})")
    expect(came[0] == data, f"{len(came[0])} bytes of {len(data)}, or others")


@test
def interrupted() -> None:
    """By a timer's signals, all the time."""
    data = b"".join(struct.pack(">I", number) for number in range(MIB // 2))
    for low_water in (0, 1):
        for size in (64, 256 * KIB):
            with stuck(size) as (one, other):
                one.setsockopt(socket.SOL_TCP, TCP_NOTSENT_LOWAT, low_water)
                model_of(one, other, data)


@test
def disconnected_in_the_middle() -> None:
    """Who waited in a send ends; the next connection begins with what is sent on it."""
    for low_water in (0, 1):
        with stuck(256 * KIB) as (one, other), listening() as listener:
            one.setsockopt(socket.SOL_TCP, TCP_NOTSENT_LOWAT, low_water)
            ends: list[str] = []
            sender = threading.Thread(target=lambda: ends.append(error_of(lambda: one.sendall(b"x" * 3 * MIB))))
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
            sender.start()
            wait_for(lambda: tap.info(one)[0].messages >= 1, "the first message")
            disconnect(one)
            sender.join()
            expect(ends[0] in ("EPIPE", "ECONNRESET"), f"the sender's end: {ends}")
            other.close()
            with connect(listener, one)[1] as again:
                one.settimeout(None)
                one.sendall(b"y" * 256 * KIB)
                expect_equal(set(receive(again, 256 * KIB)), {ord("y")}, "on the next connection")


@contextlib.contextmanager
def tcp_mem(pages: str) -> Iterator[None]:
    """For all of the machine."""
    with open(TCP_MEM, encoding="ascii") as file:
        before = file.read()

    def write(text: str) -> None:
        with open(TCP_MEM, "w", encoding="ascii") as file:
            file.write(text)

    write(pages)
    try:
        yield
    finally:
        write(before)


def pages_of_tcp() -> int:
    with open("/proc/net/sockstat", encoding="ascii") as file:
        return next(int(line.split()[-1]) for line in file if line.startswith("TCP:"))


@contextlib.contextmanager
def no_memory() -> Iterator[None]:
    """Not even the megabyte that a processor may have beyond the limit."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    with connection() as (one, _), tcp_mem("1 1 1"):
        tapped(one, 12 * MIB)
        one.setblocking(False)
        taken = until_refused(one.send, 10 * MIB)
        expect(taken < 5 * MIB, f"{taken} bytes taken without memory")
        yield
    os.sched_setaffinity(0, allowed)


@test
def no_memory_for_tcp() -> None:
    """No more is taken than there may be, though the message is not whole: EAGAIN; who waits goes on when there is."""
    with connection() as (one, other), within(60):
        tapped(one, MIB)
        data = os.urandom(2 * MIB)
        before = pages_of_tcp()
        one.setblocking(False)
        taken = 0
        with no_memory():
            with contextlib.suppress(BlockingIOError):
                while taken < MIB:
                    taken += one.send(data[taken:taken + 64 * KIB])
            expect(taken < 64 * KIB, f"{taken} bytes taken without memory")
            grown = pages_of_tcp() - before
            expect(grown < 5 * MIB // 4096, f"{grown} pages more")
            one.setblocking(True)
            sender = threading.Thread(target=one.sendall, args=(data[taken:],))
            sender.start()
        came = receive(other, len(data))
        sender.join()
        expect(came == data, f"{len(came)} bytes of {len(data)}, or others")


@test
def messages_when_memory_is_gone() -> None:
    """A message that is whole goes on as a whole; short ones, and no others, begin as from TCP."""
    with connection() as (one, other), connection() as (short, reader), within(60):
        tapped(one, MIB)
        tapped(short, 10)
        one.sendall(b"x" * (MIB - 1))
        with no_memory():
            for opened in (one, short):
                opened.setblocking(False)
            expect_equal(one.send(b"x"), 1, "the last byte")
            expect_equal(short.send(b"y" * 10), 10, "a short one")
            expect_equal(short.send(b"z" * 5), 5, "the beginning of one")
        expect_equal(set(receive(other, MIB)), {ord("x")}, "the message")
        short.send(b"z" * 5)
        expect_equal(receive(reader, 20), b"y" * 10 + b"z" * 10, "short ones")


if __name__ == "__main__":
    load()
    main()
