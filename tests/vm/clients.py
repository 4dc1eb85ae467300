#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Two versions of iptables (Debian 12's and, of scripts/fetch newer, 13's): each reads, saves and deletes what the
other has written. LONG=1 in the environment takes every rule set of tests/rulesets."""

import os

from lib.check import LONG, Skip, expect_equal, expect_in, main, test, test4
from lib.family import current
from lib.iptables import must
from lib.netns import Namespace
from lib.rulesets import deletions, has_sets, names, read, rules_of

FAMILY = current()
NEWER = "/usr/lib/bpfilter-tests/iptables-newer"
CHOSEN = names() if LONG else ["misc-targets" if FAMILY.number == 4 else "ufw"]
NUMBER = "" if FAMILY.number == 4 else "6"

OLD: tuple[str, ...] = ("xtables-legacy-multi",)
NEW: tuple[str, ...] = ("env", f"XTABLES_LIBDIR={NEWER}/xtables", f"{NEWER}/lib/ld-linux-x86-64.so.2", "--library-path",
                        f"{NEWER}/lib", f"{NEWER}/xtables-legacy-multi")


def call(client: tuple[str, ...], command: str, *words: str, stdin: str = "") -> list[str]:
    text = must(*client, f"ip{NUMBER}tables{command}", *words, stdin=stdin)
    return [line for line in text.splitlines() if not line.startswith("#")]


def passed_on(name: str, one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Written by the one, saved and written anew by the other, which deletes it rule by rule."""
    space = Namespace("clients", ipv6=True)
    with space:
        if has_sets(name):
            must("ipset", "restore", stdin=read(f"{name}.ipset"))
        call(one, "-restore", stdin=read(f"{name}.v{FAMILY.number}"))
        first = call(one, "-save", "-c")
        text = call(other, "-save", "-c")
        expect_equal(len(text), len(first), "lines saved by the other")
        call(other, "-restore", "-c", stdin="\n".join(text) + "\n")
        expect_equal(sorted(call(one, "-save", "-c")), sorted(first), "what the one reads of it")
        call(other, "-restore", "--noflush", stdin=deletions(text))
        expect_equal(rules_of(call(one, "-save")), [], "left")
    space.delete()


def of(name: str) -> None:
    def one() -> None:
        if not os.path.isdir(NEWER):
            raise Skip(f"{NEWER} is not in this guest")
        passed_on(name, OLD, NEW)
        passed_on(name, NEW, OLD)
    one.__name__ = name.replace("-", "_")
    test(one)


@test4
def versions() -> None:
    """They are two."""
    if not os.path.isdir(NEWER):
        raise Skip(f"{NEWER} is not in this guest")
    expect_in("v1.8.9", call(OLD, "", "--version")[0])
    expect_in("v1.8.11", call(NEW, "", "--version")[0])


def others() -> None:
    raise Skip(f"{len(names()) - len(CHOSEN)} more rule sets take long: LONG=1 in the environment")


for ruleset in CHOSEN:
    of(ruleset)
if not LONG:
    test(others)


if __name__ == "__main__":
    main()
