#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Packets that are not as they should be: truncated, with IP options, in fragments, broken.

What the IP layer refuses by itself never meets a rule and is counted nowhere; the rest is
counted with the length in its header.
"""

from lib import iptables, packet
from lib.check import expect_equal, main, test
from lib.iptables import Counter, Counters
from lib.packet import ICMP, MF, TCP, UDP, icmp, ipv4, tcp, udp
from lib.router import LINKS, LOCAL, TTL, Router

router = Router(mute=True)
OUT = "10.2.0.2"
HOST = "10.1.0.2"


def rules(*lines: str, policies: dict[str, str] | None = None) -> None:
    with router:
        iptables.restore(*lines, policies=policies)


def counters() -> Counters:
    with router:
        return Counters()


def forward(packets: list[bytes]) -> list[bool]:
    return router.through("FORWARD", packets)


def make(protocol: int, segment: bytes, ident: int, to: str = OUT, **fields: object) -> bytes:
    return ipv4(HOST, to, protocol, segment, ident=ident, ttl=TTL, **fields)  # type: ignore[arg-type]


NOP = b"\1"
RECORD_ROUTE = b"\x07\x0b\x04" + b"\0" * 8
TIMESTAMP = b"\x44\x0c\x05\x00" + b"\0" * 8
ROUTER_ALERT = b"\x94\x04\0\0"


@test
def ip_options() -> None:
    """Ports are found behind the options; the bytes include them."""
    for options in (NOP * 4, RECORD_ROUTE, TIMESTAMP, ROUTER_ALERT, NOP * 40):
        rules("-A FORWARD -p udp --dport 53 -j DROP", "-A FORWARD -p tcp --dport 80 --syn -j DROP",
              "-A FORWARD -p icmp --icmp-type 8 -j DROP")
        packets = [make(UDP, udp(1, 53), 1, options=options), make(UDP, udp(1, 54), 2, options=options),
                   make(TCP, tcp(1, 80), 3, options=options), make(TCP, tcp(1, 81), 4, options=options),
                   make(ICMP, icmp(8), 5, options=options), make(ICMP, icmp(13), 6, options=options)]
        expect_equal(forward(packets), [False, True] * 3, f"delivered with {options.hex()}")
        seen = counters()
        expect_equal(seen.rules["FORWARD"],
                     [Counter(1, packet.length_of(packets[index])) for index in (0, 2, 4)],
                     f"counters with {options.hex()}")


@test
def ip_options_at_input() -> None:
    rules("-A INPUT -p udp --dport 53 -j DROP")
    packets = [make(UDP, udp(1, port), port, LOCAL, options=options)
               for port in (53, 54) for options in (RECORD_ROUTE,)]
    expect_equal(router.through("INPUT", packets), [False, True], "delivered")
    expect_equal(counters().rules["INPUT"], [Counter(1, 20 + 12 + 8)], "counters")


@test
def options_look_like_ports() -> None:
    """What stands at offset 20 is not the ports when there are options."""
    rules("-A FORWARD -p udp --sport 257 --dport 257 -j DROP")  # 1, 1, 1, 1: four NOPs
    expect_equal(forward([make(UDP, udp(1, 2), 1, options=NOP * 8)]), [True], "delivered")


@test
def truncated_transport_headers() -> None:
    """Too short for what is asked: dropped, and no rule counts it from there on."""
    cases = [("-p tcp --dport 80", TCP, tcp(1, 80), 20), ("-p udp --dport 53", UDP, udp(1, 53), 8),
             ("-p icmp --icmp-type 8", ICMP, icmp(8), 8)]
    for rule, protocol, segment, needed in cases:
        rules("-A FORWARD", f"-A FORWARD {rule} -j ACCEPT", "-A FORWARD -j ACCEPT")
        packets = [make(protocol, segment[:length], length + 1) for length in range(needed + 1)]
        expect_equal(forward(packets), [False] * needed + [True], rule)
        total = Counter(len(packets), sum(map(packet.length_of, packets)))
        expect_equal(counters().rules["FORWARD"], [total, Counter(1, 20 + needed), Counter(0, 0)],
                     f"counters of {rule}")


@test
def truncated_but_nobody_asks() -> None:
    rules("-A FORWARD -p tcp -j ACCEPT", policies={"FORWARD": "DROP"})
    packets = [make(TCP, tcp()[:length], length + 1) for length in (0, 1, 19)]
    expect_equal(forward(packets), [True] * 3, "delivered")


@test
def hotdrop_in_a_user_chain() -> None:
    rules("-A FORWARD -j user", "-A FORWARD -j ACCEPT", "-A user -p udp --dport 1:65535 -j RETURN")
    expect_equal(forward([make(UDP, b"\0" * 7, 1), make(UDP, udp(), 2)]), [False, True], "delivered")
    seen = counters()
    expect_equal(seen.rules["FORWARD"], [Counter(2, 27 + 28), Counter(1, 28)], "FORWARD")
    expect_equal(seen.rules["user"], [Counter(1, 28)], "user")


@test
def tcp_fragment_at_offset_1() -> None:
    """It could overwrite the flags of the first one: dropped by any tcp match, and only by one."""
    rules("-A FORWARD -p tcp --dport 80 -j ACCEPT", "-A FORWARD -p tcp -j ACCEPT")
    packets = [make(TCP, b"x" * 16, 1, fragment=1), make(TCP, b"x" * 16, 2, fragment=1 | MF),
               make(TCP, b"x" * 16, 3, fragment=2), make(UDP, b"x" * 16, 4, fragment=1)]
    expect_equal(forward(packets), [False, False, True, True], "delivered")
    seen = counters()
    expect_equal(seen.rules["FORWARD"], [Counter(0, 0), Counter(1, 36)], "counters")


@test
def first_fragment_is_matched() -> None:
    rules("-A FORWARD -p udp --dport 53 -j DROP")
    packets = [make(UDP, udp(1, 53, b"x" * 8), 1, fragment=MF), make(UDP, b"x" * 8, 2, fragment=2),
               make(UDP, udp(1, 53)[:4], 3, fragment=MF)]
    expect_equal(forward(packets), [False, True, False], "delivered")
    expect_equal(counters().rules["FORWARD"], [Counter(1, 36)], "the short first fragment is not counted")


@test
def fragments_for_the_router_are_put_together() -> None:
    """INPUT meets one packet, whatever the pieces would have matched."""
    rules("-A INPUT -p udp --dport 53 -j DROP", "-A INPUT -i in0 -p udp")
    drop = [make(UDP, udp(1, 53, b"x" * 16), 7, LOCAL, fragment=MF), make(UDP, b"y" * 8, 7, LOCAL, fragment=3)]
    passed = [make(UDP, udp(1, 54, b"x" * 16), 8, LOCAL, fragment=MF), make(UDP, b"y" * 8, 8, LOCAL, fragment=3)]
    expect_equal(router.through("INPUT", drop + passed), [False] * 2 + [True] * 2, "delivered")
    expect_equal(counters().rules["INPUT"], [Counter(1, 52), Counter(1, 52)], "counters")


@test
def fragments_dropped_by_address() -> None:
    """Rules without a header behind IP, that could be decided early, must wait for all pieces."""
    rules(f"-A INPUT -i in0 -s {HOST} -j DROP")
    pieces = [make(UDP, udp(1, 53, b"x" * 16), 7, LOCAL, fragment=MF), make(UDP, b"y" * 8, 7, LOCAL, fragment=3)]
    expect_equal(router.through("INPUT", pieces), [False, False], "delivered")
    expect_equal(counters().rules["INPUT"], [Counter(1, 52)], "counters")


@test
def lone_fragment_meets_no_rule() -> None:
    rules(f"-A INPUT -i in0 -s {HOST} -j DROP")
    expect_equal(router.through("INPUT", [make(UDP, udp(1, 53), 7, LOCAL, fragment=MF)]), [False], "delivered")
    expect_equal(counters().rules["INPUT"], [Counter(0, 0)], "counters")


@test
def refused_by_ip_itself() -> None:
    """Broken IP headers are nobody's packets: no rule, no policy counts them."""
    rules(f"-A INPUT -i in0 -s {HOST} -j DROP", f"-A FORWARD -s {HOST} -j DROP", policies={"INPUT": "DROP"})
    good = make(UDP, udp(), 1, LOCAL)
    for to in (LOCAL, OUT):
        broken = [
            make(UDP, udp(), 1, to, wrong_checksum=True),
            make(UDP, udp(), 2, to, total=100),  # longer than the frame
            make(UDP, udp(), 3, to, total=19),
            make(UDP, udp(), 4, to, header_words=4),
            make(UDP, b"", 5, to, header_words=6),  # header beyond the packet
            make(UDP, udp(), 6, to)[:19],
            b"\x55" + good[1:],  # version 5
            make(UDP, udp(), 8, to, options=b"\x07\x02\x04\0"),  # record route, too short
        ]
        expect_equal(router.through("INPUT", broken), [False] * len(broken), "delivered")
    seen = counters()
    expect_equal(seen.rules["INPUT"] + seen.rules["FORWARD"], [Counter(0, 0)] * 2, "rules")
    expect_equal(seen.policy["INPUT"], Counter(0, 0), "policy of INPUT")


@test
def not_for_this_machine() -> None:
    """A frame for another MAC address is not INPUT's, even when seen."""
    rules(f"-A INPUT -i in0 -s {HOST} -j DROP", f"-A FORWARD -s {HOST} -j DROP")
    for to in (LOCAL, OUT):
        router.inject("in0", make(UDP, udp(), 1, to), destination_mac="02:00:00:00:99:99")
    router.settle()
    seen = counters()
    expect_equal(seen.rules["INPUT"] + seen.rules["FORWARD"], [Counter(0, 0)] * 2, "rules")


@test
def impossible_sources() -> None:
    """Martians are dropped by routing, before INPUT."""
    rules("-A INPUT -i in0 -p udp -j DROP")
    for source in ("127.0.0.1", "224.0.0.1", "255.255.255.255", "10.1.0.1", "10.2.0.1", "10.9.0.1"):
        expect_equal(router.through("INPUT", [ipv4(source, LOCAL, UDP, udp(), ttl=TTL)]), [False], source)
        expect_equal(counters().rules["INPUT"], [Counter(0, 0)], f"counters, source {source}")


@test
def bytes_behind_the_packet() -> None:
    """Ethernet pads short frames; only the packet counts."""
    rules("-A INPUT -i in0 -p udp -j DROP", "-A FORWARD -p udp -j DROP")
    for hook, to in (("INPUT", LOCAL), ("FORWARD", OUT)):
        expect_equal(router.through(hook, [make(UDP, udp(), 1, to, trailer=b"\0" * 18)]), [False], hook)
        expect_equal(counters().rules[hook], [Counter(1, 28)], hook)


@test
def padding_is_not_a_header() -> None:
    rules("-A FORWARD -p udp --dport 0:65535 -j ACCEPT", policies={"FORWARD": "DROP"})
    expect_equal(forward([make(UDP, udp()[:4], 1, trailer=b"\0" * 22)]), [False], "delivered")
    expect_equal(counters().rules["FORWARD"], [Counter(0, 0)], "counters")
    expect_equal(counters().policy["FORWARD"], Counter(0, 0), "policy")


@test
def expired_ttl() -> None:
    """Too old to be forwarded: FORWARD does not see it; INPUT does."""
    rules("-A INPUT -i in0 -p udp", "-A FORWARD -p udp")
    router.inject("in0", ipv4(HOST, OUT, UDP, udp(), ttl=1))
    router.inject("in0", ipv4(HOST, LOCAL, UDP, udp(), ttl=1))
    router.settle()
    seen = counters()
    expect_equal(seen.rules["FORWARD"] + seen.rules["INPUT"], [Counter(0, 0), Counter(1, 28)], "counters")


@test
def other_ethertypes() -> None:
    """A VLAN tag or another protocol is not ours, whatever is inside."""
    rules("-A INPUT -i in0 -s 10.1.0.0/16 -j DROP", "-A INPUT -j DROP")
    link = LINKS["in0"]
    inside = make(UDP, udp(), 1, LOCAL)
    for kind, payload in ((0x8100, b"\0\5\x08\0" + inside), (0x88A8, b"\0\5\x08\0" + inside), (0x0801, inside)):
        router.frame("in0", packet.ethernet(packet.mac(link.inner_mac), packet.mac(link.outer_mac), payload, kind))
    router.settle()
    expect_equal(counters().rules["INPUT"], [Counter(0, 0)] * 2, "counters")


@test
def broadcast_and_multicast() -> None:
    """They are INPUT's too."""
    for to in ("10.1.0.255", "255.255.255.255", "224.0.0.1"):
        rules("-A INPUT -i in0 -s 10.1.0.0/16 -p udp --dport 1 -j DROP")
        packets = [make(UDP, udp(1, port), port, to) for port in (1, 2)]
        expect_equal(router.through("INPUT", packets), [False, True], f"delivered to {to}")
        expect_equal(counters().rules["INPUT"], [Counter(1, 28)], f"counters for {to}")


@test
def large_packet() -> None:
    rules("-A FORWARD -p udp --dport 53 -j DROP", "-A INPUT -i in0 -p udp --dport 53 -j DROP")
    for hook, to in (("FORWARD", OUT), ("INPUT", LOCAL)):
        packets = [make(UDP, udp(1, port, b"x" * 1472), port, to) for port in (53, 54)]
        expect_equal(router.through(hook, packets), [False, True], hook)
        expect_equal(counters().rules[hook], [Counter(1, 1500)], hook)


if __name__ == "__main__":
    main()
