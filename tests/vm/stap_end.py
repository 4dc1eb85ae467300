#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: how a tapped connection ends, and the module after it."""

import contextlib
import errno
import os
import select
import socket
import subprocess
import threading
from functools import partial
from typing import Callable, Iterator

from lib import bpf, tap
from lib.check import expect, expect_equal, main, test, wait_for
from lib.fault import Fault, send, set_filter
from lib.process import SETSOCKOPT, waits_in
from lib.tap import DISCONNECT, OK, Programs, load
from lib.tcp import LIMIT, connect, connection, ending, error_of, listening, prefixed, receive

SENDTO, RECVFROM = 44, 45  # numbers of system calls
MAX_MESSAGE = "/sys/module/stap/parameters/max_message"


def on_x(opened: socket.socket, answer: int = DISCONNECT) -> None:
    tap.tap_all(opened, bpf.prefixed(), bpf.by_byte(2, {ord("x"): answer}))


@test
def disconnecting_what_is_received() -> None:
    """What came before has passed. Any verdict that is none disconnects."""
    for answer in (DISCONNECT, 1, 3, 77, 0x7fffffff):
        with connection() as (one, other):
            on_x(other, answer)
            one.sendall(prefixed(b"a") + prefixed(b"x") + prefixed(b"b"))
            expect_equal(ending(other), (prefixed(b"a"), "ECONNABORTED"), "our side")
            expect_equal(error_of(lambda: one.recv(1)), "ECONNRESET", "the other side")


@test
def disconnecting_what_is_sent() -> None:
    with connection() as (one, other):
        on_x(one)
        one.sendall(prefixed(b"a"))
        expect_equal(receive(other, 3), prefixed(b"a"), "before it")
        data = prefixed(b"b") + prefixed(b"x") + prefixed(b"c")
        expect_equal(error_of(lambda: one.sendall(data)), "ECONNABORTED", "our side")
        expect_equal(error_of(lambda: one.send(prefixed(b"d"))), "ECONNABORTED", "our side, later")
        came, how = ending(other)
        expect_equal(how, "ECONNRESET", "the other side")
        expect(came in (b"", prefixed(b"b")), f"the other side got {came!r}")


@test
def incomplete_at_the_end() -> None:
    """Nobody judged it, so it does not pass, and the stream does not end as if it were whole."""
    begun = prefixed(b"a") + prefixed(b"bcd")[:3]
    with connection() as (one, other):
        tap.tap_all(other, bpf.prefixed(), bpf.constant(OK))
        one.sendall(begun)
        one.shutdown(socket.SHUT_WR)
        expect_equal(ending(other), (prefixed(b"a"), "ECONNABORTED"), "receiver")
    for how in ("shutdown", "close"):
        with connection() as (one, other):
            tap.tap_all(one, bpf.prefixed(), bpf.constant(OK))
            one.sendall(begun)
            expect_equal(receive(other, 3), prefixed(b"a"), "what was whole")
            if how == "close":
                one.close()
            else:
                one.shutdown(socket.SHUT_WR)
            expect_equal(ending(other), (b"", "ECONNRESET"), how)


@test
def complete_at_the_end() -> None:
    with connection() as (one, other):
        for opened in (one, other):
            tap.tap_all(opened, bpf.prefixed(), bpf.constant(OK))
        one.sendall(prefixed(b"a"))
        one.shutdown(socket.SHUT_WR)
        expect_equal(ending(other), (prefixed(b"a"), "OK"), "to the end")
        other.sendall(prefixed(b"still"))
        other.close()
        expect_equal(ending(one), (prefixed(b"still"), "OK"), "half closed")


@test
def parser_errors() -> None:
    """What means something to the kernel alone, as -EIOCBQUEUED (529) and -ERESTARTSYS (512), it must not get."""
    for answer, name in ((-errno.EPROTO, "EPROTO"), (-errno.ENOSPC, "ENOSPC"), (-5000, "EPROTO"), (-529, "EPROTO"),
                         (-errno.EINTR, "EPROTO"), (-errno.EAGAIN, "EPROTO"),
                         (-512, "EPROTO"), (-errno.ENOTRECOVERABLE, "ENOTRECOVERABLE"), (-134, "EPROTO"),
                         ((16 << 20) + 1, "EMSGSIZE")):
        with connection() as (one, other):
            tap.tap_all(other, bpf.constant(answer), bpf.constant(OK))
            one.sendall(b"x")
            expect_equal(ending(other), (b"", name), "receiving")
            expect_equal(ending(one), (b"", "ECONNRESET"), "whom it came from")
        with connection() as (one, other):
            tap.tap_all(one, bpf.constant(answer), bpf.constant(OK))
            expect_equal(error_of(lambda: one.sendall(b"x")), name, "sending")
            expect_equal(ending(other), (b"", "ECONNRESET"), "whom it goes to")
        with connection() as (one, other):
            tap.tap_all(other, bpf.constant(answer), bpf.constant(OK))
            one.sendall(b"x")
            expect_equal(error_of(lambda: os.read(other.fileno(), 1)), name, "read()")
        with connection() as (one, other):
            tap.tap_all(one, bpf.constant(answer), bpf.constant(OK))
            expect_equal(error_of(lambda: os.write(one.fileno(), b"x")), name, "write()")


@contextlib.contextmanager
def max_message(size: int) -> Iterator[None]:
    with open(MAX_MESSAGE, encoding="ascii") as file:
        before = file.read()
    expect_equal(before, f"{16 << 20}\n", "the parameter")
    with open(MAX_MESSAGE, "w", encoding="ascii") as file:
        file.write(str(size))
    try:
        yield
    finally:
        with open(MAX_MESSAGE, "w", encoding="ascii") as file:
            file.write(before)


@test
def longest_message() -> None:
    """The parameter max_message: what a parser says, and what it cannot tell the end of."""
    with max_message(1000):
        for parse, good in ((bpf.prefixed(), prefixed(b"x" * 998)), (bpf.until_newline(5000), b"x" * 998 + b"\n")):
            long = prefixed(b"x" * 999) if good[0] == 3 else b"x" * 1001
            with connection() as (one, other):
                tap.tap_all(other, parse, bpf.constant(OK))
                one.sendall(good + long)
                expect_equal(ending(other), (good, "EMSGSIZE"), "receiving")
            with connection() as (one, other):
                tap.tap_all(one, parse, bpf.constant(OK))
                one.sendall(good)
                expect_equal(receive(other, len(good)), good, "as long as may be")
                expect_equal(error_of(lambda: one.sendall(long)), "EMSGSIZE", "sending")
                expect_equal(ending(other), (b"", "ECONNRESET"), "whom it goes to")
    with connection() as (one, other):
        tap.tap_all(one, bpf.prefixed(), bpf.constant(OK))
        one.sendall(prefixed(b"x" * 999))
        expect_equal(receive(other, 1001), prefixed(b"x" * 999), "afterwards")


@test
def what_outlives_the_module() -> None:
    """TCP remembers a connection for a minute. What it remembers of one that a tapped listener
    accepted is TCP's own: it goes when the module has gone long since."""
    for family in (4, 6):
        with listening(family) as listener:
            tap.tap(listener, Programs(recv_verdict=bpf.load(bpf.constant(OK))))
            one, other = connect(listener)
            other.close()
            expect_equal(one.recv(1), b"", "the end")
            one.close()
    remembered = ["ss", "-Htan", "state", "time-wait"]
    wait_for(lambda: len(subprocess.run(remembered, stdout=subprocess.PIPE, check=True).stdout.splitlines()) >= 2,
             "two connections in TIME-WAIT")
    tap.unload()
    subprocess.run(["ss", "-K", *remembered[1:]], stdout=subprocess.DEVNULL, check=True)
    # A kernel without CONFIG_INET_DIAG_DESTROY takes its minute.
    wait_for(lambda: not subprocess.run(remembered, stdout=subprocess.PIPE, check=True).stdout,
             "what is remembered to go", 90)
    load()


@test
def unloading() -> None:
    """Refused while a socket is tapped, whoever has it: what is closed but not sent is tapped too."""
    with connection() as (one, other):
        tap.tap_all(one, bpf.constant(1), bpf.constant(OK))
        expect(not tap.unloads(), "it was unloaded")
        twin = os.dup(one.fileno())
        one.close()
        expect(not tap.unloads(), "it was unloaded with a descriptor left")
        os.close(twin)
        expect_equal(ending(other), (b"", "OK"), "the other side")
    tap.unload()
    load()


MANY = 257  # more than a work queue runs at a time for a processor


@test
def while_many_others_cannot() -> None:
    """Somebody else's sockets, which are to be ended, and are locked for as long as he likes."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    sending, locking = Fault(), Fault()
    threads: list[threading.Thread] = []

    def begin(function: Callable[[], object], call: int, fd: int) -> None:
        threads.append(threading.Thread(target=function))
        threads[-1].start()
        wait_for(lambda: waits_in(os.getpid(), call, fd), "a thread to wait")

    with contextlib.ExitStack() as stack:
        for _ in range(MANY):
            one, _ = stack.enter_context(connection())
            verdict = bpf.load(bpf.constant(DISCONNECT))
            tap.tap(one, Programs(-1, verdict, -1, -1))
            os.close(verdict)
            fd = one.fileno()
            one.setblocking(True)
            begin(partial(send, fd, sending, 100), SENDTO, fd)
            begin(partial(set_filter, fd, locking), SETSOCKOPT, fd)
        sending.go_on()
        for thread in threads[::2]:  # who send: their sockets are to be ended, and have the others' locks
            thread.join()
        mine, _ = stack.enter_context(connection())
        on_x(mine)
        polled, peer = stack.enter_context(connection())
        on_x(polled)
        poller = stack.enter_context(select.epoll())
        poller.register(polled, select.EPOLLIN | select.EPOLLET)
        expect_equal(poller.poll(0), [], "events of one of mine")
        peer.sendall(prefixed(b"x"))
        events = poller.poll(LIMIT)
        waited, peer = stack.enter_context(connection())
        on_x(waited)
        waited.settimeout(None)
        begin(lambda: error_of(lambda: waited.recv(1)), RECVFROM, waited.fileno())
        peer.sendall(prefixed(b"x"))
        threads[-1].join(LIMIT)
        was_told = not threads[-1].is_alive()
        expect_equal(error_of(lambda: mine.sendall(prefixed(b"x"))), "ECONNABORTED", "the end of one of mine")
        reader = threading.Thread(target=lambda: error_of(lambda: mine.recv(1)))
        reader.start()
        reader.join(LIMIT)
        came_back = not reader.is_alive()
        locking.go_on()
        for thread in (*threads, reader):
            thread.join()
    os.sched_setaffinity(0, allowed)
    expect(came_back, "recv() of mine waits for the others' locks")
    expect(was_told, "who waits in recv() is not told")
    failed = select.EPOLLERR | select.EPOLLHUP
    expect(events and events[0][1] & failed == failed, f"events of what is only polled: {events}")


if __name__ == "__main__":
    load()
    main()
