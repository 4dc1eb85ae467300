# SPDX-License-Identifier: GPL-2.0
"""What nobody may notice: done to bpfilter between packets, and to ip_tables never.

The helper is killed, the place where packets are dropped changes, a table is replaced by
itself, in the form that it has or in the other one. Every verdict and every counter must be what it would have been.
"""

import json
import random
from collections import Counter

import whole
from lib import helper, iptables, system
from lib.check import Failure, wait_for
from lib.early import state_of
from lib.family import Family
from machine import Machine

PARAMETERS = "/sys/module/bpfilter/parameters"
MODES = ("auto", "generic", "native", "off")
FORMS = ("code", "data")
# As `ip -j link` says it.
NATIVE, GENERIC = 1, 2


def set_parameter(name: str, value: str) -> None:
    with open(f"{PARAMETERS}/{name}", "w", encoding="ascii") as file:
        file.write(value)


def set_mode(mode: str) -> None:
    set_parameter("xdp", mode)


def attached(machine: Machine) -> dict[str, int]:
    """How the devices of the router carry a program, those that do."""
    with machine:
        links = json.loads(iptables.must("ip", "-j", "link", "show"))
    return {link["ifname"]: link["xdp"]["mode"] for link in links if link.get("xdp", {}).get("mode")}


def expected(devices: list[str], mode: str) -> dict[str, int]:
    """What `attached` says in this mode, of devices that want a program."""
    if mode in ("off", "auto"):  # there is no flood, and no device that could bear it
        return {}
    return {device: GENERIC if mode == "generic" or device == "lo" else NATIVE for device in devices
            if mode != "native" or device != "lo"}


class Shaker:
    def __init__(self, seed: str, fixed_mode: str | None, fixed_form: bool, evidence: Counter[str]) -> None:
        """`fixed_mode`: the mode stays, and so does the form; `evidence`: what was done is counted there."""
        self._seed = seed
        self._fixed = fixed_mode
        self._evidence = evidence
        self._rng = random.Random()
        self._modes = list(MODES)
        self._fixed_form = fixed_form
        self._form = ""
        self.mode = fixed_mode or "auto"
        if fixed_mode:
            set_mode(fixed_mode)

    def ruleset(self, number: int, modes: tuple[str, ...] = MODES) -> None:
        """Another ruleset begins, under one of these modes, or the mode that is fixed."""
        self._rng = random.Random(f"{self._seed}/{number}/shake")
        # Mostly where packets can be dropped before the stack.
        self._modes = [mode for mode in modes for _ in range(1 if mode == "off" else 3)]
        self._enter(self._rng.choice(self._modes))
        self._choose_form()

    def _choose_form(self) -> None:
        """Of tables that come from now on."""
        if self._fixed_form:
            return
        before, self._form = self._form, self._rng.choice(FORMS)
        set_parameter("form", self._form)
        self._evidence["forms"] += self._form != before

    def _enter(self, mode: str) -> None:
        if self._fixed:
            mode = self._fixed if self._fixed in self._modes else self._modes[0]
        if mode == self.mode:
            return
        set_mode(mode)
        self.mode = mode
        self._evidence["modes"] += 1

    def between(self, machine: Machine, family: Family, devices: list[str], replace: bool) -> None:
        """Between packets. `devices`: they want a program. `replace`: no rule has a state that would begin anew."""
        kind = self._rng.random()
        if kind < 0.06:
            helper.kill()
            self._evidence["kills"] += 1
        elif kind < 0.3 and devices:
            self._enter(self._rng.choice(self._modes))
        elif kind < 0.45 and replace:
            self._replace(machine, family)
        self.wait(machine, devices)

    def _replace(self, machine: Machine, family: Family) -> None:
        self._choose_form()
        with machine:
            for table in whole.names(family):
                whole.by_itself(family, table)
        self._evidence["replaced"] += 1

    def wait(self, machine: Machine, devices: list[str]) -> None:
        """Until all that follows from what was done has been done. No packet is on the way then: a
        device that gets or loses a native program drops what it has not yet received, and one that
        has such a program has what is long segmented before it."""
        machine.ready()
        try:
            wait_for(lambda: self._settled(machine, devices), f"XDP in mode {self.mode} on {devices} at least")
        except Failure as why:
            said = [line for line in system.kernel_log() if "bpfilter" in line]
            raise Failure(f"{why}; it is {attached(machine)}; the log: {said[-5:]}") from None
        self._evidence["attached"] += len(expected(devices, self.mode))

    def _settled(self, machine: Machine, devices: list[str]) -> bool:
        """Others may have a program too, of the same mode, by rules behind those that are there for `devices`: and
        not be trusted with it now."""
        found = attached(machine)
        return found == expected([*devices, *found], self.mode) and all(
            state_of(machine.router, device) != "waits" for device in devices if device in found)
