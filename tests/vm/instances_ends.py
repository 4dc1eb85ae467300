#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The end of instances: with their table, namespace or module, and of helpers and callers in the middle."""

import errno
import os
import signal
import socket

from lib import fake, hostile, module
from lib.caller import Child, fate, get_info, works
from lib.check import expect, expect_equal, main, test, wait_for
from lib.hostile import match
from lib.hostile_rules import begin, drop_all, end, order, put, rule
from lib.netns import CLONE_NEWNET, CLONE_NEWUSER, Namespace, unshare


@test
def helpers_that_die() -> None:
    """Before the list, behind it, and with what was checked: the caller does not notice, or has its old table."""
    begin()
    expect_equal(put(rule(match())), "OK", "replace")
    for what, count in (("CHECK then_crash_once", 3), ("WALK crash_once", 3)):
        order(what)
        fake.forget()
        expect_equal(put(rule()), "OK", what)
        hostile.live(1, what)
        expect_equal(len(fake.log("REPLACE")), count, f"REPLACEs of {what}")
        os.unlink(f"{fake.DIRECTORY}/crashed")
    order("CHECK crash_then_nothing")
    expect_equal(put(rule(match())), "EIO", "a helper that asks for nothing, behind one that did")
    hostile.live(1, "what another helper asked for")
    for what in ("CHECK then_crash", "WALK crash"):
        order(what)
        expect_equal(put(rule(match(), match())), "EIO", f"{what}, always")
        hostile.live(1, what)
    order("WALK then_crash")
    expect_equal(put(rule(match())), "OK", "a helper that dies behind the commit")
    hostile.live(2, "a helper that dies behind the commit")
    fake.kill()
    works()
    expect_equal(fate(), "passes", "with another helper")
    hostile.live(2, "with another helper")
    end()


@test
def callers_that_are_killed() -> None:
    """While it was checked, or with what was checked: all is undone, the old table stays."""
    begin()
    expect_equal(put(rule(match())), "OK", "replace")
    order("WALK wait")
    fake.forget()
    child = Child(lambda: 0 if put(rule()) == "OK" else 1)
    fake.wait_for_line("REPLACE", 2)
    child.kill()
    expect_equal(child.result(), -signal.SIGKILL, "the caller")
    wait_for(lambda: hostile.get("live") == 2, "what was checked to go")
    order()
    expect_equal(fake.wait_for_line("WALK"), {"errno": errno.ECANCELED}, "commit")
    hostile.live(2, "behind it")
    expect_equal(get_info(), 0, "GET_INFO")
    order("WALK then_wait")
    fake.forget()
    child = Child(lambda: 0 if put(rule()) == "OK" else 1)
    fake.wait_for_line("WALK")
    child.kill()
    expect_equal(child.result(), -signal.SIGKILL, "the caller behind the commit")
    expect_equal(hostile.get("live"), 3, "instances while the helper has the request")
    order()
    wait_for(lambda: hostile.get("live") == 1, "the old instances to go")
    hostile.live(1, "behind it")
    end()


def user() -> int:
    """The number of what went wrong, or 0."""
    unshare(CLONE_NEWUSER | CLONE_NEWNET)

    def table(count: int) -> str:
        return put(*(rule(match()) for _ in range(count)))
    if table(1000) != "OK":
        return 1
    order("WALK then_wait")
    fake.forget()
    other = Child(lambda: 0 if table(1000) == "OK" else 1)
    fake.wait_for_line("WALK")
    other.kill()
    other.result()
    order()
    if fake.wait_for_line("write") != {"errno": errno.ENOENT} or hostile.get("live") != 4000:
        return 2
    fake.forget()
    # It destroys what it has made before it ends, so that is held up too.
    refused = Child(lambda: 0 if table(1001) == "ENOMEM" else 1)
    if fake.wait_for_line("WALK") != {"errno": errno.ENOMEM}:
        return 3
    hostile.put("hold", 0)
    if refused.result() != 0:
        return 3
    wait_for(lambda: hostile.get("live") == 2000, "what was left to go")
    return 0 if table(1001) == "OK" else 4


@test
def left_and_paid_for() -> None:
    """What killed callers leave behind is on their user's account until it is gone: two such tables are too much."""
    begin()
    with module.parameter("user_memory", 1):
        hostile.put("hold", 1)
        try:
            expect_equal(Child(user).result(), 0, "a user with tables of half of what he may have")
        finally:
            hostile.put("hold", 0)
    wait_for(lambda: hostile.get("live") == 0, "his namespace to go")
    end()


@test
def namespaces_that_go() -> None:
    begin()
    space = Namespace("instances")
    with space:
        expect_equal(get_info(), 0, "GET_INFO")
        order()
        expect_equal(put(rule(match(), match())), "OK", "replace")
        hostile.live(3, "in the namespace")
    space.delete()
    wait_for(lambda: hostile.get("live") == 0, "the namespace's instances to go")
    end()


@test
def swapped_under_traffic() -> None:
    """No packet finds one that is gone."""
    begin()
    child = os.fork()
    if child == 0:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while True:
                try:
                    sender.sendto(b"x", ("127.0.0.1", 9))
                except OSError:
                    pass
    for number in range(30):
        expect_equal(put(*(rule(match(), match()) for _ in range(number % 3 + 1))), "OK", f"replace {number}")
        hostile.live(3 * (number % 3 + 1), f"replace {number}")
    hostile.put("calls", 0)
    wait_for(lambda: hostile.get("calls") > 0, "calls")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    end()


@test
def modules_that_are_held() -> None:
    """xt_hostile while it is in force; then it can be removed at once, and so can ours."""
    begin()
    expect_equal(put(rule(match())), "OK", "replace")
    expect(not fake._rmmod("xt_hostile"), "xt_hostile was removed")  # pylint: disable=protected-access
    drop_all()
    expect(fake._rmmod("xt_hostile"), "xt_hostile cannot be removed")  # pylint: disable=protected-access
    fake.remove()


if __name__ == "__main__":
    main(at_end=fake.back)
