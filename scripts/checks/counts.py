# SPDX-License-Identifier: GPL-2.0
"""How many tests passed, failed and were skipped, read from the output of what ran them."""

import re
from typing import Callable, Iterable, NamedTuple


class Count(NamedTuple):
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def total(counts: Iterable[Count]) -> Count:
    sums = [sum(column) for column in zip(*counts)]
    return Count(*sums)


# From an output and the status of the command that wrote it. What failed without being counted
# (a step that ends badly) is not its business: see steps.run().
Counter = Callable[[str, int], Count]

# scripts/vm's status when the machine failed, not the command.
MACHINE_FAILED = 125

SUMMARY = re.compile(r"^(?:\w+: )?(?P<passed>\d+) passed, (?P<failed>\d+) failed(?:, (?P<skipped>\d+) skipped)?",
                     re.MULTILINE)


def occurrences(pattern: str, output: str) -> int:
    return len(re.findall(pattern, output, re.MULTILINE))


def last_summary(output: str) -> Count | None:
    found = list(SUMMARY.finditer(output))
    return Count(*(int(number or 0) for number in found[-1].groups())) if found else None


def whole(_: str, status: int) -> Count:
    """A step that has no count of its own is one test, passed if its status says so."""
    return Count(failed=1) if status else Count(passed=1)


def summary(output: str, _: int) -> Count:
    """The last line `N passed, N failed, N skipped`."""
    return last_summary(output) or Count()


def results(output: str) -> Count:
    """Lines of tests: `ok NAME`, `not ok NAME: why`, `skip NAME: why`."""
    return Count(occurrences(r"^ok \S+", output), occurrences(r"^not ok \S+", output),
                 occurrences(r"^skip \S+: \S", output))


def guest(output: str, status: int) -> Count:
    """The VM suite. What it counted itself; of a guest that died before, the tests that came to
    an end. That a machine died, or that its kernel complained, is one failure more."""
    count = last_summary(output) or results(output)
    if status == MACHINE_FAILED or not last_summary(output):
        count = count._replace(failed=count.failed + 1)
    return count


def gtest(output: str, status: int) -> Count:
    """By its lines, for the same reason."""
    def lines(word: str) -> int:
        return occurrences(rf"^\[{word}\] \S+.* \(\d+ ms\)$", output)
    return Count(lines("       OK "), lines("  FAILED  ") + (status == MACHINE_FAILED), lines("  SKIPPED "))


def ctest(output: str, _: int) -> Count:
    found = re.search(r"^\d+% tests passed, (\d+) tests failed out of (\d+)", output, re.MULTILINE)
    if not found:
        return Count()
    skipped = occurrences(r"\*\*\*Skipped", output)
    failed, every = map(int, found.groups())
    return Count(every - failed - skipped, failed, skipped)


def unittests(output: str, _: int) -> Count:
    """Python's unittest, several runs of it, and lines of tests besides."""
    ran = sum(map(int, re.findall(r"^Ran (\d+) tests?", output, re.MULTILINE)))

    def sum_of(word: str) -> int:
        return sum(map(int, re.findall(rf"^(?:OK|FAILED) \(.*\b{word}=(\d+)", output, re.MULTILINE)))

    failed, skipped = sum_of("failures") + sum_of("errors"), sum_of("skipped")
    return total([results(output), Count(max(0, ran - failed - skipped), failed, skipped)])
