#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""scripts/checks/lists.py: a list of matches that lies is found."""

import os
import sys
import unittest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, f"{TREE}/scripts")

from checks import lists  # noqa: E402  pylint: disable=wrong-import-position

LISTED = "/* */\nBPFILTER_MATCH(ah6)\nBPFILTER_MATCH(tcp)\nBPFILTER_TARGET(error)\n"
SOURCES = ['constexpr MatchExtension ah6_match{\n    {.name = "ah", .family = x},\n',
           'constexpr MatchExtension tcp_match{\n    {.name = "tcp",\n     .size = 5},\n']
LIMITS = "| what | which |\n| matches | `tcp`, `ah` (IPv6) | `No chain` |\n"
README = "the matches `tcp`, and IPv6's `ah hl`."


class Lists(unittest.TestCase):
    def test_what_is_compiled(self) -> None:
        self.assertEqual(lists.compiled(LISTED, SOURCES), {"ah", "tcp"})
        with self.assertRaisesRegex(ValueError, "differ by .'tcp'"):
            lists.compiled(LISTED, SOURCES[:1])
        with self.assertRaisesRegex(ValueError, "differ by .'ah6'"):
            lists.compiled(LISTED.replace("BPFILTER_MATCH(ah6)\n", ""), SOURCES)

    def test_lists_that_are_right(self) -> None:
        self.assertEqual(lists.complaints({"ah", "tcp"}, LIMITS, README), [])

    def test_one_that_is_not_named(self) -> None:
        self.assertEqual(lists.complaints({"ah", "tcp", "mark"}, LIMITS, README),
                         ["docs/limits.md: the row of matches differs by ['mark']",
                          "README.md does not name ['mark']"])

    def test_one_that_is_not_there(self) -> None:
        self.assertEqual(lists.complaints({"tcp"}, LIMITS, README),
                         ["docs/limits.md: the row of matches differs by ['ah']"])
        self.assertEqual(len(lists.complaints({"tcp"}, "", README)), 1)


if __name__ == "__main__":
    unittest.main()
