#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""tests/oracle, the host's side: what is compared, what must have been met, what is kept."""

import os
import random
import sys
import tempfile
import unittest
from unittest import mock

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [f"{TREE}/tests/oracle", f"{TREE}/tests/vm"]

import answers  # noqa: E402  pylint: disable=wrong-import-position
import listener  # noqa: E402  pylint: disable=wrong-import-position
import probes  # noqa: E402  pylint: disable=wrong-import-position
import rules  # noqa: E402  pylint: disable=wrong-import-position
import shares  # noqa: E402  pylint: disable=wrong-import-position
from lib.family import BOTH  # noqa: E402  pylint: disable=wrong-import-position
from record import BEGIN, END, EVIDENCE, Record, differences  # noqa: E402  pylint: disable=wrong-import-position

RULESET = """ruleset 0
layers: IPv4, without connection tracking
rule *filter
rule :INPUT ACCEPT [0:0]
rule [0:0] -A INPUT -i in0 -j DROP
rule [7:900] -A INPUT -j user
rule COMMIT
restore: status 0
packet in0 4500 -> -
packet in0 4501 -> local
packet self 4502 -> out0,local
saved *filter
saved :INPUT ACCEPT [1:20]
saved [1:20] -A INPUT -i in0 -j DROP
saved [7:900] -A INPUT -j user
saved COMMIT
ruleset 1
flows: IPv4, without connection tracking
restore: status 1
flow tcp 10.1.0.1 20000 -> 10.9.0.1 53, 1 bytes: EINPROGRESS established accepted 1 1
flow tcp 10.1.0.1 20001 -> 10.9.0.1 53, 1 bytes: EINPROGRESS no answer nobody
flow udp 10.1.0.1 20002 -> 10.9.0.1 53, 9 bytes: 0 9 9 9 9
flow udp 10.1.0.1 20003 -> 10.9.0.1 53, 9 bytes: 0 EPERM EAGAIN EPERM EAGAIN
flow udp 10.1.0.1 20004 -> 10.9.0.1 53, 9 bytes: 0 9 ECONNREFUSED
"""


def record(evidence: str = '{"unseen": 1}') -> Record:
    found = Record.parse(f"{BEGIN}\n{RULESET}{END}\n{EVIDENCE}{evidence}\n")
    assert found
    return found


class Records(unittest.TestCase):
    def test_counts(self) -> None:
        self.assertEqual(record().count("packet "), 3)
        self.assertEqual(record().delivered(), (2, 3))
        self.assertEqual(record().delivered("layers"), (2, 3))
        self.assertEqual(record().delivered("long"), (0, 0))
        self.assertEqual(record().flows(), (2, 5))

    def test_a_rule_is_hit_if_its_counter_moved(self) -> None:
        self.assertEqual(record().hits(), (0.5, 1))

    def test_a_large_ruleset_is_no_more_than_a_small_one(self) -> None:
        small = RULESET[:RULESET.index("ruleset 1")]
        large = small.replace("ruleset 0", "ruleset 2")
        for kind in ("rule", "saved"):
            more = "".join(f"{kind} [0:0] -A INPUT -s 10.0.0.{number}/32\n" for number in range(98))
            large = large.replace(f"{kind} COMMIT", f"{more}{kind} COMMIT")
        both = Record.parse(f"{BEGIN}\n{small}{large}{END}\n{EVIDENCE}{{}}\n")
        assert both
        self.assertEqual(both.hits(), (0.5 + 1 / 100, 2))

    def test_one_that_is_not_whole_is_none(self) -> None:
        whole = f"{BEGIN}\n{RULESET}{END}\n{EVIDENCE}{{}}\n"
        for wrong in ("", RULESET, whole.replace(END, ""), whole.replace(EVIDENCE, "Traceback")):
            self.assertIsNone(Record.parse(wrong))

    def test_there_and_back(self) -> None:
        self.assertEqual(Record.parse(record().render()), record())

    def test_differences(self) -> None:
        self.assertEqual(differences(["a", "b"], ["a", "b"]), [])
        self.assertEqual(differences(["a", "b"], ["a", "c", "d"]), [("b", "c"), ("(nothing)", "d")])


def probed(*more: str) -> Record:
    """Of ten packets that came to a probe of `length`, three had it; and so on."""
    lines = ["ruleset 0", "plain: IPv4, without connection tracking"]
    for kind, counts in (("rule", (2**64 - 1, 0, 5)), ("saved", (9, 3, 5))):
        lines += [f"{kind} *filter", f"{kind} [{counts[0]}:0] -A INPUT -m comment --comment " + (
            "probe:length" if kind == "rule" else '"probe:length"'),
            f"{kind} [{counts[1]}:0] -A INPUT -m length --length 40", f"{kind} [{counts[2]}:0] -A INPUT"]
    found = Record.parse("\n".join([BEGIN, *lines, "restore: status 0", *more, END, EVIDENCE + "{}"]))
    assert found
    return found


class Probes(unittest.TestCase):
    def test_met_and_not_met(self) -> None:
        self.assertEqual(probed().probes(), {"length": (3, 7)})

    def test_not_of_what_was_changed(self) -> None:
        self.assertEqual(probed("iptables -D INPUT 1: status 0").probes(), {})
        self.assertEqual(probed("narrow counters added: OK").probes(), {})

    def test_few(self) -> None:
        name = probes.COMPILED[0]
        for hits, misses, met in ((5, 5, True), (4, 50, False), (50, 4, False)):
            usual = {one: (50, 50) for one in probes.COMPILED + probes.CALLED}
            with mock.patch.object(Record, "probes", lambda _, found=usual | {name: (hits, misses)}: found):
                share = [one for one in shares.of(record(), None, False) if "extensions" in one.name][0]
            self.assertEqual((share.met, name in share.name.split()), (met, not met))

    def test_every_extension_is_dealt(self) -> None:
        """One for each family, with and without connection tracking: four rulesets have them all."""
        dealt = set()
        for family in BOTH:
            for tracking in (False, True):
                text = rules.draw_probes(random.Random(1), set(), tracking, family).text
                dealt |= {line.partition("probe:")[2] for line in text.splitlines() if "probe:" in line}
        self.assertEqual(dealt, {*probes.COMPILED, *probes.CALLED})


class Queued(unittest.TestCase):
    def test_order(self) -> None:
        """Of one device it is as it came; of two, and of what was not sent, it does not matter."""
        one, two, other = (listener.Judged(ident, 0, 40, 1) for ident in (8, 4, 12))
        own, same = listener.Judged(0, 0, 60, 1), listener.Judged(0, 0, 50, 1)
        origins = {8: "in0", 4: "in0", 12: "in1"}
        first = listener.in_order([one, two, other, own, same], origins)
        self.assertEqual(first, listener.in_order([same, other, one, own, two], origins))
        self.assertNotEqual(first, listener.in_order([two, one, other, own, same], origins))


class Shares(unittest.TestCase):
    def test_met(self) -> None:
        self.assertTrue(shares.Share("", 5, 100, 0.05).met)
        self.assertFalse(shares.Share("", 4, 100, 0.05).met)
        self.assertFalse(shares.Share("of nothing", 0, 0, 0.0).met)

    def test_at_xdp(self) -> None:
        """Of what ours saw, and only if it was to see it."""
        def at_xdp(ours: Record | None) -> list[shares.Share]:
            return [share for share in shares.of(record(), ours, True) if "XDP" in share.name]

        self.assertEqual([(share.part, share.whole) for share in at_xdp(record())], [(1, 3)])
        self.assertFalse(at_xdp(record("{}"))[0].met)
        self.assertEqual(at_xdp(None), [])

    def test_packets_that_ip_tables_lost_are_no_evidence(self) -> None:
        self.assertEqual(len(shares.lies(record())), 1)
        self.assertEqual(shares.lies(record('{"unseen": 0}')), [])


class Answers(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        directory = mock.patch.object(answers, "DIRECTORY", scratch.name)
        directory.start()
        self.addCleanup(directory.stop)

    def test_kept(self) -> None:
        self.assertIsNone(answers.find("one"))
        answers.keep("one", record())
        self.assertEqual(answers.find("one"), record())

    def test_damaged(self) -> None:
        answers.keep("one", record())
        path = os.path.join(answers.DIRECTORY, "one.gz")
        with open(path, "rb") as file:
            half = file.read()[:50]
        with open(path, "wb") as file:
            file.write(half)
        self.assertIsNone(answers.find("one"))

    def test_what_nobody_asked_for_goes_first(self) -> None:
        def path(name: str) -> str:
            return os.path.join(answers.DIRECTORY, f"{name}.gz")

        answers.keep("first", record())
        answers.keep("second", record())
        os.utime(path("first"), (1, 1))
        os.utime(path("second"), (2, 2))
        answers.find("first")
        with mock.patch.object(answers, "LIMIT", 2 * os.stat(path("first")).st_size + 50):
            answers.keep("third", record())
        self.assertEqual(sorted(os.listdir(answers.DIRECTORY)), ["first.gz", "third.gz"])


if __name__ == "__main__":
    unittest.main()
