#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: who waits in a call to TCP while a socket is to be tapped would go on without the tap."""

import contextlib
import os
import select
import socket
import threading
from typing import Callable, Iterator

from lib import bpf, tap
from lib.check import expect, expect_equal, main, test, wait_for
from lib.iovec import splice
from lib.process import RECVFROM, waits_in
from lib.tap import DROP, Programs, load
from lib.tcp import connection, error_of, prefixed, readable, receive

SENDTO, POLL, EPOLL_WAIT, SPLICE, RECVMSG = 44, 7, 232, 275, 47  # numbers of the system calls
KEPT, WHOLE = prefixed(b"a") + prefixed(b"b"), prefixed(b"a") + prefixed(b"drop") + prefixed(b"b")


class Caller:
    """A thread, which has made a call that waits in the kernel."""

    def __init__(self, function: Callable[[], object], call: int, first: int | None) -> None:
        self.result: object = None
        self.thread = threading.Thread(target=self._run, args=(function,))
        self.thread.start()
        wait_for(lambda: waits_in(os.getpid(), call, first), f"a thread to wait in call {call}")

    def _run(self, function: Callable[[], object]) -> None:
        self.result = function()

    def end(self) -> object:
        self.thread.join(60)
        expect(not self.thread.is_alive(), "the call did not return")
        return self.result


@contextlib.contextmanager
def programs() -> Iterator[Programs]:
    parse, verdict = bpf.load(bpf.prefixed()), bpf.load(bpf.by_byte(2, {ord("d"): DROP}))
    yield Programs(parse, verdict, parse, verdict)
    os.close(parse)
    os.close(verdict)


def refused_while(caller: Callable[[socket.socket], Caller], end: Callable[[socket.socket, Caller], None]) -> None:
    """At once and in two steps, of which only the second matters; the socket is as it was. Later it is accepted."""
    with programs() as its:
        with connection() as (one, other):
            other.setblocking(True)
            waiting = caller(other)
            expect_equal(error_of(lambda: tap.tap(other, its)), "EBUSY", "at once")
            expect_equal(error_of(lambda: tap.info(other)), "EOPNOTSUPP", "whether it is tapped")
            other.setsockopt(socket.SOL_TCP, tap.TCP_ULP, b"stap")
            values = tap.params(its)
            expect_equal(error_of(lambda: other.setsockopt(tap.SOL_STAP, tap.PROGRAMS, values)), "EBUSY", "natively")
            expect_equal(tap.info(other)[1].verdict_id, 0, "the program")
            end(one, waiting)
            other.setsockopt(tap.SOL_STAP, tap.PROGRAMS, values)
            one.sendall(WHOLE)
            expect_equal(receive(other, 6), KEPT, "then")


def write(one: socket.socket, waiting: Caller) -> None:
    one.sendall(b"x")
    waiting.end()


@test
def in_recv() -> None:
    refused_while(lambda other: Caller(lambda: other.recv(1), RECVFROM, other.fileno()), write)


@test
def in_recvmsg() -> None:
    refused_while(lambda other: Caller(lambda: other.recvmsg(1), RECVMSG, other.fileno()), write)


@test
def in_splice() -> None:
    there, back = os.pipe()
    refused_while(lambda other: Caller(lambda: splice(other.fileno(), back, 1), SPLICE, other.fileno()), write)
    expect_equal(os.read(there, 10), b"x", "what was spliced")
    for fd in (there, back):
        os.close(fd)


@test
def in_send() -> None:
    size = 4 << 20

    def send(other: socket.socket) -> Caller:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        return Caller(lambda: other.sendall(b"x" * size), SENDTO, other.fileno())

    def read(one: socket.socket, waiting: Caller) -> None:
        receive(one, size)
        waiting.end()

    refused_while(send, read)


@test
def who_polls_comes_back() -> None:
    """It is tapped under them; of what is to be dropped they are told nothing."""
    def poll(opened: socket.socket) -> Caller:
        poller = select.poll()
        poller.register(opened, select.POLLIN)
        return Caller(poller.poll, POLL, None)

    def epoll(opened: socket.socket) -> Caller:
        poller = select.epoll()
        poller.register(opened, select.EPOLLIN)
        return Caller(poller.poll, EPOLL_WAIT, None)

    for caller in (poll, epoll):
        with connection() as (one, other), programs() as its:
            waiting = caller(other)
            tap.tap(other, its)
            one.sendall(prefixed(b"drop"))
            wait_for(lambda: tap.info(other)[1].dropped, "it to be dropped")  # pylint: disable=cell-var-from-loop
            expect(waiting.thread.is_alive(), f"{caller.__name__} was told of what was dropped")
            one.sendall(prefixed(b"kept"))
            waiting.end()
            expect(readable(other), "nothing to read")
            expect_equal(receive(other, 6), prefixed(b"kept"), "what there was to be told of")


if __name__ == "__main__":
    load()
    main()
