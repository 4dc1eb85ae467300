#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap with programs made from a policy by the helper."""

import errno
import os
import random
import signal
import socket
import struct
import subprocess

from lib import helper, tap
from lib.check import Skip, expect_equal, main, test, wait_for
from lib.process import SETSOCKOPT, Child, said_by_child, waits_in
from lib.system import kernel_log
from lib.tap import DISCONNECT, DROP, OK, ULP, Rule, delimiter, fixed, length_field, load
from lib.tcp import connect, connection, ending, error_of, listening, receive

LINES = delimiter(b"\n", 4096)


@test
def lines_that_are_received() -> None:
    for family in (4, 6):
        with connection(family) as (one, other):
            tap.tap_by_policy(other, tap.NOT_TAPPED,
                              (LINES, OK, [Rule(b"secret", DROP), Rule(b"s", OK), Rule(b"x", DROP, 3)]))
            for text in (b"hello\nsecret 1\nse", b"cond\nsecre", b"t\n", b"abcx\n\nend\n"):
                one.sendall(text)
            one.shutdown(socket.SHUT_WR)
            expect_equal(ending(other), (b"hello\nsecond\n\nend\n", "OK"), f"IPv{family}")
            recv = tap.info(other)[1]
            expect_equal((recv.messages, recv.dropped), (4, 3), "counted")


@test
def what_is_sent() -> None:
    framing = length_field(2, 4, size=8, order=1, whole=1, maximum=1000)
    with connection() as (one, other):
        tap.tap_by_policy(one, (framing, DROP, [Rule(b"\x10", OK, 0, b"\xf0")]), tap.NOT_TAPPED)

        def message(kind: int, size: int) -> bytes:
            return struct.pack("<BxIxx", kind, size).ljust(size, b".")

        passes, fails = message(0x1F, 900), message(0x20, 20)
        one.sendall(passes + fails + passes[:100])
        one.sendall(passes[100:] + fails)
        one.sendall(message(0x17, 8))
        expect_equal(receive(other, 1808), passes * 2 + message(0x17, 8), "what came")
        expect_equal(error_of(lambda: one.sendall(message(0x10, 1001))), "EMSGSIZE", "too long")


@test
def disconnecting() -> None:
    with connection() as (one, other):
        tap.tap_by_policy(other, tap.NOT_TAPPED, (fixed(4), OK, [Rule(b"quit", DISCONNECT)]))
        one.sendall(b"onceoverquit")
        expect_equal(ending(other), (b"onceover", "ECONNABORTED"), "before it, and then")


@test
def natively_too() -> None:
    with connection() as (one, other):
        one.setsockopt(socket.SOL_TCP, tap.TCP_ULP, b"stap")
        both = tap.policy((LINES, OK, [Rule(b"no", DROP)]), (tap.EACH, OK, []))
        one.setsockopt(tap.SOL_STAP, tap.POLICY, both)
        expect_equal(error_of(lambda: one.setsockopt(tap.SOL_STAP, tap.POLICY, both)), "EEXIST", "again")
        one.sendall(b"no\nyes\n")
        expect_equal(receive(other, 4), b"yes\n", "sent")
        other.sendall(b"anything")
        expect_equal(receive(one, 8), b"anything", "received")


@test
def equal_policies_share_programs() -> None:
    side = (LINES, OK, [Rule(b"a", DROP)])
    ids = []
    with connection() as first, connection() as second:
        for opened in (*first, *second):
            tap.tap_by_policy(opened, side, side)
            ids += [number for direction in tap.info(opened) for number in direction[:2]]
    expect_equal(len(set(ids)), 2, f"parsers and verdicts of 4 sockets, both ways: {ids}")


@test
def a_listener_hands_them_on() -> None:
    with listening() as listener:
        tap.tap_by_policy(listener, tap.NOT_TAPPED, (LINES, OK, [Rule(b"bad", DROP)]))
        one, child = connect(listener)
        with one, child:
            one.sendall(b"bad\ngood\n")
            expect_equal(receive(child, 5), b"good\n", "what came")


@test
def bad_policies() -> None:
    good = (LINES, OK, [Rule(b"a", DROP)])
    cases = {
        "a length field of 3 bytes": tap.policy((length_field(0, 3), OK, []), good),
        "verdict 1": tap.policy((LINES, 1, []), good),
        "rule 1: verdict 9": tap.policy(good, (LINES, OK, [Rule(b"a", 9)])),
        "of which some are not there": tap.policy(good, good)[:-1],
        "it taps neither direction": tap.policy(tap.NOT_TAPPED, tap.NOT_TAPPED),
    }
    for sentence, text in cases.items():
        with connection() as (one, other):
            value, before = ULP + text, len(kernel_log())
            expect_equal(error_of(lambda: one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, value)), "EINVAL", sentence)
            wait_for(lambda: any(sentence in line for line in kernel_log()[before:]), f"in the log: {sentence}")
            one.sendall(b"a\n")
            expect_equal(receive(other, 2), b"a\n", "untouched")
    with socket.socket() as one:
        huge = b"\0" * (64 + 2 * 1024 * 72 + 1)
        one.setsockopt(socket.SOL_TCP, tap.TCP_ULP, b"stap")
        for size in (0, 63, len(huge)):
            expect_equal(error_of(lambda: one.setsockopt(tap.SOL_STAP, tap.POLICY, huge[:size])), "EINVAL", f"{size}")


@test
def not_without_the_right() -> None:
    value = ULP + tap.policy((LINES, OK, []), tap.NOT_TAPPED)
    with connection() as (one, _):
        def attempt() -> str:
            os.setuid(65534)
            return error_of(lambda: one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, value))

        expect_equal(said_by_child(attempt), "EPERM", "nobody's attempt")
        one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, value)


@test
def as_many_rules_as_there_may_be() -> None:
    rules = [Rule(b"%07d" % i, DROP, i % 50) for i in range(1024)]
    with connection() as (one, other):
        tap.tap_by_policy(one, (fixed(64), OK, rules), (fixed(64), OK, rules))
        text = (b"." * 23 + b"0001023").ljust(64, b".")
        one.sendall(text + b"x" * 64)
        expect_equal(receive(other, 64), b"x" * 64, "rule 1024 and none")


@test
def while_the_helper_is_killed() -> None:
    """Taps stay; a policy asked for meanwhile waits for the next helper."""
    with connection() as (one, other):
        tap.tap_by_policy(other, tap.NOT_TAPPED, (LINES, OK, [Rule(b"a", DROP)]))
        for number in range(3):
            helper.one()
            pid = helper.stop()
            with socket.socket() as more:
                def ask(opened: socket.socket = more, size: int = number + 1) -> str:
                    tap.tap_by_policy(opened, tap.NOT_TAPPED, (fixed(size), OK, []))
                    return "OK"

                asks = Child(ask)
                wait_for(lambda: waits_in(asks.pid, SETSOCKOPT), "the question")  # pylint: disable=cell-var-from-loop
                one.sendall(b"a\nb\n")
                expect_equal(receive(other, 2), b"b\n", "through the tap, without a helper")
                os.kill(pid, signal.SIGKILL)
                expect_equal(asks.said(), "OK", "the answer of the next helper")
                expect_equal(tap.info(more)[1].verdict_id != 0, True, "it is tapped")


@test
def callers_that_are_killed() -> None:
    """While they wait for their programs; the next one gets his."""
    rules = [Rule(b"%07d" % i, DROP, i % 50) for i in range(1000)]

    def ask_for_ever() -> str:
        while True:
            with socket.socket() as one:
                size = random.randrange(1, 1 << 20)
                tap.tap_by_policy(one, (fixed(size), OK, rules[size % 100:]), tap.NOT_TAPPED)

    for _ in range(10):
        caller = Child(ask_for_ever)
        wait_for(lambda: waits_in(caller.pid, SETSOCKOPT), "a question")  # pylint: disable=cell-var-from-loop
        caller.kill()
    with socket.socket() as one:
        tap.tap_by_policy(one, (LINES, OK, []), tap.NOT_TAPPED)


CALLER32 = "/usr/lib/bpfilter-tests/sockopt32"


def by_32_bits(opened: socket.socket, level: int, option: int, value: bytes) -> int:
    """setsockopt() of a 32-bit process that has this socket too."""
    question = struct.pack("=8I", opened.fileno(), 1, level, option, 0, len(value), len(value), 0)
    done = subprocess.run([CALLER32], input=question + value, stdout=subprocess.PIPE, pass_fds=[opened.fileno()],
                          check=True)
    return int(struct.unpack_from("=i", done.stdout)[0])


@test
def callers_of_32_bits() -> None:
    if not os.path.exists(CALLER32):
        raise Skip(f"{CALLER32} is not there: tests/compat/build makes it")
    side = (fixed(4), OK, [Rule(b"no", DROP)])
    policy = tap.policy(side, side)
    for attach in ([(socket.SOL_IP, tap.STAP_SO_ULP, ULP + policy)],
                   [(socket.SOL_TCP, tap.TCP_ULP, b"stap"), (tap.SOL_STAP, tap.POLICY, policy)]):
        with connection() as (one, other):
            bad = tap.policy((fixed(0), OK, []), side)
            expect_equal(by_32_bits(one, socket.SOL_IP, tap.STAP_SO_ULP, ULP + bad), -errno.EINVAL, "a bad policy")
            expect_equal([by_32_bits(one, *option) for option in attach], [0] * len(attach), "setsockopt()")
            one.sendall(b"yes.no..yes!")
            expect_equal(receive(other, 8), b"yes.yes!", "what came")
            other.sendall(b"yes.no..yes!")
            expect_equal(receive(one, 8), b"yes.yes!", "what went back")


if __name__ == "__main__":
    load()
    main()
