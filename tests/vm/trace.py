#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""TRACE: the lines of each rule that a packet matches, on its whole way, as ip_tables prints them."""

import contextlib
import socket
import subprocess
from typing import Iterator

from lib import iptables, packet, system
from lib.check import expect_equal, main, test
from lib.family import current
from lib.netns import sysctl
from lib.packet import UDP, udp
from lib.router import LOCAL as OWN
from lib.router import TTL
from lib.scene import Scene

FAMILY = current()
scene = Scene()
router, wire, rules, clean = scene.router, scene.wire, scene.rules, scene.clean
HERE, THERE, LOCAL = "10.1.0.7", "10.2.0.7", "10.9.0.7"
MAC = f"02:00:00:00:01:01:02:00:00:00:01:02:{'86:dd' if FAMILY.number == 6 else '08:00'}"

# What a packet meets where nothing is asked of it.
FORWARDED = ["raw:PREROUTING:policy:2", "mangle:PREROUTING:policy:1", "mangle:FORWARD:policy:1",
             "filter:FORWARD:policy:1", "security:FORWARD:policy:1", "mangle:POSTROUTING:policy:1"]
TRACED = "-A PREROUTING -p udp -j TRACE"


def long(address: str) -> str:
    if FAMILY.number == 4:
        return address
    text = socket.inet_pton(socket.AF_INET6, FAMILY.address(address)).hex()
    return ":".join(text[at:at + 4] for at in range(0, 32, 4))


@contextlib.contextmanager
def logging() -> Iterator[None]:
    sysctl("net/netfilter/nf_log_all_netns", 1)
    try:
        yield
    finally:
        sysctl("net/netfilter/nf_log_all_netns", 0)


def ours(log: system.KernelLog) -> list[str]:
    return [line.rstrip() for line in log.read() if line.startswith(("TRACE:", "probe"))]


def lines(*packets: bytes) -> list[str]:
    """What the kernel's log has of them."""
    with system.KernelLog() as log, logging():
        wire.send("in0", list(packets))
        router.settle()
        return ours(log)


def names(seen: list[str]) -> list[str]:
    """What tells one line from another."""
    return [line.split()[1] if line.startswith("TRACE:") else line.split(":")[0] for line in seen]


def whole(name: str, incoming: str, outgoing: str, ttl: int, mark: str = "") -> str:
    """A line, to the last byte."""
    source = f"IN={incoming} OUT={outgoing} MAC={MAC} "
    if FAMILY.number == 6:
        about = f"LEN=48 TC=0 HOPLIMIT={ttl} FLOWLBL=7 "
    else:
        about = f"LEN=28 TOS=0x00 PREC=0x00 TTL={ttl} ID=7 "
    return (f"TRACE: {name} {source}SRC={long(HERE)} DST={long(THERE)} {about}"
            f"PROTO=UDP SPT=1024 DPT=53 LEN=8 {mark}").rstrip()


def datagram(to: str = THERE, dport: int = 53) -> bytes:
    return packet.ip(HERE, to, UDP, udp(1024, dport), ident=7, ttl=TTL)


def user_chains(mark: tuple[str, ...] = ()) -> None:
    """Jumps, returns of both kinds, a goto, rules without a target, and those that do not match."""
    rules("-A FORWARD -p udp -j one", "-A FORWARD -p tcp", f"-A FORWARD -s {HERE}", *mark,
          "-A one -p udp -j two", "-A one -p tcp -j two", "-A one -p udp -g three", "-A one",
          "-A two -p udp -m udp --dport 54", "-A two -p udp -j RETURN", "-A two",
          "-A three -p udp -m udp --dport 53 -j four", "-A three -p udp", "-A four -j RETURN", "-A four",
          policies={"FORWARD": "DROP"})


USER_CHAINS = ["filter:FORWARD:rule:1", "filter:one:rule:1", "filter:two:rule:2", "filter:one:rule:3",
               "filter:three:rule:1", "filter:four:return:1", "filter:three:rule:2", "filter:three:return:3",
               "filter:FORWARD:rule:3"]


@test
@clean
def first_contents() -> None:
    """Tables that are there without that anybody wrote them, and one that is not."""
    with router:
        for table in ("mangle", "filter"):
            iptables.iptables(f"-t {table} -S")
    rules(TRACED, table="raw")
    expect_equal(names(lines(datagram())), [name for name in FORWARDED if not name.startswith("security")], "lines")


@test
@clean
def whole_lines() -> None:
    """From TRACE on: not for that rule, but in all tables and at all hooks; nothing for what is not traced."""
    scene.clear()
    rules(TRACED, "-A PREROUTING -p udp", table="raw")
    seen = lines(datagram())
    places = [("in0", "", TTL)] * 3 + [("in0", "out0", TTL - 1)] * 4
    expected = ["raw:PREROUTING:rule:2", "raw:PREROUTING:policy:3", *FORWARDED[1:]]
    expect_equal(seen, [whole(name, *place) for name, place in zip(expected, places)], "lines")
    tcp = packet.ip(HERE, THERE, packet.TCP, packet.tcp(1, 2, packet.SYN), ident=7, ttl=TTL)
    expect_equal(lines(tcp), [], "lines of a packet that is not traced")


@test
@clean
def through_user_chains() -> None:
    """Which rules, by their numbers; the policy is a rule as well."""
    scene.clear()
    rules(TRACED, table="raw")
    user_chains()
    expect_equal(names(lines(datagram())), [*FORWARDED[:3], *USER_CHAINS, "filter:FORWARD:policy:4"], "lines")
    expect_equal((scene.counts("one"), scene.counts("three")), ([1, 0, 1, 0], [1, 1]), "packets")


@test
@clean
def through_user_chains_with_calls() -> None:
    """The same where what is asked is the kernel's own to answer. A line says how the packet came to the rule."""
    scene.clear()
    rules(TRACED, table="raw")
    user_chains(("-A FORWARD -p udp -j MARK --set-mark 7", "-A FORWARD -m limit --limit 1/hour -j LOG --log-prefix probe:",
                 "-A FORWARD -m limit --limit 1/hour --limit-burst 1 -m mark --mark 7 -j ACCEPT"))
    seen = lines(datagram(), datagram())
    once = [*FORWARDED[:3], *USER_CHAINS, "filter:FORWARD:rule:4", "filter:FORWARD:rule:5", "probe"]
    expect_equal(names(seen), [*once, "filter:FORWARD:rule:6", *FORWARDED[4:], *once, "filter:FORWARD:policy:7"], "lines")
    at = once.index("filter:FORWARD:rule:4")
    expect_equal(seen[at:at + 2], [whole("filter:FORWARD:rule:4", "in0", "out0", TTL - 1),
                                   whole("filter:FORWARD:rule:5", "in0", "out0", TTL - 1, mark="MARK=0x7")], "MARK")
    expect_equal(scene.counts("FORWARD"), [2, 0, 2, 2, 2, 1], "packets")


@test
@clean
def a_long_way() -> None:
    """A packet comes as far if it is traced as if it is not: here through half a million chains and back."""
    scene.clear()
    depth = 16
    rules("-A FORWARD -p tcp -j MARK --set-mark 1", *["-A FORWARD -j c1"] * 8, "-A FORWARD -p udp -j ACCEPT",
          *(f"-A c{at} -j c{at + 1}" for at in range(1, depth) for _ in range(2)), f"-A c{depth}",
          policies={"FORWARD": "DROP"})
    rules("-A PREROUTING -p udp -m udp --dport 54 -j TRACE", table="raw")
    for times, dport in enumerate((53, 54), 1):
        wire.send("in0", [datagram(dport=dport)])
        router.settle()
        expect_equal(scene.counts(f"c{depth}"), [times * 8 << depth - 1], f"packets in the last chain, of {dport}")
        expect_equal(scene.counts("FORWARD")[-1], times, f"packets behind all of them, of {dport}")
    expect_equal(scene.counts("PREROUTING", "raw"), [1], "traced packets")


@test
@clean
def within_its_own_table() -> None:
    """From the rule behind on, in a chain that TRACE is called in, and those that called it."""
    scene.clear()
    rules("-A PREROUTING -j one", "-A PREROUTING -p udp", "-A one -p udp -j two", "-A one -p udp -j ACCEPT",
          "-A two", "-A two -p udp -j TRACE", "-A two -p udp -m comment --comment x", table="raw")
    expect_equal(names(lines(datagram(LOCAL)))[:3], ["raw:two:rule:3", "raw:two:return:4", "raw:one:rule:2"], "lines")


@test
@clean
def verdicts() -> None:
    """The rule that decides is the last one of a table, or of all."""
    scene.clear()
    rules(TRACED, table="raw")
    for verdict in ("DROP", "ACCEPT"):
        rules(f"-A INPUT -j {verdict}", "-A INPUT", policies={"INPUT": "DROP"})
        behind = [] if verdict == "DROP" else ["security:INPUT:policy:1"]
        expect_equal(names(lines(datagram(LOCAL)))[:5],
                     ["raw:PREROUTING:policy:2", "mangle:PREROUTING:policy:1", "mangle:INPUT:policy:1",
                      "filter:INPUT:policy:1", *behind], verdict)


@test
@clean
def translated() -> None:
    """nat is asked for the first packet of a connection."""
    scene.clear()
    rules(TRACED, table="raw")
    rules("-A PREROUTING -p udp -m udp --dport 53 -j DNAT --to-destination 10.2.0.9" if FAMILY.number == 4 else
          "-A PREROUTING -p udp -m udp --dport 53 -j DNAT --to-destination fd00::10.2.0.9",
          "-A POSTROUTING -p udp -j ACCEPT", table="nat")
    first = [*FORWARDED[:2], "nat:PREROUTING:rule:1", *FORWARDED[2:], "nat:POSTROUTING:rule:1"]
    expect_equal(names(lines(datagram())), first, "lines of the first")
    expect_equal(names(lines(datagram())), FORWARDED, "lines of the second")


@test
@clean
def sent_from_here() -> None:
    """And through INPUT again, by loopback: such a packet stays traced."""
    scene.clear()
    rules("-A OUTPUT -p udp -j TRACE", table="raw")
    rules("-A OUTPUT -p udp -m udp --dport 9 -j out", "-A out -o lo")
    with logging(), router, socket.socket(FAMILY.af, socket.SOCK_DGRAM) as receiver:
        receiver.bind((FAMILY.address(OWN), 9))
        with system.KernelLog() as log:
            receiver.sendto(b"x", (FAMILY.address(OWN), 9))
            receiver.settimeout(20)
            receiver.recv(1)
            seen = ours(log)
    expect_equal([line.split()[1:4] for line in seen],
                 [[name, "IN=", "OUT=lo"] for name in
                  ("raw:OUTPUT:policy:2", "mangle:OUTPUT:policy:1", "filter:OUTPUT:rule:1", "filter:out:rule:1",
                   "filter:out:return:2", "filter:OUTPUT:policy:2", "security:OUTPUT:policy:1",
                   "mangle:POSTROUTING:policy:1")] +
                 [[name, "IN=lo", "OUT="] for name in
                  ("raw:PREROUTING:policy:1", "mangle:PREROUTING:policy:1", "mangle:INPUT:policy:1",
                   "filter:INPUT:policy:1", "security:INPUT:policy:1")], "lines")


@test
@clean
def by_nft() -> None:
    """Who sets nf_trace does not matter; no table has the target."""
    scene.clear()
    user_chains()
    subprocess.run(["modprobe", "nf_log_syslog"], check=True)
    with router:
        iptables.must("nft", "-f", "-", stdin=(
            "add table inet tracing\nadd chain inet tracing first { type filter hook prerouting priority -350; }\n"
            "add rule inet tracing first meta l4proto udp meta nftrace set 1\n"))
    try:
        seen = names(lines(datagram()))
    finally:
        with router:
            iptables.must("nft", "delete", "table", "inet", "tracing")
    expect_equal(seen, ["raw:PREROUTING:policy:1", *FORWARDED[1:3], *USER_CHAINS, "filter:FORWARD:policy:4"], "lines")


@test
@clean
def namespaces_are_silent() -> None:
    """As ip_tables: but for the first one, unless the machine wants it."""
    scene.clear()
    rules(TRACED, table="raw")
    with system.KernelLog() as log:
        wire.send("in0", [datagram()])
        router.settle()
        expect_equal(ours(log), [], "lines")


if __name__ == "__main__":
    main()
