# SPDX-License-Identifier: GPL-2.0
"""What is seen of the programs at XDP, and traffic that tells whether they or netfilter dropped.

A packet that XDP drops is not seen by a packet socket on its device; one that netfilter
drops is. That tells which of the two it was.
"""

import json
import os
import socket
import subprocess
from typing import Any

from . import iptables as tables
from . import packet, system
from .check import Skip, expect_equal, wait_for
from .iptables import Counter, Counters, must
from .netns import Namespace
from .pair import CLIENT, SERVER, Pair
from .router import Router

PARAMETER = "/sys/module/bpfilter/parameters/xdp"
MODES = {0: "none", 1: "native", 2: "generic", 3: "hardware", 4: "several"}

_pairs: list[Pair] = []
_routers: list[Router] = []


def pair() -> Pair:
    system.only_ours()
    if not _pairs:
        set_mode("native")
        _pairs.append(Pair())
    return _pairs[0]


def router() -> Router:
    system.only_ours()
    if not _routers:
        set_mode("native")
        _routers.append(Router(mute=True))
    return _routers[0]


def set_mode(mode: str) -> None:
    with open(PARAMETER, "w", encoding="ascii") as file:
        file.write(mode)


def _shown(space: Namespace, device: str) -> tuple[str, int]:
    """How a device carries a program, and the program's id."""
    with space:
        link = json.loads(must("ip", "-j", "link", "show", "dev", device))[0]
    xdp = link.get("xdp", {})
    return (MODES[xdp["mode"]], int(xdp["prog"]["id"])) if xdp.get("mode") else ("none", 0)


def _program(space: Namespace, device: str) -> tuple[str, dict[str, Any]]:
    """How a device carries a program, and what is known of it; nothing if it has just been replaced."""
    mode, number = _shown(space, device)
    program = tables.run("bpftool", "-j", "prog", "show", "id", str(number)) if number else None
    return mode, json.loads(program.output) if program and program.status == 0 else {}


def program_of(space: Namespace, device: str) -> int:
    """The id of the program that a device carries; 0: it has none."""
    return _shown(space, device)[1]


def xdp_of(space: Namespace, device: str) -> tuple[str, str]:
    """How a device carries a program, and the program's name."""
    mode, program = _program(space, device)
    return mode, program.get("name", "")


def _guard(number: int) -> int | None:
    """The number in a map, if it is a guard."""
    shown = tables.run("bpftool", "-j", "map", "show", "id", str(number))
    if shown.status != 0 or json.loads(shown.output).get("name") != "bf_guard":
        return None
    dumped = tables.run("bpftool", "-j", "map", "dump", "id", str(number))
    return int("".join(digit[2:] for digit in json.loads(dumped.output)[0]["value"]), 16) if dumped.status == 0 else None


def state_of(space: Namespace, device: str) -> str:
    """"none"; how it carries a program that may drop now; or "waits": it has one that passes everything now."""
    mode, program = _program(space, device)
    if mode == "none":
        return mode
    return mode if any(_guard(number) for number in program.get("map_ids", [])) else "waits"


def wait_xdp(space: Namespace, device: str, state: str) -> None:
    """Attaching follows a change of rules, devices or the parameter soon, but not within it."""
    try:
        wait_for(lambda: state_of(space, device) == state, f"XDP {state} on {device}")
    finally:
        expect_equal(state_of(space, device), state, f"XDP on {device} {xdp_of(space, device)}")


class Tap:
    """Counts the IPv4 packets that a device gives to the stack."""

    def __init__(self, space: Namespace, device: str) -> None:
        with space:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK,
                                         socket.htons(packet.ETH_P_IP))
            self._socket.bind((device, packet.ETH_P_IP))

    def count(self) -> int:
        seen = 0
        while True:
            try:
                seen += self._socket.recvfrom(2048)[1][2] != 4  # PACKET_OUTGOING
            except BlockingIOError:
                return seen

    def __enter__(self) -> "Tap":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def rules(space: Namespace, *lines: str) -> None:
    with space:
        tables.restore(*lines)


def input_counters(space: Namespace) -> list[Counter]:
    with space:
        return Counters().rules["INPUT"]


def drops(count: int, at_xdp: bool, what: str) -> None:
    """Datagrams from client to server are dropped, and where."""
    with Tap(pair().server, "s0") as tap:
        expect_equal(pair().send(count), 0, f"delivered: {what}")
        expect_equal(tap.count(), 0 if at_xdp else count, f"seen by the stack: {what}")


def try_ip(space: Namespace, line: str) -> None:
    with space:
        done = subprocess.run(["ip", *line.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"not in this kernel: {line}: {done.stderr.strip()}")


# A device that has had a master may be down, and have lost its address and its neighbours.
AS_BEFORE = ("link set s0 up", f"address replace {SERVER}/24 dev s0",
             f"neighbour replace {CLIENT} lladdr 02:00:00:00:05:01 dev s0 nud permanent")


def back() -> None:
    """At the end of a suite: the mode that others expect."""
    if os.path.exists(PARAMETER):
        set_mode("auto")
