#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One test per match: packets that must and packets that must not match, at every hook.

Each case is one rule, `-A CHAIN <rule> -j DROP` under policy ACCEPT, and three lists of
packets: those that match (counted, not delivered), those that do not (delivered, not
counted), and those that are dropped on the spot without being counted, because a header
that the match needs is not there. S and D in addresses stand for the "10.N" prefixes that
lead a packet through the hook (lib/router.py).
"""

from dataclasses import dataclass, field
from typing import Any

from lib import iptables, packet
from lib.check import expect_equal, main, test, test4
from lib.family import current
from lib.iptables import Counter, Counters
from lib.packet import ACK, ECE, FIN, ICMP, MF, PSH, RST, SYN, TCP, UDP, URG, icmp, tcp, udp
from lib.router import OF_HOOK, TTL, Router

router = Router(mute=True)
HOOKS = ("INPUT", "FORWARD", "OUTPUT")


@dataclass
class Packet:
    """What makes it special; the hook gives the rest."""
    protocol: int = UDP
    segment: bytes = udp()
    source: str = "S.0.2"
    destination: str = "D.0.2"
    fields: dict[str, Any] = field(default_factory=dict)

    def build(self, hook: str, ident: int) -> bytes:
        source, destination = OF_HOOK[hook]
        return packet.ip(self.source.replace("S", source),
                         self.destination.replace("D", destination),
                         self.protocol, self.segment, ident=ident, ttl=TTL, **self.fields)


def of_tcp(*arguments: Any, **options: Any) -> Packet:
    return Packet(TCP, tcp(*arguments, **options))


def of_udp(*arguments: Any) -> Packet:
    return Packet(UDP, udp(*arguments))


def of_icmp(*arguments: Any) -> Packet:
    return Packet(current().icmp, icmp(*arguments))


def fragment(protocol: int, segment: bytes, offset: int, more: bool = False) -> Packet:
    return Packet(protocol, segment, fields={"fragment": offset | (MF if more else 0)})


def case(rule: str, match: list[Packet], other: list[Packet], hotdrop: list[Packet] | None = None,
         hooks: tuple[str, ...] = HOOKS) -> None:
    """All hooks in one table: a rule is only met by the packets of its own chain."""
    hotdrop = hotdrop or []
    rules = [f"-A {hook} {_at(hook, rule)} -j DROP" for hook in hooks]
    with router:
        iptables.restore(*rules)
    sent = {}
    for hook in hooks:
        packets = [one.build(hook, ident + 1) for ident, one in
                   enumerate(match + other + hotdrop)]
        delivered = router.through(hook, packets)
        sent[hook] = packets[:len(match)]
        for index, one in enumerate(packets):
            expected = len(match) <= index < len(match) + len(other)
            kind = ("match" if index < len(match) else "no match" if expected else "hotdrop")
            expect_equal(delivered[index], expected,
                         f"{hook} {rule}: {kind} packet {one.hex()} delivered")
    with router:
        counters = Counters()
    for hook in hooks:
        expect_equal(counters.rules[hook][0],
                     Counter(len(match), sum(map(packet.length_of, sent[hook]))),
                     f"{hook} {rule}: counter")


def _at(hook: str, rule: str) -> str:
    source, destination = OF_HOOK[hook]
    return rule.replace("S.", f"{source}.").replace("D.", f"{destination}.")


def source(*addresses: str) -> list[Packet]:
    return [Packet(source=address) for address in addresses]


def destination(*addresses: str) -> list[Packet]:
    return [Packet(destination=address) for address in addresses]


# Addresses

@test
def source_host() -> None:
    case("-s S.0.7", source("S.0.7"), source("S.0.6", "S.0.8", "S.1.7"))


@test
def source_network() -> None:
    case("-s S.4.0/22", source("S.4.0", "S.5.1", "S.7.255"), source("S.3.255", "S.8.0"))


@test
def source_negated() -> None:
    case("! -s S.4.0/24", source("S.3.255", "S.5.0"), source("S.4.0", "S.4.255"))


@test
def source_mask_with_holes() -> None:
    case("-s S.0.7/255.0.0.255", source("S.1.7", "S.200.7"), source("S.0.6", "S.7.0"))


@test
def source_any() -> None:
    case("-s 0.0.0.0/0", source("S.1.7", "S.0.2"), [])


@test
def destination_host() -> None:
    case("-d D.0.7", destination("D.0.7"), destination("D.0.6", "D.1.7"))


@test
def destination_network() -> None:
    case("-d D.8.0/21", destination("D.8.0", "D.15.255"), destination("D.7.255", "D.16.0"))


@test4
def destination_negated() -> None:
    case("! -d D.8.0/21", destination("D.7.255", "D.16.0"), destination("D.8.0", "D.15.255"))


@test
def destination_mask_with_holes() -> None:
    case("! -d D.0.7/255.0.0.255", destination("D.1.6"), destination("D.1.7", "D.255.7"))


@test
def both_addresses() -> None:
    def pair(one: str, two: str) -> Packet:
        return Packet(source=one, destination=two)
    case("-s S.1.0/24 ! -d D.1.0/24", [pair("S.1.1", "D.2.1"), pair("S.1.255", "D.0.9")],
         [pair("S.1.1", "D.1.1"), pair("S.2.1", "D.2.1"), pair("S.2.1", "D.1.1")])


# Interfaces

def interface_cases(hook: str, cases: dict[str, bool]) -> None:
    """Rules without target, all met by one packet; then one that drops if it should."""
    one = Packet().build(hook, 1)
    with router:
        iptables.restore(*(f"-A {hook} {rule}" for rule in cases))
    expect_equal(router.through(hook, [one]), [True], f"{hook}: delivered")
    with router:
        counters = Counters()
    for rule, counter in zip(cases, counters.rules[hook]):
        expect_equal(counter.packets, int(cases[rule]), f"{hook} {rule}: counter")
    for wanted in (True, False):
        rules = [rule for rule, matches in cases.items() if matches == wanted]
        with router:
            iptables.restore(*(f"-A {hook} {rule} -j DROP" for rule in rules))
        expect_equal(router.through(hook, [one]), [not wanted], f"{hook} {rules}: delivered")


def with_negations(flag: str, names: dict[str, bool]) -> dict[str, bool]:
    return {f"{inverse}{flag} {name}": matches != bool(inverse)
            for name, matches in names.items() for inverse in ("", "! ")}


@test
def in_interface() -> None:
    for hook in ("INPUT", "FORWARD"):
        interface_cases(hook, with_negations("-i", {
            "in0": True, "in1": False, "in": False, "in0x": False, "lo": False, "in+": True, "i+": True,
            "in0+": True, "out+": False, "in0x+": False}))


@test
def out_interface() -> None:
    for hook in ("FORWARD", "OUTPUT"):
        interface_cases(hook, with_negations("-o", {
            "out0": True, "out1": False, "ou": False, "out0y": False, "out+": True, "o+": True, "in+": False,
            "lo": False}))


@test
def both_interfaces() -> None:
    interface_cases("FORWARD", {"-i in0 -o out0": True, "-i in1 -o out0": False, "-i in0 -o out1": False,
                                "! -i in1 ! -o out1": True, "! -i in0 -o out0": False, "-i in+ -o out+": True})


@test
def any_interface() -> None:
    """`-i +` says nothing, and is there where a hook has no such device."""
    for hook in HOOKS:
        chain_case(hook, "-i +", True)
        chain_case(hook, "-o +", True)


@test4
def no_interface_at_this_hook() -> None:
    """In a user chain -o can meet INPUT and -i OUTPUT: the name there is empty."""
    for rule, matches in (("-o out0", False), ("! -o out0", True), ("-o o+", False)):
        chain_case("INPUT", rule, matches)
    for rule, matches in (("-i in0", False), ("! -i in0", True), ("! -i in+", True)):
        chain_case("OUTPUT", rule, matches)


def chain_case(hook: str, rule: str, matches: bool) -> None:
    with router:
        iptables.restore(f"-A {hook} -j user", f"-A user {rule} -j DROP")
    one = Packet().build(hook, 1)
    delivered = router.through(hook, [one])
    expect_equal(delivered, [not matches], f"{hook} {rule}: delivered")
    with router:
        expect_equal(Counters().rules["user"][0].packets, int(matches), f"{hook} {rule}: counter")


# Protocol, fragments

ALL = [of_tcp(), of_udp(), of_icmp(), Packet(packet.GRE, b"\0" * 8), Packet(253, b"")]


@test
def protocol() -> None:
    icmp_name = "icmp" if current().number == 4 else "icmpv6"
    for name, index in (("tcp", 0), ("udp", 1), (icmp_name, 2), ("gre", 3), ("253", 4)):
        matching, others = [ALL[index]], ALL[:index] + ALL[index + 1:]
        case(f"-p {name}", matching, others)
        case(f"! -p {name}", others, matching)


@test
def protocol_all() -> None:
    case("-p all", ALL, [])


def fragments() -> list[Packet]:
    return [fragment(UDP, b"x" * 8, 1), fragment(UDP, b"x" * 16, 3, more=True),
            fragment(TCP, b"x" * 24, 0x1FFF), fragment(ICMP, b"x", 100)]


def whole() -> list[Packet]:
    return [of_udp(), of_tcp(), fragment(UDP, udp(), 0, more=True),
            Packet(UDP, udp(), fields={"fragment": packet.DF})]


@test4
def fragment_flag() -> None:
    """INPUT sees packets put together, so there the router has no fragments to show."""
    case("-f", fragments(), whole(), hooks=("FORWARD", "OUTPUT"))


@test4
def fragment_negated() -> None:
    case("! -f", whole(), fragments(), hooks=("FORWARD", "OUTPUT"))


@test4
def fragment_at_input() -> None:
    with router:
        iptables.restore("-A INPUT -f -j DROP", "-A INPUT ! -f -j ACCEPT")
    first = Packet(UDP, udp(1, 2, b"x" * 16), fields={"fragment": MF}).build("INPUT", 1)
    second = fragment(UDP, b"y" * 8, 3).build("INPUT", 1)
    expect_equal(router.through("INPUT", [first, second]), [True, True], "delivered")
    with router:
        expect_equal(Counters().rules["INPUT"], [Counter(0, 0), Counter(1, 20 + 8 + 16 + 8)],
                     "counters of -f and ! -f")


# TCP

SHORT_TCP = [Packet(TCP, tcp()[:length]) for length in (0, 1, 4, 13, 19)]
TCP_FRAGMENT_1 = fragment(TCP, tcp(), 1)
TCP_FRAGMENT_2 = fragment(TCP, tcp(), 2)


@test
def tcp_destination_port() -> None:
    case("-p tcp --dport 80", [of_tcp(80, 80), of_tcp(1, 80)],
         [of_tcp(80, 79), of_tcp(80, 81), of_udp(80, 80)], SHORT_TCP)


@test
def tcp_source_port() -> None:
    case("-p tcp --sport 1024", [of_tcp(1024, 80)], [of_tcp(1023, 1024), of_tcp(1025, 80)],
         SHORT_TCP)


@test
def tcp_port_ranges() -> None:
    case("-p tcp --sport 1000:2000 --dport 80:90",
         [of_tcp(1000, 80), of_tcp(2000, 90), of_tcp(1500, 85)],
         [of_tcp(999, 80), of_tcp(2001, 80), of_tcp(1000, 79), of_tcp(1000, 91)], SHORT_TCP)
    case("-p tcp --dport :100", [of_tcp(1, 0), of_tcp(1, 100)], [of_tcp(1, 101)])
    case("-p tcp --dport 65000:", [of_tcp(1, 65000), of_tcp(1, 65535)], [of_tcp(1, 64999)])


@test4
def tcp_ports_negated() -> None:
    case("-p tcp ! --sport 1000:2000 ! --dport 80", [of_tcp(999, 79), of_tcp(2001, 81)],
         [of_tcp(1000, 79), of_tcp(999, 80), of_tcp(1500, 80)], SHORT_TCP)


@test
def tcp_syn() -> None:
    syn = [of_tcp(flags=SYN), of_tcp(flags=SYN | PSH), of_tcp(flags=SYN | ECE | URG)]
    rest = [of_tcp(flags=flags) for flags in (0, ACK, SYN | ACK, SYN | RST, FIN, SYN | FIN)]
    case("-p tcp --syn", syn, rest, SHORT_TCP)
    case("-p tcp ! --syn", rest, syn, SHORT_TCP)


@test
def tcp_flags() -> None:
    case("-p tcp --tcp-flags ALL NONE", [of_tcp(flags=0), of_tcp(flags=ECE)],
         [of_tcp(flags=FIN), of_tcp(flags=URG)])
    case("-p tcp --tcp-flags SYN,FIN SYN,FIN", [of_tcp(flags=SYN | FIN), of_tcp(flags=0x3F)],
         [of_tcp(flags=SYN), of_tcp(flags=FIN), of_tcp(flags=0)])
    case("-p tcp ! --tcp-flags FIN,SYN,RST,ACK ACK", [of_tcp(flags=ACK | FIN), of_tcp(flags=0)],
         [of_tcp(flags=ACK), of_tcp(flags=ACK | PSH)])


NOP, MSS, WINDOW, SACK, TIME = b"\1", b"\2\4\5\xb4", b"\3\3\7", b"\4\2", b"\x08\x0a" + b"t" * 8


@test
def tcp_option() -> None:
    have = [of_tcp(options=MSS), of_tcp(options=NOP + NOP + SACK + MSS),
            of_tcp(options=TIME + NOP + MSS), of_tcp(options=b"\0\0\0\0" + MSS)]
    lack = [of_tcp(), of_tcp(options=NOP * 4), of_tcp(options=TIME),
            of_tcp(options=b"\x22\x04\x02\x02"), of_tcp(options=WINDOW + NOP),
            of_tcp(options=b"\x05\x04\x02\x04")]
    broken = [of_tcp(offset=4), of_tcp(offset=0), of_tcp(offset=6), of_tcp(offset=15)]
    case("-p tcp --tcp-option 2", have, lack, SHORT_TCP + broken)
    case("-p tcp ! --tcp-option 2", lack, have, SHORT_TCP + broken)


@test
def tcp_option_odd_lengths() -> None:
    """A length of 0 or 1 is taken for 1; one that leads beyond the header ends the search."""
    case("-p tcp --tcp-option 2",
         [of_tcp(options=b"\x09\x00\x02\x04"), of_tcp(options=b"\x09\x01\x02\x04"),
          of_tcp(options=b"\x01\x01\x01\x02")],
         [of_tcp(options=b"\x09\xff\x02\x04"), of_tcp(options=b"\x01\x01\x01\x09")])


@test4
def tcp_option_after_the_rest() -> None:
    """A bad data offset matters only to a packet that passed the ports and flags."""
    case("-p tcp --dport 80 --syn --tcp-option 2", [of_tcp(1, 80, options=MSS)],
         [of_tcp(1, 81, offset=4), of_tcp(1, 80, ACK, offset=4)], [of_tcp(1, 80, offset=4)])


@test4
def tcp_fragments() -> None:
    case("-p tcp --dport 80", [], [TCP_FRAGMENT_2], [TCP_FRAGMENT_1],
         hooks=("FORWARD", "OUTPUT"))
    case("-p tcp ! --dport 80", [], [TCP_FRAGMENT_2], [TCP_FRAGMENT_1],
         hooks=("FORWARD", "OUTPUT"))
    case("-p tcp", [TCP_FRAGMENT_1, TCP_FRAGMENT_2], [], hooks=("FORWARD", "OUTPUT"))


@test
def tcp_nothing_asked() -> None:
    case("-p tcp -m tcp", [of_tcp(), of_tcp(flags=0)], [of_udp()], SHORT_TCP)


# UDP

SHORT_UDP = [Packet(UDP, udp()[:length]) for length in (0, 3, 7)]


@test
def udp_ports() -> None:
    case("-p udp --dport 53", [of_udp(1, 53)], [of_udp(53, 52), of_udp(1, 54), of_tcp(1, 53)],
         SHORT_UDP)
    case("-p udp --sport 53", [of_udp(53, 1)], [of_udp(52, 53)], SHORT_UDP)
    case("-p udp --sport 10:20 --dport 30:40", [of_udp(10, 30), of_udp(20, 40)],
         [of_udp(9, 30), of_udp(21, 30), of_udp(10, 29), of_udp(10, 41)], SHORT_UDP)


@test
def udp_ports_negated() -> None:
    case("-p udp ! --sport 53 ! --dport 53", [of_udp(1, 2)], [of_udp(53, 2), of_udp(1, 53)],
         SHORT_UDP)


@test4
def udp_fragments() -> None:
    later = [fragment(UDP, udp(), 1), fragment(UDP, udp(), 2)]
    case("-p udp --dport 53", [fragment(UDP, udp(), 0, more=True)], later,
         hooks=("FORWARD", "OUTPUT"))
    case("-p udp ! --dport 1", [of_udp()], later, hooks=("FORWARD", "OUTPUT"))


# ICMP

SHORT_ICMP = [Packet(ICMP, icmp()[:length]) for length in (0, 1, 7)]


@test4
def icmp_type() -> None:
    case("-p icmp --icmp-type 8", [of_icmp(8, 0), of_icmp(8, 5)], [of_icmp(0, 0), of_icmp(9, 0)],
         SHORT_ICMP)
    case("-p icmp --icmp-type echo-reply", [of_icmp(0, 0)], [of_icmp(8, 0)], SHORT_ICMP)


@test4
def icmp_type_and_code() -> None:
    case("-p icmp --icmp-type 3/1", [of_icmp(3, 1)], [of_icmp(3, 0), of_icmp(3, 2), of_icmp(1, 3)],
         SHORT_ICMP)
    case("-p icmp --icmp-type port-unreachable", [of_icmp(3, 3)], [of_icmp(3, 1)])


@test4
def icmp_any() -> None:
    case("-p icmp --icmp-type any", [of_icmp(8), of_icmp(0), of_icmp(200, 9)], [of_udp()],
         SHORT_ICMP)


@test4
def icmp_negated() -> None:
    case("-p icmp ! --icmp-type 8", [of_icmp(0), of_icmp(3, 1)], [of_icmp(8)], SHORT_ICMP)
    case("-p icmp ! --icmp-type 3/1", [of_icmp(3, 0), of_icmp(8, 1)], [of_icmp(3, 1)], SHORT_ICMP)


@test4
def icmp_fragments() -> None:
    later = [fragment(ICMP, icmp(), 1)]
    case("-p icmp --icmp-type 8", [of_icmp(8)], later, hooks=("FORWARD", "OUTPUT"))
    case("-p icmp ! --icmp-type 0", [of_icmp(8)], later, hooks=("FORWARD", "OUTPUT"))


# All together

@test
def many_conditions() -> None:
    case("-s S.1.0/24 -d D.2.0/24 -p tcp --sport 1024: --dport 22 --syn",
         [Packet(TCP, tcp(1024, 22), "S.1.1", "D.2.2")],
         [Packet(TCP, tcp(1023, 22), "S.1.1", "D.2.2"), Packet(TCP, tcp(1024, 22), "S.2.1", "D.2.2"),
          Packet(TCP, tcp(1024, 22), "S.1.1", "D.1.2"),
          Packet(TCP, tcp(1024, 22, ACK), "S.1.1", "D.2.2"),
          # What fails earlier is not asked for its header.
          Packet(TCP, tcp()[:7], "S.2.1", "D.2.2")],
         [Packet(TCP, tcp()[:7], "S.1.1", "D.2.2")])


@test4
def ip_options_before_ports() -> None:
    """The header's length moves everything behind it."""
    moved = {"options": b"\1" * 8}
    case("-p tcp --dport 80", [Packet(TCP, tcp(1, 80), fields=moved)],
         [Packet(TCP, tcp(1, 81), fields=moved)],
         [Packet(TCP, tcp(1, 80)[:19], fields=moved)])


if __name__ == "__main__":
    main()
