#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What becomes of a request whose helper dies, hangs, ignores it, or cannot take it in."""

import errno
import signal
from typing import Callable

from lib import deaths, fake
from lib.caller import Child, add_counters, get_info, listing, replace, works
from lib.check import expect_equal, main, test
from lib.netns import Namespace


# Requests that kill

@test
def crash() -> None:
    fake.fresh()
    fake.order("GET_INFO crash")
    expect_equal(get_info(), errno.EIO, "GET_INFO")
    seen = fake.log("GET_INFO")
    expect_equal(len(seen), 2, "helpers that were given it")
    expect_equal(len({line.fields["pid"] for line in seen}), 2, "helpers")
    expect_equal(len({line.fields["id"] for line in seen}), 1, "ids")
    works()


@test
def crash_is_not_repeated() -> None:
    fake.fresh()
    works()
    fake.order("ADD_COUNTERS crash")
    expect_equal(add_counters(), errno.EIO, "ADD_COUNTERS")
    expect_equal(len(fake.log("ADD_COUNTERS")), 1, "helpers that were given it")
    works()


@test
def killed_over_a_request() -> None:
    """The successor answers it; what was queued behind it keeps its order."""
    fake.fresh()
    works()
    fake.forget()
    fake.order("GET_ENTRIES hang")
    children = [Child(listing)]
    hanging = fake.wait_for_line("GET_ENTRIES")
    behind: list[Callable[[], int]] = [get_info, listing]
    for request in behind:
        children.append(Child(request))
        children[-1].wait_for_request()
    fake.order()
    fake.kill(hanging["pid"])
    expect_equal([child.result() for child in children], [0, 0, 0], "results")
    order = [line.what for line in fake.log() if "pid" in line.fields]
    expect_equal(order, ["GET_ENTRIES", "INIT", "REPLAY", "GET_ENTRIES", "GET_INFO", "GET_ENTRIES"], "requests")


@test
def hang() -> None:
    fake.fresh()
    works()
    fake.forget()
    fake.parameter("deadline", 3)
    fake.order("GET_ENTRIES hang")
    deaths.expect(1, deaths.BY_THE_MODULE)
    hanging = Child(listing)
    fake.wait_for_line("GET_ENTRIES")
    behind = Child(get_info)
    expect_equal(hanging.result(), errno.EIO, "the request that hung")
    expect_equal(behind.result(), 0, "the request behind it")
    expect_equal(len(fake.log("GET_ENTRIES")), 1, "helpers that were given it")
    fake.parameter("deadline", 60)
    works()


@test
def one_request_ignored() -> None:
    """A helper that goes on with others is over the deadline all the same."""
    fake.fresh()
    works()
    fake.forget()
    fake.parameter("deadline", 3)
    fake.order("GET_ENTRIES ignore")
    deaths.expect(1, deaths.BY_THE_MODULE)
    ignored = Child(listing)
    fake.wait_for_line("GET_ENTRIES")
    with Namespace("other"):
        expect_equal(get_info(), 0, "another request")
    expect_equal(ignored.result(), errno.EIO, "the ignored request")
    fake.parameter("deadline", 60)
    works()


# Requests that the helper has no memory for: read() fails, as if it had not been tried

@test
def unreadable() -> None:
    """It is read again before all that came later."""
    fake.fresh()
    works()
    fake.order("GET_INFO next_absent")
    expect_equal(get_info(), 0, "the request before")
    fake.order()
    children = [Child(listing)]
    fake.wait_for_line("FAULT")
    children.append(Child(lambda: replace()[0]))
    children[-1].wait_for_request()
    fake.order("FAULT take")
    expect_equal(fake.wait_for_line("READ"), {"errno": errno.EFAULT}, "read()")
    expect_equal([child.result() for child in children], [0, 0], "results")
    lines = [line.what for line in fake.log() if line.what in ("READ", "GET_ENTRIES", "REPLACE")]
    expect_equal(lines[-3:], ["READ", "GET_ENTRIES", "REPLACE"], "what the helper did")
    works()


@test
def unreadable_replay() -> None:
    """It still comes before all that callers ask."""
    fake.fresh()
    works()
    expect_equal(replace()[0], 0, "a table in force")
    fake.forget()
    fake.order("INIT next_absent")
    fake.kill()
    fake.wait_for_line("FAULT")
    child = Child(listing)
    child.wait_for_request()
    fake.order("FAULT take")
    expect_equal(fake.wait_for_line("READ"), {"errno": errno.EFAULT}, "read()")
    expect_equal(child.result(), 0, "the caller")
    order = [line.what for line in fake.log() if line.what == "READ" or "pid" in line.fields]
    expect_equal(order, ["INIT", "READ", "REPLAY", "GET_ENTRIES"], "what the helper did")
    works()


@test
def unreadable_and_its_caller_is_killed() -> None:
    """Nobody is given it any more."""
    fake.fresh()
    works()
    fake.forget()
    fake.order("GET_INFO next_absent")
    expect_equal(get_info(), 0, "the request before")
    fake.order()
    child = Child(listing)
    fake.wait_for_line("FAULT")
    child.kill()
    expect_equal(child.result(), -signal.SIGKILL, "the caller")
    fake.order("FAULT take")
    expect_equal(fake.wait_for_line("READ"), {"errno": errno.EFAULT}, "read()")
    expect_equal([line.what for line in fake.log() if "pid" in line.fields], ["GET_INFO"], "requests that were read")
    works()


@test
def killed_while_it_reads() -> None:
    """The successor is given it."""
    fake.fresh()
    works()
    helper = fake.pid()
    fake.forget()
    fake.order("GET_INFO next_absent")
    expect_equal(get_info(), 0, "the request before")
    fake.order()
    child = Child(listing)
    fake.wait_for_line("FAULT")
    fake.kill(helper)
    expect_equal(child.result(), 0, "the caller")
    expect_equal([line.what for line in fake.log() if "pid" in line.fields],
                 ["GET_INFO", "INIT", "REPLAY", "GET_ENTRIES"], "requests that were read")
    works()


@test
def hung_while_it_reads() -> None:
    """The deadline is for the reading too."""
    fake.fresh()
    works()
    fake.forget()
    fake.parameter("deadline", 3)
    deaths.expect(1, deaths.BY_THE_MODULE)
    fake.order("GET_INFO next_absent")
    expect_equal(get_info(), 0, "the request before")
    fake.order()
    child = Child(listing)
    fake.wait_for_line("FAULT")
    expect_equal(child.result(), errno.EIO, "the caller")
    expect_equal([line.what for line in fake.log() if "pid" in line.fields], ["GET_INFO", "INIT", "REPLAY"],
                 "requests that were read")
    fake.parameter("deadline", 60)
    works()


if __name__ == "__main__":
    main(at_end=fake.back)
