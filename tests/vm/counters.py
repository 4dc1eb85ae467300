#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Counters: exact under traffic, from everywhere at once, and kept when rules change."""

import os
import socket

from lib import iptables as tables
from lib.check import expect, expect_equal, main, test, test4, wait_for
from lib.family import current
from lib.iptables import Counter, Counters, iptables, must
from lib.pair import PORT, SERVER, Pair

pair = Pair()
SIZE = current().header + 8  # of a datagram without data


def of(packets: int) -> Counter:
    """That many of them."""
    return Counter(packets, packets * SIZE)


def counters() -> Counters:
    with pair.server:
        return Counters()


def do(arguments: str) -> None:
    with pair.server:
        iptables(arguments)


def rules(*lines: str) -> None:
    with pair.server:
        tables.restore(*lines)


@test
def exact_counts() -> None:
    rules("-A INPUT -p udp", "-A INPUT -p tcp", f"-A INPUT -p udp --dport {PORT} -j ACCEPT")
    total = Counter(0, 0)
    for count, size in ((1, 0), (10, 1), (100, 1000), (7, 1500 - SIZE)):
        expect_equal(pair.send(count, b"x" * size), count, "delivered")
        total += Counter(count, count * (SIZE + size))
        seen = counters()
        expect_equal(seen.rules["INPUT"], [total, Counter(0, 0), total], f"after {count} x {size}")
        expect_equal(seen.policy["INPUT"], Counter(0, 0), "policy")


@test4
def reading_changes_nothing() -> None:
    rules("-A INPUT -p udp")
    pair.send(5)
    first = counters().rules
    for _ in range(3):
        with pair.server:
            must(tables.IPTABLES, "-L", "-v", "-n")
    expect_equal(counters().rules, first, "counters")


@test
def counters_survive_changes() -> None:
    """Every change replaces the whole table; what stays must keep its counts."""
    rules("-A INPUT -p udp", "-A INPUT -p udp -j user", "-A user -p udp")
    pair.send(3)
    do("-I INPUT 1 -s 198.51.100.1 -j DROP")
    pair.send(4)
    do("-A INPUT -p udp -j ACCEPT")
    pair.send(5)
    do("-D INPUT 1")
    do("-N another")
    do("-A another -j user")  # sorted before "user"
    do("-P FORWARD DROP")
    pair.send(6)
    seen = counters()
    expect_equal(seen.rules["INPUT"], [of(18)] * 2 + [of(11)], "INPUT")
    expect_equal(seen.rules["user"], [of(18)], "user")
    # iptables itself restarts policies with every change.
    expect_equal(seen.policy["INPUT"], Counter(0, 0), "policy")


@test4
def replaced_rule_starts_at_zero() -> None:
    rules("-A INPUT -p udp", "-A INPUT -p udp")
    pair.send(2)
    do("-R INPUT 1 -p udp")
    pair.send(1)
    expect_equal(counters().rules["INPUT"], [of(1), of(3)], "counters")


@test
def zero_under_traffic() -> None:
    rules("-A INPUT -p udp", "-A INPUT -p udp -j ACCEPT", "-A INPUT -p tcp")
    pair.send(4)
    do("-Z INPUT 1")
    expect_equal(counters().rules["INPUT"][:2], [Counter(0, 0), of(4)], "-Z of one rule")
    pair.send(2)
    expect_equal(counters().rules["INPUT"][:2], [of(2), of(6)], "counted on")
    do("-Z")
    pair.send(1)
    expect_equal(counters().rules["INPUT"], [of(1)] * 2 + [Counter(0, 0)], "-Z of all")


@test4
def zero_of_policies() -> None:
    rules()
    pair.send(4)
    expect_equal(counters().policy["INPUT"], of(4), "policy")
    do("-Z INPUT")
    pair.send(1)
    expect_equal(counters().policy["INPUT"], of(1), "policy after -Z")


@test
def given_counters_go_on() -> None:
    """Counters from outside are where counting starts, up to their last bit."""
    with pair.server:
        must(tables.RESTORE, "-c", stdin="*filter\n:INPUT ACCEPT [100:1000]\n:FORWARD ACCEPT [0:0]\n"
             ":OUTPUT ACCEPT [0:0]\n[10:20] -A INPUT -p udp\n"
             "[18446744073709551615:18446744073709551615] -A INPUT -p udp\nCOMMIT\n")
    pair.send(3)
    seen = counters()
    expect_equal(seen.rules["INPUT"], [Counter(13, 20 + 3 * SIZE), Counter(2, 3 * SIZE - 1)], "rules")
    expect_equal(seen.policy["INPUT"], Counter(103, 1000 + 3 * SIZE), "policy")
    do("-A INPUT -p tcp")
    expect_equal(counters().rules["INPUT"][:2], seen.rules["INPUT"], "after a change")


@test4
def nothing_lost_while_replacing() -> None:
    """Rules are replaced while packets flow; each packet is counted by one table, once.

    Datagrams to a port that nobody has are dropped by the last rule, so nothing comes back.
    """
    rules("-A INPUT -p udp", f"-A INPUT -p udp --dport {PORT + 1} -j DROP")
    before = pair.sent_by_client()
    with pair.flood(PORT + 1):
        wait_for(lambda: pair.sent_by_client() > before, "traffic")
        for step in range(6):
            do(f"-I INPUT 1 -s 198.51.100.{step} -j DROP")
            do("-A FORWARD -j DROP")
        do("-D INPUT 3")
    sent = pair.sent_by_client() - before
    expect(sent > 0, "no traffic")
    seen = counters().rules["INPUT"]
    expect_equal(seen[-2:], [of(sent)] * 2, "sum over all tables")
    expect_equal(sum(counter.packets for counter in seen[:-2]), 0, "the inserted rules")


@test4
def never_without_a_rule_while_replacing() -> None:
    """Not one packet slips through between the old table and the new one."""
    rules(f"-A INPUT -p udp --dport {PORT + 1} -j DROP")
    with pair.server:
        open_port = socket.socket(current().af, socket.SOCK_DGRAM)
        open_port.bind((current().address(SERVER), PORT + 1))
        open_port.setblocking(False)
    with pair.flood(PORT + 1):
        for step in range(6):
            do(f"-I INPUT 1 -s 198.51.100.{step} -j DROP")
            do("-D INPUT 1")
    try:
        open_port.recv(1)
        raise AssertionError("a packet was delivered")
    except BlockingIOError:
        pass
    open_port.close()
    expect(counters().rules["INPUT"][0].packets > 0, "no traffic")


@test4
def refused_change_keeps_counting() -> None:
    rules("-A INPUT -p udp")
    pair.send(2)
    with pair.server:
        expect(tables.try_iptables("-A INPUT -m tcp --dport 1 -j DROP").status != 0, "accepted")
    pair.send(2)
    expect_equal(counters().rules["INPUT"], [of(4)], "counters")


@test
def all_processors() -> None:
    """Packets that arrive on different processors add up."""
    rules("-A INPUT -p udp")
    allowed = os.sched_getaffinity(0)
    total = 0
    for processor in range(os.cpu_count() or 1):
        os.sched_setaffinity(0, {processor})
        total += pair.send(10)
    os.sched_setaffinity(0, allowed)
    expect_equal(counters().rules["INPUT"], [of(total)], "counters")


if __name__ == "__main__":
    main()
