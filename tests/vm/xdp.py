#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Leading rules of INPUT decided at XDP: seen in ip link, and otherwise not to be noticed.

A packet that XDP drops is not seen by a packet socket on its device; one that netfilter
drops is. That tells which of the two it was.
"""

import json
import socket
import subprocess
from typing import Any

from lib import iptables as tables
from lib import packet, system
from lib.check import Skip, expect, expect_equal, main, test, wait_for
from lib.family import V4, V6
from lib.iptables import Counter, Counters, iptables, must
from lib.netns import Namespace
from lib.packet import MF, UDP, ipv4, udp
from lib.pair import CLIENT, PORT, SERVER, Pair
from lib.router import LOCAL, TTL, Router

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


# Where, and with which mode

@test
def native_on_veth() -> None:
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(pair().server, "s0", "native")
    expect_equal(xdp_of(pair().server, "s0")[1], "bf_xdp_s0", "name of the program")
    drops(5, True, "native")
    expect_equal(input_counters(pair().server), [Counter(5, 140)], "counters")


@test
def generic_on_lo() -> None:
    rules(pair().server, "-A INPUT -i lo -s 127.0.0.2 -j DROP")
    wait_xdp(pair().server, "lo", "generic")
    with pair().server:
        done = tables.run("ping", "-c", "1", "-W", "1", "-I", "127.0.0.2", "127.0.0.1")
        expect(done.status != 0, "a ping from 127.0.0.2 was answered")
        must("ping", "-c", "1", "-W", "9", "-I", "127.0.0.3", "127.0.0.1")
    expect_equal(input_counters(pair().server), [Counter(1, 84)], "counters")
    expect_equal(xdp_of(pair().server, "s0")[0], "none", "XDP on the device that no rule names")


@test
def modes_at_run_time() -> None:
    """Changed while rules are in force: always dropped, always counted, only elsewhere."""
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -j DROP", "-A INPUT -i lo -s 127.0.0.9 -j DROP")
    total = 0
    try:
        for mode, on_veth, on_lo in (("off", "none", "none"), ("generic", "generic", "generic"),
                                     ("native", "native", "none"), ("auto", "native", "generic"),
                                     ("off", "none", "none"), ("native", "native", "none"),
                                     ("generic", "generic", "generic"), ("auto", "native", "generic")):
            set_mode(mode)
            expect_equal(pair().send(1), 0, f"delivered just behind the change to {mode}")
            wait_xdp(pair().server, "s0", on_veth)
            wait_xdp(pair().server, "lo", on_lo)
            drops(3, on_veth != "none", mode)
            total += 4
            expect_equal(input_counters(pair().server)[0], Counter(total, 28 * total), f"counters: {mode}")
    finally:
        set_mode("auto")


@test
def parameter() -> None:
    system.only_ours()
    with open(PARAMETER, encoding="ascii") as file:
        expect_equal(file.read(), "auto\n", "the default")
    for wrong in ("yes", "", "5", "offf"):
        try:
            set_mode(wrong)
        except OSError:
            continue
        if wrong:  # an empty write never reaches the module
            raise AssertionError(f"{wrong!r} was taken")
    with open(PARAMETER, encoding="ascii") as file:
        expect_equal(file.read(), "auto\n", "afterwards")


@test
def flush_detaches() -> None:
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(pair().server, "s0", "native")
    with pair().server:
        iptables("-F")
    wait_xdp(pair().server, "s0", "none")
    expect_equal(pair().send(3), 3, "delivered")


@test
def visible_to_bpftool() -> None:
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -p udp --dport 77 -j DROP")
    wait_xdp(pair().server, "s0", "native")
    with pair().server:
        net = json.loads(must("bpftool", "-j", "net", "show"))[0]
        expect_equal([one["devname"] for one in net["xdp"]], ["s0"], "bpftool net")
    dump = must("bpftool", "prog", "dump", "xlated", "name", "bf_xdp_s0")
    expect(f"-A INPUT -s {CLIENT}/32 -i s0 -p udp" in dump and "--dport 77" in dump,
           f"the rule beside its instructions: {dump[:2000]}")


# What may not be decided there

def through_router(lines: list[str], packets: list[tuple[str, bytes]]) -> tuple[list[bool], int]:
    """What is delivered of packets for (hook, ...), and how many the stack saw."""
    rules(router().router, *lines)
    wait_xdp(router().router, "in0", "native")
    with Tap(router().router, "in0") as tap:
        delivered = [router().through(hook, [one])[0] for hook, one in packets]
        return delivered, tap.count()


def make(ident: int, to: str = LOCAL, source: str = "10.1.0.2", port: int = 53, **fields: Any) -> bytes:
    return ipv4(source, to, UDP, udp(1, port), ident=ident, ttl=TTL, **fields)


@test
def only_local_addresses() -> None:
    """INPUT's rules are not FORWARD's."""
    delivered, seen = through_router(["-A INPUT -i in0 -s 10.1.0.0/16 -j DROP"],
                                     [("FORWARD", make(1, "10.2.0.9")), ("INPUT", make(2)),
                                      ("FORWARD", make(3, "10.4.0.9")), ("INPUT", make(4, "10.2.0.1"))])
    expect_equal(delivered[1::2], [False, False], "to the router")
    expect_equal(delivered[0], True, "forwarded")
    expect_equal(seen, 2, "seen by the stack")
    expect_equal(input_counters(router().router), [Counter(2, 56)], "counters")


@test
def broadcast_falls_through() -> None:
    delivered, seen = through_router(["-A INPUT -i in0 -s 10.1.0.0/16 -j DROP"],
                                     [("INPUT", make(1, "10.1.0.255")), ("INPUT", make(2, "224.0.0.1"))])
    expect_equal((delivered, seen), ([False, False], 2), "delivered, seen by the stack")
    expect_equal(input_counters(router().router), [Counter(2, 56)], "counters")


@test
def options_and_fragments_fall_through() -> None:
    lines = ["-A INPUT -i in0 -s 10.1.0.2 -j DROP"]
    rules(router().router, *lines)
    wait_xdp(router().router, "in0", "native")
    with Tap(router().router, "in0") as tap:
        pieces = [ipv4("10.1.0.2", LOCAL, UDP, udp(1, 2, b"x" * 16), ident=9, ttl=TTL, fragment=MF),
                  ipv4("10.1.0.2", LOCAL, UDP, b"y" * 8, ident=9, ttl=TTL, fragment=3)]
        sent = [make(1, options=b"\1" * 4), *pieces]
        expect_equal(router().through("INPUT", sent), [False] * 3, "delivered")
        expect_equal(tap.count(), 3, "seen by the stack")
    expect_equal(input_counters(router().router), [Counter(2, 32 + 52)], "counters: the pieces are one")


@test
def other_machines_frames() -> None:
    """A frame for another MAC address, or with a broken header, is dropped by nobody's rule."""
    rules(router().router, "-A INPUT -i in0 -s 10.1.0.2 -j DROP")
    wait_xdp(router().router, "in0", "native")
    router().inject("in0", make(1), destination_mac="02:00:00:00:77:77")
    router().inject("in0", make(2, wrong_checksum=True))
    router().inject("in0", make(3, total=200))
    router().settle()
    expect_equal(input_counters(router().router), [Counter(0, 0)], "counters")


@test
def stops_at_the_first_undecidable_rule() -> None:
    delivered, seen = through_router(
        ["-A INPUT -i in0 -p udp --dport 1 -j DROP", "-A INPUT -p udp --dport 2 -j user",
         "-A INPUT -i in0 -p udp --dport 1:3 -j DROP", "-A user -j ACCEPT"],
        [("INPUT", make(port, port=port)) for port in (1, 2, 3, 4)])
    expect_equal(delivered, [False, True, False, True], "delivered")
    expect_equal(seen, 3, "seen by the stack")
    expect_equal(input_counters(router().router), [Counter(1, 28)] * 3, "counters")


@test
def accepts_before_drops() -> None:
    delivered, seen = through_router(
        ["-A INPUT -i in0 -s 10.1.0.5 -j ACCEPT", "-A INPUT", "-A INPUT -i in0 -s 10.1.0.0/24 -j DROP", "-A INPUT"],
        [("INPUT", make(1, source="10.1.0.5")), ("INPUT", make(2, source="10.1.0.6")),
         ("INPUT", make(3, source="10.1.1.6"))])
    expect_equal((delivered, seen), ([True, False, True], 2), "delivered, seen by the stack")
    expect_equal(input_counters(router().router), [Counter(1, 28), Counter(2, 56), Counter(1, 28), Counter(1, 28)],
                 "counters: each packet once")


@test
def ports_and_short_headers() -> None:
    """A header that is not there drops the packet uncounted, wherever that is decided."""
    rules(router().router, "-A INPUT -i in0 -p udp --dport 53 -j DROP")
    wait_xdp(router().router, "in0", "native")
    sent = [ipv4("10.1.0.2", LOCAL, UDP, udp(1, 53)[:length], ident=length + 1, ttl=TTL) for length in (0, 4, 7, 8)]
    expect_equal(router().through("INPUT", sent), [False] * 4, "delivered")
    expect_equal(input_counters(router().router), [Counter(1, 28)], "counters")


# Devices

@test
def device_appears() -> None:
    space = pair().server
    rules(space, "-A INPUT -i late0 -p udp --dport 99 -j DROP")
    space.ip(["link add late0 type veth peer name late1", "link set late1 up", "link set late0 up"])
    try:
        wait_xdp(space, "late0", "native")
    finally:
        space.ip(["link delete late0"])
    expect_equal(pair().send(2), 2, "delivered on another device")
    with space:
        expect_equal(len(iptables("-S INPUT").splitlines()), 2, "the rule stays")


@test
def device_is_renamed() -> None:
    """Rules follow the name: at once in netfilter, soon at XDP."""
    space = pair().server
    rules(space, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(space, "s0", "native")
    space.ip(["link set s0 down", "link set s0 name moved", "link set moved up"])
    try:
        wait_xdp(space, "moved", "none")
        pair().relink()
        expect_equal(pair().send(3), 3, "delivered under another name")
        expect_equal(input_counters(space)[0].packets, 0, "counted under another name")
    finally:
        space.ip(["link set moved down", "link set moved name s0", "link set s0 up"])
        pair().relink()
    wait_xdp(space, "s0", "native")
    expect_equal(pair().send(3), 0, "delivered under the old name again")


@test
def local_address_appears() -> None:
    space = pair().server
    rules(space, f"-A INPUT -i s0 -s {CLIENT} -d 192.0.2.77 -j DROP")
    wait_xdp(space, "s0", "native")
    space.ip(["address add 192.0.2.77/32 dev s0"])
    pair().client.ip(["neighbour replace 192.0.2.77 lladdr 02:00:00:00:05:02 dev c0 nud permanent"])
    with pair().client:
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def unseen() -> bool:
        with Tap(space, "s0") as tap:
            sender.sendto(b"", ("192.0.2.77", PORT))
            pair().send(0)
            sent[0] += 1
            return tap.count() == 0

    sent = [0]
    try:
        wait_for(unseen, "the new address to be known at XDP")
        expect_equal(input_counters(space), [Counter(sent[0], 28 * sent[0])], "counters, from the first packet on")
    finally:
        space.ip(["address delete 192.0.2.77/32 dev s0"])
        sender.close()


@test
def early_hooks_keep_it_away() -> None:
    """A packet that something at PREROUTING may rewrite is not judged on the wire."""
    space = pair().server
    rules(space, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(space, "s0", "native")

    def nft(command: str) -> None:
        with space:
            subprocess.run(["nft", command], check=True)

    nft("add table ip early; "
        "add chain ip early rewrite { type filter hook prerouting priority -100; }")
    try:
        wait_xdp(space, "s0", "none")
        pair().relink()
        expect_equal(pair().send(3), 0, "delivered, by netfilter alone")
        expect_equal(input_counters(space)[0].packets, 3, "counted, by netfilter alone")
    finally:
        nft("delete table ip early")
    wait_xdp(space, "s0", "native")


@test
def other_tables_leave_it() -> None:
    """A table that comes into force behind XDP, or of the other family, changes nothing on the wire."""
    space = pair().server
    rules(space, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(space, "s0", "native")
    with space:
        for command, family in (("-t security -A INPUT -j ACCEPT", V4), ("-A INPUT -j ACCEPT", V6),
                                ("-t security -F", V4), ("-F", V6)):
            iptables(command, family)
            # Answered behind all that follows from the command.
            iptables("-S INPUT", V4)
            expect_equal(xdp_of(space, "s0")[0], "native", f"XDP after {command} of IPv{family.number}")
    drops(3, True, "under other tables")


@test
def devices_left_alone() -> None:
    """A device with VLANs on it, or in a bridge, does not get a program; netfilter does it."""
    space = pair().server
    rules(space, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(space, "s0", "native")
    space.ip(["link add br0 type bridge", "link set s0 master br0"])
    wait_xdp(space, "s0", "none")
    space.ip(["link set s0 nomaster", "link delete br0"])
    wait_xdp(space, "s0", "native")
    with space:
        vlan = subprocess.run(["ip", "link", "add", "link", "s0", "name", "s0.5", "type", "vlan", "id", "5"],
                              capture_output=True, text=True)
    if vlan.returncode:
        raise Skip(f"no VLANs in this kernel: {vlan.stderr.strip()}")
    wait_xdp(space, "s0", "none")
    drops(2, False, "with a VLAN")
    space.ip(["link delete s0.5"])
    wait_xdp(space, "s0", "native")


# Changes under traffic

@test
def nothing_lost_while_replacing() -> None:
    space = pair().server
    rules(space, f"-A INPUT -i s0 -p udp --dport {PORT + 1}", f"-A INPUT -i s0 -p udp --dport {PORT + 1} -j DROP")
    wait_xdp(space, "s0", "native")
    before = pair().sent_by_client()
    with pair().flood(PORT + 1):
        wait_for(lambda: pair().sent_by_client() > before, "traffic")
        for step in range(4):
            with space:
                iptables(f"-I INPUT 1 -s 198.51.100.{step} -j DROP")
                iptables("-A FORWARD -j DROP")
            set_mode(("generic", "off", "native", "auto")[step])
    sent = pair().sent_by_client() - before
    expect_equal(input_counters(space)[-2:], [Counter(sent, 28 * sent)] * 2, "sum over all tables and modes")


@test
def two_namespaces() -> None:
    other = Pair()
    rules(pair().server, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    rules(other.server, f"-A INPUT -i s0 -s {SERVER} -j DROP")
    wait_xdp(pair().server, "s0", "native")
    wait_xdp(other.server, "s0", "native")
    expect_equal((pair().send(2), other.send(2)), (0, 2), "delivered")
    other.close()
    expect_equal(pair().send(1), 0, "delivered")


if __name__ == "__main__":
    main()
