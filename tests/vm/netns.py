#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Every network namespace has its own tables, and its own root may change them."""

import ctypes
import os
import socket
import stat
import subprocess
import sys

from lib import iptables as tables
from lib.check import Skip, expect, expect_equal, expect_in, main, test, wait_for
from lib.iptables import IPTABLES, Counter, Counters, iptables, try_iptables
from lib.netns import CLONE_NEWNET, CLONE_NEWUSER, Namespace, unshare
from lib.pair import Pair

NOBODY = 65534


def in_child(function) -> str:  # type: ignore[no-untyped-def]
    """The text that function returns in a forked process; its exception's, if it has one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            text = function() or "done"
        except BaseException as error:  # the parent must hear of it
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    os.waitpid(child, 0)
    return text


@test
def tables_are_separate() -> None:
    one, two = Namespace("one"), Namespace("two")
    with one:
        iptables("-A INPUT -s 192.0.2.1 -j DROP")
        iptables("-P FORWARD DROP")
    with two:
        expect_equal(iptables("-S").splitlines()[3:], [], "rules of the other")
        iptables("-A INPUT -s 192.0.2.2 -j DROP")
    with one:
        expect_equal(iptables("-S").splitlines()[1:], ["-P FORWARD DROP", "-P OUTPUT ACCEPT",
                                                       "-A INPUT -s 192.0.2.1/32 -j DROP"], "rules of the first")
    one.delete()
    two.delete()


@test
def traffic_is_separate() -> None:
    one, two = Pair(), Pair()
    with one.server:
        iptables("-A INPUT -p udp -j DROP")
    with two.server:
        iptables("-A INPUT -p udp")
    expect_equal((one.send(3), two.send(2)), (0, 2), "delivered")
    with one.server:
        expect_equal(Counters().rules["INPUT"], [Counter(3, 84)], "one")
    with two.server:
        expect_equal(Counters().rules["INPUT"], [Counter(2, 56)], "two")
    one.close()
    expect_equal(two.send(2), 2, "the other goes on")
    with two.server:
        expect_equal(Counters().rules["INPUT"], [Counter(4, 112)], "two")
    two.close()


@test
def names_appear_at_first_use() -> None:
    fresh = Namespace("fresh")

    def names() -> str:
        with open("/proc/self/net/ip_tables_names", encoding="ascii") as file:
            return file.read()

    with fresh:
        expect_equal(names(), "", "before")
        info = os.stat("/proc/self/net/ip_tables_names")
        expect_equal((stat.S_IMODE(info.st_mode), info.st_uid), (0o440, 0), "mode and owner")
        iptables("-L")
        expect_equal(names(), "filter\n", "after")
    fresh.delete()


@test
def destroyed_with_rules() -> None:
    """Twenty namespaces with rules, counters and traffic come and go."""
    for _ in range(20):
        space = Namespace("brief")
        with space:
            tables.restore("-A INPUT -s 192.0.2.1 -j DROP", "-A INPUT -i lo -p udp -j user", "-A user")
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"", ("127.0.0.1", 9))
            expect_equal(Counters().rules["INPUT"][1], Counter(1, 28), "counter")
        space.delete()
    after = Namespace("after")
    with after:
        expect_equal(len(iptables("-S").splitlines()), 3, "a new one is empty")
    after.delete()


@test
def deleted_while_used() -> None:
    """A socket keeps the namespace; requests through it still work."""
    space = Namespace("kept")
    with space:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        iptables("-A INPUT -j DROP")
    space.delete()
    expect_equal(_get_info(raw), 5, "entries")
    raw.close()


def _get_info(opened: socket.socket) -> int:
    buffer = ctypes.create_string_buffer(b"filter", 84)
    length = ctypes.c_uint32(84)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.getsockopt(opened.fileno(), socket.SOL_IP, 64, buffer, ctypes.byref(length)):
        return -ctypes.get_errno()
    return int.from_bytes(buffer.raw[76:80], sys.byteorder)


@test
def root_of_a_user_namespace() -> None:
    """Whoever owns the network namespace may do everything in it, and nothing outside."""
    def inside() -> str:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        # After a change of ids a process may not write its own maps.
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
        unshare(CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {NOBODY} 1"), ("gid_map", f"0 {NOBODY} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        unshare(CLONE_NEWNET)  # with the map written: its root owns the files in /proc/net
        environment = {**os.environ, "XTABLES_LOCKFILE": "/tmp/xtables.lock.nobody"}
        text = ""
        for arguments in ("-A INPUT -s 192.0.2.1 -i lo -j DROP", "-P FORWARD DROP", "-S"):
            done = subprocess.run([IPTABLES, *arguments.split()], env=environment, text=True, capture_output=True)
            if done.returncode:
                return f"{arguments}: {done.stderr}"
            text = done.stdout
        with open("/proc/self/net/ip_tables_names", encoding="ascii") as file:
            return text + file.read()

    text = in_child(inside)
    if "unshare" in text and "not permitted" in text:
        raise Skip("users may not make user namespaces here")
    expect_equal(text.splitlines(), ["-P INPUT ACCEPT", "-P FORWARD DROP", "-P OUTPUT ACCEPT",
                                     "-A INPUT -s 192.0.2.1/32 -i lo -j DROP", "filter"], "-S, names")


@test
def others_are_refused() -> None:
    space = Namespace("owned")
    with space:
        iptables("-A INPUT -s 192.0.2.1 -j DROP")

        def as_nobody() -> str:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            result = str(_get_info(opened))
            try:
                with open("/proc/self/net/ip_tables_names", encoding="ascii") as file:
                    result += file.read()
            except PermissionError:
                result += " names: EACCES"
            return result

        expect_equal(in_child(as_nobody), "-1 names: EACCES", "as nobody")

        def as_root_of_another() -> str:
            """CAP_NET_ADMIN in a user namespace of one's own is not enough."""
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            unshare(CLONE_NEWUSER)
            return str(_get_info(opened))

        expect_equal(in_child(as_root_of_another), "-1", "as root of another user namespace")
    space.delete()


@test
def message_for_others() -> None:
    def as_nobody() -> str:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        done = try_iptables("-L")
        return f"{done.status} {done.errors}"

    text = in_child(as_nobody)
    expect(text.startswith("4 ") or text.startswith("3 "), f"status: {text}")
    expect_in("ermission denied", text, "message")


@test
def many_namespaces_at_once() -> None:
    spaces = [Namespace(f"many{index}") for index in range(10)]
    running = []
    for index, space in enumerate(spaces):
        with space:
            running.append(subprocess.Popen([IPTABLES, "-A", "INPUT", "-s", f"192.0.2.{index}", "-j", "DROP"],
                                            env={**os.environ, "XTABLES_LOCKFILE": f"/run/xtables.lock.{index}"}))
    expect_equal([one.wait() for one in running], [0] * 10, "status")
    for index, space in enumerate(spaces):
        with space:
            expect_equal(iptables("-S INPUT").splitlines()[1:], [f"-A INPUT -s 192.0.2.{index}/32 -j DROP"], "rules")
        space.delete()
        os.unlink(f"/run/xtables.lock.{index}")


@test
def namespace_goes_away() -> None:
    """The kernel really destroys it: nothing of ours holds on to it."""
    pair = Pair()
    with pair.server:
        iptables("-A INPUT -i s0 -s 192.0.2.1 -j DROP")
    expect_equal(pair.send(1), 0, "delivered")
    # The peer of a device dies with the device: c0 goes when the server's namespace does.
    pair.server.delete()
    with pair.client:
        for opened in (pair._receiver, *pair._marks):
            opened.close()
        wait_for(lambda: not _has_device("c0"), "the other end of the link to go", 60)
    pair._sender.close()
    pair.client.delete()


def _has_device(name: str) -> bool:
    with open("/proc/self/net/dev", encoding="ascii") as file:
        return f"{name}:" in file.read()


if __name__ == "__main__":
    main()
