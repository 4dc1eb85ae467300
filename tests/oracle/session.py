# SPDX-License-Identifier: GPL-2.0
"""One run: its routers, its record, and how packets are sent and their fates written down.

The fate of a packet: where it came out ("local", or the device it left through), "-" if
nowhere; for packets sent by the router itself also the errno of sendto, if any.
"""

from collections import Counter, defaultdict

import listener
import traffic
from lib import iptables
from lib.family import BOTH, V4, Family
from lib.router import CHUNK
from machine import PROCESSORS, Machine, stay_on
from matches import STATEFUL
from rules import Ruleset
from shake import Shaker


class Session:
    def __init__(self, seed: str, packets: int) -> None:
        self.seed = seed
        self.packets = packets  # for each ruleset
        self.lines: list[str] = []
        self.evidence: Counter[str] = Counter()
        self.shaker: Shaker | None = None
        self.loaded = False  # or else the tables are still those of another ruleset
        self.devices: list[str] = []  # that want a program
        self._machines: dict[tuple[str, bool], Machine] = {}
        self._rules: defaultdict[Machine, dict[int, str]] = defaultdict(dict)  # by family
        self.listener: listener.Listener | None = None
        self._family = V4
        self._independent = False
        self._stateful = False
        self._chunks = 0

    def say(self, line: str) -> None:
        self.lines.append(line)

    def done(self, what: str, done: iptables.Done) -> None:
        """How a command ended; its words are the same for both or something is wrong."""
        self.say(f"{what}: status {done.status}")
        for line in done.errors.splitlines():
            self.say(f"  {line}")

    def machine(self, kind: str, tracking: bool, make: type[Machine] = Machine) -> Machine:
        """The router of this kind, from now on; rulesets that need others must not share it."""
        if (kind, tracking) not in self._machines:
            self._machines[kind, tracking] = make(tracking)
        self.router = self._machines[kind, tracking]
        return self.router

    def begin(self, number: int, scene: str, drawn: Ruleset, devices: list[str] | None = None) -> None:
        """Load a ruleset. `devices`: want a program then."""
        self._family = drawn.family
        self.say(f"ruleset {number}")
        self.say(f"{scene}: IPv{drawn.family.number}, {'with' if self.router.tracking else 'without'} "
                 "connection tracking")
        for line in drawn.text.splitlines():
            self.say(f"rule {line}")
        self.router.forget()
        with self.router:
            done = iptables.run(drawn.family.restore, "-c", stdin=drawn.text)
        self.done("restore", done)
        self.loaded = done.status == 0
        self.devices = devices or [] if self.loaded else []
        self._know(drawn.text, self.loaded)

    def changed(self, change: str, drawn: Ruleset) -> None:
        """A command of a person, between packets."""
        with self.router:
            self.done(f"iptables {change}", iptables.try_iptables(change, drawn.family))
        self._know(change, False)

    def _know(self, text: str, all_of_it: bool) -> None:
        """These rules may be in force now, beside those of before unless they are all."""
        space = self._rules[self.router]
        space[self._family.number] = text if all_of_it else space.get(self._family.number, "") + text
        text = space[self._family.number]
        self._stateful = any(words in text for words in STATEFUL)
        # Whatever comes first and wherever it is processed, the verdicts and the sums are the same.
        self._independent = (self._family is V4 and not self.router.tracking and not self._stateful
                             and "QUEUE" not in text and "-m cpu" not in text)

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
        self.settled()
        for start in range(0, len(packets), CHUNK):
            if start and self.shaker:
                self.shaker.between(self.router, self._family, self.devices, not self._stateful)
            self._send_chunk(packets[start:start + CHUNK])

    def settled(self) -> None:
        """What was asked of the tables has been done, devices included."""
        if self.shaker:
            self.shaker.wait(self.router, self.devices)
        else:
            self.router.ready()

    def _send_chunk(self, packets: list[traffic.Packet]) -> None:
        fate: dict[int, list[str]] = {one.ident: [] for one in packets}
        self._chunks += 1
        processor = PROCESSORS[self._chunks % len(PROCESSORS)]
        stay_on(processor)
        if self._independent and self._chunks % 2:
            self.router.put_at_once([one for one in packets if one.origin != traffic.SELF])
            self._output([one for one in packets if one.origin == traffic.SELF], fate)
            self.router.settle_on(PROCESSORS)
        else:
            for one in packets:
                if one.origin == traffic.SELF:
                    self._output([one], fate)
                else:
                    self.router.put(one)
            self.router.settle_on((processor,))
        self._answer_queue({one.ident: one.origin for one in packets})
        for where, ident in self.router.fates():
            # Fragments that were put together keep an id of theirs, maybe of an earlier chunk.
            fate.setdefault(ident, []).append(where)
        self.evidence["unseen"] += self.router.unseen()
        for one in packets:
            came = ",".join(sorted(fate.pop(one.ident))) or "-"
            other = " mac" if one.mac else ""
            self.say(f"packet {one.origin}{other} {_shown(one)} -> {came}")
        for ident, came_late in sorted(fate.items()):
            self.say(f"also {ident} -> {','.join(sorted(came_late))}")

    def _answer_queue(self, origins: dict[int, str]) -> None:
        """What was queued may be queued again, by the next table. `origins`: of the packets that were sent."""
        while self.listener and (judged := self.listener.answer()):
            self.lines += listener.in_order(judged, origins)
            self.router.settle()

    def _output(self, packets: list[traffic.Packet], fate: dict[int, list[str]]) -> None:
        for one in packets:
            if error := self.router.output(one.data):
                fate[one.ident].append(error)


def _shown(one: traffic.Packet) -> str:
    """All of it, but for what is very long."""
    if not one.offload:
        return one.data.hex()
    return f"{one.offload.hex()} {one.data[:80].hex()}... {len(one.data)} bytes"
