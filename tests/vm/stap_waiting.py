#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: whoever waits for what is received learns of it, and of nothing else."""

import contextlib
import select
import socket
import threading
from typing import Callable, Iterator

from lib import bpf, fault, tap
from lib.check import Skip, expect, expect_equal, main, test, wait_for
from lib.netns import Namespace, sysctl
from lib.tap import DROP, load
from lib.tcp import (LIMIT, arrived, connect, connection, error_of, listening, prefixed, readable, receive, unread,
                     wait_for_data)

SO_TIMESTAMP, SO_PEEK_OFF, TCP_INQ = 29, 42, 36
TCPI_OPT_SYN_DATA = 32

A, D, E = prefixed(b"abcdefgh"), prefixed(b"drop"), prefixed(b"efghijkl")  # D is dropped; 10, 6 and 10 bytes


def drops_d(opened: socket.socket) -> None:
    tap.tap_all(opened, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))
    opened.setblocking(True)


class Call(threading.Thread):
    """A call that may wait; in the end, what it returned, or its error's name."""

    def __init__(self, function: Callable[[], bytes]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self._got = b""
        self._error = ""
        self.tid = 0
        self.start()

    def run(self) -> None:
        def call() -> None:
            self._got = self._function()

        self.tid = threading.get_native_id()
        self._error = error_of(call)

    def result(self) -> bytes | str:
        self.join(20)
        if self.is_alive():
            return "it still waits"
        return self._got if self._error == "OK" else self._error

    def is_in(self, function: str) -> bool:
        """Sleeps there, in the kernel."""
        with open(f"/proc/self/task/{self.tid}/stack", encoding="ascii") as file:
            return function in file.read()

    def sleeps(self) -> int:
        """How often it went to sleep."""
        with open(f"/proc/self/task/{self.tid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))


@test
def an_event_for_what_is_behind_a_dropped_message() -> None:
    """An edge-triggered reader that stops at a short read is told that there is more."""
    with connection() as (one, other), select.epoll() as poller:
        drops_d(other)
        event = [(other.fileno(), select.EPOLLIN)]
        poller.register(other, select.EPOLLIN | select.EPOLLET)
        one.sendall(A + D + E + D + D + A)
        arrived(one)
        for message in (A, E, A):
            expect_equal(poller.poll(20), event, "events")
            expect_equal(other.recv(100), message, "read")


@test
def readers_of_what_is_behind_a_dropped_message() -> None:
    """Several wait, and each takes what it finds; nobody goes to sleep beside what another has uncovered."""
    with connection() as (one, other):
        drops_d(other)
        sizes = [0, 0, 0]

        def read(number: int) -> None:
            while some := other.recv(100):
                sizes[number] += len(some)

        readers = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(len(sizes))]
        for reader in readers:
            reader.start()
        for turn in range(1, 301):
            one.sendall(A + D + E + D + A)
            wait_for(lambda: sum(sizes) == turn * len(A + E + A), f"what was sent in turn {turn}")
        one.close()
        for reader in readers:
            reader.join()


@test
def poll_behind_a_dropped_message() -> None:
    """One waits in poll() while another reads."""
    with connection() as (one, other):
        drops_d(other)
        one.sendall(A)
        wait_for_data(other, len(A))
        one.sendall(D + E)
        arrived(one)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        with select.epoll() as poller:
            poller.register(other, select.EPOLLIN | select.EPOLLET)
            expect(poller.poll(20), "no event of the first")
            expect_equal(other.recv(100, socket.MSG_PEEK), A, "peeked")
            expect_equal(poller.poll(0), [], "events when nothing has changed")
            expect_equal(receive(other, len(A)), A, "read")
            expect(poller.poll(20), "no event of the second")


def with_low_water(opened: socket.socket, size: int) -> None:
    drops_d(opened)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)


@test
def low_water_over_a_dropped_message() -> None:
    """What is behind it counts only when what is before it has been read: so that may be."""
    with connection() as (one, other):
        with_low_water(other, 15)
        one.sendall(A + D + E)
        expect(readable(other, 20), "it is enough for SO_RCVLOWAT")
        other.setblocking(False)
        expect_equal(other.recv(100), A + E, "read")
        one.sendall(A + D)
        expect(readable(other, 20), "no more comes before this is read")
        expect_equal(other.recv(100), A, "read")
        one.sendall(A + E[:8])
        arrived(one)
        expect(not readable(other), "it is less than SO_RCVLOWAT")
        one.sendall(E[8:])
        expect(readable(other, 20), "it is enough again")
        expect_equal(other.recv(100), A + E, "read")


@test
def waiting_for_low_water() -> None:
    """As poll() has it. TCP would not wake who waits for the rest of it."""
    for sent, got in ((A + D + E, A + E), (A + D, A), (A + E, A + E)):
        with connection() as (one, other):
            with_low_water(other, 15)
            call = Call(lambda: other.recv(100))
            wait_for(lambda: call.tid and call.is_in("wait_woken"), "a reader that waits")
            one.sendall(sent)
            expect_equal(call.result(), got, f"of {len(sent)} bytes")


@test
def low_water_of_a_full_buffer() -> None:
    """TCP says early that there is something to read if the rest cannot come."""
    with connection() as (one, other):
        tap.tap_all(other, bpf.prefixed(), bpf.constant(0))
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 20_000)
        one.settimeout(None)
        data = prefixed(bytes(1000)) + prefixed(bytes(60_000)) * 2
        sender = threading.Thread(target=one.sendall, args=(data,))
        sender.start()
        got = 0
        other.setblocking(False)
        while got < len(data):
            expect(readable(other, LIMIT), f"nothing more is readable behind {got} bytes")
            got += len(other.recv(1 << 20))
        sender.join()


@test
def peeking_over_a_dropped_message() -> None:
    """No more can be peeked at than is before it, so nobody waits for that."""
    with connection() as (one, other):
        drops_d(other)
        one.sendall(A + D + E)
        wait_for_data(other, len(A))
        peek = Call(lambda: other.recv(20, socket.MSG_PEEK | socket.MSG_WAITALL))
        expect_equal(peek.result(), A, "peeked")
        expect_equal(other.recv(20, socket.MSG_WAITALL), A + E, "read")
        peek = Call(lambda: other.recv(20, socket.MSG_PEEK | socket.MSG_WAITALL))
        wait_for(lambda: peek.tid and peek.is_in("wait_woken"), "a peek that waits")
        one.sendall(A + D)
        expect_equal(peek.result(), A, "peeked, of what came later")


@test
def before_there_is_a_connection() -> None:
    """To read and to ask then says nothing of the connection that comes."""
    looks: list[tuple[int, Callable[[socket.socket], object]]] = [
        (4, lambda opened: error_of(lambda: opened.recv(10))), (6, unread), (4, readable)]
    for family, look in looks:
        with listening(family) as listener, socket.socket(listener.family) as one:
            drops_d(one)
            look(one)
            one.setblocking(False)
            error_of(lambda: one.connect(listener.getsockname()[:2]))
            look(one)
            other = listener.accept()[0]
            one.settimeout(LIMIT)
            other.sendall(A + D + E)
            expect_equal(receive(one, 20), A + E, "read")
            other.close()


def syn_data(opened: socket.socket) -> bool:
    return bool(opened.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 8)[5] & TCPI_OPT_SYN_DATA)


@test
def data_in_the_syn() -> None:
    """TCP queues them without a word to anybody."""
    space = Namespace("fastopen")
    with space:
        space.ip(["link set lo up"])
        sysctl("net/ipv4/tcp_fastopen", 3)
        with listening() as listener:
            listener.setsockopt(socket.SOL_TCP, socket.TCP_FASTOPEN, 5)
            drops_d(listener)
            for turn, ready in enumerate((None, readable, unread, lambda opened: opened.recv(1, socket.MSG_PEEK))):
                with socket.socket() as one:
                    one.sendto(D + A + D + E[:4], socket.MSG_FASTOPEN, listener.getsockname())
                    other = listener.accept()[0]
                    if ready:
                        expect(syn_data(other), f"the SYN of connection {turn} had no data")
                        expect(ready(other), f"connection {turn} has nothing to read")
                    other.settimeout(LIMIT)
                    expect_equal(other.recv(100), A, f"connection {turn}")
                    one.sendall(E[4:])
                    expect_equal(other.recv(100), E, f"connection {turn}, later")
                    other.close()
    space.delete()


def set_peek_off(opened: socket.socket, value: int) -> bytes:
    fault.set_option(opened.fileno(), socket.SOL_SOCKET, SO_PEEK_OFF, value)
    return b"set"


def can_peek_off(opened: socket.socket) -> None:
    try:
        set_peek_off(opened, 0)
    except OSError as error:
        raise Skip(f"no SO_PEEK_OFF for TCP here: {error}") from error


@test
def peeking_further_than_there_is() -> None:
    """SO_PEEK_OFF is set while a peek waits: it goes on to wait, and does not run in circles."""
    with connection() as (one, other):
        drops_d(other)
        can_peek_off(other)
        peek = Call(lambda: other.recv(len(A), socket.MSG_PEEK))
        wait_for(lambda: peek.tid and peek.is_in("wait_woken"), "a peek that waits")
        set_peek_off(other, 2 * len(A))
        before = peek.sleeps()
        one.sendall(A)
        wait_for(lambda: peek.sleeps() > before, "the peek to wait again")
        one.sendall(A + E)
        expect_equal(peek.result(), E, "peeked")


@contextlib.contextmanager
def so_ulp_off() -> Iterator[None]:
    """Its programs have the socket locked for each option."""
    with open("/sys/module/stap/parameters/so_ulp", "w", encoding="ascii") as file:
        file.write("N")
    try:
        yield
    finally:
        with open("/sys/module/stap/parameters/so_ulp", "w", encoding="ascii") as file:
            file.write("Y")


def peek_meanwhile(one: socket.socket, other: socket.socket) -> None:
    one.sendall(A + D + E)
    wait_for_data(other, len(A))
    hold = fault.Fault()
    holder = threading.Thread(target=fault.send, args=(other.fileno(), hold, 2), daemon=True)
    holder.start()
    wait_for(hold.is_met, "somebody who sends and has the socket")
    peek = Call(lambda: other.recv(len(A), socket.MSG_PEEK))
    wait_for(lambda: peek.tid and peek.is_in("__lock_sock"), "a peek that waits")
    setting = Call(lambda: set_peek_off(other, len(A)))
    wait_for(lambda: setting.tid and (not setting.is_alive() or setting.is_in("set_peek_off")), "SO_PEEK_OFF")
    hold.go_on()
    holder.join()
    expect_equal(peek.result(), A, "peeked")
    expect_equal(setting.result(), b"set", "SO_PEEK_OFF")
    expect_equal(other.getsockopt(socket.SOL_SOCKET, SO_PEEK_OFF), len(A), "SO_PEEK_OFF in the end")


@test
def peeking_further_meanwhile() -> None:
    """SO_PEEK_OFF is set while a peek waits for the socket: it ends at the gate nevertheless."""
    with connection() as (one, other):
        drops_d(other)
        can_peek_off(other)
        with so_ulp_off():
            peek_meanwhile(one, other)


def timestamps_are_on(opened: socket.socket, sender: socket.socket) -> None:
    """The kernel takes its time to turn them on, and keeps them on as long as somebody has asked."""
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)

    def stamped() -> bool:
        sender.sendall(A)
        wait_for_data(opened, len(A))
        return bool(opened.recvmsg(len(A), 1000)[1])

    wait_for(stamped, "a timestamp")


def controls(opened: socket.socket, sender: socket.socket) -> tuple[bytes, list[tuple[int, int, int]], int]:
    """What comes with a read that needs two messages."""
    opened.setblocking(True)
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
    opened.setsockopt(socket.SOL_TCP, TCP_INQ, 1)
    sender.sendall(A)
    arrived(sender)
    result: list[tuple[bytes, list[tuple[int, int, bytes]], int, object]] = []
    call = threading.Thread(target=lambda: result.append(opened.recvmsg(20, 1000, socket.MSG_WAITALL)))
    call.start()
    wait_for(lambda: not unread(opened), "the first to be read")
    sender.sendall(E + A)
    call.join()
    data, ancillary, flags, _ = result[0]
    return data, [(level, kind, len(value)) for level, kind, value in ancillary], flags


@test
def control_messages() -> None:
    """Once for each read, as TCP has it, however often TCP is asked."""
    with connection() as (sender, stamped):
        timestamps_are_on(stamped, sender)
        with connection() as (one, other):
            plain = controls(other, one)
        with connection() as (one, other):
            drops_d(other)
            expect_equal(controls(other, one), plain, "data, control messages and flags")
    expect_equal(len(plain[1]), 2, "control messages of TCP")


if __name__ == "__main__":
    load()
    main()
