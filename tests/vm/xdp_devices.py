#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Programs at XDP while devices, helpers, namespaces and rules come and go: nothing is lost, or counted twice."""

import json
import socket
import subprocess

from lib import calls, helper, system
from lib.check import expect, expect_equal, main, test, wait_for
from lib.early import (AS_BEFORE, Tap, back, drops, input_counters, pair, program_of, rules, set_mode, try_ip, wait_xdp,
                       xdp_of)
from lib.family import V4, V6
from lib.iptables import Counter, iptables, must
from lib.netns import Namespace, tags_in_frames
from lib.pair import CLIENT, PORT, SERVER, Pair


# Devices

@test
def device_appears() -> None:
    space = pair().server
    rules(space, "-A INPUT -i late0 -p udp --dport 99 -j DROP")
    space.ip(["link add late0 type veth peer name late1", "link set late1 up", "link set late0 up"])
    with space:
        tags_in_frames("late1")
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
        wait_for(lambda: xdp_of(space, "moved") == ("native", "bf_xdp_idle"), "a program that passes")
        pair().relink("moved")
        expect_equal(pair().send(3), 3, "delivered under another name")
        expect_equal(input_counters(space)[0].packets, 0, "counted under another name")
    finally:
        space.ip(["link set moved down", "link set moved name s0", "link set s0 up"])
        pair().relink()
    wait_xdp(space, "s0", "native")
    expect_equal(pair().send(3), 0, "delivered under the old name again")


@test
def another_name_of_a_device_is_none() -> None:
    """An altname is found where names are looked up, but no rule means it."""
    space = pair().server
    try_ip(space, "link property add dev s0 altname s0-too")
    try:
        rules(space, "-A INPUT -i s0 -s 198.51.100.1 -j DROP", f"-A INPUT -i s0-too -s {CLIENT} -j DROP")
        wait_xdp(space, "s0", "native")
        expect_equal(pair().send(2), 2, "delivered")
        expect_equal(input_counters(space), [Counter(0, 0)] * 2, "counters")
    finally:
        space.ip(["link property del dev s0 altname s0-too"])


@test
def devices_that_others_keep_busy() -> None:
    """Anybody can hold RTNL for long, with devices of his own: neither the helper nor a command waits for it."""
    space = pair().server
    rules(space)
    with calls.rtnl_held():
        before = len(system.kernel_log())
        rules(space, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
        wait_for(lambda: any("all is left to netfilter" in line for line in system.kernel_log()[before:]),
                 "the helper to give it up")
        drops(2, False, "meanwhile")
        rules(space, f"-A INPUT -i s0 -s {CLIENT} -j DROP", "-A INPUT -j ACCEPT")
        drops(2, False, "by a table that came meanwhile")
    wait_xdp(space, "s0", "native")
    drops(2, True, "afterwards")


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
            expect_equal(xdp_of(space, "s0"), ("native", "bf_xdp_s0"), f"XDP after {command} of IPv{family.number}")
            # Answered behind all that follows from the command.
            iptables("-S INPUT", V4)
            expect_equal(xdp_of(space, "s0"), ("native", "bf_xdp_s0"), f"XDP after {command} of IPv{family.number}")
    wait_xdp(space, "s0", "native")
    drops(3, True, "under other tables")


def link_of(program: int) -> list[int]:
    """The ids of the links that run a program. (Of which device they are, not every bpftool says.)"""
    return [one["id"] for one in json.loads(must("bpftool", "-j", "link", "show")) if one.get("prog_id") == program]


def left_alone(upper: str, *put_in: str) -> None:
    """With a device of that kind above it s0 has no program; without it, it has again. What s0 itself
    still gets, netfilter drops and counts."""
    space = pair().server
    rules(space, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(space, "s0", "native")
    drops(2, True, "before")
    try_ip(space, f"link add upper {upper}")
    try:
        space.ip(put_in)
        wait_xdp(space, "s0", "none")
        if not put_in:
            drops(2, False, f"below {upper}")
    finally:
        space.ip([*(["link set s0 nomaster"] if put_in else []), "link delete upper", *AS_BEFORE])
        pair().relink()
    wait_xdp(space, "s0", "native")
    drops(2, True, "afterwards")
    total = 4 if put_in else 6
    expect_equal(input_counters(space), [Counter(total, 28 * total)], "counters")


@test
def in_a_bridge() -> None:
    """Also where the namespace has a hook for packets from bridges from then on, as containers' machines have."""
    must("modprobe", "br_netfilter")
    left_alone("type bridge", "link set s0 master upper")


@test
def in_a_bond() -> None:
    left_alone("type bond mode active-backup", "link set s0 down", "link set s0 master upper", "link set upper up")


@test
def in_a_vrf() -> None:
    left_alone("type vrf table 77", "link set upper up", "link set s0 master upper")


@test
def below_a_vlan() -> None:
    left_alone("link s0 type vlan id 5")


@test
def below_a_macvlan() -> None:
    left_alone("link s0 type macvlan mode private")


@test
def below_an_ipvlan() -> None:
    left_alone("link s0 type ipvlan mode l2")


# Helpers, namespaces

@test
def taken_over_by_the_next_helper() -> None:
    """The links are the module's: while there is no helper the programs go on, and its successor makes new ones."""
    space = pair().server
    rules(space, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(space, "s0", "native")
    drops(2, True, "before")
    total = 2
    for step in range(3):
        old, program = helper.one(), program_of(space, "s0")
        link = link_of(program)
        expect_equal(len(link), 1, "links of the program")
        helper.kill()
        drops(2, True, f"just behind death {step}")
        wait_for(lambda: old not in helper.all_alive(), "it to be gone")  # pylint: disable=cell-var-from-loop
        expect(helper.one() != old, "the same helper")
        wait_for(lambda: program_of(space, "s0") not in (0, program), "a program of the next helper")  # pylint: disable=cell-var-from-loop
        wait_xdp(space, "s0", "native")
        expect_equal(link_of(program_of(space, "s0")), link, "the link")
        drops(2, True, f"by the next helper, {step}")
        total += 4
        expect_equal(input_counters(space)[0], Counter(total, 28 * total), f"counters, {step}")


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
            set_mode(("generic", "off", "auto", "native")[step])
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
    main(at_end=back)
