# SPDX-License-Identifier: GPL-2.0
"""Probes: rules in a row that say of one extension how often it was met, and how often not.

The first one counts what comes, with a comment that names the extension; the second asks for one thing more, or
has the target that it is about; behind a target a third one asks for what that did. The record counts the first
two of each (record.py), and of every extension a least number is demanded (shares.py).
"""

import random
from collections import defaultdict

import matches
import targets
from interest import Interest
from places import Place

COMPILED = [one.name for one in matches.COMPILED] + [one.name for one in targets.COMPILED]
CALLED = [one.name for one in matches.CALLED] + [one.name for one in targets.CALLED]


def _lines(name: str, before: str, *asked: str) -> str:
    """Which stay together: a block of rules."""
    first = f"{before} -m comment --comment probe:{name}"
    return "\n".join(line.strip() for line in (first, *asked))


def _of_match(rng: random.Random, interest: Interest, place: Place, one: matches.Extension) -> str:
    asked = one.make(rng, interest)
    target = targets.one(rng, interest, place) if rng.random() < 0.4 else ""
    return _lines(one.name, asked.before, f"{asked.before} {asked.match} {target}")


# What more a probe of a target asks for. Few packets end there.
OF_MANY = ("length", "iprange", "dscp", "tos", "set", "state")
OF_FEW = ("-m dscp --dscp 4", "-m dscp --dscp 46", "-m tos --tos 0x10", "-m length --length 0:48")


def _of_target(rng: random.Random, interest: Interest, place: Place, one: targets.Target) -> str:
    made = one.make(rng, interest, place)
    asked = rng.choice(OF_FEW)
    if place.table == "nat" and place.stateful:  # where few packets come at all
        asked = f"-m statistic --mode nth --every 4 --packet {rng.randrange(4)}"
    if not one.ends and not one.rough:
        suitable = [match for match in matches.fitting(interest, place) if match.name in OF_MANY]
        asked = rng.choice(suitable).make(rng, interest).match
    lines = [f"{made.before} {asked} -j {made.target}"]
    if made.seen:
        lines.append(made.seen)
    return _lines(one.name, made.before, *lines)


RARE = {"tcp", "udp", "multiport", "esp", "sctp", "dccp", "tcpmss", "tcpecn", "chunks", "types", "conntrack", "connmark",
        "connbytes", "TCPMSS", "TCPOPTSTRIP", "REJECT", "DNAT", "REDIRECT", "NETMAP", "SNAT", "MASQUERADE"}
ENDS = [one.name for one in targets.CALLED if one.ends]
Kind = matches.Extension | targets.Target


def _of(rng: random.Random, interest: Interest, place: Place, one: Kind) -> str:
    if isinstance(one, targets.Target):
        return _of_target(rng, interest, place, one)
    return _of_match(rng, interest, place, one)


def _fitting(interest: Interest, place: Place) -> list[Kind]:
    return [*matches.fitting(interest, place), *targets.fitting(interest, place)]


def draw(rng: random.Random, interest: Interest, place: Place) -> list[str]:
    """Blocks of rules of a built-in chain: probes of some extensions."""
    listed = _fitting(interest, place)
    return [_of(rng, interest, place, one) for one in rng.sample(listed, min(len(listed), rng.choice((3, 6, 10))))]


def _is_rare(one: Kind) -> bool:
    """Packets for it are few: those of one protocol, one family, or a new connection."""
    return len(one.families) < 2 or one.name in RARE


def deal(rng: random.Random, interest: Interest, places: list[Place]) -> dict[Place, list[str]]:
    """Probes of every extension, in places of all those that are fit for it."""
    where: dict[Kind, list[Place]] = defaultdict(list)
    for place in places:
        for one in _fitting(interest, place):
            where[one].append(place)
    dealt: dict[Place, list[str]] = defaultdict(list)
    for one, fit in where.items():
        fit = rng.sample(fit, len(fit))
        for number in range(8 if _is_rare(one) else 3):
            dealt[fit[number % len(fit)]].append(_of(rng, interest, fit[number % len(fit)], one))
    for blocks in dealt.values():
        rng.shuffle(blocks)
        # Behind those a packet does not go on.
        blocks.sort(key=lambda block: any(f" -j {name}" in block for name in ENDS))
    return dealt
