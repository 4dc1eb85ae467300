#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""COMMITs that are refused, repeated or not followed by an answer: a table is whole, or as it was."""

import contextlib
import errno
import os
import signal
import subprocess
from typing import Iterator

from lib import deaths, fake
from lib.caller import (DROPPING, NO_COUNTERS, OLD_COUNTERS, REPLACE, SIZE, UNTOUCHED, Child, get_info, passes, replace,
                        replace_data, tables, works)
from lib.check import expect, expect_equal, main, test, wait_for
from lib.netns import Namespace
from lib.options import SET_REPLACE, setsockopt


@test
def bad_commits() -> None:
    """Each is refused, and the table that was in force is in force."""
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    expect(not passes(), "it does not drop")
    for what, error in (
            ("bad_program", errno.EBADF), ("map_as_program", errno.EINVAL), ("other_type", errno.EINVAL),
            ("direct_access", errno.EINVAL), ("hook_out_of_range", errno.EINVAL), ("hook_twice", errno.EINVAL),
            ("too_many_hooks", errno.EINVAL), ("too_many_kept", errno.EINVAL), ("bad_kept", errno.EBADF),
            ("pipe_kept", errno.EINVAL), ("bad_context", errno.EBADF), ("small_context", errno.EINVAL),
            ("plain_context", errno.EINVAL), ("flags", errno.EINVAL), ("other_table", errno.EINVAL),
            ("unterminated", errno.EINVAL), ("other_priority", errno.EINVAL), ("fewer_hooks", errno.EINVAL),
            ("other_hook_flags", errno.EINVAL), ("unknown_hook_flags", errno.EINVAL),
            ("reroute_at_input", errno.EINVAL), ("nat_at_forward", errno.EINVAL),
            ("other_id", errno.ENOENT)):
        fake.forget()
        fake.order(f"REPLACE commit_{what}")
        expect_equal(replace(), (error, [UNTOUCHED] * 5), what)
        expect_equal(fake.wait_for_line("COMMIT"), {"errno": error}, f"commit, {what}")
        expect(not passes(), f"{what}: the table that drops is not in force")
    works()
    expect_equal(replace()[0], 0, "a good one")
    expect(passes(), "it is not in force")


@test
def bad_first_commits() -> None:
    fake.fresh()
    for what, error in (("bad_program", errno.EBADF), ("hook_twice", errno.EINVAL), ("plain_context", errno.EINVAL),
                        ("flags", errno.EINVAL)):
        fake.order(f"GET_INFO commit_{what}")
        expect_equal(get_info(), error, what)
        expect_equal(tables(), "", f"tables, {what}")
    works()


@test
def committed_twice() -> None:
    """The first is in force, and the request has succeeded."""
    for there, counters in ((True, OLD_COUNTERS), (False, NO_COUNTERS)):
        fake.fresh()
        if there:
            works()
            fake.forget()
        fake.order("REPLACE commit_twice")  # the second drops
        expect_equal(replace(), (0, counters + [UNTOUCHED]), "replace")
        expect_equal([line.fields["errno"] for line in fake.log("COMMIT")], [0, errno.EALREADY], "commits")
        expect(passes(), "the second is in force")
        works()


@test
def reply_and_commit_disagree() -> None:
    fake.fresh()
    works()
    fake.order("REPLACE no_commit")
    expect_equal(replace()[0], errno.EIO, "without a commit")
    fake.order("REPLACE commit_then_fail")
    expect_equal(replace(), (0, OLD_COUNTERS + [UNTOUCHED]), "with a commit")
    works()


# The helper ends behind it

@test
def crash_behind_the_commit() -> None:
    """It has succeeded; the old counters come from the successor, with the retired maps."""
    fake.fresh()
    works()
    fake.forget()
    fake.order("REPLACE commit_then_crash")
    expect_equal(replace(entries=DROPPING), (0, OLD_COUNTERS + [UNTOUCHED]), "replace")
    expect(not passes(), "the new table is not in force")
    expect_equal(fake.wait_for_line("REPLAY")["size"], 32 + REPLACE + SIZE, "payload of the replay")
    expect_equal([line.fields["count"] for line in fake.log("KEPT")], [2, 2], "kept")
    expect_equal(len(fake.log("REPLACE")), 1, "helpers that were given it")
    works()


@test
def hang_behind_the_commit() -> None:
    fake.fresh()
    works()
    fake.parameter("deadline", 3)
    fake.order("REPLACE commit_then_hang")
    deaths.expect(1, deaths.BY_THE_MODULE)
    expect_equal(replace(entries=DROPPING), (0, OLD_COUNTERS + [UNTOUCHED]), "replace")
    expect(not passes(), "the new table is not in force")
    fake.parameter("deadline", 60)
    works()


@test
def no_old_counters() -> None:
    """Nothing can fail behind the commit: the caller gets zeros."""
    fake.fresh()
    works()
    for what in ("crash", "empty", "long", f"error {errno.ENOMEM}"):
        fake.order(f"OLD_COUNTERS {what}")
        expect_equal(replace(), (0, NO_COUNTERS + [UNTOUCHED]), what)
    fake.order()
    for pointer in (0, 8):
        expect_equal(setsockopt(SET_REPLACE, replace_data(pointer, 4)), 0, f"counters at {pointer}")


@test
def replace_without_a_table() -> None:
    """It makes the table; a table that was not there has counted nothing."""
    fake.fresh()
    expect_equal(replace(), (0, NO_COUNTERS + [UNTOUCHED]), "replace")
    expect_equal(len(fake.log("OLD_COUNTERS")), 0, "requests for counters")


@test
def large_payloads() -> None:
    fake.fresh()
    works()
    expect_equal(replace(size=40 << 20)[0], 0, "replace of 40 MB")
    fake.forget()
    fake.kill()
    expect_equal(fake.wait_for_line("REPLAY")["size"], 32 + REPLACE + (40 << 20), "replay")
    works()


# The nat core, which is loaded for the first table that has hooks of it

@contextlib.contextmanager
def nf_nat_by(command: str) -> Iterator[None]:
    """It is not there, and loading it runs this command."""
    conf = "/etc/modprobe.d/nf_nat.conf"
    with open(conf, "w", encoding="ascii") as file:
        file.write(f"install nf_nat {command}\n")
    try:
        if fake.loaded("nf_nat"):
            subprocess.run(["modprobe", "-r", *os.listdir("/sys/module/nf_nat/holders"), "nf_nat"], check=True)
        yield
    finally:
        os.unlink(conf)


def uses_of_nf_nat() -> int:
    with open("/sys/module/nf_nat/refcnt", encoding="ascii") as file:
        return int(file.read())


@test
def no_nat_core() -> None:
    fake.fresh()
    fake.order("GET_INFO commit_nat")
    with Namespace("nat"):
        with nf_nat_by("/bin/false"):
            expect_equal(get_info(), errno.ENOENT, "GET_INFO without nf_nat")
        expect_equal(fake.wait_for_line("COMMIT"), {"errno": errno.ENOENT}, "commit without nf_nat")
        expect_equal(tables(), "", "tables")
        expect_equal(get_info(), 0, "GET_INFO with nf_nat")
        expect_equal(fake.wait_for_line("COMMIT", 2), {"errno": 0}, "commit with nf_nat")
        expect_equal(tables(), "filter\n", "tables")
    expect(uses_of_nf_nat() > 0, "nobody uses nf_nat")


@test
def killed_while_it_is_committed() -> None:
    """The caller is gone when all that took its time has been done: nothing is put in force, nothing held."""
    fake.fresh()
    asked, go = f"{fake.DIRECTORY}/asked", f"{fake.DIRECTORY}/go"
    script = f"{fake.DIRECTORY}/nf_nat"
    with open(script, "w", encoding="ascii") as file:
        file.write(f"touch {asked}; while [ ! -e {go} ]; do sleep 0.05; done; modprobe --ignore-install nf_nat\n")
    fake.order("GET_INFO commit_nat")
    with Namespace("nat"):
        with nf_nat_by(f"sh {script}"):
            child = Child(get_info)
            wait_for(lambda: os.path.exists(asked), "nf_nat to be loaded")
            child.kill()
            expect_equal(child.result(), -signal.SIGKILL, "the caller")
            with open(go, "w", encoding="ascii"):
                pass
            expect_equal(fake.wait_for_line("COMMIT"), {"errno": errno.ECANCELED}, "commit")
        expect_equal(tables(), "", "tables")
        expect_equal([line.fields for line in fake.log("write")], [{"errno": errno.ENOENT}], "reply")
        expect_equal(uses_of_nf_nat(), 0, "uses of nf_nat")
    works()


if __name__ == "__main__":
    main(at_end=fake.back)
