#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Matches and targets of the kernel's own, on packets: what they decide, and what they remember."""

import os
import socket
import struct

from lib import iptables, packet
from lib.check import expect, expect_equal, main, test
from lib.family import current
from lib.iptables import Counters
from lib.iptables import iptables as run
from lib.packet import ACK, MF, RST, SYN, TCP, UDP, tcp, udp
from lib.router import OF_HOOK, TTL
from lib.scene import Scene
from lib.wire import sums_are_right

FAMILY = current()
scene = Scene()
router, wire, rules, counts, clean = scene.router, scene.wire, scene.rules, scene.counts, scene.clean
SLOW = "--limit 1/hour"  # no test takes as long
HERE, THERE, LOCAL = "10.1.0.7", "10.2.0.7", "10.9.0.7"


def datagrams(number: int, hook: str = "FORWARD", dport: int = 53, first: int = 1) -> list[bytes]:
    ends = OF_HOOK[hook]
    return [packet.ip(f"{ends.source}.0.7", f"{ends.destination}.0.7", UDP, udp(1024, dport), ident=first + index,
                      ttl=TTL) for index in range(number)]


def delivered(number: int, hook: str = "FORWARD", dport: int = 53) -> int:
    return sum(router.through(hook, datagrams(number, hook, dport)))


# limit: credit of its own for each rule

@test
@clean
def limit_five_of_ten() -> None:
    """A full bucket, and no drop more: in every hook."""
    for hook in ("INPUT", "FORWARD", "OUTPUT"):
        rules(f"-A {hook} -p udp -m limit {SLOW} --limit-burst 5 -j ACCEPT", f"-A {hook} -p udp -j DROP")
        expect_equal(router.through(hook, datagrams(10, hook)), [True] * 5 + [False] * 5, f"delivered, {hook}")
        expect_equal(counts(hook), [5, 5], hook)


@test
@clean
def limit_starts_anew() -> None:
    """With every replace, be the rule the same; not when it is only looked at or counted."""
    rules(f"-A FORWARD -p udp -m limit {SLOW} --limit-burst 3", policies={"FORWARD": "DROP"})
    delivered(4)
    with router:
        run("-L -n -v")
        run("-t mangle -A FORWARD")
    delivered(4)
    expect_equal(counts("FORWARD"), [3], "before a replace")
    with router:
        run("-A FORWARD -p tcp")
    delivered(4)
    expect_equal(counts("FORWARD"), [6, 0], "after a replace")


@test
@clean
def limits_do_not_share() -> None:
    """Two rules with the same text have a bucket each, also in one rule."""
    one = f"-m limit {SLOW} --limit-burst 2"
    rules(f"-A FORWARD {one}", f"-A FORWARD {one}", f"-A FORWARD {one} {one}")
    delivered(5)
    expect_equal(counts("FORWARD"), [2, 2, 2], "packets")


@test
@clean
def order_within_a_rule() -> None:
    """Credit is spent by what the conditions before let through, and only by that."""
    limit = f"-m limit {SLOW} --limit-burst 2"
    rules(f"-A FORWARD -p udp {limit} -m udp --dport 53", f"-A FORWARD -p udp -m udp --dport 53 {limit}",
          f"-A FORWARD -p tcp {limit} -m tcp --dport 53")
    delivered(2, dport=54)
    delivered(3, dport=53)
    expect_equal(counts("FORWARD"), [0, 2, 0], "packets")


@test
@clean
def limit_in_user_chains() -> None:
    """Called, and gone on behind it: in the chain, in the one that jumped, in the built-in one."""
    limit = f"-m limit {SLOW} --limit-burst 2"
    rules("-A FORWARD -j one", "-A FORWARD", f"-A one {limit} -j two", "-A one", f"-A two {limit}", "-A two -j RETURN",
          "-A two -j DROP")
    expect_equal(delivered(5), 5, "delivered")
    expect_equal([counts(chain) for chain in ("FORWARD", "one", "two")], [[5, 5], [2, 5], [2, 2, 0]], "packets")


# mark and MARK

@test
@clean
def marks() -> None:
    """Bits are set, cleared and turned; the next rule sees them, and so does the next table."""
    rules("-A PREROUTING -p udp -j MARK --set-mark 0x12", "-A PREROUTING -m mark --mark 0x12",
          "-A PREROUTING -m mark --mark 0x2/0xf", "-A PREROUTING -m mark ! --mark 0x12",
          "-A PREROUTING -p udp -j MARK --or-mark 0x40", "-A PREROUTING -m mark --mark 0x52",
          "-A PREROUTING -p udp -j MARK --and-mark 0x42", "-A PREROUTING -m mark --mark 0x42",
          "-A PREROUTING -p udp -j MARK --xor-mark 0x3", "-A PREROUTING -m mark --mark 0x41",
          "-A PREROUTING -p udp -j MARK --set-xmark 0xf0/0xff", "-A PREROUTING -m mark --mark 0xf0", table="mangle")
    rules("-A FORWARD -m mark --mark 0xf0", "-A FORWARD -m mark --mark 0")
    delivered(3)
    expect_equal(counts("PREROUTING", "mangle"), [3, 3, 3, 0] + [3] * 8, "mangle")
    expect_equal(counts("FORWARD"), [3, 0], "filter")


def other_way(add: bool) -> None:
    """Packets with mark 7 leave through out1."""
    what = "add" if add else "delete"
    with router:
        for line in ("rule {} fwmark 7 table 77", "route {} 10.2.0.0/16 via 10.4.0.2 dev out1 onlink table 77"):
            iptables.must("ip", f"-{FAMILY.number}", *FAMILY.text(line.format(what)).split())


@test
@clean
def mark_changes_the_way() -> None:
    """mangle OUTPUT: what has another mark behind the table is routed again."""
    other_way(True)
    try:
        rules("-A OUTPUT -p udp --dport 53 -j MARK --set-mark 7", table="mangle")
        rules("-A OUTPUT -m mark --mark 7")
        for one in datagrams(2, "OUTPUT") + datagrams(2, "OUTPUT", 54):
            router.output(one)
        router.settle()
        expect_equal([[seen.ports[1] for seen in wire.seen(inner)] for inner in ("out0", "out1")],
                     [[54, 54], [53, 53]], "ports by device")
        expect_equal(counts("OUTPUT"), [2], "marked")
        rules("-A OUTPUT -p udp --dport 53 -j MARK --set-mark 7", "-A OUTPUT -p udp -j MARK --set-mark 0",
              table="mangle")
        router.output(datagrams(1, "OUTPUT")[0])
        router.settle()
        expect_equal([len(wire.seen(inner)) for inner in ("out0", "out1")], [1, 0], "back to no mark")
    finally:
        other_way(False)


# conntrack

def answer(segment: bytes, protocol: int = TCP) -> bytes:
    """A packet the other way."""
    return packet.ip(THERE, HERE, protocol, segment, ident=99, ttl=TTL)


STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")


@test
@clean
def connection_states() -> None:
    """What each packet of a connection is, and of those that belong to none."""
    rules("-A PREROUTING -p udp --dport 99 -j CT --notrack", table="raw")
    rules(*(f"-A FORWARD -m conntrack --ctstate {state}" for state in STATES),
          "-A FORWARD -m conntrack ! --ctstate ESTABLISHED,NEW", "-A FORWARD -m state --state ESTABLISHED")
    syn = packet.ip(HERE, THERE, TCP, tcp(1024, 80, SYN), ttl=TTL)
    error = packet.icmp(1 if FAMILY.number == 6 else 3, 4 if FAMILY.number == 6 else 3, syn)
    for inner, one, expected in (
            ("in0", syn, [1, 0, 0, 0, 0, 0, 0]),
            ("out0", answer(error, packet.ICMPV6 if FAMILY.number == 6 else packet.ICMP), [1, 0, 1, 0, 0, 1, 0]),
            ("out0", answer(_syn_ack()), [1, 1, 1, 0, 0, 1, 1]),
            ("in0", packet.ip(HERE, THERE, TCP, tcp(5, 6, RST), ttl=TTL), [1, 1, 1, 1, 0, 2, 1]),
            ("in0", packet.ip(HERE, THERE, UDP, udp(5, 99), ttl=TTL), [1, 1, 1, 1, 1, 3, 1]),
            ("in0", packet.ip(HERE, THERE, UDP, udp(5, 98), ttl=TTL), [2, 1, 1, 1, 1, 3, 1])):
        wire.send(inner, [one])
        expect_equal(counts("FORWARD"), expected, f"states after {one.hex()}")


def _syn_ack() -> bytes:
    """Acknowledges what lib/packet.py sends: number 1."""
    whole = bytearray(tcp(80, 1024, SYN | ACK))
    struct.pack_into("!I", whole, 8, 2)
    return bytes(whole)


@test
@clean
def fragments_are_put_together() -> None:
    """A rule about connections switches defragmentation on: filter sees a whole packet."""
    rules("-A FORWARD -m conntrack --ctstate NEW", "-A FORWARD -p udp --dport 53")
    data = udp(1024, 53, b"x" * 24)
    if FAMILY.number == 6:
        ends = (FAMILY.address(HERE), FAMILY.address(THERE))
        pieces = [packet.ipv6(*ends, UDP, data[:16], headers=[packet.fragment_header(0, True, 9)], ttl=TTL),
                  packet.ipv6(*ends, UDP, data[16:], headers=[packet.fragment_header(2, False, 9)], ttl=TTL)]
    else:
        pieces = [packet.ip(HERE, THERE, UDP, data[:16], fragment=MF, ident=9, ttl=TTL),
                  packet.ip(HERE, THERE, UDP, data[16:], fragment=2, ident=9, ttl=TTL)]
    wire.send("in0", pieces)
    expect_equal(counts("FORWARD"), [1, 1], "packets")


# owner

@test
@clean
def owner() -> None:
    """Who opened the socket; a packet without one has no owner."""
    rules("-A OUTPUT -m owner --uid-owner 4711", "-A OUTPUT -m owner --gid-owner 4712",
          "-A OUTPUT -m owner ! --uid-owner 4711", "-A OUTPUT -m owner --uid-owner 4700-4720",
          "-A OUTPUT -m owner --socket-exists", "-A OUTPUT -p udp")
    with router:
        to = (FAMILY.address(THERE), 53)
        for user, group in ((4711, 0), (0, 4712), (0, 0)):
            os.setegid(group)
            os.seteuid(user)
            try:
                opened = socket.socket(FAMILY.af, socket.SOCK_DGRAM)
            finally:
                os.seteuid(0)
                os.setegid(0)
            opened.sendto(b"", to)
            opened.close()
    expect_equal(counts("OUTPUT"), [1, 1, 2, 1, 3, 3], "packets")


# State that goes by name

@test
@clean
def recent_survives() -> None:
    """A list of addresses is that of its name, whatever becomes of the rules."""
    rules("-A FORWARD -p udp --dport 53 -m recent --name probe --set",
          "-A FORWARD -p udp --dport 54 -m recent --name probe --rcheck")
    delivered(1, dport=54)
    expect_equal(counts("FORWARD"), [0, 0], "not yet there")
    delivered(1)
    delivered(1, dport=54)
    expect_equal(counts("FORWARD"), [1, 1], "there")
    rules("-A FORWARD -p udp --dport 54 -m recent --name probe --rcheck", "-A FORWARD -m recent --name other --rcheck")
    delivered(1, dport=54)
    expect_equal(counts("FORWARD"), [1, 0], "there after a replace")
    with router:
        expect(os.path.exists("/proc/self/net/xt_recent/probe"), "the list is not in /proc")
        iptables.restore()
        expect(not os.path.exists("/proc/self/net/xt_recent/probe"), "the list is still in /proc")


@test
@clean
def hashlimit_survives() -> None:
    rule = ("-A FORWARD -p udp -m hashlimit --hashlimit-above 1/hour --hashlimit-burst 3 --hashlimit-name probe "
            "--hashlimit-mode srcip -j DROP")
    rules(rule)
    expect_equal(delivered(5), 3, "delivered")
    rules("-A FORWARD -p tcp", rule)
    expect_equal(delivered(5), 0, "delivered after a replace")
    rules("-A FORWARD -p tcp")
    rules(rule)
    expect_equal(delivered(5), 3, "delivered after it was gone")


def ipset(*arguments: str) -> iptables.Done:
    return iptables.run("ipset", *arguments)


@test
@clean
def sets() -> None:
    """They are filled by rules, and are what they are when the table is replaced."""
    with router:
        iptables.must("ipset", "create", "probe", "hash:ip", "family", "inet6" if FAMILY.number == 6 else "inet")
    try:
        fill, ask = "-p udp --dport 53 -j SET --add-set probe src", "-p udp --dport 54 -m set --match-set probe src"
        rules(f"-A FORWARD {fill}", f"-A FORWARD {ask}", "-A FORWARD -p udp --dport 54 -m set ! --match-set probe src")
        delivered(1, dport=54)
        delivered(1)
        delivered(1, dport=54)
        expect_equal(counts("FORWARD"), [1, 1, 1], "packets")
        rules(f"-A FORWARD {ask}")
        delivered(1, dport=54)
        expect_equal(counts("FORWARD"), [1], "packets after a replace")
        with router:
            expect_equal(ipset("destroy", "probe").status, 1, "the set of a rule can be destroyed")
    finally:
        scene.clear()
        with router:
            iptables.must("ipset", "destroy", "probe")


# A target that makes a packet longer

def with_mss(size: int | None) -> bytes:
    options = b"" if size is None else struct.pack("!BBH", 2, 4, size)
    return packet.ip(HERE, THERE, TCP, tcp(1024, 80, SYN, options), ttl=TTL)


@test
@clean
def tcpmss() -> None:
    """The option is written, and added where there is none; what comes behind sees the new packet."""
    header = FAMILY.header
    usual = 1500 - header - 20
    for asked, before, after in (("--set-mss 500", 1460, 500), ("--set-mss 500", 400, 400),
                                 ("--set-mss 500", None, 500), ("--clamp-mss-to-pmtu", 9000, usual),
                                 ("--clamp-mss-to-pmtu", 1200, 1200)):
        rules(f"-A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS {asked}", "-A FORWARD -p tcp", table="mangle")
        wire.send("in0", [with_mss(before)])
        seen = wire.one("out0")
        what = f"{asked} of {before}"
        expect_equal((seen.body[12] >> 4, seen.body[20:24]), (6, struct.pack("!BBH", 2, 4, after)), what)
        expect(sums_are_right(seen), f"{what}: a checksum is wrong: {seen.whole.hex()}")
        with router:
            seen_sizes = [counter.bytes for counter in Counters(table="mangle").rules["FORWARD"]]
        expect_equal(seen_sizes, [header + (20 if before is None else 24), header + 24], f"{what}: bytes counted")


@test
@clean
def hop_limit_is_changed() -> None:
    target = "HL --hl-set" if FAMILY.number == 6 else "TTL --ttl-set"
    match = "hl --hl-eq" if FAMILY.number == 6 else "ttl --ttl-eq"
    rules(f"-A FORWARD -p udp -j {target} 9", f"-A FORWARD -m {match} 9", table="mangle")
    wire.send("in0", datagrams(1))
    expect_equal(packet.ttl_of(wire.one("out0").whole), 9, "hops left")
    expect_equal(counts("FORWARD", "mangle"), [1, 1], "packets")


if __name__ == "__main__":
    main()
