# SPDX-License-Identifier: GPL-2.0
"""What is done with a ruleset: one scene for each, in turn.

A ruleset is of one family and has one to five tables; the other family's stay as they are.
Routers have connection tracking or not (with it, nat sees the first packet of each connection,
and fragments are put together ahead of everything).
"""

import random
from typing import Callable

import bulk
import flows
import layers
import listener
import narrow
import odd
import rules
import shake
import tamper
import traffic
from conditions import SPARE_NAMES
from early import Early
from lib.family import BOTH, Family
from session import Session


def _begin(session: Session, number: int, scene: str, rng: random.Random, queue: bool = False,
           compiled: bool = False) -> rules.Ruleset:
    router = session.machine("any", rng.random() < 0.4)
    drawn = rules.draw(rng, router.used, router.tracking, queue, compiled)
    session.begin(number, scene, drawn)
    return drawn


def plain(session: Session, number: int, rng: random.Random) -> None:
    drawn = _begin(session, number, "plain", rng)
    session.send(traffic.draw(rng, drawn.interest, session.packets))
    session.save(drawn.family)


def extensions(session: Session, number: int, rng: random.Random) -> None:
    """All of them, in probes; of forty rulesets one for each family, with and without connection tracking."""
    router = session.machine("any", number % len(SCENES) == SCENES.index(extensions))
    drawn = rules.draw_probes(rng, router.used, router.tracking, BOTH[number // len(SCENES) % len(BOTH)])
    session.begin(number, "extensions", drawn)
    session.send(traffic.draw(rng, drawn.interest, 2 * session.packets))
    session.save(drawn.family)


def changes(session: Session, number: int, rng: random.Random) -> None:
    """Commands between packets."""
    drawn = _begin(session, number, "changes", rng)
    half = session.packets // 2
    session.send(traffic.draw(rng, drawn.interest, half))
    for _ in range(rng.randrange(1, 4)):
        session.changed(rules.change(rng, drawn), drawn)
    session.send(traffic.draw(rng, drawn.interest, session.packets - half, half + 1))
    session.save(drawn.family)


def devices(session: Session, number: int, rng: random.Random) -> None:
    """A device appears, gets another name, and goes, under the same rules."""
    drawn = _begin(session, number, "devices", rng)
    quarter = session.packets // 4
    first = 1
    one, two = rng.sample(SPARE_NAMES, 2)
    for what in ("nothing", f"appear {one}", f"rename {two}", "vanish"):
        session.say(f"device: {what}")
        verb, _, name = what.partition(" ")
        if name:
            getattr(session.router, verb)(name)
        elif verb == "vanish":
            session.router.vanish()
        session.send(traffic.draw(rng, drawn.interest, quarter, first, spare=bool(name)))
        first += quarter
    session.save(drawn.family)


def tampering(session: Session, number: int, rng: random.Random) -> None:
    """What iptables cannot ask for: jumps to anywhere."""
    drawn = _begin(session, number, "tampering", rng)
    _as_bytes(session, rng, drawn, tamper.redirect)


def oddities(session: Session, number: int, rng: random.Random) -> None:
    """And rules that it would not write."""
    packets = None
    if rng.random() < 0.3:
        # What is odd may be decided at XDP, too, or end what is.
        router = session.machine("early", rng.random() < 0.4)
        one = Early.draw(rng, router.used)
        drawn, packets = one.drawn, one.packets(rng, session.packets)
        session.begin(number, "oddities", drawn)
    else:
        drawn = _begin(session, number, "oddities", rng)
    _as_bytes(session, rng, drawn, lambda rng, family, name: odd.change(rng, drawn.interest, name), packets)


Change = Callable[[random.Random, Family, str], list[str]]


def _as_bytes(session: Session, rng: random.Random, drawn: rules.Ruleset, change: Change,
              packets: list[traffic.Packet] | None = None) -> None:
    """The table is changed as bytes, and read as bytes."""
    name = rng.choice(drawn.tables).name
    with session.router:
        session.lines += change(rng, drawn.family, name)
    session.send(packets or traffic.draw(rng, drawn.interest, session.packets))
    _read(session, drawn)
    with session.router:
        # iptables may misunderstand it, and write something worse.
        session.say(tamper.clear(drawn.family, name))


def _read(session: Session, drawn: rules.Ruleset) -> None:
    with session.router:
        for table in sorted(table.name for table in drawn.tables):
            session.lines += [f"saved {line}" for line in tamper.read(drawn.family, table)]


def narrow_caller(session: Session, number: int, rng: random.Random) -> None:
    """A table written by a program of 32 bits."""
    drawn = _begin(session, number, "narrow", rng, compiled=True)
    if not session.loaded:
        return
    name = rng.choice(drawn.tables).name
    with session.router:
        lines, size = narrow.write(drawn.family, name)
    session.lines += lines
    session.send(traffic.draw(rng, drawn.interest, session.packets))
    with session.router:
        session.say(narrow.add(drawn.family, name, [rng.randrange(1 << 64) for _ in range(7)]))
        session.lines += narrow.read(drawn.family, name, size)
    _read(session, drawn)
    session.save(drawn.family)


def queues(session: Session, number: int, rng: random.Random) -> None:
    """-j QUEUE, with and without somebody who listens."""
    drawn = _begin(session, number, "queues", rng, queue=True)
    third = session.packets // 3
    for first in (1, third + 1, 2 * third + 1):
        with session.router:
            session.listener = listener.Listener() if rng.random() < 0.7 else None
        session.say(f"listener: {'yes' if session.listener else 'no'}")
        session.send(traffic.draw(rng, drawn.interest, third, first))
        if session.listener:
            session.listener.close()
            session.listener = None
    session.save(drawn.family)


def own_flows(session: Session, number: int, rng: random.Random) -> None:
    """The router's own sockets."""
    drawn = _begin(session, number, "flows", rng)
    session.settled()
    many = flows.draw(rng, drawn.interest, session.packets // 5)
    with session.router:
        session.lines += flows.play(drawn.interest, many, lambda: session.router.settle(("in0",), 1))
    session.send(traffic.draw(rng, drawn.interest, session.packets // 3))
    session.save(drawn.family)


def layered(session: Session, number: int, rng: random.Random) -> None:
    """A VLAN and a bridge."""
    router = session.machine("layers", False, layers.Layered)
    drawn = rules.draw(rng, router.used, more_devices=(layers.VLAN, layers.BRIDGE))
    session.begin(number, "layers", drawn)
    session.send(traffic.draw(rng, drawn.interest, session.packets))
    session.save(drawn.family)


def long_frames(session: Session, number: int, rng: random.Random) -> None:
    """In pages, and to be segmented. A device with a native program has all segmented before it."""
    gso = rng.random() < 0.6
    if session.shaker:
        session.shaker.ruleset(number, ("generic", "off") if gso else shake.MODES)
    devices = None
    if rng.random() < 0.5:
        router = session.machine("long, early", False, layers.LongFrames)
        one = Early.draw(rng, router.used)
        drawn, devices = one.drawn, one.devices
    else:
        router = session.machine("long", rng.random() < 0.5, layers.LongFrames)
        drawn = rules.draw(rng, router.used, router.tracking)
    session.begin(number, "long", drawn, devices)
    session.send(bulk.draw(rng, drawn.interest, session.packets // 2, gso))
    session.save(drawn.family)


def early(session: Session, number: int, rng: random.Random) -> None:
    """Decided at XDP, on our side."""
    router = session.machine("early", rng.random() < 0.4)
    one = Early.draw(rng, router.used)
    session.begin(number, "early", one.drawn, one.devices)
    session.send(one.packets(rng, session.packets))
    session.save(one.drawn.family)


Scene = Callable[[Session, int, random.Random], None]
# Twenty, so that forty rulesets have each at least twice.
SCENES: tuple[Scene, ...] = (
    early, extensions, changes, oddities, queues, early, devices, own_flows, tampering, extensions,
    early, long_frames, oddities, narrow_caller, layered, early, plain, queues, long_frames, own_flows)


def play(session: Session, number: int) -> None:
    rng = random.Random(f"{session.seed}/{number}")
    if session.shaker:
        session.shaker.ruleset(number)
    scene = SCENES[number % len(SCENES)]
    if scene is narrow_caller and not narrow.is_known():
        scene = plain
    scene(session, number, rng)
