#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What rules ask of the IP header and of devices: packets that must and packets that must not match."""

from lib import iptables, packet
from lib.cases import HOOKS, Packet, case, destination, fragment, of_icmp, of_tcp, of_udp, router, source
from lib.check import expect_equal, main, test, test4
from lib.family import current
from lib.iptables import Counter, Counters
from lib.packet import ICMP, MF, TCP, UDP, udp


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


if __name__ == "__main__":
    main()
