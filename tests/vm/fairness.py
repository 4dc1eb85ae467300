#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Who waits for whom: the helper's time, when many want it at once."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import threading
import time
from typing import Iterator

from lib import blob, fake, helper, netns, system
from lib.caller import DROPPING, Child, get_info, listing, replace, works
from lib.check import Failure, expect, expect_equal, main, test, wait_for
from lib.netns import CLONE_NEWNET, CLONE_NEWUSER, Namespace

SO_NETNS_COOKIE = 71
SIOCSIFFLAGS = 0x8914
PATIENCE = 2  # seconds that news wait for other business of their namespace
FOR_USER = 8  # BPFILTER_REQUEST_USER
THREADS = 16  # of the helper, and so many it says of itself that fakes it
USERS = THREADS + 1
LISTINGS = 10
CALLERS = 8  # of each, at the same time
RULES = 500


def _become_root_of_a_namespace(uid: int) -> None:
    """As that user, who is nobody outside of it."""
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    netns.unshare(CLONE_NEWUSER | CLONE_NEWNET)


# Whose turn it is: what a helper is given that answers nothing

def _asked_by(uid: int) -> Child:
    """In a namespace of its own, by root of a user namespace of that user's."""
    def ask() -> int:
        _become_root_of_a_namespace(uid)
        return get_info()
    return Child(ask)


def _cookie() -> int:
    """Of the network namespace, as the helper knows it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        return int(struct.unpack("=Q", opened.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0])


@contextlib.contextmanager
def _asking(order: str) -> Iterator[list[Child]]:
    """Those who ask the helper, which does as ordered; in the end all are answered, by another one."""
    fake.fresh()
    works()
    fake.forget()
    fake.order(order)
    children: list[Child] = []
    try:
        yield children
    except Failure:
        for child in children:
            child.kill()
        raise
    fake.order()
    fake.kill(helper.one())
    expect_equal({child.result() for child in children}, {0}, "answers")


@test
def users_are_told_from_the_machine() -> None:
    """By who owns the network namespace: what the helper loads for users gives way when memory is short."""
    made = Namespace("machine")
    with _asking("GET_INFO ignore") as children:
        children.append(Child(get_info))
        expect_equal(fake.wait_for_line("GET_INFO")["flags"] & FOR_USER, 0, "the flag, of the machine's first namespace")
        with made:
            children.append(Child(get_info))
        expect_equal(fake.wait_for_line("GET_INFO", 2)["flags"] & FOR_USER, 0, "the flag, of another that root made")
        children.append(_asked_by(1001))
        expect_equal(fake.wait_for_line("GET_INFO", 3)["flags"] & FOR_USER, FOR_USER, "the flag, of a user's")
    made.delete()


def _set_loopback_up(up: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        fcntl.ioctl(opened, SIOCSIFFLAGS, struct.pack("=16sH22x", b"lo", up))


def _restless(begin: int, end: int) -> int:
    """A user whose namespace has news for the helper all the time, and other business with it."""
    _become_root_of_a_namespace(1001)
    if error := replace(entries=DROPPING)[0]:
        return error
    os.read(begin, 1)
    threading.Thread(target=get_info, daemon=True).start()
    while not select.select([end], [], [], 0.05)[0]:
        for up in (True, False):
            _set_loopback_up(up)
    return 0


@test
def news_of_users_are_told_from_the_machines() -> None:
    """Also where they are one with others that have not been told yet."""
    fake.fresh()
    works()
    fake.order("COMMIT watch", "GET_INFO wait")
    asked = fake.count("GET_INFO")
    (begin, go), (end, stop) = os.pipe(), os.pipe()
    child = Child(lambda: _restless(begin, end))
    fake.wait_for_line("DEVICES")  # behind the COMMIT
    told = fake.count("DEVICES")
    os.write(go, b"x")
    wait_for(lambda: fake.count("GET_INFO") > asked, "the user's question")
    time.sleep(2 * PATIENCE + 1)  # nobody says that there is news, and more of it
    fake.order("COMMIT watch")
    flags = fake.wait_for_line("DEVICES", told + 1)["flags"]
    os.write(stop, b"x")
    expect_equal(child.result(), 0, "the user's table")
    for opened in (begin, go, end, stop):
        os.close(opened)
    expect_equal(flags & FOR_USER, FOR_USER, "the flag")


@test
def one_of_a_namespace_at_a_time() -> None:
    """A request waits for the one before it, and those of other namespaces go past it."""
    first, second = Namespace("first"), Namespace("second")
    with _asking("GET_INFO ignore") as children:
        with first:
            cookies = [_cookie()]
            children.append(Child(get_info))
            fake.wait_for_line("GET_INFO")
            children.append(Child(get_info))
            children[-1].wait_for_request()
        with second:
            cookies.append(_cookie())
            children.append(Child(get_info))
        given = [fake.wait_for_line("GET_INFO", number)["netns"] for number in (1, 2)]
        expect_equal(given, cookies, "namespaces whose requests the helper was given")
    first.delete()
    second.delete()


@test
def a_quarter_for_one_user() -> None:
    """However many namespaces he has."""
    late = Namespace("late")
    with _asking("GET_INFO ignore") as children:
        for number in range(THREADS // 4):
            children.append(_asked_by(10000))
            fake.wait_for_line("GET_INFO", number + 1)
        children.append(_asked_by(10000))
        children[-1].wait_for_request()
        with late:
            cookie = _cookie()
            children.append(Child(get_info))
        given = fake.wait_for_line("GET_INFO", THREADS // 4 + 1)["netns"]
        expect_equal(given, cookie, "the namespace whose request came behind his")
    late.delete()


@test
def users_in_turn() -> None:
    """Who comes behind many requests of others waits for one of each of them, not for all."""
    users = (10000, 10001, 10002)
    late = Namespace("late")
    with _asking("GET_ENTRIES wait") as children:
        children.append(Child(listing))
        fake.wait_for_line("GET_ENTRIES")
        for uid in users:
            for _ in range(6):
                children.append(_asked_by(uid))
                children[-1].wait_for_request()
        with late:
            cookie = _cookie()
            children.append(Child(get_info))
            children[-1].wait_for_request()
        fake.order()
        wait_for(lambda: fake.count("GET_INFO") >= len(children), "the helper to be given all")
        order = [line.fields["netns"] for line in fake.log("GET_INFO")]
        expect(order.index(cookie) <= len(users), f"root's came behind {order.index(cookie)} of {len(users)} users")
    late.delete()


@test
def back_to_the_real_helper() -> None:
    fake.back()


# And how long that takes, with the real helper

def _large() -> blob.Table:
    rules = [blob.entry(blob.verdict(blob.DROP), source=bytes([10, 0, i >> 8, i & 255]) + b"\xff" * 4)
             for i in range(RULES)]
    return blob.with_input(*rules)


def _busy_user(uid: int, ready: int) -> None:
    """Does not end by itself: as many callers as it takes that one is always waiting."""
    _become_root_of_a_namespace(uid)
    for _ in range(CALLERS - 1):
        if os.fork() == 0:
            break
    table = _large()
    opened = blob.raw_socket()
    while True:
        table.num_counters = None  # what there is
        status = table.commit(opened)
        if status not in ("OK", "EAGAIN"):
            os.write(ready, f"{status}\n".encode())
        else:
            os.write(ready, b".")


class Users:
    """Unprivileged users, each with a namespace of his own and many callers."""

    def __init__(self, uids: list[int]) -> None:
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.said = b""
        self.group = 0
        for uid in uids:
            pid = os.fork()
            if pid == 0:
                os.setpgid(0, self.group)
                try:
                    _busy_user(uid, writer)
                finally:
                    os._exit(1)
            self.group = self.group or pid
            os.setpgid(pid, self.group)
        os.close(writer)

    def listen(self) -> bytes:
        try:
            self.said += os.read(self.reader, 1 << 16)
        except BlockingIOError:
            pass
        return self.said

    def end(self) -> None:
        os.killpg(self.group, signal.SIGKILL)
        while True:
            try:
                os.waitpid(-self.group, 0)
            except ChildProcessError:
                return


def _listing_takes() -> float:
    start = time.monotonic()
    with blob.raw_socket() as opened:
        expect_equal(blob.entries(opened)[0], "OK", "root's listing")
    return time.monotonic() - start


def _among(uids: list[int], what: str) -> None:
    _listing_takes()
    before = helper.one()
    users = Users(uids)
    try:
        wait_for(users.listen, "the first table of theirs", 600)
        behind = len(users.listen())
        times = [_listing_takes() for _ in range(LISTINGS)]
        behind = len(users.listen()) - behind
        expect_equal(users.said.replace(b".", b""), b"", "errors of theirs")
    finally:
        users.end()
    print(f"# {what}: root's listings took {min(times):.2f} to {max(times):.2f} s, "
          f"{behind} tables of theirs came first", flush=True)
    # What is with the helper goes on meanwhile, and so it does while root's is. Of all that wait, twice in
    # a listing, none may come before.
    expect(behind < LISTINGS * CALLERS * USERS // 2, f"root waited for {behind} tables of others in {LISTINGS} listings")
    expect_equal(helper.one(), before, "the helper")


@test
def root_among_many_users() -> None:
    """A listing of root's is not behind the large tables of others."""
    system.only_ours()
    _among([10000 + i for i in range(USERS)], f"{USERS} users")


@test
def root_beside_one_user_with_many_namespaces() -> None:
    system.only_ours()
    _among([10000] * USERS, f"one user with {USERS} namespaces")


if __name__ == "__main__":
    main()
