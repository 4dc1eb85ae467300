# SPDX-License-Identifier: GPL-2.0
"""Fault injection: the nth thing in a task that may fail for want of memory, or of a page of its
caller's, fails. It needs a kernel with /proc/self/fail-nth, as the debug kernel is.

A walk lets each of them fail once, in turn, until a call was made in which nothing failed any more.
"""

import contextlib
import ctypes
import errno
import gc
import os
import re
from typing import Any, Callable, Iterator, NamedTuple

from .check import Failure, Skip, expect, expect_equal

OWN = "/proc/thread-self/fail-nth"
DEBUG = "/sys/kernel/debug"
# Everything counts, and says so with the way that led there.
SETTINGS = {"failslab/ignore-gfp-wait": "N", "failslab/cache-filter": "N", "failslab/verbose": "2",
            "fail_page_alloc/ignore-gfp-wait": "N", "fail_page_alloc/ignore-gfp-highmem": "N",
            "fail_page_alloc/min-order": "0", "fail_page_alloc/verbose": "2", "fail_usercopy/verbose": "2"}
MOST = 3000  # of one call: more is a walk without an end
_MCL_CURRENT, _MCL_FUTURE = 1, 2

libc = ctypes.CDLL(None, use_errno=True)


def need() -> None:
    if not os.path.exists(OWN):
        raise Skip("this kernel injects no faults; the debug kernel does")
    for path, value in SETTINGS.items():
        with open(f"{DEBUG}/{path}", "w", encoding="ascii") as file:
            file.write(value)
    with open("/proc/sys/kernel/printk", "w", encoding="ascii") as file:
        file.write("1")  # not to the console, which is slow
    # A page that we ourselves touch for the first time would count.
    libc.mlockall(_MCL_CURRENT | _MCL_FUTURE)


class Call:
    """A function of libc with its arguments, made ready, so that nothing but the call fails."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._function, self._arguments = function, arguments

    def __call__(self) -> str:
        """OK, or the name of its errno."""
        return "OK" if self._function(*self._arguments) >= 0 else errno.errorcode[ctypes.get_errno()]


class Fault(NamedTuple):
    nth: int
    answer: str
    modules: frozenset[str]  # that had a part in it; nothing is known of allocations that may fail in silence

    def __str__(self) -> str:
        return f"failure {self.nth} in {' '.join(sorted(self.modules)) or '?'}: {self.answer}"


class _Log:
    """What the kernel says from now on."""

    def __init__(self) -> None:
        self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._file, 0, os.SEEK_END)

    def news(self) -> Iterator[str]:
        while True:
            try:
                yield os.read(self._file, 8192).decode(errors="replace")
            except BlockingIOError:
                return
            except BrokenPipeError:
                continue

    def modules(self) -> frozenset[str]:
        text = "".join(self.news())
        expect(text.count("FAULT_INJECTION: ") <= 1, "more than one thing failed")
        # What has a question mark was on the stack, but is not of this way.
        return frozenset(re.findall(r"^[^?\n]* \[(\w+)\]$", text, re.MULTILINE))

    def close(self) -> None:
        os.close(self._file)


Attempt = Callable[[int], tuple[str, bool]]  # with the nth failing; its answer, and whether it came to that


def of_this_task(call: Callable[[], str]) -> Attempt:
    def attempt(nth: int) -> tuple[str, bool]:
        fd = os.open(OWN, os.O_RDWR)
        gc.disable()
        try:
            os.pwrite(fd, b"%d" % nth, 0)
            answer = call()
            left = 1
            with contextlib.suppress(OSError):  # to read it was what failed
                left = int(os.pread(fd, 16, 0))
            with contextlib.suppress(OSError):
                os.pwrite(fd, b"0", 0)
        finally:
            gc.enable()
            os.close(fd)
        return answer, left == 0
    return attempt


def of_another_task(pid: int, call: Callable[[], str]) -> Attempt:
    """That sleeps now, and does its part of the call. It may die of it."""
    def attempt(nth: int) -> tuple[str, bool]:
        fd = os.open(f"/proc/{pid}/task/{pid}/fail-nth", os.O_RDWR)
        try:
            os.pwrite(fd, b"%d" % nth, 0)
            answer = call()
            try:
                injected = int(os.pread(fd, 16, 0)) == 0
                os.pwrite(fd, b"0", 0)
            except ProcessLookupError:
                injected = True
        finally:
            os.close(fd)
        return answer, injected
    return attempt


def one(attempt: Attempt, nth: int) -> Fault | None:
    """None if so many things can't fail."""
    log = _Log()
    try:
        answer, injected = attempt(nth)
        modules = log.modules()
    finally:
        log.close()
    if not injected:
        expect_equal(answer, "OK", f"the call, when nothing fails (nth {nth})")
        return None
    return Fault(nth, answer, modules)


def walk(attempt: Attempt, what: str, module: str) -> Iterator[Fault]:
    """Each once."""
    faults: list[Fault] = []
    for nth in range(1, MOST):
        fault = one(attempt, nth)
        if not fault:
            break
        faults.append(fault)
        yield fault
    else:
        raise Failure(f"{what}: no end after {MOST} failures")
    _say(faults, what, module)


def walk_within(attempt: Attempt, what: str, module: str, stride: int = 10) -> Iterator[Fault]:
    """Each that the module has a part in, of a call that does much else; no more than `stride` that it
    has no part in are between two of these."""
    nth = 1
    while fault := one(attempt, nth):
        yield fault  # what succeeded all the same is to be undone before the next
        if module in fault.modules:
            break
        nth += stride
    else:
        yield Fault(nth, "OK", frozenset())  # all of it was between the last two, and it succeeded
    nth = max(1, nth - stride)
    faults: list[Fault] = []
    last = 0
    while fault := one(attempt, nth):
        faults.append(fault)
        yield fault
        if module in fault.modules:
            last = nth
        elif last and nth > last + stride:
            break
        nth += 1
    expect(last, f"{what}: nothing could fail in {module}")
    _say(faults, what, module)


def _say(faults: list[Fault], what: str, module: str) -> None:
    answers = [fault.answer for fault in faults]
    counts = ", ".join(f"{answers.count(answer)} {answer}" for answer in sorted(set(answers)))
    within = sum(module in fault.modules for fault in faults)
    print(f"# {what}: {len(faults)} failures, {within} of them seen in {module}: {counts}", flush=True)
