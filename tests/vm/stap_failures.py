#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Whatever the tap needs and does not get: the socket is as it was, and nothing passes unseen.

Each thing that can fail in a call fails once (lib/faults.py): no memory, or no page of the caller's.
"""

import contextlib
import ctypes
import os
import socket
from typing import Callable, Iterator

from lib import bpf, faults, module, tap
from lib.check import Skip, expect, expect_equal, expect_in, main, test
from lib.faults import Call, Fault, libc
from lib.iptables import must
from lib.tap import EACH, NOT_TAPPED, OK, SO_ULP, SOL_STAP, STAP_SO_ULP, TCP_ULP, ULP, Programs, unload
from lib.tcp import connection, error_of, receive

SAID = ("ENOMEM", "EFAULT")


def prepare() -> None:
    faults.need()
    must("modprobe", "stap")


@contextlib.contextmanager
def programs() -> Iterator[Programs]:
    """Every message of a byte or more passes, both ways."""
    parse, verdict = bpf.load(bpf.up_to(1000)), bpf.load(bpf.constant(OK))
    yield Programs(parse, verdict, parse, verdict)
    os.close(parse)
    os.close(verdict)


def put_call(opened: socket.socket, level: int, option: int, data: bytes) -> Call:
    return Call(libc.setsockopt, opened.fileno(), level, option, ctypes.create_string_buffer(data, len(data)),
                ctypes.c_uint32(len(data)))


def talks(one: socket.socket, other: socket.socket) -> None:
    for sender, receiver in ((one, other), (other, one)):
        sender.sendall(b"hello")
        expect_equal(receive(receiver, 5), b"hello", "what is received")


def is_tapped(opened: socket.socket) -> bool:
    return error_of(lambda: opened.getsockopt(SOL_STAP, tap.INFO, 64)) == "OK"


def has_programs(opened: socket.socket) -> bool:
    return is_tapped(opened) and any(side.parse_id or side.verdict_id for side in tap.info(opened))


def walk(what: str, prepare_socket: Callable[[socket.socket], None], make: Callable[[socket.socket], Call],
         succeeded: Callable[[socket.socket], bool], module_: str = "stap") -> None:
    """The call on a new connection each time: done as a whole or not at all."""
    pair: list[socket.socket] = []
    call: list[Call] = []

    def attempt(nth: int) -> tuple[str, bool]:
        return faults.of_this_task(call[0])(nth)

    def again(fault: Fault) -> None:
        one, other = pair
        expect_in(fault.answer, ("OK", *SAID), f"{what}, {fault}")
        expect_equal(succeeded(one), fault.answer == "OK", f"{what}: tapped behind {fault}")
        talks(one, other)
        if fault.answer != "OK":
            expect_equal(call[0](), "OK", f"{what}, the next one behind {fault}")
            expect(succeeded(one), f"{what}: not tapped behind the next one")
            talks(one, other)

    with contextlib.ExitStack() as stack:
        def renew() -> None:
            stack.close()
            pair[:] = stack.enter_context(connection())
            prepare_socket(pair[0])
            call[:] = [make(pair[0])]

        renew()
        count = 0
        for fault in faults.walk(attempt, what, module_):
            again(fault)
            renew()
            count += 1
        expect(count, f"{what}: nothing could fail")


def plain(_: socket.socket) -> None:
    pass


@test
def native_option() -> None:
    prepare()
    walk("TCP_ULP", plain, lambda one: put_call(one, socket.SOL_TCP, TCP_ULP, b"stap"), is_tapped)


@test
def its_programs() -> None:
    prepare()
    with programs() as given:
        walk("STAP_PROGRAMS", lambda one: one.setsockopt(socket.SOL_TCP, TCP_ULP, b"stap"),
             lambda one: put_call(one, SOL_STAP, tap.PROGRAMS, tap.params(given)), has_programs)


@test
def all_at_once() -> None:
    prepare()
    with programs() as given:
        walk("STAP_SO_ULP", plain, lambda one: put_call(one, socket.SOL_IP, STAP_SO_ULP, ULP + tap.params(given)),
             has_programs)


@test
def by_a_policy() -> None:
    """The helper is asked; bpfilter carries it."""
    prepare()
    must("modprobe", "bpfilter")
    value = ULP + tap.policy(NOT_TAPPED, (EACH, OK, []))
    with connection() as (one, _):
        one.setsockopt(socket.SOL_IP, STAP_SO_ULP, value)  # the helper is there
    walk("STAP_SO_ULP with a policy", plain, lambda one: put_call(one, socket.SOL_IP, STAP_SO_ULP, value),
         has_programs)


@test
def at_sol_socket() -> None:
    prepare()
    with connection() as (one, _), programs() as given:
        if error_of(lambda: one.setsockopt(socket.SOL_SOCKET, SO_ULP, ULP + tap.params(given))) != "OK":
            raise Skip("this machine has no SO_ULP at SOL_SOCKET")
    with programs() as given:
        walk("SO_ULP", plain, lambda one: put_call(one, socket.SOL_SOCKET, SO_ULP, ULP + tap.params(given)),
             has_programs)


@test
def asking() -> None:
    prepare()
    with connection() as (one, other), programs() as given:
        tap.tap(one, given)
        talks(one, other)
        seen = tap.info(one)
        memory, size = ctypes.create_string_buffer(80), ctypes.c_uint32(64)
        for level, option in ((SOL_STAP, tap.INFO), (socket.SOL_IP, STAP_SO_ULP)):
            call = Call(libc.getsockopt, one.fileno(), level, option, memory, ctypes.byref(size))
            for fault in faults.walk(faults.of_this_task(call), f"getsockopt {level}", "stap"):
                expect_in(fault.answer, ("OK", *SAID), str(fault))
                expect_equal(tap.info(one), seen, f"counts behind {fault}")


@test
def sending() -> None:
    """What could not be taken can be sent again: the stream has no hole and nothing twice."""
    prepare()
    data = bytes(range(256)) * 64
    memory = ctypes.create_string_buffer(data, len(data))
    with connection() as (one, other), programs() as given:
        tap.tap(one, given)
        taken: list[int] = []

        def send() -> int:
            taken.append(int(libc.send(one.fileno(), memory, len(data), 0)))
            return taken[-1]

        for fault in faults.walk(faults.of_this_task(Call(send)), "send", "stap"):
            # EAGAIN: it does not wait, and there is no memory now.
            expect_in(fault.answer, ("OK", "EAGAIN", *SAID), str(fault))
            some = max(taken[-1], 0)
            one.sendall(data[some:])
            expect_equal(receive(other, len(data)), data, f"what is received behind {fault}")
        expect_equal(receive(other, len(data)), data, "what is received in the end")


@test
def receiving() -> None:
    prepare()
    data = bytes(range(256)) * 16
    memory = ctypes.create_string_buffer(len(data))
    with connection() as (one, other), programs() as given:
        tap.tap(other, given)
        taken: list[int] = []

        def take() -> int:
            taken.append(int(libc.recv(other.fileno(), memory, len(data), socket.MSG_WAITALL)))
            return taken[-1]

        one.sendall(data)
        for fault in faults.walk(faults.of_this_task(Call(take)), "recv", "stap"):
            expect_in(fault.answer, ("OK", *SAID), str(fault))
            some = max(taken[-1], 0)
            expect_equal(memory.raw[:some] + receive(other, len(data) - some), data, f"behind {fault}")
            one.sendall(data)


def loads(parameters: str) -> None:
    must("modprobe", "stap", parameters)
    unload()
    # pylint: disable=consider-using-with
    file = open(must("modinfo", "-n", "stap").strip(), "rb")
    call = Call(libc.syscall, 313, file.fileno(), ctypes.c_char_p(parameters.encode()), 0)  # finit_module
    for fault in faults.walk_within(faults.of_this_task(call), f"loading stap, {parameters}", "stap"):
        # ENFILE: no inode for a socket, of which the module looks at some.
        expect_in(fault.answer, ("OK", "ENFILE", *SAID), str(fault))
        expect_equal(module.loaded("stap"), fault.answer == "OK", f"whether it is there behind {fault}")
        if fault.answer == "OK":
            unload()
    file.close()
    if not module.loaded("stap"):
        must("modprobe", "stap", parameters)
    with connection() as (one, other):
        one.setsockopt(socket.SOL_TCP, TCP_ULP, b"stap")
        talks(one, other)
    unload()


@test
def loading() -> None:
    faults.need()
    loads("so_ulp=0")


@test
def loading_with_so_ulp() -> None:
    """Without the memory for that it loads all the same."""
    faults.need()
    loads("so_ulp=1")


if __name__ == "__main__":
    main()
