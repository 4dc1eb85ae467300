#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""python-iptables, which uses libiptc and iptables' extensions by itself: rules made, read, counted and deleted."""

from importlib import import_module
from typing import Any

from lib import iptables
from lib.check import expect, expect_equal, main, needs, test
from lib.family import current
from lib.hosts import Host
from lib.iptables import must

FAMILY = current()
host = Host("host")


def library() -> Any:
    needs("/usr/lib/python3/dist-packages/iptc")
    return import_module("iptc")


def rules() -> list[str]:
    with host:
        return [line for line in iptables.save(options="") if line.startswith("-A")]


# What a rule is for python-iptables, and what is listed of it; each is deleted by what it says.
RULES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"protocol": "tcp", "tcp": {"dport": "22"}, "target": "ACCEPT"}, "-p tcp -m tcp --dport 22 -j ACCEPT"),
    ({"comment": {"comment": "of iptc"}, "target": "DROP"}, '-m comment --comment "of iptc" -j DROP'),
    ({"limit": {"limit": "3/sec", "limit-burst": "7"}, "target": {"LOG": {"log-prefix": "probe"}}},
     "-m limit --limit 3/sec --limit-burst 7 -j LOG --log-prefix probe"),
    ({"conntrack": {"ctstate": "RELATED,ESTABLISHED"}, "target": "ACCEPT"},
     "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
    ({"protocol": "udp", "udp": {"sport": "53"}, "mark": {"mark": "0x5/0xff"}, "target": "DROP"},
     "-p udp -m udp --sport 53 -m mark --mark 0x5/0xff -j DROP"),
)


@test
def made_read_and_deleted() -> None:
    iptc = library()
    with host:
        for content, text in RULES:
            iptc.easy.insert_rule("filter", "INPUT", content, ipv6=FAMILY.number == 6)
            expect_equal(rules(), [f"-A INPUT {text}"], "what iptables lists")
            expect(iptc.easy.has_rule("filter", "INPUT", content, ipv6=FAMILY.number == 6), f"{text} is not found")
            iptc.easy.delete_rule("filter", "INPUT", content, ipv6=FAMILY.number == 6)
            expect_equal(rules(), [], f"rules after deleting {text}")


@test
def of_iptables() -> None:
    """What iptables has made it reads and deletes, and the other way round."""
    iptc = library()
    with host:
        for content, text in RULES:
            iptc.easy.insert_rule("filter", "INPUT", content, ipv6=FAMILY.number == 6)
        whole = must(iptables.SAVE)
        must(iptables.RESTORE, stdin=whole)
        dumped = iptc.easy.dump_chain("filter", "INPUT", ipv6=FAMILY.number == 6)
        expect_equal([rule.get("protocol") for rule in dumped], ["udp", None, None, None, "tcp"], "protocols of rules")
        for content, _ in RULES:
            iptc.easy.delete_rule("filter", "INPUT", content, ipv6=FAMILY.number == 6)
    expect_equal(rules(), [], "rules")


if __name__ == "__main__":
    main()
