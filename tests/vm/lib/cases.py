# SPDX-License-Identifier: GPL-2.0
"""Rules and packets that they must match, and must not, at every hook.

Each case is one rule, `-A CHAIN <rule> -j DROP` under policy ACCEPT, and three lists of
packets: those that match (counted, not delivered), those that do not (delivered, not
counted), and those that are dropped on the spot without being counted, because a header
that the match needs is not there. S and D in addresses stand for the "10.N" prefixes that
lead a packet through the hook (lib/router.py).
"""

from dataclasses import dataclass, field
from typing import Any

from . import iptables, packet
from .check import expect_equal
from .family import current
from .iptables import Counter, Counters
from .packet import MF, TCP, UDP, icmp, tcp, udp
from .router import OF_HOOK, TTL, Router

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
