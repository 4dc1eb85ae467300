# SPDX-License-Identifier: GPL-2.0
"""Tests and expectations.

A test is a function with @test above it, run in the order of the file by main().
Each gives one line: `ok SUITE.NAME`, `not ok SUITE.NAME: why` or `skip SUITE.NAME: why`.
"""

import os
import sys
import time
import traceback
from typing import Any, Callable, TypeVar

from . import deaths
from .family import current

SLOW = 4  # seconds, behind which it is said how long a test took
# What takes longer than it is worth every time is tried as well.
LONG = bool(os.environ.get("LONG"))

_Value = TypeVar("_Value")
_tests: list[Callable[[], None]] = []


class Failure(Exception):
    """An expectation was not met."""


class Skip(Exception):
    """The test has no meaning here; the reason is printed and counted."""


def needs(path: str) -> None:
    """Skip where that is not: a program that is fetched for LONG=1 alone."""
    if not os.path.exists(path):
        raise Skip(f"there is no {path} in this guest")


def test(function: Callable[[], None]) -> Callable[[], None]:
    _tests.append(function)
    return function


def test4(function: Callable[[], None]) -> Callable[[], None]:
    """A test that says nothing new, or makes no sense, in IPv6: it is not listed there."""
    return test(function) if current().number == 4 else function


def test6(function: Callable[[], None]) -> Callable[[], None]:
    """A test for IPv6 alone."""
    return test(function) if current().number == 6 else function


def expect(condition: Any, why: str) -> None:
    if not condition:
        raise Failure(why)


def expect_equal(seen: Any, expected: Any, what: str = "value") -> None:
    if seen != expected:
        raise Failure(f"{what}: expected {expected!r}, seen {seen!r}")


def expect_in(part: Any, whole: Any, what: str = "output") -> None:
    if part not in whole:
        raise Failure(f"{what}: expected {part!r} in {whole!r}")


def wait_for(condition: Callable[[], _Value], what: str, seconds: float = 20) -> _Value:
    """Wait until condition() is true; its value. The poll is 10 ms, the limit only for hangs."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.01)


def _one_line(text: str) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines())


def _run(suite: str, function: Callable[[], None]) -> bool:
    """A helper that dies without being told to has failed the test, whatever else was seen of it."""
    name = f"{suite}.{function.__name__}"
    skipped, problems = "", []
    start = time.monotonic()
    try:
        function()
    except Skip as reason:
        skipped = str(reason)
    except Failure as why:
        problems.append(str(why))
    except Exception as why:  # a broken test is a failed test
        traceback.print_exc()
        problems.append(f"{type(why).__name__}: {why}")
    if (took := time.monotonic() - start) > SLOW:
        print(f"# {name}: {took:.1f} s", flush=True)
    problems += deaths.judge(0 if problems else 20)
    if problems:
        print(f"not ok {name}: {_one_line('; '.join(problems))}", flush=True)
    elif skipped:
        print(f"skip {name}: {_one_line(skipped)}", flush=True)
    else:
        print(f"ok {name}", flush=True)
    return not problems


def main(at_end: Callable[[], None] = lambda: None) -> None:
    """Run the tests of this file, or those named on the command line; exit with the result."""
    suite = os.path.splitext(os.path.basename(sys.argv[0]))[0] + ("6" if current().number == 6 else "")
    wanted = sys.argv[1:]
    deaths.watch()
    good = True
    for function in _tests:
        if wanted and function.__name__ not in wanted:
            continue
        good = _run(suite, function) and good
    for name in sorted(set(wanted) - {function.__name__ for function in _tests}):
        print(f"not ok {suite}.{name}: there is no such test", flush=True)
        good = False
    at_end()
    sys.stdout.flush()
    sys.exit(0 if good else 1)
