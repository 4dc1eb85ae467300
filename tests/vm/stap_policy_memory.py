#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: how much of the kernel's memory for programs the policies of one user may take."""

import ctypes
import fcntl
import os
import socket
import struct
from typing import Callable

from lib import tap
from lib.check import expect, expect_equal, main, test, wait_for
from lib.netns import CLONE_NEWNET, CLONE_NEWUSER, unshare
from lib.process import said_by_child
from lib.tap import DROP, OK, Rule, delimiter, load
from lib.tcp import error_of

PARAMETER = "/sys/module/stap/parameters/policy_memory"
USER = 1000
PR_SET_DUMPABLE = 4
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
LINES = delimiter(b"\n", 100)


def set_limit(size: int) -> int:
    with open(PARAMETER, "r+", encoding="ascii") as file:
        before = int(file.read())
        file.write(str(size))
    return before


def rules(number: int) -> tap.Side:
    """Such as nobody else has, whose program takes some 10 KiB."""
    return LINES, OK, [Rule(b"%d %d" % (number, i), DROP) for i in range(64)]


def attach(number: int) -> tuple[str, socket.socket]:
    opened = socket.socket()
    return error_of(lambda: tap.tap_by_policy(opened, tap.NOT_TAPPED, rules(number))), opened


def as_many_as_can_be(most: int) -> list[tuple[str, socket.socket]]:
    """Up to the first that fails."""
    made = []
    for number in range(most):
        made.append(attach(number))
        if made[-1][0] != "OK":
            break
    return made


def enter(uid: int) -> None:
    """A namespace of one's own, where one is root, and may make another within."""
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {uid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def by_user(function: Callable[[], str], uid: int = USER) -> str:
    """What it says who has made a namespace for himself."""
    def first() -> str:
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # its files in /proc are its own
        enter(uid)
        return function()

    return said_by_child(first)


def inside(function: Callable[[], str]) -> str:
    """The same in a namespace within that one."""
    def first() -> str:
        enter(0)
        return function()

    return said_by_child(first)


def lo_up() -> None:
    """Of this namespace. A process that is started for it would have no rights in there."""
    with socket.socket() as opened:
        fcntl.ioctl(opened, SIOCSIFFLAGS, struct.pack("=16sH22x", b"lo", IFF_UP))


@test
def so_much_and_no_more() -> None:
    """Then it is ENOSPC, for him; what he closes he has back, and what is the same counts once."""
    before = set_limit(200_000)

    def fill() -> str:
        made = as_many_as_can_be(100)
        expect_equal(made[-1][0], "ENOSPC", "the last one")
        expect(len(made) > 3, f"{len(made)} policies")
        expect_equal(attach(0)[0], "OK", "one that he has already")
        expect_equal(inside(lambda: attach(99)[0]), "ENOSPC", "one more, from a namespace within his")
        expect_equal(inside(lambda: attach(0)[0]), "OK", "one that he has, from there")
        for _, opened in made:
            opened.close()
        wait_for(lambda: attach(99)[0] == "OK", "room when all is closed")
        return "filled"

    try:
        expect_equal(by_user(fill), "filled", "a user")
    finally:
        set_limit(before)


@test
def each_his_own() -> None:
    """One who has taken all of his leaves others theirs; of root there is no limit."""
    before = set_limit(200_000)

    def fill() -> str:
        made = as_many_as_can_be(100)
        expect_equal(made[-1][0], "ENOSPC", "the last one")
        os.write(full[1], b"x")
        os.read(go_on[0], 1)
        return "filled"

    full, go_on = os.pipe(), os.pipe()
    try:
        pid = os.fork()
        if not pid:
            os._exit(by_user(fill) != "filled")
        os.read(full[0], 1)
        expect_equal(by_user(lambda: attach(1)[0], USER + 1), "OK", "of another user")
        made = as_many_as_can_be(40)
        expect_equal([said for said, _ in made], ["OK"] * 40, "of root")
        for _, opened in made:
            opened.close()
        os.write(go_on[1], b"x")
        expect_equal(os.waitpid(pid, 0)[1], 0, "the first one's status")
    finally:
        set_limit(before)
        for fd in (*full, *go_on):
            os.close(fd)


@test
def children_are_not_counted() -> None:
    """They have their listener's, as often as there are."""
    before = set_limit(40_000)

    def serve() -> str:
        lo_up()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(50)
            tap.tap_by_policy(listener, tap.NOT_TAPPED, rules(1))
            for _ in range(20):
                one = socket.create_connection(listener.getsockname())
                child = listener.accept()[0]
                one.sendall(b"1 1\nx\n")
                expect_equal(child.recv(10), b"x\n", "what came")
                child.close()
                one.close()
        return "served"

    try:
        expect_equal(by_user(serve), "served", "a user's server")
    finally:
        set_limit(before)


@test
def the_longest_ones_fit() -> None:
    """With what a user may have if nobody has changed it: rules both ways, as many as there may be."""
    side = (LINES, OK, [Rule(bytes([i & 255, i >> 8] * 16), DROP) for i in range(1024)])

    def longest() -> str:
        with socket.socket() as opened:
            return error_of(lambda: tap.tap_by_policy(opened, side, (LINES, OK, side[2][1:])))

    expect_equal(by_user(longest), "OK", "the longest policy")


if __name__ == "__main__":
    load()
    main()
