#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The commands iptables-save and iptables-restore: what they print, and what they change.

For IPv6 those whose way through the socket options or through our tables is another.
"""

from lib import iptables as tables
from lib.check import expect_equal, expect_in, main, test, test4
from lib.family import current
from lib.iptables import RESTORE, SAVE, Counter, Counters, iptables, must, rules, run
from lib.netns import CLONE_NEWNET, unshare

unshare(CLONE_NEWNET)
FAMILY = current()
empty = tables.restore


@test
def save_format() -> None:
    empty("-A INPUT -s 192.0.2.1 -j DROP", "-A user -j ACCEPT")
    iptables("-P FORWARD DROP")
    expect_equal([line for line in must(SAVE).splitlines() if not line.startswith("#")],
                 ["*filter", ":INPUT ACCEPT [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]",
                  ":user - [0:0]", FAMILY.text("-A INPUT -s 192.0.2.1/32 -j DROP"), "-A user -j ACCEPT", "COMMIT"],
                 "save")
    expect_in(FAMILY.text("[0:0] -A INPUT -s 192.0.2.1/32 -j DROP"), must(SAVE, "-c"), "save -c")


@test4
def restore_replaces_all() -> None:
    empty("-A INPUT -j DROP", "-A old -j DROP")
    empty("-A FORWARD -j new", "-A new -j ACCEPT")
    expect_equal(tables.save("")[1:],
                 [":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", ":new - [0:0]",
                  "-A FORWARD -j new", "-A new -j ACCEPT", "COMMIT"], "after")


@test
def restore_without_flush() -> None:
    empty()
    iptables("-A INPUT -s 192.0.2.1 -c 5 50 -j DROP")
    must(RESTORE, "-n", stdin="*filter\n:added - [0:0]\n-A INPUT -j added\n-A added -j RETURN\nCOMMIT\n")
    expect_equal(rules("INPUT"), [FAMILY.text("-s 192.0.2.1/32 -j DROP"), "-j added"], "rules")
    expect_equal(Counters().rules["INPUT"], [Counter(5, 50), Counter(0, 0)], "counters kept")


@test
def restore_with_counters() -> None:
    text = FAMILY.text(
        "*filter\n:INPUT DROP [1:2]\n:FORWARD ACCEPT [3:4]\n:OUTPUT ACCEPT [5:6]\n:user - [0:0]\n"
        "[7:8] -A INPUT -s 192.0.2.1/32 -j DROP\n[9:10] -A INPUT -j user\n"
        "[1152921504606846976:18446744073709551615] -A user -j RETURN\nCOMMIT\n")
    must(RESTORE, "-c", stdin=text)
    expect_equal("\n".join(tables.save()) + "\n", text, "save -c")
    must(RESTORE, stdin=text)
    expect_equal(sum(counter.packets for chain in Counters().rules.values() for counter in chain), 0,
                 "without -c they are zero")


@test4
def restore_of_nothing_flushes() -> None:
    empty("-A INPUT -j DROP")
    must(RESTORE, stdin="*filter\nCOMMIT\n")
    expect_equal(rules("INPUT"), [], "rules")


@test
def restore_with_an_error_changes_nothing() -> None:
    empty("-A INPUT -s 192.0.2.1 -j DROP")
    before = tables.save()
    for wrong, status in (("-A INPUT -j nowhere", 2), ("-A INPUT -m tcp --dport 1 -j DROP", 1),
                          ("-D INPUT 5", 1)):
        done = run(RESTORE, stdin=f"*filter\n-A FORWARD -j DROP\n{wrong}\nCOMMIT\n")
        expect_equal(done.status, status, f"status of a restore of {wrong}")
        expect_equal(tables.save(), before, f"rules after a restore of {wrong}")


@test4
def restore_two_thousand_rules() -> None:
    lines = [f"-A FORWARD -s 10.{n // 250}.{n % 250}.0/24 -p tcp -m tcp --dport {n + 1} -j "
             + ("DROP" if n % 3 else "user") for n in range(2000)]
    empty(*lines, "-A user -j RETURN")
    expect_equal(rules("FORWARD"), [line[len("-A FORWARD "):] for line in lines], "rules")
    iptables("-I FORWARD 1000 -j ACCEPT")
    iptables("-D FORWARD 1001")
    expect_equal(len(rules("FORWARD")), 2000, "rules after -I and -D")
    empty()


@test4
def test_option_changes_nothing() -> None:
    empty("-A INPUT -j DROP")
    must(RESTORE, "--test", stdin="*filter\n-A FORWARD -j DROP\nCOMMIT\n")
    expect_equal((rules("INPUT"), rules("FORWARD")), (["-j DROP"], []), "rules")


if __name__ == "__main__":
    main()
