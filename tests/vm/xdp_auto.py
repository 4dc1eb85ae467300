#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""xdp=auto: nothing is attached before a flood, and nothing after it.

On two network cards with a cable between them (scripts/vm --cable igb), whose driver is one of
those that bear it.
"""

import contextlib
import os
import signal
import socket
from typing import Iterator

from lib import iptables as tables
from lib import system
from lib.check import Skip, expect_equal, main, test, wait_for
from lib.early import back, input_counters, rules, set_mode, state_of, wait_xdp, xdp_of
from lib.iptables import Counter, must
from lib.netns import Namespace

RATE = "/sys/module/bpfilter/parameters/xdp_rate"
SERVER, CLIENT = "192.0.2.2", "192.0.2.1"
LOW = 50  # packets in a second, which an emulated machine can send at any time


def cards() -> list[str]:
    """Those of the driver igb."""
    tables.run("modprobe", "igb")
    found = []
    for name in sorted(os.listdir("/sys/class/net")):
        driver = f"/sys/class/net/{name}/device/driver"
        if os.path.exists(driver) and os.path.basename(os.path.realpath(driver)) == "igb":
            found.append(name)
    return found


class Cable:
    """A server on the one card, a client on the other."""

    def __init__(self) -> None:
        system.only_ours()
        found = cards()
        if len(found) < 2:
            raise Skip(f"no two cards of the driver igb here, but {found}")
        self.device = found[0]
        self.server, self.client = Namespace("server"), Namespace("client")
        macs = {}
        for name, space, own in ((found[0], self.server, SERVER), (found[1], self.client, CLIENT)):
            with open(f"/sys/class/net/{name}/address", encoding="ascii") as file:
                macs[own] = file.read().strip()
            must("ip", "link", "set", name, "netns", space.name)
            space.ip(["link set lo up", f"link set {name} up", f"address add {own}/24 dev {name}"])
        for name, space, other in ((found[0], self.server, CLIENT), (found[1], self.client, SERVER)):
            space.ip([f"neighbour replace {other} lladdr {macs[other]} dev {name} nud permanent"])
        with self.client:
            self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with self.server:
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.receiver.bind((SERVER, 7))
            self.receiver.setblocking(False)

    def wait_for_link(self) -> None:
        """Datagrams arrive: a card that gets or loses a program takes the link down for a moment."""
        def arrives() -> bool:
            self.sender.sendto(b"?", (SERVER, 7))
            try:
                return bool(self.receiver.recv(9))
            except BlockingIOError:
                return False
        wait_for(arrives, "the link to be up")

    @contextlib.contextmanager
    def flood(self, port: int) -> Iterator[None]:
        child = os.fork()
        if child == 0:
            stop: list[int] = []
            signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
            while not stop:
                try:
                    self.sender.sendto(b"", (SERVER, port))
                except OSError:
                    continue  # the link is down
            os._exit(0)
        try:
            yield
        finally:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)


_cables: list[Cable] = []


def cable() -> Cable:
    if not _cables:
        _cables.append(Cable())
    return _cables[0]


def set_rate(packets: int) -> None:
    with open(RATE, "w", encoding="ascii") as file:
        file.write(str(packets))


def counts(what: str) -> None:
    """Datagrams are dropped and counted, each once."""
    cable().wait_for_link()
    before = input_counters(cable().server)[0].packets
    for _ in range(20):
        cable().sender.sendto(b"", (SERVER, 9))
    wait_for(lambda: input_counters(cable().server)[0].packets >= before + 20, f"20 packets to be counted: {what}")
    expect_equal(input_counters(cable().server), [Counter(before + 20, 28 * (before + 20))], f"counters: {what}")


@test
def comes_with_a_flood_and_goes_with_it() -> None:
    space, device = cable().server, cable().device
    set_mode("auto")
    set_rate(LOW)
    try:
        rules(space, f"-A INPUT -i {device} -p udp --dport 9 -j DROP")
        cable().wait_for_link()
        expect_equal(xdp_of(space, device), ("none", ""), "XDP without a flood")
        with cable().flood(9):
            wait_for(lambda: state_of(space, device) == "native", "XDP in a flood")
        wait_for(lambda: xdp_of(space, device)[0] == "none", "XDP to go, when the flood is over", 120)
        counts("by netfilter")
    finally:
        set_rate(10000)


@test
def below_the_rate_nothing_comes() -> None:
    space, device = cable().server, cable().device
    set_mode("auto")
    set_rate(1_000_000_000)
    try:
        rules(space, f"-A INPUT -i {device} -p udp --dport 9 -j DROP")
        cable().wait_for_link()
        with cable().flood(9):
            for count in (500, 1000, 1500, 2000):
                wait_for(lambda: input_counters(space)[0].packets >= count,  # pylint: disable=cell-var-from-loop
                         f"{count} packets")
                expect_equal(xdp_of(space, device), ("none", ""), "XDP below the rate")
    finally:
        set_rate(10000)


@test
def at_once_if_told_so() -> None:
    space, device = cable().server, cable().device
    rules(space, f"-A INPUT -i {device} -p udp --dport 9 -j DROP")
    for mode in ("native", "generic"):
        set_mode(mode)
        wait_xdp(space, device, mode)
        counts(mode)
    set_mode("auto")
    wait_xdp(space, device, "none")


if __name__ == "__main__":
    main(at_end=back)
