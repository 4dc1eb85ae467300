#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Replies that are wrong, errors that helpers may not give, and threads of one that are in each other's way."""

import errno
import time

from lib import deaths, fake, system
from lib.caller import SIZE, Child, get_entries, get_info, listing, works
from lib.check import expect, expect_equal, main, test

BURST, INTERVAL = 10, 5  # of rate-limited messages: so many in so many seconds


@test
def malformed_replies() -> None:
    fake.fresh()
    works()
    helper = fake.pid()
    for number in range(7):
        fake.forget()
        fake.order(f"GET_ENTRIES malformed {number}")
        expect_equal(listing(), errno.EIO, f"malformed {number}")
        expect_equal(fake.wait_for_line("write"), {"errno": errno.EINVAL}, f"write, malformed {number}")
    works()
    expect_equal(fake.pid(), helper, "the helper")


@test
def wrong_lengths() -> None:
    fake.fresh()
    works()
    for what in ("long", "empty"):
        fake.order(f"GET_INFO {what}", f"GET_ENTRIES {what}")
        expect_equal(get_info(), errno.EIO, f"GET_INFO {what}")
        expect_equal(get_entries()[0], errno.EIO, f"GET_ENTRIES {what}")
    works()


@test
def noise() -> None:
    """What is no reply does no harm, and the pipe is no other kind of file."""
    fake.fresh()
    fake.order("GET_INFO noise")
    expect_equal(get_info(), 0, "GET_INFO")
    expect_equal([line.fields["errno"] for line in fake.log("write")],
                 [errno.EINVAL, errno.ENOENT, errno.EFAULT, errno.EFAULT], "writes")
    expect_equal(fake.wait_for_line("ioctl"), {"errno": errno.ENOTTY}, "ioctl")
    expect_equal(fake.wait_for_line("lseek"), {"errno": errno.ESPIPE}, "lseek")
    expect_equal(fake.wait_for_line("idle"), {"length": 0, "in": 0, "out": 1, "errno": errno.EAGAIN},
                 "FIONREAD, poll() and read() with O_NONBLOCK of an empty queue")


@test
def errors() -> None:
    fake.fresh()
    works()
    for number in (errno.ECHILD, errno.EPIPE, errno.ENOPROTOOPT, 512, 517, 4095):
        fake.order(f"GET_INFO error {number}")
        expect_equal(get_info(), errno.EIO, f"error {number}")
    for number in (errno.EPERM, errno.ENOENT, errno.EAGAIN, errno.ENOMEM, errno.EPROTONOSUPPORT, errno.ELOOP):
        fake.order(f"GET_INFO error {number}")
        expect_equal(get_info(), number, f"error {number}")


@test
def messages() -> None:
    """In the kernel log, without what is no text, and only so many."""
    fake.fresh()
    works()
    fake.order(f"GET_ENTRIES error {errno.EINVAL}")
    old = system.kernel_log()
    start = time.monotonic()
    sent = allowed = 0
    while sent < allowed + 2 * BURST:
        expect(sent < 100 * BURST, "this machine is so slow that no limit shows")
        expect_equal(listing(), errno.EINVAL, "GET_ENTRIES")
        sent += 1
        allowed = BURST * (1 + int((time.monotonic() - start) / INTERVAL))
    new = [line for line in system.kernel_log()[len(old):] if "as ordered" in line]
    expect_equal(new[0], "bpfilter: as ordered,??? with control characters", "message")
    expect(len(new) <= allowed, f"{len(new)} messages of {sent}: no limit")


# Threads

@test
def two_threads_with_one_id() -> None:
    """While one gives the reply, the other can do nothing with it."""
    fake.fresh()
    works()
    fake.order("GET_ENTRIES reply_absent")
    child = Child(lambda: int(get_entries() != (0, bytes(SIZE))))
    beside = [fake.wait_for_line("BESIDE", number)["errno"] for number in range(1, 10)]
    expect_equal(beside, [errno.EBUSY] * 9, "write() and ioctl()s")
    fake.order("FAULT give")
    expect_equal(child.result(), 0, "what the caller was given")
    works()


@test
def a_reply_that_cannot_be_read() -> None:
    """The request is still the helper's to answer."""
    fake.fresh()
    works()
    fake.forget()
    fake.order("GET_ENTRIES reply_absent")
    child = Child(lambda: int(get_entries() != (0, b"e" * SIZE)))
    fake.wait_for_line("FAULT")
    fake.order("FAULT take")
    expect_equal(child.result(), 0, "what the caller was given")
    expect_equal([line.fields for line in fake.log("write")], [{"errno": errno.EFAULT}], "the first write()")
    works()


@test
def a_reply_whose_caller_is_killed() -> None:
    """It is dropped, and the helper goes on."""
    fake.fresh()
    works()
    helper = fake.pid()
    fake.order("GET_ENTRIES reply_absent")
    child = Child(listing)
    fake.wait_for_line("FAULT")
    child.kill()
    child.result()
    fake.order("FAULT give")
    expect_equal(fake.log("write"), [], "writes that failed")
    expect_equal(fake.pid(), helper, "the helper")
    works()


@test
def a_reply_that_takes_too_long() -> None:
    """A helper that is killed inside write() has not answered."""
    fake.fresh()
    works()
    fake.parameter("deadline", 3)
    fake.order("GET_ENTRIES reply_absent")
    deaths.expect(1, deaths.BY_THE_MODULE)
    child = Child(listing)
    fake.wait_for_line("FAULT")
    expect_equal(child.result(), errno.EIO, "the caller")
    fake.parameter("deadline", 60)
    works()


if __name__ == "__main__":
    main(at_end=fake.back)
