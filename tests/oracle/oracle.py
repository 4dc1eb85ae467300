#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The guest's half of the oracle: random rules, random packets, and what became of them.

Prints, between two marker lines, a record that depends on nothing but the seed, the sizes
and the filter: every ruleset, every packet with its fate, and all counters. tests/oracle/run
makes it twice, with ip_tables and with bpfilter, and compares.

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
import traffic  # noqa: E402
from lib import iptables, packet, system  # noqa: E402
from lib.netns import sysctl  # noqa: E402
from lib.router import CHUNK, Router  # noqa: E402

BEGIN = "==== oracle: record begins"
END = "==== oracle: record ends"


class Oracle:
    def __init__(self, seed: str, packets: int) -> None:
        self.seed = seed
        self.packets = packets
        self.router = Router()
        with self.router:
            # A first fragment that waits in vain must not answer in the middle of the next ruleset.
            sysctl("net/ipv4/ipfrag_time", 86400)
        self.router.router.ip(["link set lo up"])
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def done(self, what: str, done: iptables.Done) -> None:
        """How a command ended; its words are the same for both or something is wrong."""
        self.say(f"{what}: status {done.status}")
        for line in done.errors.splitlines():
            self.say(f"  {line}")

    def save(self) -> None:
        with self.router:
            for line in iptables.save():
                self.say(f"saved {line}")

    def send(self, packets: list[traffic.Packet]) -> None:
        for start in range(0, len(packets), CHUNK):
            self.send_chunk(packets[start:start + CHUNK])

    def send_chunk(self, packets: list[traffic.Packet]) -> None:
        fate: dict[int, list[str]] = {}
        for one in packets:
            ident = packet.ident_of(one.data)
            fate[ident] = []
            if one.origin == traffic.SELF:
                if error := self.router.output(one.data):
                    fate[ident].append(error)
            else:
                self.router.inject(one.origin, one.data, one.mac)
        self.router.settle()
        for where, data in self.router.arrived():
            # Fragments that were put together keep an id of theirs, maybe of an earlier chunk.
            fate.setdefault(packet.ident_of(data), []).append(where)
        for one in packets:
            came = ",".join(sorted(fate.pop(packet.ident_of(one.data)))) or "-"
            other = " mac" if one.mac else ""
            self.say(f"packet {one.origin}{other} {one.data.hex()} -> {came}")
        for ident, came_late in sorted(fate.items()):
            self.say(f"also {ident} -> {','.join(sorted(came_late))}")

    def ruleset(self, number: int) -> None:
        rng = random.Random(f"{self.seed}/{number}")
        drawn = rules.draw(rng)
        self.say(f"ruleset {number}")
        for line in drawn.text.splitlines():
            self.say(f"rule {line}")
        with self.router:
            self.done("restore", iptables.run(iptables.RESTORE, "-c", stdin=drawn.text))
        packets = traffic.draw(rng, drawn.interest, self.packets)
        if rng.random() < 0.35:
            half = len(packets) // 2
            self.send(packets[:half])
            for _ in range(rng.randrange(1, 4)):
                change = rules.change(rng, drawn)
                with self.router:
                    self.done(f"iptables {change}", iptables.try_iptables(change))
            self.send(packets[half:])
        else:
            self.send(packets)
        self.save()


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
