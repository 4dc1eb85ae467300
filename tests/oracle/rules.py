# SPDX-License-Identifier: GPL-2.0
"""Random filter tables: everything that is supported, mostly as people write it, some of it odd.

A ruleset has a few things it is interested in (addresses, networks, ports); its rules ask for
them and its packets (traffic.py) come from their neighbourhood, so that rules are met.
"""

import ipaddress
import random
from dataclasses import dataclass, field

DEVICES = ("in0", "in1", "out0", "out1")
NETWORKS = ("10.1", "10.2", "10.3", "10.4")
LOCAL_NETWORK = "10.9"
ROUTER_ADDRESSES = tuple(f"{network}.0.1" for network in NETWORKS)
BUILT_IN = ("INPUT", "FORWARD", "OUTPUT")

# With the odd ones: nothing there, part of a name, longer than a name, everything.
NAMES = DEVICES * 3 + ("lo", "lo", "in+", "in+", "out+", "o+", "l+", "in0+", "nosuch", "in", "in0x",
                       "in0x+", "+", "out1+")
FLAGS = ("SYN", "ACK", "FIN", "RST", "PSH", "URG")
ICMP_TYPES = ("8", "0", "3", "3/1", "3/3", "11", "11/0", "13", "5/2", "any", "200", "255")
PROTOCOLS = ("tcp", "udp", "icmp", "gre", "esp", "sctp", "253", "99")


@dataclass
class Interest:
    """What the rules and packets of one ruleset are about."""
    addresses: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    @classmethod
    def draw(cls, rng: random.Random) -> "Interest":
        self = cls()
        for network in NETWORKS * 2 + (LOCAL_NETWORK,) * 3:
            self.addresses.append(f"{network}.{rng.choice((0, 1, 7, 8, 200))}.{rng.randrange(3, 255)}")
        self.addresses += [rng.choice(ROUTER_ADDRESSES), "127.0.0.1", f"127.0.0.{rng.randrange(2, 9)}"]
        self.ports = [rng.choice((0, 1, 22, 53, 80, 443, 1023, 1024, 32768, 65534, 65535))
                      for _ in range(3)] + [rng.randrange(65536) for _ in range(2)]
        return self


def near(rng: random.Random, address: str, spread: int = 2) -> str:
    value = int(ipaddress.IPv4Address(address)) + rng.randint(-spread, spread)
    return str(ipaddress.IPv4Address(value & 0xFFFFFFFF))


def _address(rng: random.Random, interest: Interest) -> str:
    address = rng.choice(interest.addresses)
    kind = rng.random()
    if kind < 0.45:
        return address
    if kind < 0.9:
        return f"{address}/{rng.choice((8, 15, 16, 21, 22, 23, 24, 25, 28, 29, 30, 31, 31, 32))}"
    if kind < 0.97:
        return f"{address}/{rng.choice(('255.0.0.255', '255.255.0.1', '0.0.0.7', '0.255.0.0'))}"
    return rng.choice(("0.0.0.0/0", "255.255.255.255", "224.0.0.1", "10.1.0.255"))


def _maybe_not(rng: random.Random, chance: float = 0.15) -> str:
    return "! " if rng.random() < chance else ""


def _ports(rng: random.Random, interest: Interest) -> str:
    port = rng.choice(interest.ports)
    kind = rng.random()
    if kind < 0.55:
        return str(port)
    if kind < 0.65:
        return f"{port}:"
    if kind < 0.75:
        return f":{port}"
    return f"{max(0, port - rng.randrange(4))}:{min(65535, port + rng.choice((0, 1, 2, 100, 3000)))}"


def _tcp(rng: random.Random, interest: Interest) -> list[str]:
    parts = []
    if rng.random() < 0.6:
        parts.append(f"{_maybe_not(rng)}--dport {_ports(rng, interest)}")
    if rng.random() < 0.3:
        parts.append(f"{_maybe_not(rng)}--sport {_ports(rng, interest)}")
    if rng.random() < 0.25:
        mask = rng.sample(FLAGS, rng.randrange(1, 5))
        value = [flag for flag in mask if rng.random() < 0.4]
        parts.append(rng.choice((f"{_maybe_not(rng)}--syn",
                                 f"{_maybe_not(rng)}--tcp-flags {','.join(mask)} {','.join(value) or 'NONE'}")))
    if rng.random() < 0.15:
        parts.append(f"{_maybe_not(rng, 0.3)}--tcp-option {rng.choice((1, 2, 3, 4, 8, 34))}")
    return parts


def _udp(rng: random.Random, interest: Interest) -> list[str]:
    return [part for part in (f"{_maybe_not(rng)}--dport {_ports(rng, interest)}",
                              f"{_maybe_not(rng)}--sport {_ports(rng, interest)}") if rng.random() < 0.5]


def _icmp(rng: random.Random) -> list[str]:
    return [f"{_maybe_not(rng)}--icmp-type {rng.choice(ICMP_TYPES)}"] if rng.random() < 0.7 else []


def conditions(rng: random.Random, interest: Interest, chain: str) -> str:
    """The part of a rule before -j, as iptables takes it in this chain."""
    parts = []
    if rng.random() < 0.4:
        parts.append(f"{_maybe_not(rng)}-s {_address(rng, interest)}")
    if rng.random() < 0.35:
        parts.append(f"{_maybe_not(rng)}-d {_address(rng, interest)}")
    if chain != "OUTPUT" and rng.random() < 0.3:
        parts.append(f"{_maybe_not(rng)}-i {rng.choice(NAMES)}")
    if chain != "INPUT" and rng.random() < 0.2:
        parts.append(f"{_maybe_not(rng)}-o {rng.choice(NAMES)}")
    if rng.random() < 0.07:
        parts.append(f"{_maybe_not(rng, 0.4)}-f")
    if rng.random() < 0.6:
        protocol = rng.choices(PROTOCOLS, (10, 8, 5, 1, 1, 1, 1, 1))[0]
        if rng.random() < 0.08:
            parts.append(f"! -p {protocol}")
        else:
            parts.append(f"-p {protocol}")
            parts += {"tcp": _tcp, "udp": _udp}.get(protocol, lambda *_: [])(rng, interest)
            if protocol == "icmp":
                parts += _icmp(rng)
    return " ".join(parts)


def _target(rng: random.Random, chain: str, chains: list[str], narrow: bool) -> str:
    """Jumps lead to later chains only, but for a few that make loops and must be refused."""
    later = chains[chains.index(chain) + 1:] if chain in chains else chains
    kind = rng.random()
    if later and kind < 0.35:
        return f"{'-g' if rng.random() < 0.25 else '-j'} {rng.choice(later)}"
    if kind < 0.45:
        return "-j RETURN" if narrow or rng.random() < 0.3 else ""
    if kind < 0.55:
        return ""
    if not narrow and rng.random() < 0.8:
        return ""
    return "-j DROP" if rng.random() < 0.6 else "-j ACCEPT"


def rule(rng: random.Random, interest: Interest, chain: str, chains: list[str]) -> str:
    asked = conditions(rng, interest, chain)
    narrow = any(word in asked for word in ("-s", "-d", "port", "icmp-type", "tcp-flags"))
    return f"{asked} {_target(rng, chain, chains, narrow)}".strip()


def _leading(rng: random.Random, interest: Interest) -> list[str]:
    """What can be decided before the stack: header-only rules of INPUT that name a device."""
    lines = []
    for _ in range(rng.randrange(1, 7)):
        parts = [f"-i {rng.choice(DEVICES + ('in0', 'in0', 'lo', 'in+'))}"]
        if rng.random() < 0.7:
            parts.append(f"{_maybe_not(rng, 0.1)}-s {_address(rng, interest)}")
        if rng.random() < 0.4:
            parts.append(f"-d {_address(rng, interest)}")
        if rng.random() < 0.4:
            parts.append(f"-p udp --dport {_ports(rng, interest)}" if rng.random() < 0.5
                         else f"-p {rng.choice(('tcp', 'udp', 'icmp'))}")
        target = rng.choices(("-j DROP", "-j ACCEPT", ""), (7, 2, 1))[0]
        lines.append(" ".join(parts + [target]).strip())
    return lines


@dataclass
class Ruleset:
    interest: Interest
    chains: list[str]
    text: str  # for iptables-restore -c


def _counter(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.7:
        return "[0:0]"
    if kind < 0.95:
        return f"[{rng.randrange(10 ** 6)}:{rng.randrange(10 ** 9)}]"
    return "[18446744073709551615:18446744073709551000]"


def draw(rng: random.Random) -> Ruleset:
    interest = Interest.draw(rng)
    chains = [f"c{number}" for number in range(rng.choice((0, 0, 1, 2, 3, 5, 9)))]
    rng.shuffle(chains)
    long_one = rng.choice(BUILT_IN) if rng.random() < 0.07 else ""
    head, body = [], []
    for chain in (*BUILT_IN, *chains):
        policy = "-" if chain in chains else "DROP" if rng.random() < 0.12 else "ACCEPT"
        head.append(f":{chain} {policy} {_counter(rng) if chain not in chains else '[0:0]'}")
        lines = _leading(rng, interest) if chain == "INPUT" and rng.random() < 0.45 else []
        count = rng.randrange(150, 250) if chain == long_one else rng.choice((0, 1, 2, 3, 5, 8, 12))
        lines += [rule(rng, interest, chain, chains) for _ in range(count)]
        body += [f"{_counter(rng)} -A {chain} {line}".rstrip() for line in lines]
    if chains and rng.random() < 0.05:
        body.append(f"[0:0] -A {rng.choice(chains)} -j {rng.choice(chains)}")
    return Ruleset(interest, chains, "\n".join(["*filter", *head, *body, "COMMIT", ""]))


def change(rng: random.Random, ruleset: Ruleset) -> str:
    """A later command of a person: arguments for iptables. It may well be refused."""
    chain = rng.choice(BUILT_IN + tuple(ruleset.chains))
    place = rng.randrange(1, 6)
    one = rule(rng, ruleset.interest, chain, ruleset.chains)
    return rng.choice((f"-A {chain} {one}", f"-I {chain} {one}", f"-I {chain} {place} {one}",
                       f"-D {chain} {place}", f"-R {chain} {place} {one}", f"-Z {chain} {place}", f"-Z {chain}",
                       "-Z", f"-F {chain}", f"-P {rng.choice(BUILT_IN)} {rng.choice(('ACCEPT', 'DROP'))}",
                       f"-E {chain} renamed"))
