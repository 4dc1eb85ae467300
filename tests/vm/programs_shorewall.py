#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""shorewall asks a kernel for its capabilities by making some hundred rules: what it finds is what it finds with
ip_tables in the same guest, line by line."""

from lib import system
from lib.check import expect, expect_equal, main, needs, test
from lib.family import BOTH, Family
from lib.iptables import must
from lib.netns import Namespace
from lib.stock import ip_tables_instead


def capabilities(family: Family) -> list[str]:
    program = "shorewall" if family.number == 4 else "shorewall6"
    needs(f"/usr/sbin/{program}")
    with open("/var/log/messages", "a", encoding="ascii"):
        pass  # that of a syslog, without which it does nothing
    space = Namespace("shorewall", ipv6=True)
    with space:
        text = must(program, "show", "-f", "capabilities")
    space.delete()
    return [line for line in text.splitlines() if "=" in line and not line.startswith("#")]


@test
def the_same_capabilities() -> None:
    here = {family.number: capabilities(family) for family in BOTH}
    for number, lines in here.items():
        expect(len(lines) > 80 and sum(line.endswith("=Yes") for line in lines) > 40,
               f"IPv{number}: {len(lines)} lines: {lines}")
    if system.name() == system.OURS:
        with ip_tables_instead():
            there = {family.number: capabilities(family) for family in BOTH}
        for number, lines in here.items():
            expect_equal(sorted(set(lines) ^ set(there[number])), [], f"lines that differ, IPv{number}")


if __name__ == "__main__":
    main()
