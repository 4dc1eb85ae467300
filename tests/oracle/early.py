# SPDX-License-Identifier: GPL-2.0
"""Rules that can be decided at XDP by construction, packets that hit them, and what stands at the border.

The lead of INPUT: rules that name a device and ask for headers. Each has a condition beside
the device, so none hides another, and every device that a DROP of the lead names must get a
program. What ends the lead, and what looks like a part of it and is none, comes behind.
"""

import random
from dataclasses import dataclass

import rules
import traffic
from interest import DEVICES, Interest, near
from lib import packet
from lib.family import V4
from lib.packet import ICMP, TCP, UDP
from lib.router import TTL

PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp"}


@dataclass
class Leading:
    """A rule of the lead."""
    device: str
    source: str  # with a length
    destination: str  # "": any
    protocol: int  # 0: any
    ports: tuple[int, int] | None
    target: str

    @classmethod
    def draw(cls, rng: random.Random, interest: Interest) -> "Leading":
        device = rng.choice(DEVICES + ("in0", "in0", "lo"))
        remote = interest.loopback if device == "lo" else interest.remote
        protocol = rng.choice((0, 0, TCP, UDP, UDP, ICMP))
        ports = None
        if protocol in (TCP, UDP) and rng.random() < 0.8:
            low = rng.choice(interest.ports)
            ports = (low, min(65535, low + rng.choice((0, 0, 1, 100))))
        destination = rng.choice(interest.local + interest.routers) if rng.random() < 0.3 else ""
        return cls(device, f"{rng.choice(remote)}/{rng.choice((32, 31, 30, 24, 24, 16, 16))}", destination, protocol,
                   ports, rng.choices(("DROP", "ACCEPT", ""), (7, 1, 1))[0])

    def text(self) -> str:
        parts = [f"-i {self.device} -s {self.source}"]
        if self.destination:
            parts.append(f"-d {self.destination}")
        if self.protocol:
            parts.append(f"-p {PROTOCOLS[self.protocol]}")
        if self.ports:
            parts.append(f"--dport {self.ports[0]}:{self.ports[1]}")
        if self.target:
            parts.append(f"-j {self.target}")
        return " ".join(parts)

    def packet(self, rng: random.Random, interest: Interest, ident: int) -> traffic.Packet:
        """One that it matches, most of the time."""
        address, _, length = self.source.partition("/")
        source = near(rng, address) if int(length) <= 24 and self.device != "lo" else address
        to_lo = interest.loopback if self.device == "lo" else interest.local + interest.routers
        destination = self.destination or rng.choice(to_lo)
        protocol = self.protocol or rng.choice(tuple(PROTOCOLS))
        port = rng.randint(*self.ports) if self.ports else rng.choice(interest.ports)
        payload = b"e" * rng.choice((0, 1, 18, 400))
        segment = {TCP: packet.tcp(1024, port, payload=payload), UDP: packet.udp(1024, port, payload),
                   ICMP: packet.icmp(8, 0, payload)}[protocol]
        fragment = packet.DF if rng.random() < 0.3 else 0
        data = packet.ipv4(source, destination, protocol, segment, ident=ident, ttl=TTL, fragment=fragment)
        return traffic.Packet(traffic.SELF if self.device == "lo" else self.device, ident, data)


# What ends a lead, or is of it without a device of its own.
BORDER = ("-i in0 -p tcp -j user", "-i in1 -p udp -j RETURN", "-i in0 -p icmp -g user",
          "! -i in0 -p tcp --dport 1 -j DROP", "-i in+ -p udp --dport 1 -j DROP", "-p tcp --dport 1 -j DROP",
          "-i in0x -j DROP", "-i in0 -f -j DROP")
ENDS = ("-i in0 -p tcp -j user", "-i in1 -p udp -j RETURN", "-i in0 -p icmp -g user", "-j ACCEPT", "-j DROP", "-j user")


@dataclass
class Early:
    drawn: rules.Ruleset
    lead: list[Leading]

    @property
    def devices(self) -> list[str]:
        """Those that get a program, if anything does."""
        return sorted({one.device for one in self.lead if one.target == "DROP"})

    @classmethod
    def draw(cls, rng: random.Random, used: set[str]) -> "Early":
        """`used`: tables that have rules. There is none at PREROUTING; filter and security come behind XDP."""
        interest = Interest.draw(rng, V4)
        lead = [Leading.draw(rng, interest) for _ in range(rng.randrange(2, 8))]
        lead[0].target = "DROP"
        table = rules.Table("filter", ["user"])
        between = [one.text() for one in lead]
        # A rule without a device of its own may stand among them.
        if rng.random() < 0.5:
            between.insert(rng.randrange(len(between) + 1), rng.choice(BORDER[3:]))
        between += [rng.choice(BORDER[:3] + ENDS)] if rng.random() < 0.6 else []
        between += [rules.rule(rng, interest, "INPUT", table) for _ in range(rng.choice((0, 1, 4)))]
        lines = {"INPUT": between}
        for chain in ("FORWARD", "OUTPUT", "user"):
            lines[chain] = [rules.rule(rng, interest, chain, table) for _ in range(rng.choice((0, 1, 3)))]
        text = ["*filter", *(f":{chain} {'-' if chain == 'user' else 'ACCEPT'} [0:0]" for chain in lines),
                *(f"[{rng.choice((0, 0, 7))}:{rng.choice((0, 900))}] -A {chain} {line}".rstrip()
                  for chain, body in lines.items() for line in body), "COMMIT"]
        tables = [table]
        if rng.random() < 0.3:
            security, body = rules.draw_table(rng, interest, "security")
            tables.append(security)
            text += body
        elif "4 security" in used:
            text += rules.empty("security")
        used |= {f"4 {one.name}" for one in tables}
        return cls(rules.Ruleset(interest, tables, "\n".join([*text, ""])), lead)

    def packets(self, rng: random.Random, count: int, first: int = 1) -> list[traffic.Packet]:
        """Most for the lead, and for what drops in it; the others from its neighbourhood."""
        weights = [3 if one.target == "DROP" else 1 for one in self.lead]
        return [rng.choices(self.lead, weights)[0].packet(rng, self.drawn.interest, first + number)
                if rng.random() < 0.75 else traffic.one(rng, self.drawn.interest, first + number, False)
                for number in range(count)]
