#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What only IPv6 has: matches on extension headers, and packets in whose chains something is wrong.

As in match.py, a case is one rule that drops, in FORWARD, and three lists of packets: those
that match, those that do not, and those that are dropped on the spot and not counted.
"""

import socket
from typing import Sequence

from lib import iptables, packet
from lib.check import expect_equal, main, test6
from lib.iptables import Counter, Counters
from lib.packet import (DESTINATION, HOP, ICMPV6, NONE, TCP, UDP, Header, authentication_header, fragment_header, icmp,
                        ipv6, mobility_header, options_header, routing_header, tcp, udp)
from lib.router import TTL, Router

router = Router(mute=True)
SOURCE, TO, LOCAL = "fd00:1::7", "fd00:2::7", "fd00:9::7"
PAD = b"\1\2\0\0"
ALERT = b"\5\2\0\0"
SKIP = b"\x1e\2ab"  # an unknown option that is no reason to drop; two PADs in a row would be one


def make(*headers: Header, protocol: int = UDP, segment: bytes | None = None, to: str = TO, source: str = SOURCE,
         **fields: object) -> bytes:
    """A packet whose flow label the test gives later."""
    segment = udp(1, 53) if segment is None else segment
    return ipv6(source, to, protocol, segment, headers=headers, ttl=TTL, **fields)  # type: ignore[arg-type]


def numbered(packets: Sequence[bytes]) -> list[bytes]:
    return [bytes((one[0], one[1] & 0xF0, number >> 8, number & 0xFF)) + one[4:]
            for number, one in enumerate(packets, 1)]


def case(rule: str, match: list[bytes], other: list[bytes], hotdrop: Sequence[bytes] = (),
         hook: str = "FORWARD") -> None:
    with router:
        iptables.restore(f"-A {hook} {rule} -j DROP")
    packets = numbered([*match, *other, *hotdrop])
    delivered = router.through(hook, packets)
    for index, one in enumerate(packets):
        kind = "match" if index < len(match) else "no match" if index < len(match) + len(other) else "hotdrop"
        expect_equal(delivered[index], kind == "no match", f"{hook} {rule}: {kind} packet {one.hex()} delivered")
    with router:
        counter = Counters().rules[hook][0]
    expect_equal(counter, Counter(len(match), sum(map(packet.length_of, packets[:len(match)]))), f"{rule}: counter")


def hop(options: bytes = PAD, words: int | None = None) -> Header:
    return options_header(HOP, options, words)


def dst(options: bytes = PAD, words: int | None = None) -> Header:
    return options_header(DESTINATION, options, words)


PLAIN = make()
AH = authentication_header()


# The header itself

@test6
def upper_bits_of_addresses() -> None:
    """Every word of an address counts, and so does every bit of a mask."""
    case("-s fd00:1:2:3:4:5:6:7", [make(source="fd00:1:2:3:4:5:6:7")],
         [make(source=one) for one in ("fd00:1:2:3:4:5:6:8", "fd00:1:2:3:4:5:7:7", "fd00:1:2:3:4:4:6:7",
                                       "fd00:1:2:3:5:5:6:7", "fd00:1:2:2:4:5:6:7", "fd00:1:3:3:4:5:6:7",
                                       "fd00:2:2:3:4:5:6:7", "fd01:1:2:3:4:5:6:7")])
    case("-d fd00:2:8000::/33", [make(to="fd00:2:8000::1"), make(to="fd00:2:ffff:f::1")], [make(to="fd00:2:7fff::1")])
    case("! -d fd00:2::/ffff:ffff::ff", [make(to="fd00:2::1:0:1")], [make(to="fd00:2:7:7:7:7::100")])


@test6
def lengths() -> None:
    """The length in the header rules; what is longer than the packet, or a jumbogram, is no packet."""
    case("-p udp --dport 53", [make(trailer=b"\0" * 20)], [], [make(length=7)])
    case("-p udp", [PLAIN], [])
    with router:
        iptables.restore("-A FORWARD -p udp -j DROP")
    expect_equal(router.through("FORWARD", numbered([make(length=100), make(length=0, segment=b""),
                                                     make(version=5), PLAIN[:39]])), [False, False, False, False],
                 "delivered")
    with router:
        expect_equal(Counters().rules["FORWARD"], [Counter(1, 40)], "the empty one alone")


# Finding what is behind the headers

@test6
def ports_behind_headers() -> None:
    chains = [(hop(),), (dst(),), (routing_header(),), (AH,), (hop(), dst(), routing_header(), AH, dst()),
              (fragment_header(),), (fragment_header(more=True),), (dst(ALERT * 5),), (hop(), fragment_header(), AH)]
    case("-p udp --dport 53", [make(*chain) for chain in chains],
         [make(*chain, segment=udp(53, 54)) for chain in chains] + [make(*chain, protocol=TCP, segment=tcp(53, 53))
                                                                     for chain in chains])


@test6
def protocol_behind_headers() -> None:
    """-p asks for the first header that is no extension. Behind ESP nothing is known, and nothing is behind 59."""
    case("-p udp", [PLAIN, make(dst()), make(AH)], [make(protocol=TCP, segment=tcp()), make(protocol=packet.ESP),
                                                    make(dst(), protocol=NONE), make(protocol=99)])
    case("! -p udp", [make(protocol=TCP, segment=tcp()), make(protocol=packet.ESP)], [PLAIN, make(dst(), dst())])
    case("-p esp", [make(protocol=packet.ESP), make(dst(), protocol=packet.ESP)], [PLAIN])


@test6
def later_fragments() -> None:
    """They have a protocol, but no ports. Offsets are bytes here: none is 1, which in IPv4 drops a TCP fragment."""
    middle, last = fragment_header(2, True), fragment_header(3)
    case("-p udp --dport 53", [make(fragment_header(0, True))], [make(middle), make(last), make(fragment_header(1))])
    case("-p udp ! --dport 1", [PLAIN], [make(middle), make(dst(), last)])
    case("-p tcp --dport 1:65535", [], [make(one, protocol=TCP, segment=tcp())
                                        for one in (last, fragment_header(1), fragment_header(1, True))])
    case("-p icmpv6 --icmpv6-type 128", [], [make(last, protocol=ICMPV6, segment=icmp(128))])


@test6
def truncated_chains() -> None:
    """The header that is asked for is not there, or only in part."""
    whole = make(dst())
    short = [make(dst(), cut=length) for length in range(2, 16)]
    # A chain that ends within the two bytes that tell of the next header has no protocol: -p drops it.
    broken = [make(dst(), cut=length) for length in (0, 1)]
    case("-p udp --dport 53", [whole], [], short + broken)
    case("-m dst", [whole, *short[6:]], [make(hop(), cut=8)])


# ICMPv6

@test6
def icmp_types() -> None:
    def of(kind: int, code: int = 0) -> bytes:
        return make(protocol=ICMPV6, segment=icmp(kind, code))
    short = [make(protocol=ICMPV6, segment=icmp(128)[:length]) for length in (0, 1)]
    case("-p icmpv6 --icmpv6-type 128", [of(128, 0), of(128, 5)], [of(129, 0), of(1, 0), PLAIN], short)
    case("-p icmpv6 --icmpv6-type 1/3", [of(1, 3)], [of(1, 2), of(3, 1), of(2, 3)], short)
    case("-p icmpv6 ! --icmpv6-type 1/3", [of(1, 2), of(3, 1), of(128)], [of(1, 3), PLAIN], short)
    case("-p icmpv6 --icmpv6-type 255", [of(255, 1)], [of(254)])


# Matches of extension headers

@test6
def ipv6header_soft() -> None:
    """Are these there, among others?"""
    case("-m ipv6header --header dst --soft", [make(dst()), make(hop(), dst()), make(dst(), AH, dst())],
         [PLAIN, make(hop()), make(AH)])
    case("-m ipv6header --header hop,frag --soft",
         [make(hop(), fragment_header()), make(hop(), dst(), fragment_header(2))],
         [make(hop()), make(fragment_header()), PLAIN])
    case("-m ipv6header --header none --soft", [make(protocol=NONE), make(dst(), protocol=NONE)], [PLAIN])
    case("-m ipv6header --header prot --soft", [PLAIN, make(dst()), make(protocol=99)], [make(protocol=NONE)])
    case("-m ipv6header --header esp --soft", [make(protocol=packet.ESP)], [PLAIN])


@test6
def ipv6header_exact() -> None:
    """Are these there, and no others? What is no extension header does not count, unless asked for."""
    case("-m ipv6header --header dst", [], [PLAIN, make(hop()), make(dst())])
    case("-m ipv6header --header dst,prot", [make(dst()), make(dst(), dst())], [PLAIN, make(hop(), dst())])
    case("-m ipv6header --header prot", [PLAIN], [make(dst()), make(protocol=NONE)])
    case("-m ipv6header ! --header prot", [make(dst()), make(protocol=NONE)], [PLAIN])
    case("-m ipv6header --header hop,dst,route,frag,auth,prot",
         [make(hop(), dst(), routing_header(), fragment_header(), AH)], [make(hop(), dst(), routing_header(), AH)])


@test6
def frag() -> None:
    first, middle, last, atomic = (fragment_header(0, True, 7), fragment_header(3, True, 8),
                                   fragment_header(5, False, 9), fragment_header(0, False, 10))
    case("-m frag", [make(one) for one in (first, middle, last, atomic)], [PLAIN, make(dst())])
    case("-m frag --fragid 8:9", [make(middle), make(last)], [make(first), make(atomic)])
    case("-m frag ! --fragid 7", [make(middle), make(last), make(atomic)], [make(first)])
    case("-m frag --fragfirst", [make(first), make(atomic)], [make(middle), make(last)])
    case("-m frag --fragmore", [make(first), make(middle)], [make(last), make(atomic)])
    case("-m frag --fraglast", [make(last), make(atomic)], [make(first), make(middle)])
    case("-m frag --fragres", [make(one) for one in (first, last)],
         [make(fragment_header(0, True, 7, reserved=1)), make(fragment_header(0, True, 7, reserved=0x100))])
    case("-m frag --fragid 7", [make(dst(), first)], [])


@test6
def options() -> None:
    for name, build in (("hbh", hop), ("dst", dst)):
        case(f"-m {name}", [make(build()), make(build(ALERT))], [PLAIN, make(AH)])
        case(f"-m {name} --{name}-len 8", [make(build())], [make(build(ALERT * 2))])
        case(f"-m {name} ! --{name}-len 8", [make(build(ALERT * 2))], [make(build())])
        # In this order, from the first on; a length is only compared if it is given.
        case(f"-m {name} --{name}-opts 5:2", [make(build(ALERT))], [make(build(PAD)), make(build(SKIP + ALERT))])
        case(f"-m {name} --{name}-opts 5,30", [make(build(ALERT + SKIP + ALERT))], [make(build(SKIP + ALERT))])
        case(f"-m {name} --{name}-opts 5:3", [], [make(build(ALERT))])


@test6
def rt() -> None:
    def of(kind: int, left: int, *addresses: str) -> bytes:
        return make(routing_header(kind, left, b"\0" * 4 + b"".join(map(packed, addresses))))
    one, two = "2001:db8::1", "2001:db8::2"
    case("-m rt", [of(0, 0), of(4, 0)], [PLAIN])
    case("-m rt --rt-type 2", [of(2, 0, one)], [of(0, 0, one), of(3, 0)])
    case("-m rt ! --rt-type 0", [of(2, 0, one)], [of(0, 0, one)])
    case("-m rt --rt-segsleft 1:3", [of(4, 1, one), of(4, 3, one)], [of(4, 0), of(4, 4)])
    case("-m rt --rt-len 24", [of(0, 0, one)], [of(0, 0), of(0, 0, one, two)])
    case(f"-m rt --rt-type 0 --rt-0-addrs {one},{two}", [of(0, 0, one, two)],
         [of(0, 0, two, one), of(0, 0, one), of(0, 0, one, two, one)])
    case(f"-m rt --rt-type 0 --rt-0-addrs {two} --rt-0-not-strict", [of(0, 0, one, two), of(0, 0, two)],
         [of(0, 0, one)])


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address)


@test6
def ah() -> None:
    def of(**fields: int) -> bytes:
        return make(authentication_header(**fields))  # type: ignore[arg-type]
    case("-m ah", [of(), of(spi=9)], [PLAIN, make(dst())])
    case("-m ah --ahspi 5:7", [of(spi=5), of(spi=7)], [of(spi=4), of(spi=8)])
    case("-m ah ! --ahspi 5", [of(spi=6)], [of(spi=5)])
    case("-m ah --ahlen 24", [of()], [of(words=3)])
    case("-m ah --ahres", [of()], [of(reserved=1)])


@test6
def hl() -> None:
    """The router has counted down when FORWARD is called."""
    here = TTL - 1
    case(f"-m hl --hl-eq {here}", [PLAIN], [])
    case(f"-m hl ! --hl-eq {here}", [], [PLAIN])
    case(f"-m hl --hl-lt {TTL}", [PLAIN], [])
    case(f"-m hl --hl-lt {here}", [], [PLAIN])
    case(f"-m hl --hl-gt {here}", [], [PLAIN])
    case(f"-m hl --hl-gt {here - 1}", [PLAIN], [])
    case(f"-m hl --hl-eq {TTL}", [make(to=LOCAL)], [], hook="INPUT")


@test6
def mh() -> None:
    def of(kind: int, *headers: Header, words: int | None = None, after: int = NONE) -> bytes:
        return make(*headers, protocol=packet.MOBILITY, segment=bytes((after,)) + mobility_header(kind, words).rest)
    case("-p mh", [of(5), of(1, dst())], [PLAIN])
    case("-p mh -m mh --mh-type 5:6", [of(5), of(6), of(5, dst())], [of(4), of(7), PLAIN], [of(5, after=UDP)])
    case("-p mh -m mh ! --mh-type 5", [of(6)], [of(5)])


@test6
def eui64() -> None:
    """The source's last eight bytes are made of the frame's: 02:00:00:00:01:02 on this link."""
    for hook, to in (("FORWARD", TO), ("INPUT", LOCAL)):
        case("-m eui64", [make(source="fd00:1::ff:fe00:102", to=to)],
             [make(source="fd00:1::ff:fe00:103", to=to), make(source="fd00:1::200:ff:fe00:102", to=to)], hook=hook)


# At the other hooks

@test6
def at_input_and_output() -> None:
    """Without connection tracking INPUT meets the fragments one by one."""
    for hook, to in (("INPUT", LOCAL), ("OUTPUT", TO)):
        case("-m dst --dst-len 8", [make(dst(), to=to)], [make(to=to), make(dst(PAD * 3), to=to)], hook=hook)
    with router:
        iptables.restore("-A INPUT -m frag --fragfirst", "-A INPUT -m frag --fraglast",
                         "-A INPUT -p udp --dport 53 -j DROP", "-A INPUT -p udp")
    pieces = [make(fragment_header(0, True, 77), segment=udp(1, 54, b"x" * 16), to=LOCAL),
              make(fragment_header(3, False, 77), segment=b"y" * 8, to=LOCAL)]
    router.through("INPUT", numbered(pieces))
    with router:
        expect_equal([counter.packets for counter in Counters().rules["INPUT"]], [1, 1, 0, 2], "counters")


@test6
def output_with_wrong_lengths() -> None:
    """A raw socket sends what it is given: the packet is as long as it is, whatever its header says."""
    with router:
        iptables.restore("-A OUTPUT -p udp --dport 53 -j DROP", "-A OUTPUT")
    for number, length in enumerate((0, 4, 200)):
        expect_equal(router.output(numbered([make(length=length)])[0]), "EPERM", f"length {length}")
        with router:
            expect_equal(Counters().rules["OUTPUT"][0], Counter(number + 1, 48 * (number + 1)),
                         f"counter, length {length}")


if __name__ == "__main__":
    main()
