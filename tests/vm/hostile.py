#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a caller can do to others by way of the helper, and a helper to the kernel.

The helper is tests/kmod/fake_helper. Every test begins with the module loaded anew.
"""

import ctypes
import errno
import mmap
import socket
import struct
from typing import Callable

from lib import deaths, fake, helper
from lib.caller import Child, get_info, listing, passes, replace, works
from lib.check import expect, expect_equal, main, test, wait_for
from lib.netns import Namespace
from lib.options import SET_ADD_COUNTERS, name

LIMIT = 512 << 20  # bytes of one request
LARGE, TOO_LARGE = 200_000, 100_000  # bytes of a table, and of what a helper dies before it reads
MAP_NORESERVE = 0x4000

_libc = ctypes.CDLL(None, use_errno=True)


# Requests too large

def add_counters(count: int) -> int:
    """From a mapping of which only the first page is memory."""
    length = 40 + 16 * count
    with mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE) as memory:
        memory[:40] = name("filter") + struct.pack("=II", count, 0)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            result = _libc.setsockopt(opened.fileno(), 0, SET_ADD_COUNTERS, ctypes.c_void_p(address), length)
            return ctypes.get_errno() if result else 0


@test
def counters_without_end() -> None:
    """No memory for them, as in ip_tables; the helper does not hear of it."""
    fake.fresh()
    works()
    fake.forget()
    for count in (LIMIT // 16, (2147483640 - 40) // 16):
        expect_equal(Child(lambda: add_counters(count)).result(), errno.ENOMEM, f"{count} counters")  # pylint: disable=cell-var-from-loop
    expect_equal([line.what for line in fake.log()], [], "what the helper heard")
    expect_equal(Child(lambda: add_counters(4)).result(), 0, "four counters")


@test
def a_request_that_nobody_lives_to_read() -> None:
    """Two helpers die before they read it: it is refused, and the others go on."""
    fake.fresh()
    works()
    fake.order(f"READ crash_over {TOO_LARGE}")
    first = Child(lambda: replace(size=LARGE)[0])
    expect_equal(first.result(), errno.EIO, "the large one")
    expect_equal(len(fake.log("UNREAD")), 2, "helpers that died of it")
    expect_equal(get_info(), 0, "a small one")
    works()


@test
def a_replay_that_nobody_lives_to_read() -> None:
    fake.fresh()
    works()
    expect_equal(replace(size=LARGE)[0], 0, "a large table")
    fake.order(f"READ crash_over {TOO_LARGE}")
    fake.kill()
    fake.wait_for_line("UNREAD", 2)
    expect_equal(Child(listing).result(), 0, "a listing of a helper that is not told of the table")
    expect_equal(len(fake.log("UNREAD")), 2, "helpers that died of it")
    works()


# Helpers that were taken over

# Of struct __sk_buff.
CB, HASH, TC_CLASSID, DATA, DATA_META, MARK = 48, 68, 72, 76, 140, 8

GET_PRANDOM, VLAN_PUSH, VLAN_POP, CHANGE_PROTO, PULL_DATA, CHANGE_HEAD, ADJUST_ROOM = 7, 18, 19, 31, 39, 43, 50

HARMFUL = (*(f"calling {number}" for number in (GET_PRANDOM, VLAN_PUSH, VLAN_POP, CHANGE_PROTO, PULL_DATA,
                                                CHANGE_HEAD, ADJUST_ROOM)),
           f"calling_below {CHANGE_PROTO}", "tunnel_key", "tail_call", "extended", "typed_context",
           *(f"reading {place}" for place in (CB, HASH, TC_CLASSID, DATA, DATA_META)),
           *(f"writing {place}" for place in (CB, TC_CLASSID)),
           *(f"other_kept {number}" for number in range(4)))


@test
def programs_that_would_harm() -> None:
    """Each is refused; nothing of it is left behind."""
    fake.fresh()
    works()
    for what in HARMFUL:
        fake.order(f"REPLACE commit_{what}")
        expect_equal(replace()[0], errno.EINVAL, what)
        expect_equal(fake.log("COMMIT")[-1].fields, {"errno": errno.EINVAL}, f"commit, {what}")
    for what in (f"reading {MARK}", f"writing {MARK}"):
        fake.order(f"REPLACE commit_{what}")
        expect_equal(replace()[0], 0, what)
    helper_pid = fake.pid()
    works()
    expect_equal(fake.pid(), helper_pid, "the helper")


@test
def a_program_that_becomes_another() -> None:
    """What was looked at is what runs: once in force, no function of it is replaced (freplace)."""
    fake.fresh()
    works()
    fake.order("REPLACE commit_extended")
    expect_equal(replace()[0], errno.EINVAL, "a table whose program was extended before")
    expect_equal(fake.wait_for_line("EXTEND"), {"errno": 0}, "extending a program of the helper's own")
    fake.order("REPLACE extend_later")
    expect_equal(replace()[0], 0, "a table whose program could be extended")
    expect_equal(fake.wait_for_line("EXTEND", 2), {"errno": errno.EBUSY}, "extending a program in force")
    expect(passes(), "another function decides")
    works()


@test
def a_request_that_outlives_its_helper() -> None:
    """In the hands of a process that nobody kills: it takes no turn away from the next helper."""
    fake.fresh()
    works()
    fake.forget()
    # The next one must be up in this time, too, if we do not see the end of this one before.
    fake.parameter("deadline", 5)
    fake.order("GET_ENTRIES outlive")
    first = Child(listing)
    old = fake.wait_for_line("GET_ENTRIES")["pid"]
    fake.wait_for_line("FAULT")
    deaths.expect(1, deaths.BY_THE_MODULE)
    wait_for(lambda: old not in helper.all_alive(), "the deadline")
    fake.parameter("deadline", 60)
    fake.order("FAULT wait")
    second = Child(get_info)
    try:
        expect_equal(second.result(), 0, "GET_INFO of the next helper")
        expect_equal(replace()[0], 0, "REPLACE")
        expect(not first.is_over(), "the listing has an answer already")
    finally:
        fake.order("FAULT take")
    fake.wait_for_line("OVER")
    expect_equal(first.result(), errno.EIO, "the listing")
    works()


@test
def a_helper_that_cannot_read() -> None:
    """It reads to where it has no memory, again and again: it has hung, before the deadline."""
    fake.fresh()
    works()
    fake.forget()
    fake.parameter("deadline", 3600)
    fake.order("GET_ENTRIES next_misread")
    expect_equal(listing(), 0, "the listing before")
    old = fake.wait_for_line("GET_ENTRIES")["pid"]
    fake.order()
    deaths.expect(1, deaths.BY_THE_MODULE)
    expect_equal(Child(get_info).result(), 0, "GET_INFO, of the next helper")
    expect(fake.pid() != old, "the same helper")
    works()


# Requests refused

@test
def what_must_be_read_is_not_refused() -> None:
    """How things are is told once: no helper goes without it. What a caller waits for, or what is told again, may be."""
    fake.fresh()
    works()
    fake.forget()
    old = fake.pid()
    fake.order("READ refuse")
    fake.kill(old)
    told = [fake.wait_for_line(what)["id"] for what in ("INIT", "REPLAY")]
    expect_equal([fake.wait_for_line("REFUSE", number)["errno"] for number in (1, 2)], [errno.EINVAL] * 2,
                 "to refuse INIT, and REPLAY")
    expect(told[0] != told[1], "two requests have an id")
    fake.parameter("xdp", "off")
    fake.wait_for_line("SETTINGS")
    expect_equal(fake.wait_for_line("REFUSE", 3)["errno"], errno.EINVAL, "to refuse SETTINGS")
    namespace = Namespace("refusing")
    with namespace:
        expect_equal(get_info(), errno.ENOMEM, "GET_INFO, which may be refused")
    expect_equal(fake.wait_for_line("REFUSE", 4)["errno"], 0, "to refuse GET_INFO")
    namespace.delete()
    fake.wait_for_line("NETNS_GONE")
    expect_equal(fake.wait_for_line("REFUSE", 5)["errno"], errno.EINVAL, "to refuse NETNS_GONE")
    works()


# Namespaces

@test
def a_namespace_that_was_only_refused() -> None:
    """The helper heard of it, so it is told of its end."""
    fake.fresh()
    requests: list[Callable[[], int]] = [lambda: get_info("unknown"), lambda: add_counters(4)]
    for what in requests:
        namespace = Namespace("refused")
        fake.order(f"ADD_COUNTERS error {errno.ENOENT}")
        fake.forget()
        with namespace:
            expect_equal(what(), errno.ENOENT, "a request")
            cookie = fake.log()[-1].fields["netns"]
        namespace.delete()
        expect_equal(fake.wait_for_line("NETNS_GONE")["netns"], cookie, "the namespace that is gone")


@test
def back_to_the_real_helper() -> None:
    fake.back()


if __name__ == "__main__":
    main()
