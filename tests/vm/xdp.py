#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Leading rules of INPUT decided at XDP: seen in ip link, and otherwise not to be noticed."""

import json
from typing import Any

from lib import iptables as tables
from lib import system
from lib.check import expect, expect_equal, main, test, wait_for
from lib.early import (PARAMETER, Tap, back, drops, input_counters, pair, router, rules, set_mode, state_of, wait_xdp,
                       xdp_of)
from lib.iptables import Counter, iptables, must
from lib.packet import MF, UDP, ipv4, udp
from lib.pair import CLIENT
from lib.router import LOCAL, TTL


# Where, and with which mode

@test
def native_on_veth() -> None:
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(pair().server, "s0", "native")
    expect_equal(xdp_of(pair().server, "s0")[1], "bf_xdp_s0", "name of the program")
    drops(5, True, "native")
    expect_equal(input_counters(pair().server), [Counter(5, 140)], "counters")


@test
def generic_on_lo() -> None:
    rules(pair().server, "-A INPUT -i lo -s 127.0.0.2 -j DROP")
    set_mode("generic")
    try:
        wait_xdp(pair().server, "lo", "generic")
        with pair().server:
            done = tables.run("ping", "-c", "1", "-W", "1", "-I", "127.0.0.2", "127.0.0.1")
            expect(done.status != 0, "a ping from 127.0.0.2 was answered")
            must("ping", "-c", "1", "-W", "9", "-I", "127.0.0.3", "127.0.0.1")
        expect_equal(input_counters(pair().server), [Counter(1, 84)], "counters")
        expect(state_of(pair().server, "s0") in ("none", "waits"), "XDP may drop on the device that no rule names")
    finally:
        set_mode("native")


@test
def modes_at_run_time() -> None:
    """Changed while rules are in force: always dropped, always counted, only elsewhere."""
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -j DROP", "-A INPUT -i lo -s 127.0.0.9 -j DROP")
    total = 0
    try:
        for mode, on_veth, on_lo in (("off", "none", "none"), ("generic", "generic", "generic"),
                                     ("native", "native", "none"), ("auto", "none", "none"),
                                     ("off", "none", "none"), ("native", "native", "none"),
                                     ("generic", "generic", "generic"), ("auto", "none", "none")):
            set_mode(mode)
            expect_equal(pair().send(1), 0, f"delivered just behind the change to {mode}")
            wait_xdp(pair().server, "s0", on_veth)
            wait_xdp(pair().server, "lo", on_lo)
            drops(3, on_veth != "none", mode)
            total += 4
            expect_equal(input_counters(pair().server)[0], Counter(total, 28 * total), f"counters: {mode}")
    finally:
        set_mode("native")


@test
def parameter() -> None:
    system.only_ours()
    with open(PARAMETER, encoding="ascii") as file:
        before = file.read()
    for wrong in ("yes", "", "5", "offf"):
        try:
            set_mode(wrong)
        except OSError:
            continue
        if wrong:  # an empty write never reaches the module
            raise AssertionError(f"{wrong!r} was taken")
    with open(PARAMETER, encoding="ascii") as file:
        expect_equal(file.read(), before, "afterwards")


@test
def flush_leaves_one_that_passes() -> None:
    """A program that is taken away costs packets, and one that has no rules costs next to nothing."""
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(pair().server, "s0", "native")
    with pair().server:
        iptables("-F")
    expect_equal(pair().send(3), 3, "delivered at once")
    wait_for(lambda: xdp_of(pair().server, "s0") == ("native", "bf_xdp_idle"), "a program that passes")
    expect_equal(pair().send(3), 3, "delivered")
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(pair().server, "s0", "native")
    drops(3, True, "with rules again")


@test
def visible_to_bpftool() -> None:
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -p udp --dport 77 -j DROP")
    wait_xdp(pair().server, "s0", "native")
    with pair().server:
        net = json.loads(must("bpftool", "-j", "net", "show"))[0]
        expect_equal([one["devname"] for one in net["xdp"]], ["s0"], "bpftool net")
    dump = must("bpftool", "prog", "dump", "xlated", "name", "bf_xdp_s0")
    expect(f"-A INPUT -s {CLIENT}/32 -i s0 -p udp" in dump and "--dport 77" in dump,
           f"the rule beside its instructions: {dump[:2000]}")


# What may not be decided there

def through_router(lines: list[str], packets: list[tuple[str, bytes]]) -> tuple[list[bool], int]:
    """What is delivered of packets for (hook, ...), and how many the stack saw."""
    rules(router().router, *lines)
    wait_xdp(router().router, "in0", "native")
    with Tap(router().router, "in0") as tap:
        delivered = [router().through(hook, [one])[0] for hook, one in packets]
        return delivered, tap.count()


def make(ident: int, to: str = LOCAL, source: str = "10.1.0.2", port: int = 53, **fields: Any) -> bytes:
    return ipv4(source, to, UDP, udp(1, port), ident=ident, ttl=TTL, **fields)


@test
def only_local_addresses() -> None:
    """INPUT's rules are not FORWARD's."""
    delivered, seen = through_router(["-A INPUT -i in0 -s 10.1.0.0/16 -j DROP"],
                                     [("FORWARD", make(1, "10.2.0.9")), ("INPUT", make(2)),
                                      ("FORWARD", make(3, "10.4.0.9")), ("INPUT", make(4, "10.2.0.1"))])
    expect_equal(delivered[1::2], [False, False], "to the router")
    expect_equal(delivered[0], True, "forwarded")
    expect_equal(seen, 2, "seen by the stack")
    expect_equal(input_counters(router().router), [Counter(2, 56)], "counters")


@test
def broadcast_falls_through() -> None:
    delivered, seen = through_router(["-A INPUT -i in0 -s 10.1.0.0/16 -j DROP"],
                                     [("INPUT", make(1, "10.1.0.255")), ("INPUT", make(2, "224.0.0.1"))])
    expect_equal((delivered, seen), ([False, False], 2), "delivered, seen by the stack")
    expect_equal(input_counters(router().router), [Counter(2, 56)], "counters")


@test
def options_and_fragments_fall_through() -> None:
    lines = ["-A INPUT -i in0 -s 10.1.0.2 -j DROP"]
    rules(router().router, *lines)
    wait_xdp(router().router, "in0", "native")
    with Tap(router().router, "in0") as tap:
        pieces = [ipv4("10.1.0.2", LOCAL, UDP, udp(1, 2, b"x" * 16), ident=9, ttl=TTL, fragment=MF),
                  ipv4("10.1.0.2", LOCAL, UDP, b"y" * 8, ident=9, ttl=TTL, fragment=3)]
        sent = [make(1, options=b"\1" * 4), *pieces]
        expect_equal(router().through("INPUT", sent), [False] * 3, "delivered")
        expect_equal(tap.count(), 3, "seen by the stack")
    expect_equal(input_counters(router().router), [Counter(2, 32 + 52)], "counters: the pieces are one")


@test
def other_machines_frames() -> None:
    """A frame for another MAC address, or with a broken header, is dropped by nobody's rule."""
    rules(router().router, "-A INPUT -i in0 -s 10.1.0.2 -j DROP")
    wait_xdp(router().router, "in0", "native")
    router().inject("in0", make(1), destination_mac="02:00:00:00:77:77")
    router().inject("in0", make(2, wrong_checksum=True))
    router().inject("in0", make(3, total=200))
    router().settle()
    expect_equal(input_counters(router().router), [Counter(0, 0)], "counters")


@test
def stops_at_the_first_undecidable_rule() -> None:
    delivered, seen = through_router(
        ["-A INPUT -i in0 -p udp --dport 1 -j DROP", "-A INPUT -p udp --dport 2 -j user",
         "-A INPUT -i in0 -p udp --dport 1:3 -j DROP", "-A user -j ACCEPT"],
        [("INPUT", make(port, port=port)) for port in (1, 2, 3, 4)])
    expect_equal(delivered, [False, True, False, True], "delivered")
    expect_equal(seen, 3, "seen by the stack")
    expect_equal(input_counters(router().router), [Counter(1, 28)] * 3, "counters")


@test
def accepts_before_drops() -> None:
    delivered, seen = through_router(
        ["-A INPUT -i in0 -s 10.1.0.5 -j ACCEPT", "-A INPUT", "-A INPUT -i in0 -s 10.1.0.0/24 -j DROP", "-A INPUT"],
        [("INPUT", make(1, source="10.1.0.5")), ("INPUT", make(2, source="10.1.0.6")),
         ("INPUT", make(3, source="10.1.1.6"))])
    expect_equal((delivered, seen), ([True, False, True], 2), "delivered, seen by the stack")
    expect_equal(input_counters(router().router), [Counter(1, 28), Counter(2, 56), Counter(1, 28), Counter(1, 28)],
                 "counters: each packet once")


@test
def ports_and_short_headers() -> None:
    """A header that is not there drops the packet uncounted, wherever that is decided."""
    rules(router().router, "-A INPUT -i in0 -p udp --dport 53 -j DROP")
    wait_xdp(router().router, "in0", "native")
    sent = [ipv4("10.1.0.2", LOCAL, UDP, udp(1, 53)[:length], ident=length + 1, ttl=TTL) for length in (0, 4, 7, 8)]
    expect_equal(router().through("INPUT", sent), [False] * 4, "delivered")
    expect_equal(input_counters(router().router), [Counter(1, 28)], "counters")


if __name__ == "__main__":
    main(at_end=back)
