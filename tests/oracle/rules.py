# SPDX-License-Identifier: GPL-2.0
"""Random tables of both families.

A ruleset has a few things it is interested in (interest.py); its rules ask for them
(conditions.py) and its packets (traffic.py) come from their neighbourhood, so that rules are met.
"""

import random
from dataclasses import dataclass

import aim
import matches
import probes
import targets
from conditions import PROTOCOLS, conditions, maybe_not, network, port_range
from interest import DEVICES, Interest
from lib.family import TABLES, V4, V6, Family, chains_of
from places import Place


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


# The last one passes packets that nobody listens for.
QUEUES = ("QUEUE", "QUEUE", "NFQUEUE", "NFQUEUE --queue-num 0 --queue-bypass")


def rule(rng: random.Random, interest: Interest, chain: str, table: Table) -> str:
    place = interest.place(table.name, chain)
    if rng.random() < 0.15:
        asked = _extended(rng, interest, place)
    else:
        asked = conditions(rng, interest, chain)
    narrow = any(word in asked for word in ("-s", "-d", "port", "-type", "tcp-flags", "-m "))
    if interest.queue and rng.random() < 0.2:
        protocol = rng.choice(("tcp", "udp", "icmp" if interest.family is V4 else "icmpv6"))
        asked = rng.choice((f"-p {protocol}", f"-s {rng.choice(interest.addresses)}/{rng.choice((8, 16))}", asked))
        return f"{asked} -j {rng.choice(QUEUES)}"
    if rng.random() < 0.08:
        return f"{asked} {targets.one(rng, interest, place)}".strip()
    return f"{asked} {_target(rng, chain, table, narrow)}".strip()


def _extended(rng: random.Random, interest: Interest, place: Place) -> str:
    """A rule of one or two extensions, with an address."""
    first, second = (matches.one(rng, interest, place) for _ in range(2))
    parts = [f"-s {network(rng, interest)}"] if rng.random() < 0.3 else []
    parts += [first.before, first.match]
    if rng.random() < 0.4 and not second.before:
        parts.append(second.match)
    return " ".join(part for part in parts if part)


def _leading(rng: random.Random, interest: Interest) -> list[str]:
    """What can be decided before the stack: header-only rules of INPUT that name a device."""
    lines = []
    for _ in range(rng.randrange(1, 7)):
        parts = [f"-i {rng.choice(DEVICES + ('in0', 'in0', 'lo', 'in+'))}"]
        if rng.random() < 0.7:
            parts.append(f"{maybe_not(rng, 0.1)}-s {network(rng, interest)}")
        if rng.random() < 0.4:
            parts.append(f"-d {network(rng, interest)}")
        if rng.random() < 0.4:
            parts.append(rng.choice((f"-p udp --dport {port_range(rng, interest)}",
                                     f"-p udp -m multiport --dports {interest.ports[0]},{interest.ports[1]}",
                                     f"-p {rng.choice(PROTOCOLS[interest.family.number][:3])}")))
        target = rng.choices(("-j DROP", "-j ACCEPT", ""), (7, 2, 1))[0]
        lines.append(" ".join(parts + [target]).strip())
    return lines


@dataclass
class Ruleset:
    interest: Interest
    tables: list[Table]
    text: str  # for iptables-restore -c

    def __post_init__(self) -> None:
        self.interest.aims = aim.of_text(self.text)

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


def draw_table(rng: random.Random, interest: Interest, name: str) -> tuple[Table, list[str]]:
    sizes = (0, 0, 1, 2, 3, 5, 9) if name == "filter" else (0, 0, 0, 1, 2, 3)
    # A ladder: each chain jumps to the next, most of the time with few conditions.
    ladder = rng.choice((6, 9, 12, 12, 30)) if rng.random() < 0.12 else 0
    chains = [f"c{number}" for number in range(ladder or rng.choice(sizes))]
    rng.shuffle(chains)
    table = Table(name, chains)
    long_one = rng.choice(table.built_in) if name == "filter" and rng.random() < 0.04 else ""
    # Most chains of a person's are jumped to.
    callers = {chain: rng.choice((*table.built_in, *chains[:number])) for number, chain in enumerate(chains)
               if not ladder and rng.random() < 0.8}
    head, body = [], []
    for chain in (*table.built_in, *chains):
        policy = "-" if chain in chains else _policy(rng, table)
        head.append(f":{chain} {policy} {_counter(rng) if chain not in chains else '[0:0]'}")
        # Blocks, which nothing comes between: a rule, or a probe.
        lines = _leading(rng, interest) if (name, chain) == ("filter", "INPUT") and rng.random() < 0.45 else []
        if chain in table.built_in and rng.random() < PROBED:
            lines += probes.draw(rng, interest, interest.place(name, chain))
        counts = (0, 1, 2, 3, 5, 8, 12) if name == "filter" and not ladder else (0, 1, 1, 2, 3)
        count = rng.randrange(100, 200) if chain == long_one else rng.choice(counts)
        lines += [rule(rng, interest, chain, table) for _ in range(count)]
        if ladder and chain != chains[-1]:
            step = f"{'-g' if rng.random() < 0.1 else '-j'} {chains[chains.index(chain) + 1 if chain in chains else 0]}"
            asked = conditions(rng, interest, chain) if rng.random() < 0.2 else ""
            lines.insert(rng.randrange(len(lines) + 1), f"{asked} {step}".strip())
        for called in (one for one, caller in callers.items() if caller == chain):
            asked = conditions(rng, interest, chain) if rng.random() < 0.4 else ""
            lines.insert(rng.randrange(len(lines) + 1), f"{asked} -j {called}".strip())
        body += [f"{_counter(rng)} -A {chain} {line}".rstrip() for block in lines for line in block.split("\n")]
    if chains and not interest.compiled and rng.random() < 0.04:
        body.append(f"[0:0] -A {rng.choice(chains)} -j {rng.choice(chains)}")
    return table, [f"*{name}", *head, *body, "COMMIT"]


def dealt_table(rng: random.Random, interest: Interest, name: str) -> tuple[Table, list[str]]:
    """Of probes alone: nothing is refused, and most packets go on."""
    table = Table(name, [])
    head = [f":{chain} ACCEPT {_counter(rng)}" for chain in table.built_in]
    body = [f"{_counter(rng)} -A {chain} {line}" for chain in table.built_in
            for block in interest.dealt[interest.place(name, chain)] for line in block.split("\n")]
    return table, [f"*{name}", *head, *body, "COMMIT"]


def empty(name: str) -> list[str]:
    return [f"*{name}", *(f":{chain} ACCEPT [0:0]" for chain in chains_of(name)), "COMMIT"]


PROBED = 0.3  # of the built-in chains
CHANCES = {"filter": 0.9, "raw": 0.3, "mangle": 0.35, "security": 0.25, "nat": 0.35}


def draw(rng: random.Random, used: set[str], tracking: bool = False, queue: bool = False, compiled: bool = False,
         more_devices: tuple[str, ...] = ()) -> Ruleset:
    """`used`: tables that an earlier ruleset of the family may have left rules in; more are added. `tracking`: the
    router knows connections. `queue`: some rules queue packets. `compiled`: none asks for what is called.
    `more_devices`: that the router has."""
    interest = Interest.draw(rng, V6 if rng.random() < 0.55 else V4)
    interest.tracking, interest.compiled = tracking, compiled
    interest.queue, interest.more_devices = queue, more_devices
    return _draw_tables(rng, interest, used, {name for name in TABLES if rng.random() < CHANCES[name]} or {"filter"})


def draw_probes(rng: random.Random, used: set[str], tracking: bool, family: Family) -> Ruleset:
    """Every table, and every extension in probes, in more than one place."""
    interest = Interest.draw(rng, family)
    interest.tracking, interest.stateful = tracking, True
    interest.even = True
    tables = {name for name in TABLES if name != "nat" or tracking}
    places = [interest.place(name, chain) for name in TABLES if name in tables for chain in chains_of(name)]
    interest.dealt = probes.deal(rng, interest, places)
    return _draw_tables(rng, interest, used, tables)


def _draw_tables(rng: random.Random, interest: Interest, used: set[str], wanted: set[str]) -> Ruleset:
    tables, text = [], []
    for name in rng.sample(TABLES, len(TABLES)):
        if name in wanted:
            table, lines = (dealt_table if interest.dealt else draw_table)(rng, interest, name)
            tables.append(table)
            text += lines
        elif f"{interest.family.number} {name}" in used:
            text += empty(name)
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
