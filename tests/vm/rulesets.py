#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What real systems load (tests/rulesets): a test for each file, of the family under test.

It is loaded into a fresh namespace, saved as it is known to be, and can be deleted rule by rule.
"""

import contextlib

from lib import system
from lib.check import Failure, expect, expect_equal, main, test, wait_for
from lib.family import TABLES, current
from lib.iptables import RESTORE, must, run, save
from lib.netns import Namespace
from lib.rulesets import deletions, has_sets, names, read, rules_of

FAMILY = current()
SUFFIX = f".v{FAMILY.number}"


def first_difference(seen: list[str], expected: list[str]) -> str:
    for number, (one, other) in enumerate(zip(seen, expected), 1):
        if one != other:
            return f"line {number} is {one!r}, not {other!r}"
    return f"{len(seen)} lines, not {len(expected)}"


def accepted(text: str, *options: str) -> None:
    done = run(RESTORE, *options, stdin=text)
    expect_equal((done.status, done.errors), (0, ""), f"status and errors of a restore of {text.count(chr(10))} lines")


def more(before: dict[str, int]) -> dict[str, int]:
    """Modules of matches and targets that have more users than before."""
    return {name: count for name, count in system.users().items() if count > before.get(name, 0)}


def loads(name: str) -> None:
    before = system.users()
    space = Namespace("rules", ipv6=True)
    with space:
        if has_sets(name):
            must("ipset", "restore", stdin=read(f"{name}.ipset"))
        accepted(read(name + SUFFIX))
        saved, expected = save(table=""), read(f"ref/{name}{SUFFIX}.norm").splitlines()
        expect(saved == expected, f"saved: {first_difference(saved, expected)}")
        accepted("\n".join(saved) + "\n")
        expect_equal(save(table=""), saved, "what is saved, loaded and saved again")
        accepted(deletions(saved), "--noflush")
        for table in TABLES:
            expect_equal(rules_of(save(table=table)), [], f"left in {table}")
        if has_sets(name):
            must("ipset", "destroy")
    space.delete()
    with contextlib.suppress(Failure):
        wait_for(lambda: not more(before), "the modules' users to go", 60)
    expect_equal(more(before), {}, "modules with more users than before")


def of(name: str) -> None:
    def one() -> None:
        loads(name)
    one.__name__ = name.replace("-", "_")
    test(one)


for ruleset in names():
    of(ruleset)


if __name__ == "__main__":
    main()
