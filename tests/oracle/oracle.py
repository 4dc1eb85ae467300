#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The guest's half of the oracle: random rules, random packets, and what became of them.

Prints, between two marker lines, a record that depends on nothing but the seed, the sizes
and the filter: every ruleset, every packet with its fate, and all counters. tests/oracle/run
makes it twice, with ip_tables and with bpfilter, and compares.

A ruleset is of one family and has one to five tables; the other family's stay as they are.
There are two routers: one has connection tracking (nat sees the first packet of each
connection, fragments are put together ahead of everything), the other has not.

The fate of a packet: where it came out ("local", or the device it left through), "-" if
nowhere; for packets sent by the router itself also the errno of sendto, if any.
"""

import argparse
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../vm")]

import rules  # noqa: E402
import tamper  # noqa: E402
import traffic  # noqa: E402
from lib import iptables, system  # noqa: E402
from lib.family import BOTH, Family  # noqa: E402
from lib.netns import sysctl  # noqa: E402
from lib.router import CHUNK, Router  # noqa: E402

BEGIN = "==== oracle: record begins"
END = "==== oracle: record ends"


# Nothing may expire in the middle of something, on one system earlier than on the other. A
# first fragment that waits in vain must not answer during the next ruleset.
DAY = 86400
FRAGMENT_TIMES = ("net/ipv4/ipfrag_time", "net/ipv6/ip6frag_time")
FRAGMENT_SPACES = ("net/ipv4/ipfrag_high_thresh", "net/ipv6/ip6frag_high_thresh",
                   "net/netfilter/nf_conntrack_frag6_high_thresh")


def track() -> None:
    """Switch connection tracking on, in the namespace we are in. A rule that asks for it is enough."""
    iptables.must("nft", "-f", "-", stdin="add table inet user\nadd chain inet user idle\n"
                  "add rule inet user idle ct state new\n")
    for name in os.listdir("/proc/sys/net/netfilter"):
        if "timeout" in name and not name.endswith("_log_invalid"):
            sysctl(f"net/netfilter/{name}", DAY)


class Machine(Router):
    """A router of the oracle's."""

    def __init__(self, tracking: bool) -> None:
        super().__init__()
        self.tracking = tracking
        self.used: set[str] = set()
        with self:
            if tracking:
                track()
            for name in FRAGMENT_TIMES:
                sysctl(name, DAY)
            for name in FRAGMENT_SPACES:
                sysctl(name, 64 << 20, missing_ok=True)

    def forget(self) -> None:
        """All connections."""
        if self.tracking:
            with self:
                iptables.run("conntrack", "-F")
                iptables.run("conntrack", "-F", "-f", "ipv6")


class Oracle:
    def __init__(self, seed: str, packets: int) -> None:
        self.seed = seed
        self.packets = packets
        self.machines = {tracking: Machine(tracking) for tracking in (False, True)}
        self.router = self.machines[False]
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def done(self, what: str, done: iptables.Done) -> None:
        """How a command ended; its words are the same for both or something is wrong."""
        self.say(f"{what}: status {done.status}")
        for line in done.errors.splitlines():
            self.say(f"  {line}")

    def save(self, family: Family) -> None:
        """All tables; of the other family only that nothing happened to it can be seen."""
        for one in sorted(BOTH, key=lambda other: other is not family):
            with self.router:
                done = iptables.run(one.save, "-c")
            if done.status or done.errors:
                self.done("save", done)
            for line in done.output.splitlines():
                if not line.startswith("#"):
                    self.say(f"saved{'' if one is family else ' other'} {line}")

    def send(self, packets: list[traffic.Packet]) -> None:
        for start in range(0, len(packets), CHUNK):
            self.send_chunk(packets[start:start + CHUNK])

    def send_chunk(self, packets: list[traffic.Packet]) -> None:
        fate: dict[int, list[str]] = {}
        for one in packets:
            fate[one.ident] = []
            if one.origin == traffic.SELF:
                if error := self.router.output(one.data):
                    fate[one.ident].append(error)
            else:
                self.router.inject(one.origin, one.data, one.mac)
        self.router.settle()
        for where, ident in self.router.fates():
            # Fragments that were put together keep an id of theirs, maybe of an earlier chunk.
            fate.setdefault(ident, []).append(where)
        for one in packets:
            came = ",".join(sorted(fate.pop(one.ident))) or "-"
            other = " mac" if one.mac else ""
            self.say(f"packet {one.origin}{other} {one.data.hex()} -> {came}")
        for ident, came_late in sorted(fate.items()):
            self.say(f"also {ident} -> {','.join(sorted(came_late))}")

    def ruleset(self, number: int) -> None:
        rng = random.Random(f"{self.seed}/{number}")
        self.router = self.machines[rng.random() < 0.4]
        drawn = rules.draw(rng, self.router.used)
        self.say(f"ruleset {number}")
        self.say(f"IPv{drawn.family.number}, {'with' if self.router.tracking else 'without'} connection tracking")
        for line in drawn.text.splitlines():
            self.say(f"rule {line}")
        self.router.forget()
        with self.router:
            self.done("restore", iptables.run(drawn.family.restore, "-c", stdin=drawn.text))
        kind = rng.random()
        if kind < 0.3:
            self.changes(rng, drawn)
        elif kind < 0.45:
            self.devices(rng, drawn)
        elif kind < 0.6:
            self.tampering(rng, drawn)
            return
        else:
            self.send(traffic.draw(rng, drawn.interest, self.packets))
        self.save(drawn.family)

    def changes(self, rng: random.Random, drawn: rules.Ruleset) -> None:
        """Commands between packets."""
        half = self.packets // 2
        self.send(traffic.draw(rng, drawn.interest, half))
        for _ in range(rng.randrange(1, 4)):
            change = rules.change(rng, drawn)
            with self.router:
                self.done(f"iptables {change}", iptables.try_iptables(change, drawn.family))
        self.send(traffic.draw(rng, drawn.interest, self.packets - half, half + 1))

    def devices(self, rng: random.Random, drawn: rules.Ruleset) -> None:
        """A device appears, gets another name, and goes, under the same rules."""
        quarter = self.packets // 4
        first = 1
        one, two = rng.sample(rules.SPARE_NAMES, 2)
        for what in ("nothing", f"appear {one}", f"rename {two}", "vanish"):
            self.say(f"device: {what}")
            verb, _, name = what.partition(" ")
            if name:
                getattr(self.router, verb)(name)
            elif verb == "vanish":
                self.router.vanish()
            self.send(traffic.draw(rng, drawn.interest, quarter, first, spare=bool(name)))
            first += quarter

    def tampering(self, rng: random.Random, drawn: rules.Ruleset) -> None:
        """What iptables cannot ask for: the table is changed as bytes, and read as bytes."""
        name = rng.choice(drawn.tables).name
        with self.router:
            for line in tamper.redirect(rng, drawn.family, name):
                self.say(line)
        self.send(traffic.draw(rng, drawn.interest, self.packets))
        with self.router:
            for table in sorted(table.name for table in drawn.tables):
                for line in tamper.read(drawn.family, table):
                    self.say(f"saved {line}")
            # iptables may misunderstand it, and write something worse.
            self.say(tamper.clear(drawn.family, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stock", action="store_true", help="with ip_tables, not bpfilter")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rulesets", type=int, default=20)
    parser.add_argument("--packets", type=int, default=200, help="for each ruleset")
    parser.add_argument("--only", type=int, help="only the ruleset of this number")
    parser.add_argument("--xdp", help="bpfilter's parameter of that name")
    arguments = parser.parse_args()
    os.environ["BPFILTER_SYSTEM"] = system.STOCK if arguments.stock else system.OURS
    system.load()
    if arguments.xdp and not arguments.stock:
        with open("/sys/module/bpfilter/parameters/xdp", "w", encoding="ascii") as file:
            file.write(arguments.xdp)
    oracle = Oracle(arguments.seed, arguments.packets)
    numbers = range(arguments.rulesets) if arguments.only is None else [arguments.only]
    print(BEGIN)
    for number in numbers:
        oracle.ruleset(number)
        print("\n".join(oracle.lines), flush=True)
        oracle.lines.clear()
    print(END, flush=True)


if __name__ == "__main__":
    main()
