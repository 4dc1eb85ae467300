# SPDX-License-Identifier: GPL-2.0
"""What is seen of the programs at XDP, and traffic that tells whether they or netfilter dropped.

A packet that XDP drops is not seen by a packet socket on its device; one that netfilter
drops is. That tells which of the two it was.
"""

import json
import socket

from . import iptables as tables
from . import packet, system
from .check import expect_equal, wait_for
from .iptables import Counter, Counters, must
from .netns import Namespace
from .pair import Pair
from .router import Router

PARAMETER = "/sys/module/bpfilter/parameters/xdp"
MODES = {0: "none", 1: "native", 2: "generic", 3: "hardware", 4: "several"}

_pairs: list[Pair] = []
_routers: list[Router] = []


def pair() -> Pair:
    system.only_ours()
    if not _pairs:
        _pairs.append(Pair())
    return _pairs[0]


def router() -> Router:
    system.only_ours()
    if not _routers:
        _routers.append(Router(mute=True))
    return _routers[0]


def set_mode(mode: str) -> None:
    with open(PARAMETER, "w", encoding="ascii") as file:
        file.write(mode)


def xdp_of(space: Namespace, device: str) -> tuple[str, str]:
    """How a device carries a program, and the program's name."""
    with space:
        link = json.loads(must("ip", "-j", "link", "show", "dev", device))[0]
    xdp = link.get("xdp", {})
    if not xdp.get("mode"):
        return "none", ""
    program = tables.run("bpftool", "-j", "prog", "show", "id", str(xdp["prog"]["id"]))
    # It may have been replaced in between.
    return MODES[xdp["mode"]], json.loads(program.output).get("name", "") if program.status == 0 else ""


def wait_xdp(space: Namespace, device: str, mode: str) -> None:
    """Attaching follows a change of rules, devices or the parameter at once, but not within it."""
    try:
        wait_for(lambda: xdp_of(space, device)[0] == mode, f"XDP {mode} on {device}")
    finally:
        seen = xdp_of(space, device)
        expect_equal(seen[0], mode, f"XDP on {device} ({seen[1]})")


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
