#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""scripts/check: how outputs are counted, and steps run."""

import contextlib
import io
import os
import sys
import tempfile
import threading
import unittest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, f"{TREE}/scripts")

from checks import counts, rounds, steps  # noqa: E402  pylint: disable=wrong-import-position
from checks.counts import Count  # noqa: E402  pylint: disable=wrong-import-position

SUITE = """# 6.1.0-1-amd64, bpfilter
ok netns.first
not ok netns.second: expected 1, seen 2
skip netns.third: no such thing here
what a test printed: ok then
ok netns.fourth
"""
GTEST = """[ RUN      ] A.b
[       OK ] A.b (3 ms)
[ RUN      ] A.c/0
[  FAILED  ] A.c/0, where GetParam() = 0 (2 ms)
[ RUN      ] A.d
[  SKIPPED ] A.d (0 ms)
"""


class Counts(unittest.TestCase):
    def test_a_suite_that_came_to_its_end(self) -> None:
        end = SUITE + "2 passed, 1 failed, 1 skipped\n"
        self.assertEqual(counts.guest(end, 1), Count(2, 1, 1))

    def test_a_kernel_that_complained_is_a_failure_more(self) -> None:
        end = SUITE + "2 passed, 1 failed, 1 skipped\n"
        self.assertEqual(counts.guest(end, counts.MACHINE_FAILED), Count(2, 2, 1))

    def test_a_guest_that_died_keeps_its_results(self) -> None:
        self.assertEqual(counts.guest(SUITE, counts.MACHINE_FAILED), Count(2, 2, 1))
        self.assertEqual(counts.guest("", counts.MACHINE_FAILED), Count(0, 1, 0))

    def test_gtest(self) -> None:
        end = GTEST + "[  PASSED  ] 1 test.\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] A.c/0\n"
        self.assertEqual(counts.gtest(end, 1), Count(1, 1, 1))
        self.assertEqual(counts.gtest(GTEST, counts.MACHINE_FAILED), Count(1, 2, 1))

    def test_ctest(self) -> None:
        output = "1/3 Test #1: a ...***Skipped\n67% tests passed, 1 tests failed out of 3\n"
        self.assertEqual(counts.ctest(output, 8), Count(1, 1, 1))
        self.assertEqual(counts.ctest("no such directory\n", 1), Count())

    def test_summary(self) -> None:
        self.assertEqual(counts.summary("lint: 7 passed, 2 failed (a b)\n", 1), Count(7, 2))

    def test_unittest(self) -> None:
        output = "Ran 5 tests in 1s\n\nFAILED (failures=1, errors=1, skipped=1)\nRan 2 tests in 1s\n\nOK\nok a.b\n"
        self.assertEqual(counts.unittests(output, 1), Count(5, 2, 1))


def shell(name: str, command: str, count: counts.Counter = counts.whole, after: tuple[str, ...] = ()) -> steps.Step:
    return steps.Step(name, ["sh", "-c", command], count, after)


class Steps(unittest.TestCase):
    def run_tracks(self, *tracks: list[steps.Step]) -> dict[str, steps.Result]:
        self.output = io.StringIO()
        with contextlib.redirect_stdout(self.output):
            results = steps.run_tracks([steps.Track(str(number), track) for number, track in enumerate(tracks)])
        return {result.step: result for result in results}

    def test_a_failure_that_was_not_counted_counts(self) -> None:
        results = self.run_tracks([shell("a", "echo 3 passed, 0 failed; exit 1", counts.summary),
                                   shell("b", "exit 1"), shell("c", "echo 3 passed, 1 failed", counts.summary)])
        self.assertEqual([results[name].count for name in "abc"], [Count(3, 1), Count(0, 1), Count(3, 1)])

    def test_nothing_counted_is_a_failure(self) -> None:
        self.assertEqual(self.run_tracks([shell("a", "true", counts.summary)])["a"].count, Count(0, 1))

    def test_a_step_that_cannot_start_fails_with_those_behind_it(self) -> None:
        self.addCleanup(setattr, threading, "excepthook", threading.excepthook)
        setattr(threading, "excepthook", lambda _: None)  # it is no news here
        results = self.run_tracks([steps.Step("a", ["/nonexistent"]), shell("b", "true")],
                                  [shell("c", "true", after=("b",))])
        self.assertEqual([results[name].count for name in "abc"], [Count(0, 1), Count(0, 1), Count(1, 0)])

    def test_a_step_waits_for_those_it_names(self) -> None:
        self.run_tracks([shell("slow", "sleep 0.2; echo first")], [shell("quick", "echo second", after=("slow",))])
        output = self.output.getvalue()
        self.assertLess(output.index("0| first"), output.index("1| ==== quick"))

    def test_what_was_known_is_said(self) -> None:
        known = self.run_tracks([shell("a", f"echo '{steps.UNCHANGED}: a'; echo 3 passed, 0 failed",
                                       counts.summary)])["a"]
        self.assertEqual((known.count, known.unchanged), (Count(3, 0), True))
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertEqual(steps.report([known, steps.Result("b", Count(1, 0))]), 0)
        self.assertEqual(output.getvalue().splitlines()[-2:],
                         ["3 of these passed before with the same content (docs/testing.md)", "4 passed, 0 failed"])

    def test_the_summary_names_what_failed(self) -> None:
        said = "ok a.good; not ok a.bad: why; [  FAILED  ] B.Bad; [  FAILED  ] B.Bad (3 ms); 1 passed, 2 failed"
        failed = self.run_tracks([shell("a", f"printf '{said}' | sed 's/; /\\n/g'", counts.summary)])["a"]
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertEqual(steps.report([failed]), 1)
        self.assertEqual(output.getvalue().splitlines()[-3:],
                         ["FAILED a: 1 passed, 2 failed", "         a.bad B.Bad", "1 passed, 2 failed"])


class Rounds(unittest.TestCase):
    """With a suite that fails in every other round, and whose guest dies in the third."""

    def test_the_table(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        suite = f"""cd {scratch.name}; echo >>rounds; n=$(wc -l <rounds); echo ok a.good
            [ $n != 3 ] || exit {counts.MACHINE_FAILED}
            if [ $n = 2 ]; then echo 'not ok a.bad: why'; echo 1 passed, 1 failed; exit 1; fi
            echo ok a.bad; echo 2 passed, 0 failed"""
        one = rounds.Rounds("6.1", 4, shell("suite", suite, counts.guest), scratch.name)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            one.run()
            rounds.table([one])
        self.assertEqual((one.good, dict(one.failures)), (2, {"a.bad": 1, rounds.MACHINE: 1}))
        self.assertIn("    not ok a.bad: why\n", output.getvalue())
        table = [line.split() for line in output.getvalue().splitlines()[-4:]]
        self.assertEqual(table, [["4", "rounds", "of", "each"], ["1", "(the", "machine)"], ["1", "a.bad"],
                                 ["2", "rounds", "in", "which", "anything", "failed"]])


if __name__ == "__main__":
    unittest.main()
