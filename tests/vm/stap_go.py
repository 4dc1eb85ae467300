#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap on segments with a message in each of their bytes: how many are judged in one go, and that the
rest is, whoever waits for it."""

import contextlib
import os
import select
import socket
from typing import Callable, Iterator

from lib import bpf, tap
from lib.check import expect, expect_equal, main, test, wait_for
from lib.children import by_splice, connected
from lib.tap import DROP, OK, Programs, load
from lib.tcp import (LIMIT, arrived, connect, connection, error_of, listening, readable, receive, unread,
                     wait_for_data)

STATS = "/proc/sys/kernel/bpf_stats_enabled"
SO_RCVBUFFORCE = 33
COUNT = 60_000  # of one segment of loopback's
ONE_GO = 1000  # at the most
MIXED = bytes(number % 7 for number in range(COUNT))  # with those of 3 dropped
UNREAD = 400_000
A_READ = 10_000
TRIES = 20
LEFT = MIXED.replace(b"\3", b"")


@contextlib.contextmanager
def counted() -> Iterator[None]:
    """How often programs run."""
    with open(STATS, "w", encoding="ascii") as file:
        file.write("1")
    try:
        yield
    finally:
        with open(STATS, "w", encoding="ascii") as file:
            file.write("0")


@contextlib.contextmanager
def parser() -> Iterator[int]:
    fd = bpf.load(bpf.up_to(1))
    try:
        yield fd
    finally:
        os.close(fd)


def drops(opened: socket.socket, verdict: bpf.Code) -> None:
    judge = bpf.load(verdict)
    with parser() as parse:
        tap.tap(opened, Programs(-1, -1, parse, judge))
    os.close(judge)


def drops_3(opened: socket.socket) -> None:
    drops(opened, bpf.by_byte(0, {3: DROP}, OK))


@test
def of_a_connection_that_nobody_has_accepted() -> None:
    """Nobody but TCP's own processing judges its bytes; the rest comes when it is accepted."""
    with counted(), listening() as listener, parser() as parse:
        tap.tap(listener, Programs(-1, -1, parse, -1))
        with connected(listener) as peer:
            peer.sendall(b"x" * COUNT)
            arrived(peer)
            runs = bpf.runs_of(parse)
            expect(0 < runs <= ONE_GO, f"{runs} of {COUNT} messages were looked at in one go")
            with listener.accept()[0] as child:
                wait_for(lambda: tap.info(child)[1].messages == COUNT, "the rest to be judged")
                expect_equal(receive(child, COUNT), b"x" * COUNT, "what is read")


@test
def while_nobody_reads() -> None:
    """All of it is judged; what comes meanwhile, too."""
    for verdict, seen in ((OK, (COUNT, 0)), (DROP, (0, COUNT))):
        with connection() as (one, other):
            drops(other, bpf.constant(verdict))
            one.sendall(b"x" * (COUNT // 2))
            one.sendall(b"x" * (COUNT // 2))
            wait_for(lambda: tap.info(other)[1][2:5:2] == seen,  # pylint: disable=cell-var-from-loop
                     f"{seen} messages that passed, and were dropped")
            expect_equal(readable(other), verdict == OK, "readable")


Read = Callable[[socket.socket, int], bytes]


def peeked_first(opened: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        before = opened.recv(size - len(data), socket.MSG_PEEK)
        expect(before, f"the end after {len(data)} bytes")
        expect_equal(opened.recv(len(before)), before, "what was peeked at")
        data += before
    return data


def at_once(opened: socket.socket, size: int) -> bytes:
    return opened.recv(size, socket.MSG_WAITALL)


def when_told(opened: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        expect(readable(opened, 60), f"nobody says that there is more than {len(data)} bytes")
        with contextlib.suppress(BlockingIOError):
            data += opened.recv(size - len(data), socket.MSG_DONTWAIT)
    return data


@test
def whoever_reads_gets_it() -> None:
    reading: tuple[Read, ...] = (receive, at_once, peeked_first, when_told, by_splice)
    for read in reading:
        for accepted_first in (True, False):
            with listening() as listener:
                drops_3(listener)
                with connected(listener) as peer:
                    child = listener.accept()[0] if accepted_first else None
                    peer.sendall(MIXED)
                    arrived(peer)
                    with child or listener.accept()[0] as child:
                        child.settimeout(None)
                        data = read(child, len(LEFT))
                        expect(data == LEFT, f"by {read.__name__}, accepted first: {accepted_first}: "
                               f"{len(data)} bytes, not {len(LEFT)}, or others")


@contextlib.contextmanager
def before_its_tap(verdict: int, ended: bool = False) -> Iterator[tuple[socket.socket, int]]:
    """Who is tapped when so much is unread as nobody judges in one go; and the parser."""
    with contextlib.ExitStack() as stack:
        listener, parse = stack.enter_context(listening()), stack.enter_context(parser())
        listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 * UNREAD)
        one, other = (stack.enter_context(end) for end in connect(listener))
        one.sendall(b"x" * UNREAD)
        if ended:
            one.shutdown(socket.SHUT_WR)
        arrived(one)
        judge = bpf.load(bpf.constant(verdict))
        tap.tap(other, Programs(-1, -1, parse, judge))
        os.close(judge)
        other.settimeout(None)
        yield other, parse


def seen(what: str, attempt: Callable[[], bool]) -> None:
    """Once is enough: on a busy machine the kernel's own thread may have judged all before we have called."""
    expect(any(attempt() for _ in range(TRIES)), f"in {TRIES} tries: {what}")


@test
def who_attaches_does_not_judge_all() -> None:
    def attempt() -> bool:
        with counted(), before_its_tap(OK) as (other, parse):
            runs = bpf.runs_of(parse)
            wait_for(lambda: tap.info(other)[1].messages == UNREAD, "the rest to be judged")
            return runs < UNREAD
    seen("all messages were looked at before the tap was there", attempt)


def when_there(opened: socket.socket) -> bytes:
    try:
        return opened.recv(A_READ, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""


@test
def who_would_not_wait_does_not_judge_all() -> None:
    """And is told of the rest, if he wants to know at each edge only, and stops at a short read."""
    def by_recv() -> bool:
        with before_its_tap(OK) as (other, _), select.epoll() as poller:
            poller.register(other, select.EPOLLIN | select.EPOLLET)
            data = other.recv(UNREAD, socket.MSG_DONTWAIT)
            first = len(data)
            expect(first, "nothing was judged for one recv()")
            while len(data) < UNREAD:
                expect(poller.poll(LIMIT), f"nobody says that there is more than {len(data)} bytes")
                while len(some := when_there(other)) == A_READ:
                    data += some
                data += some
            expect_equal(data, b"x" * UNREAD, "what is read")
            return first < UNREAD

    def by_ioctl() -> bool:
        with before_its_tap(OK) as (other, _):
            first = unread(other)
            wait_for_data(other, UNREAD)
            return first < UNREAD
    seen("all was judged for one recv()", by_recv)
    seen("all was judged for an ioctl()", by_ioctl)


@test
def the_end_behind_what_is_not_judged_yet() -> None:
    """It is none before the rest has been judged, for who would not wait; and then he is told of it."""
    def attempt() -> bool:
        with before_its_tap(DROP, ended=True) as (other, _), select.epoll() as poller:
            poller.register(other, select.EPOLLIN | select.EPOLLET)
            first = how = error_of(lambda: other.recv(1, socket.MSG_DONTWAIT))
            while how == "EAGAIN":
                expect(poller.poll(LIMIT), "nobody tells of the end")
                how = error_of(lambda: other.recv(1, socket.MSG_DONTWAIT))
            expect_equal(how, "OK", "the end")
            expect_equal(tap.info(other)[1].dropped, UNREAD, "messages dropped before it")
            return first == "EAGAIN"
    seen("all was judged for one recv()", attempt)
    with before_its_tap(DROP, ended=True) as (other, _):
        expect_equal(other.recv(1), b"", "who waits: the end")
        expect_equal(tap.info(other)[1].dropped, UNREAD, "messages dropped before it")


def readable_first(opened: socket.socket, size: int) -> bytes:
    expect(readable(opened, LIMIT), "nobody says that it is readable")
    data = opened.recv(size)
    expect(len(data) >= size // 2, f"{len(data)} bytes are fewer than it wants")
    return data + receive(opened, size - len(data))


@test
def at_low_water() -> None:
    for read in (readable_first, at_once):
        with before_its_tap(OK) as (other, _):
            other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, UNREAD // 2)
            expect_equal(read(other, UNREAD), b"x" * UNREAD, f"what is read, {read.__name__}")


if __name__ == "__main__":
    load()
    main()
