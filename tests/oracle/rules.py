# SPDX-License-Identifier: GPL-2.0
"""Random tables of both families: everything that is supported, mostly as people write it, some of it odd.

A ruleset has a few things it is interested in (addresses, networks, ports); its rules ask for
them and its packets (traffic.py) come from their neighbourhood, so that rules are met.
"""

import ipaddress
import random
from dataclasses import dataclass, field

from lib.family import TABLES, V4, V6, Family, chains_of
from lib.packet import mac
from lib.router import LINKS

DEVICES = ("in0", "in1", "out0", "out1")
NETWORKS = (1, 2, 3, 4)
LOCAL_NETWORK = 9

# What the spare device is called, in turn: two that rules name, two that only a wildcard may mean.
SPARE_NAMES = ("new0", "in2", "other", "new00", "out1x")
# With the odd ones: nothing there, part of a name, longer than a name, everything.
NAMES = DEVICES * 3 + ("lo", "lo", "in+", "in+", "out+", "o+", "l+", "in0+", "nosuch", "in", "in0x",
                       "in0x+", "+", "out1+", "new0", "new0", "new+", "in2", "in2")
FLAGS = ("SYN", "ACK", "FIN", "RST", "PSH", "URG")
ICMP_TYPES = ("8", "0", "3", "3/1", "3/3", "11", "11/0", "13", "5/2", "any", "200", "255")
ICMPV6_TYPES = ("128", "129", "echo-request", "1", "1/0", "1/3", "2", "3/1", "4", "4/1", "135", "143/0", "200", "255")
PROTOCOLS = {4: ("tcp", "udp", "icmp", "udplite", "gre", "esp", "sctp", "253", "99"),
             # 59 follows nothing; the numbers of extension headers are met if one is the last.
             6: ("tcp", "udp", "icmpv6", "udplite", "mh", "esp", "sctp", "253", "99", "59", "44", "0")}
WEIGHTS = {4: (10, 8, 5, 1, 1, 1, 1, 1, 1), 6: (10, 8, 6, 1, 2, 1, 1, 1, 1, 1, 1, 1)}


@dataclass
class Interest:
    """What the rules and packets of one ruleset are about."""
    family: Family = V4
    remote: list[str] = field(default_factory=list)  # behind a link
    local: list[str] = field(default_factory=list)
    loopback: list[str] = field(default_factory=list)
    routers: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)  # broadcast, multicast
    by_mac: dict[str, str] = field(default_factory=dict)  # addresses made of those of the links' other ends
    ports: list[int] = field(default_factory=list)

    @property
    def addresses(self) -> list[str]:
        return self.remote + self.local + self.routers[:1] + self.loopback

    @classmethod
    def draw(cls, rng: random.Random, family: Family) -> "Interest":
        self = cls(family)
        self.remote = [self._somewhere(rng, network) for network in NETWORKS * 2]
        self.local = [self._somewhere(rng, LOCAL_NETWORK) for _ in range(3)]
        self.routers = [family.address(f"10.{network}.0.1") for network in NETWORKS]
        rng.shuffle(self.routers)
        if family is V4:
            self.loopback = ["127.0.0.1", f"127.0.0.{rng.randrange(2, 9)}"]
            self.groups = ["10.1.0.255", "10.2.0.255", "255.255.255.255", "224.0.0.1"]
        else:
            self.loopback = ["::1"]
            self.groups = ["ff02::1", "ff05::7", "ff0e::1", "::"]
            self.by_mac = {link.inner: _by_mac(link.outer_mac) for link in LINKS.values()}
        self.ports = [rng.choice((0, 1, 22, 53, 80, 443, 1023, 1024, 32768, 65534, 65535))
                      for _ in range(3)] + [rng.randrange(65536) for _ in range(2)]
        return self

    def _somewhere(self, rng: random.Random, network: int) -> str:
        if self.family is V4 or rng.random() < 0.4:
            return self.family.address(f"10.{network}.{rng.choice((0, 1, 7, 8, 200))}.{rng.randrange(3, 255)}")
        groups = [rng.choice((0, 0, 1, 0x8000, 0xFFFF, rng.randrange(0x10000))) for _ in range(5)]
        return str(ipaddress.IPv6Address(f"fd00:{network}:{':'.join(f'{group:x}' for group in groups)}:7f"))


def _by_mac(address: str) -> str:
    first, *rest = mac(address)
    return str(ipaddress.IPv6Address(bytes((0xFD, 0)) + b"\0" * 6
                                     + bytes((first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]))))


def near(rng: random.Random, address: str, spread: int = 2) -> str:
    value = ipaddress.ip_address(address)
    width = value.max_prefixlen
    number = int(value) + rng.randint(-spread, spread)
    if width == 128 and rng.random() < 0.2:
        number ^= 1 << rng.randrange(96)  # the routes are by the first 32 bits, or by the first 112
    return str(type(value)(number & ((1 << width) - 1)))


LENGTHS = {4: (8, 15, 16, 21, 22, 23, 24, 25, 28, 29, 30, 31, 31, 32),
           6: (0, 1, 16, 31, 32, 33, 47, 63, 64, 65, 95, 96, 97, 112, 120, 126, 127, 127, 128)}
MASKS = {4: ("255.0.0.255", "255.255.0.1", "0.0.0.7", "0.255.0.0"),
         6: ("ffff::ffff", "ffff:ffff::7", "::7", "0:ffff::", "ffff:0:ffff:0:ffff:0:ffff:0", "::ffff:0:0:0:0")}
ODD = {4: ("0.0.0.0/0", "255.255.255.255", "224.0.0.1", "10.1.0.255"), 6: ("::/0", "::", "ff02::1", "ff00::/8")}


def _address(rng: random.Random, interest: Interest) -> str:
    number = interest.family.number
    address = rng.choice(interest.addresses + list(interest.by_mac.values())[:1])
    kind = rng.random()
    if kind < 0.45:
        return address
    if kind < 0.88:
        return f"{address}/{rng.choice(LENGTHS[number])}"
    if kind < 0.97:
        return f"{address}/{rng.choice(MASKS[number])}"
    return rng.choice(ODD[number])


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


def _icmp(rng: random.Random, _: Interest) -> list[str]:
    return [f"{_maybe_not(rng)}--icmp-type {rng.choice(ICMP_TYPES)}"] if rng.random() < 0.7 else []


def _icmpv6(rng: random.Random, _: Interest) -> list[str]:
    return [f"{_maybe_not(rng)}--icmpv6-type {rng.choice(ICMPV6_TYPES)}"] if rng.random() < 0.7 else []


def _mh(rng: random.Random, _: Interest) -> list[str]:
    return [f"-m mh {_maybe_not(rng)}--mh-type {rng.choice(('5', '0:5', '6:7', '1', '8', '6:255'))}"]


OF_PROTOCOL = {"tcp": _tcp, "udp": _udp, "icmp": _icmp, "icmpv6": _icmpv6, "mh": _mh}


# Extension headers

def _range(rng: random.Random, values: tuple[int, ...]) -> str:
    low = rng.choice(values)
    return str(low) if rng.random() < 0.5 else f"{low}:{max(low, rng.choice(values))}"


def _ipv6header(rng: random.Random) -> str:
    names = rng.sample(("hop", "dst", "route", "frag", "auth", "esp", "none", "prot"), rng.choice((1, 1, 1, 2, 3)))
    return f"-m ipv6header {_maybe_not(rng)}--header {','.join(names)}{' --soft' if rng.random() < 0.6 else ''}"


def _frag(rng: random.Random) -> str:
    parts = ["-m frag"]
    if rng.random() < 0.4:
        parts.append(f"{_maybe_not(rng)}--fragid {_range(rng, (0, 1, 2, 1000, 4294967295))}")
    if rng.random() < 0.1:
        parts.append(f"{_maybe_not(rng)}--fraglen {rng.choice((0, 8))}")
    if rng.random() < 0.2:
        parts.append("--fragres")
    kind = rng.random()
    if kind < 0.3:
        parts.append("--fragfirst")
    elif kind < 0.5:
        parts.append("--fragmore")
    elif kind < 0.7:
        parts.append("--fraglast")
    return " ".join(parts)


def _options(rng: random.Random, name: str) -> str:
    flag = {"hbh": "hbh", "dst": "dst"}[name]
    parts = [f"-m {name}"]
    if rng.random() < 0.5:
        parts.append(f"{_maybe_not(rng)}--{flag}-len {rng.choice((8, 8, 16, 24, 2048))}")
    if rng.random() < 0.6:
        options = [rng.choice(("5:2", "5", "1:2", "1", "4:1", "0", "201:16", "30:0", "30", "30:4", "222:0", "62"))
                   for _ in range(rng.choice((1, 1, 2, 3)))]
        parts.append(f"--{flag}-opts {','.join(options)}")
    return " ".join(parts)


def _rt(rng: random.Random, interest: Interest) -> str:
    parts = ["-m rt"]
    kind = rng.choice((None, 0, 0, 2, 4))
    if kind is not None:
        parts.append(f"{_maybe_not(rng) if kind else ''}--rt-type {kind}")
    if rng.random() < 0.4:
        parts.append(f"{_maybe_not(rng)}--rt-segsleft {_range(rng, (0, 1, 2, 255))}")
    if rng.random() < 0.3:
        parts.append(f"{_maybe_not(rng)}--rt-len {rng.choice((8, 24, 40, 56))}")
    if kind == 0:
        if rng.random() < 0.2:
            parts.append("--rt-0-res")
        if rng.random() < 0.4:
            parts.append(f"--rt-0-addrs {','.join(rng.sample(interest.addresses, rng.choice((1, 1, 2))))}")
            if rng.random() < 0.6:
                parts.append("--rt-0-not-strict")
    return " ".join(parts)


def _ah(rng: random.Random) -> str:
    parts = ["-m ah"]
    if rng.random() < 0.6:
        parts.append(f"{_maybe_not(rng)}--ahspi {_range(rng, (0, 1, 2, 256, 4294967295))}")
    if rng.random() < 0.3:
        parts.append(f"{_maybe_not(rng)}--ahlen {rng.choice((12, 16, 20, 24))}")
    if rng.random() < 0.2:
        parts.append("--ahres")
    return " ".join(parts)


def _hl(rng: random.Random) -> str:
    return f"-m hl {rng.choice(('--hl-eq 77', '! --hl-eq 77', '--hl-eq 76', '--hl-lt 77', '--hl-gt 76', '--hl-gt 70'))}"


def _extension(rng: random.Random, interest: Interest, chain: str) -> str:
    kinds = [lambda: _ipv6header(rng), lambda: _ipv6header(rng), lambda: _frag(rng), lambda: _frag(rng),
             lambda: _options(rng, "hbh"), lambda: _options(rng, "dst"), lambda: _rt(rng, interest), lambda: _ah(rng),
             lambda: _hl(rng)]
    # Elsewhere it is refused, as frames have no source there.
    if chain in ("PREROUTING", "INPUT", "FORWARD") or rng.random() < 0.01:
        kinds.append(lambda: "-m eui64")
    return rng.choice(kinds)()


def conditions(rng: random.Random, interest: Interest, chain: str) -> str:
    """The part of a rule before -j, as iptables takes it in this chain."""
    parts = []
    if rng.random() < 0.4:
        parts.append(f"{_maybe_not(rng)}-s {_address(rng, interest)}")
    if rng.random() < 0.35:
        parts.append(f"{_maybe_not(rng)}-d {_address(rng, interest)}")
    if chain not in ("OUTPUT", "POSTROUTING") and rng.random() < 0.3:
        parts.append(f"{_maybe_not(rng)}-i {rng.choice(NAMES)}")
    if chain not in ("INPUT", "PREROUTING") and rng.random() < 0.2:
        parts.append(f"{_maybe_not(rng)}-o {rng.choice(NAMES)}")
    number = interest.family.number
    if number == 4 and rng.random() < 0.07:
        parts.append(f"{_maybe_not(rng, 0.4)}-f")
    if rng.random() < 0.6:
        protocol = rng.choices(PROTOCOLS[number], WEIGHTS[number])[0]
        if rng.random() < 0.08:
            parts.append(f"! -p {protocol}")
        else:
            parts.append(f"-p {protocol}")
            if protocol in OF_PROTOCOL and (protocol != "mh" or rng.random() < 0.6):
                parts += OF_PROTOCOL[protocol](rng, interest)
    if number == 6 and rng.random() < 0.35:
        parts.append(_extension(rng, interest, chain))
    return " ".join(parts)


@dataclass
class Table:
    name: str
    chains: list[str]

    @property
    def built_in(self) -> tuple[str, ...]:
        return chains_of(self.name)


def _target(rng: random.Random, chain: str, table: Table, narrow: bool) -> str:
    """Jumps lead to later chains only, but for a few that make loops and must be refused."""
    chains = table.chains
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
    # iptables lets nobody drop in nat. Ahead of filter, less is dropped and little passed for good.
    drop = 0.0 if table.name == "nat" else 0.6 if table.name == "filter" else 0.25
    return "-j DROP" if rng.random() < drop else "-j ACCEPT"


def rule(rng: random.Random, interest: Interest, chain: str, table: Table) -> str:
    asked = conditions(rng, interest, chain)
    narrow = any(word in asked for word in ("-s", "-d", "port", "-type", "tcp-flags", "-m "))
    return f"{asked} {_target(rng, chain, table, narrow)}".strip()


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
                         else f"-p {rng.choice(PROTOCOLS[interest.family.number][:3])}")
        target = rng.choices(("-j DROP", "-j ACCEPT", ""), (7, 2, 1))[0]
        lines.append(" ".join(parts + [target]).strip())
    return lines


@dataclass
class Ruleset:
    interest: Interest
    tables: list[Table]
    text: str  # for iptables-restore -c

    @property
    def family(self) -> Family:
        return self.interest.family


def _counter(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.7:
        return "[0:0]"
    if kind < 0.95:
        return f"[{rng.randrange(10 ** 6)}:{rng.randrange(10 ** 9)}]"
    return "[18446744073709551615:18446744073709551000]"


def _policy(rng: random.Random, table: Table) -> str:
    drop = {"filter": 0.12, "nat": 0.0}.get(table.name, 0.05)
    return "DROP" if rng.random() < drop else "ACCEPT"


def _draw_table(rng: random.Random, interest: Interest, name: str) -> tuple[Table, list[str]]:
    sizes = (0, 0, 1, 2, 3, 5, 9) if name == "filter" else (0, 0, 0, 1, 2, 3)
    # A ladder: each chain jumps to the next, most of the time with few conditions.
    ladder = rng.choice((6, 9, 12, 12, 30)) if rng.random() < 0.12 else 0
    chains = [f"c{number}" for number in range(ladder or rng.choice(sizes))]
    rng.shuffle(chains)
    table = Table(name, chains)
    long_one = rng.choice(table.built_in) if name == "filter" and rng.random() < 0.07 else ""
    head, body = [], []
    for chain in (*table.built_in, *chains):
        policy = "-" if chain in chains else _policy(rng, table)
        head.append(f":{chain} {policy} {_counter(rng) if chain not in chains else '[0:0]'}")
        lines = _leading(rng, interest) if (name, chain) == ("filter", "INPUT") and rng.random() < 0.45 else []
        counts = (0, 1, 2, 3, 5, 8, 12) if name == "filter" and not ladder else (0, 1, 1, 2, 3)
        count = rng.randrange(150, 250) if chain == long_one else rng.choice(counts)
        lines += [rule(rng, interest, chain, table) for _ in range(count)]
        if ladder and chain != chains[-1]:
            step = f"{'-g' if rng.random() < 0.1 else '-j'} {chains[chains.index(chain) + 1 if chain in chains else 0]}"
            asked = conditions(rng, interest, chain) if rng.random() < 0.2 else ""
            lines.insert(rng.randrange(len(lines) + 1), f"{asked} {step}".strip())
        body += [f"{_counter(rng)} -A {chain} {line}".rstrip() for line in lines]
    if chains and rng.random() < 0.04:
        body.append(f"[0:0] -A {rng.choice(chains)} -j {rng.choice(chains)}")
    return table, [f"*{name}", *head, *body, "COMMIT"]


def empty(name: str) -> list[str]:
    return [f"*{name}", *(f":{chain} ACCEPT [0:0]" for chain in chains_of(name)), "COMMIT"]


CHANCES = {"filter": 0.9, "raw": 0.3, "mangle": 0.35, "security": 0.25, "nat": 0.35}


def draw(rng: random.Random, used: set[str]) -> Ruleset:
    """`used`: tables that an earlier ruleset of the family may have left rules in; more are added."""
    interest = Interest.draw(rng, V6 if rng.random() < 0.55 else V4)
    tables, text = [], []
    for name in rng.sample(TABLES, len(TABLES)):
        if rng.random() < CHANCES[name]:
            table, lines = _draw_table(rng, interest, name)
            tables.append(table)
            text += lines
        elif f"{interest.family.number} {name}" in used:
            text += empty(name)
    if not tables:
        table, lines = _draw_table(rng, interest, "filter")
        tables.append(table)
        text = [line for line in text] + lines if "*filter" not in text else lines
    used |= {f"{interest.family.number} {table.name}" for table in tables}
    return Ruleset(interest, tables, "\n".join([*text, ""]))


def change(rng: random.Random, ruleset: Ruleset) -> str:
    """A later command of a person: arguments for iptables. It may well be refused."""
    table = rng.choice(ruleset.tables)
    chain = rng.choice(table.built_in + tuple(table.chains))
    place = rng.randrange(1, 6)
    one = rule(rng, ruleset.interest, chain, table)
    policy = "ACCEPT" if table.name == "nat" else rng.choice(("ACCEPT", "DROP"))
    command = rng.choice((f"-A {chain} {one}", f"-I {chain} {one}", f"-I {chain} {place} {one}",
                          f"-D {chain} {place}", f"-R {chain} {place} {one}", f"-Z {chain} {place}", f"-Z {chain}",
                          "-Z", f"-F {chain}", f"-P {rng.choice(table.built_in)} {policy}",
                          f"-E {chain} renamed"))
    return f"-t {table.name} {command}"
