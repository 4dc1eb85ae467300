# SPDX-License-Identifier: GPL-2.0
"""Packets that are meant for a rule: what it asks for, read from its text."""

from typing import NamedTuple

from lib import packet
from lib.router import LINKS

PROTOCOLS = {"tcp": packet.TCP, "udp": packet.UDP, "icmp": packet.ICMP, "icmpv6": packet.ICMPV6,
             "udplite": packet.UDPLITE, "mh": packet.MOBILITY, "esp": packet.ESP, "gre": packet.GRE,
             "sctp": packet.SCTP, "dccp": packet.DCCP, "ah": packet.AH}


class Aim(NamedTuple):
    """Empty, or none: any."""
    chain: str = ""
    device: str = ""
    source: str = ""
    destination: str = ""
    protocol: int = 0
    sport: int | None = None
    dport: int | None = None

    def ports(self, segment: bytes) -> bytes:
        for at, port in ((0, self.sport), (2, self.dport)):
            if port is not None and len(segment) >= 4:
                segment = segment[:at] + port.to_bytes(2, "big") + segment[at + 2:]
        return segment


NOTHING = Aim()


def _port(text: str) -> int:
    """One of a range, or of a list of these."""
    low, _, high = text.partition(",")[0].partition(":")
    return int(low or high or 0)


def of(line: str) -> Aim:
    """`line`: as iptables-restore takes it. What is asked for with ! is left to chance."""
    words = line.split()
    found: dict[str, str] = {}
    for before, word, value in zip([""] + words, words, words[1:]):
        if before != "!":
            found.setdefault(word, value)
    device = found.get("-i", "").rstrip("+")
    sport = found.get("--sport", found.get("--sports"))
    dport = found.get("--dport", found.get("--dports", found.get("--ports")))
    return Aim(found.get("-A", ""), device if device in LINKS else "", found.get("-s", ""), found.get("-d", ""),
               PROTOCOLS.get(found.get("-p", ""), 0), None if sport is None else _port(sport),
               None if dport is None else _port(dport))


def of_text(text: str) -> list[Aim]:
    """One for each rule of a ruleset."""
    return [of(line) for line in text.splitlines() if " -A " in line]
