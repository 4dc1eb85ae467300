#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Rules of IPv6 that ip6tables never writes, and that kernels differ about: as this one has them.

What the kernel's matches take they say themselves. That a protocol is asked for with a flag alone,
where rt takes a list of no addresses, is ip6_tables of that kernel (tests/oracle has both).
"""

import socket
import struct

from lib import blob, packet
from lib.blob import DROP, entry, match, target, verdict
from lib.check import expect, expect_equal, main, test6
from lib.family import V6
from lib.packet import TCP, UDP, Header, fragment_header, ipv6, routing_header, tcp, udp
from lib.router import TTL, Router

FORWARD = 2
FLAGS = len(V6.ip_part()) - 5
ASKED = 1  # IP6T_F_PROTO
TYPE, STRICT, NOT_STRICT = 1, 0x10, 0x20  # of rt
TCP_RESET = 6
BAD, GOOD = "fd00::bad", "fd00::600d"

router = Router(mute=True)
SOURCE, TO = "fd00:1::7", "fd00:2::7"


def make(*headers: Header, protocol: int = UDP, segment: bytes | None = None) -> bytes:
    return ipv6(SOURCE, TO, protocol, udp(1, 53) if segment is None else segment, headers=headers, ttl=TTL)


PLAIN, SYN = make(), make(protocol=TCP, segment=tcp(1, 53))
FIRST, LATER = make(fragment_header(0, True)), make(fragment_header(2))


def rule(*matches: bytes, protocol: int = 0, to: bytes = verdict(DROP), flagged: bool = False,
         source: bytes = b"") -> bytearray:
    made = entry(to, b"".join(matches), protocol=protocol, source=source, family=V6)
    if not flagged:
        made[FLAGS] &= ~ASKED
    return made


def put(*rules: bytearray) -> str:
    with router, blob.raw_socket(V6) as opened:
        return blob.of_table("filter", {FORWARD: list(rules)}, family=V6).commit(opened)


def listed() -> bytes:
    with router, blob.raw_socket(V6) as opened:
        return blob.entries(opened)[1]


def dropped(*packets: bytes) -> list[bool]:
    """By the rules: which are counted."""
    numbered = [bytes((one[0], one[1] & 0xF0, 0, number)) + one[4:] for number, one in enumerate(packets, 1)]
    before = sum(count for count, _ in blob.counters(listed(), V6)[1:-3])
    gone = [not one for one in router.through("FORWARD", numbered)]
    counted = sum(count for count, _ in blob.counters(listed(), V6)[1:-3]) - before
    expect_equal(counted, sum(gone), "packets that rules counted, less those that they dropped")
    return gone


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address)


def route(flags: int, *addresses: str) -> bytes:
    return match(b"rt", struct.pack("=4IBB2x", 0, 0, 0xFFFFFFFF, 0, flags, 0)
                 + b"".join(map(packed, addresses)).ljust(256, b"\0"))


def routed(*addresses: str) -> bytes:
    return make(routing_header(data=b"\0" * 4 + b"".join(map(packed, addresses))))


def is_lax() -> bool:
    status = put(rule(route(TYPE | STRICT)))
    expect(status in ("OK", "EINVAL"), status)
    return status == "OK"


def ports(first: int, last: int) -> bytes:
    return match(b"udp", struct.pack("=4HBx", first, last, 0, 0xFFFF, 0))


@test6
def lists_of_no_addresses() -> None:
    """They are none, or the first one, if there is one, is another than that which stands there."""
    packets = routed(), routed(BAD), routed(BAD, GOOD), routed(GOOD), routed(GOOD, BAD), PLAIN
    lax = is_lax()
    expect_equal(put(rule(route(TYPE | STRICT | NOT_STRICT, BAD))), "OK" if lax else "EINVAL", "not strict")
    if not lax:
        return
    expect_equal(dropped(*packets), [True, False, False, True, True, False], "not strict")
    expect_equal(put(rule(route(TYPE | STRICT, BAD))), "OK", "strict")
    expect_equal(dropped(*packets), [True, False, False, False, False, False], "strict")


@test6
def no_test_of_the_hop_limit() -> None:
    """It matches nothing, where it is taken."""
    status = put(rule(match(b"hl", bytes((4, TTL)))))
    expect_equal(status, "OK" if is_lax() else "EINVAL", "put")
    if status == "OK":
        expect_equal(put(rule(match(b"hl", bytes((255, TTL))))), "OK", "put")
        expect_equal(dropped(PLAIN, SYN), [False, False], "dropped")


@test6
def protocols_without_their_flag() -> None:
    lax = is_lax()
    for matches in (), (match(b"hl", bytes((1, 0))),), (limit(),):
        expect_equal(put(rule(*matches, protocol=UDP)), "OK", "put")
        expect_equal(dropped(PLAIN, SYN, LATER), [True, lax, True], f"dropped, {len(matches)} matches")
        expect_equal(listed()[V6.standard() + FLAGS] & ASKED, 0 if lax else ASKED, "the flag, listed")
        expect_equal(put(rule(*matches, protocol=UDP, flagged=True)), "OK", "put")
        expect_equal(dropped(PLAIN, SYN, LATER), [True, False, True], f"with the flag, {len(matches)} matches")


def limit() -> bytes:
    """That no test reaches: 10,000 a second, 1,000 at once."""
    return match(b"limit", struct.pack("=II", 1, 1000).ljust(40, b"\0"))


@test6
def headers_that_are_misplaced() -> None:
    """The first bytes of a packet are 0x60, the class and the flow label: what matches take for ports, or a type."""
    lax = is_lax()
    multiport = match(b"multiport", struct.pack("=BB15H15BB", 0, 1, 0x6000, *[0] * 14, *[0] * 15, 0), 1)
    for what, one, strictly in (
            ("source port", rule(ports(0x6000, 0x600F), protocol=UDP), [False, False, False, False]),
            ("another", rule(ports(0, 0x5FFF), protocol=UDP), [True, False, True, False]),
            ("ports of a list", rule(multiport, protocol=UDP), [False, False, False, False]),
            ("type", rule(match(b"icmp6", bytes((0x60, 0, 0, 0))), protocol=packet.ICMPV6), [False] * 4)):
        expect_equal(put(one), "OK", what)
        expect_equal(dropped(PLAIN, SYN, FIRST, LATER), [what != "another"] * 4 if lax else strictly, what)
    expect_equal(put(rule(match(b"mh", bytes((0, 255, 0))), protocol=135)), "OK", "mobility")
    expect_equal(router.through("FORWARD", [PLAIN]), [not lax], "a mobility header that is none is dropped")


@test6
def fragments_that_a_rule_has_looked_for() -> None:
    """Of a later fragment it is known that it is one when a rule before asked for a protocol."""
    lax = is_lax()
    misplaced = rule(ports(0x6000, 0x600F), protocol=UDP)
    asking = rule(protocol=TCP, flagged=True)
    elsewhere = rule(protocol=TCP, flagged=True, source=V6.packed("10.7.7.7") + b"\xff" * 16)
    inside = rule(match(b"hl", bytes((0, 1))), protocol=UDP, flagged=True)
    instance = rule(limit(), protocol=TCP, flagged=True)
    for what, rules, later in (("no rule", (misplaced,), True), ("one that asks", (asking, misplaced), False),
                               ("one behind", (misplaced, asking), True), ("for others", (elsewhere, misplaced), True),
                               ("with a match", (inside, misplaced), False),
                               ("an instance", (instance, misplaced), False)):
        expect_equal(put(*rules), "OK", what)
        expect_equal(dropped(PLAIN, FIRST, LATER), [lax, lax, lax and later], what)


@test6
def targets_that_ask_for_the_flag() -> None:
    """It is set where there is a protocol, before they are checked, or it is missed."""
    reset = target(b"REJECT", struct.pack("=I", TCP_RESET))
    expect_equal(put(rule(protocol=TCP, to=reset)), "EINVAL" if is_lax() else "OK", "without the flag")
    expect_equal(put(rule(protocol=TCP, to=reset, flagged=True)), "OK", "with the flag")


if __name__ == "__main__":
    main()
