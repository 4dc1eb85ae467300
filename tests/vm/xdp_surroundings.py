#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What stands between a device and INPUT: routing, devices on it, hooks ahead. Whoever knows first switches off.

A program that may drop does so no more when the command is done that changes its surroundings, and
again when it is certain that they are as it thinks.
"""

import contextlib
import os
import signal
import socket
import subprocess
from typing import Iterator

from lib.check import expect, expect_equal, main, test, wait_for
from lib.early import (AS_BEFORE, back, drops, input_counters, pair, router, rules, set_mode, state_of, try_ip, wait_xdp,
                       xdp_of)
from lib.iptables import Counter
from lib.netns import Namespace, tags_in_frames
from lib.packet import UDP, ETH_P_IP, ethernet, ipv4, mac, udp
from lib.pair import CLIENT, PORT, SERVER
from lib.router import LINKS, TTL

DROP_ALL = "-A INPUT -i in0 -s 10.1.0.0/16 -j DROP"


# Routing

@contextlib.contextmanager
def routed(change: list[str], back: list[str]) -> Iterator[None]:
    """With the router's in0 armed, routing changes; at once nothing drops by what was."""
    rules(router().router, DROP_ALL)
    wait_xdp(router().router, "in0", "native")
    router().router.ip(change)
    try:
        yield
    finally:
        router().router.ip(back)
    wait_xdp(router().router, "in0", "native")
    expect_equal(router().through("INPUT", [make(77)]), [False], "to the router, afterwards")


def make(ident: int, to: str = "10.1.0.1") -> bytes:
    return ipv4("10.1.0.2", to, UDP, udp(1, 53), ident=ident, ttl=TTL)


def forwards(to: str, then: str = "native") -> None:
    """Packets to this address leave through out0, just behind the change and when the helper has looked; no rule of
    INPUT counts them."""
    before = input_counters(router().router)
    expect_equal(router().through("FORWARD", [make(1, to), make(2, to)]), [True] * 2, f"forwarded to {to}, at once")
    wait_xdp(router().router, "in0", then)
    expect_equal(router().through("FORWARD", [make(3, to), make(4, to)]), [True] * 2, f"forwarded to {to}, later")
    expect_equal(input_counters(router().router), before, "counters")


@test
def addresses_of_a_vrf_are_not_local() -> None:
    try_ip(router().router, "link add vrf1 type vrf table 78")
    router().router.ip(["link delete vrf1"])
    with routed(["link add vrf1 type vrf table 78", "link set vrf1 up", "link add v8 type veth peer name v9",
                 "link set v8 up", "address add 10.8.0.1/24 dev v8", "link set v8 master vrf1",
                 "route add 10.8.0.1/32 via 10.2.0.2 dev out0 onlink"],
                ["route delete 10.8.0.1/32", "link delete v8", "link delete vrf1"]):
        forwards("10.8.0.1")


@test
def loopback_without_a_prefix_route() -> None:
    """10.8.0.1/24 noprefixroute: the address alone is local."""
    with routed(["address add 10.8.0.1/24 dev lo noprefixroute", "route add 10.8.0.0/24 via 10.2.0.2 dev out0 onlink"],
                ["route delete 10.8.0.0/24", "address delete 10.8.0.1/24 dev lo"]):
        forwards("10.8.0.77")


@test
def loopback_with_a_peer() -> None:
    """The prefix that is local is the peer's, not that of the address."""
    with routed(["address add 10.8.0.1 peer 10.7.0.0/24 dev lo", "route add 10.8.0.0/24 via 10.2.0.2 dev out0 onlink"],
                ["route delete 10.8.0.0/24", "address delete 10.8.0.1 peer 10.7.0.0/24 dev lo"]):
        forwards("10.8.0.77")


@test
def a_rule_ahead_of_the_local_table() -> None:
    with routed(["route add default via 10.2.0.2 dev out0 onlink table 99", "rule add pref 10 lookup local",
                 "rule delete pref 0", "rule add pref 5 iif in0 to 10.4.0.1 lookup 99"],
                ["rule delete pref 5", "rule add pref 0 lookup local", "rule delete pref 10", "route flush table 99"]):
        forwards("10.4.0.1", "none")


@test
def a_local_route_that_is_gone() -> None:
    with routed(["route delete local 10.4.0.1 dev out1 table local", "route add 10.4.0.1/32 via 10.2.0.2 dev out0 onlink"],
                ["route delete 10.4.0.1/32", "route add local 10.4.0.1 dev out1 table local src 10.4.0.1 proto kernel scope host"]):
        forwards("10.4.0.1")


@test
def without_forwarding_nothing_is_counted_that_does_not_come() -> None:
    """What is neither local nor forwarded is not INPUT's, though it is dropped either way."""
    space = router().router
    with space:
        subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=0"], check=True)
    try:
        with routed(["route delete local 10.4.0.1 dev out1 table local"],
                    ["route add local 10.4.0.1 dev out1 table local src 10.4.0.1 proto kernel scope host"]):
            expect_equal(router().through("INPUT", [make(1, "10.4.0.1")]), [False], "delivered")
            wait_xdp(space, "in0", "native")
            expect_equal(router().through("INPUT", [make(2, "10.4.0.1")]), [False], "delivered")
            expect_equal(input_counters(space), [Counter(0, 0)], "counters")
    finally:
        with space:
            subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)


# Devices

_with_witness: list[Namespace] = []


def armed() -> Namespace:
    space = pair().server
    rules(space, f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    wait_xdp(space, "s0", "native")
    return space


def looked(space: Namespace, *named: str) -> None:
    """The helper has looked at s0 and these devices, with a rule for each, since this was called: a rule for a device
    that nothing happens to came into force with them, and is decided at XDP by now."""
    if space not in _with_witness:
        space.ip(["link add seen0 type veth peer name seen1", "link set seen0 up"])
        with space:
            tags_in_frames("seen1")
        _with_witness.append(space)
    rules(space, *(f"-A INPUT -i {device} -s {CLIENT} -j DROP" for device in ("s0", *named)),
          "-A INPUT -i seen0 -s 198.51.100.1 -j DROP")
    wait_xdp(space, "seen0", "native")


def off_at_once(space: Namespace, line: str) -> None:
    """When the command is done, nothing drops; and the program goes."""
    space.ip([line])
    expect(state_of(space, "s0") != "native", f"XDP may still drop behind: {line}")
    wait_xdp(space, "s0", "none")


@test
def a_vlan_in_another_namespace() -> None:
    space, other = armed(), Namespace("other")
    off_at_once(space, "link add link s0 name s0.5 type vlan id 5")
    space.ip([f"link set s0.5 netns {other.name}"])
    looked(space)
    expect_equal(state_of(space, "s0"), "none", "XDP below a VLAN that is elsewhere")
    drops(2, False, "below a VLAN that is elsewhere")
    other.ip(["link delete s0.5"])
    wait_xdp(space, "s0", "native")
    other.delete()


@test
def below_macsec() -> None:
    space = armed()
    try_ip(space, "link add link s0 name sec0 type macsec encrypt off")
    expect(state_of(space, "s0") != "native", "XDP may still drop below macsec")
    wait_xdp(space, "s0", "none")
    space.ip(["link delete sec0"])
    wait_xdp(space, "s0", "native")


@test
def a_bond_and_its_inactive_slave() -> None:
    """A bond would have its slaves run the program, both of them."""
    space, client = armed(), pair().client
    try_ip(space, "link add bond0 type bond mode active-backup")
    space.ip([f"link add s1 address 02:00:00:00:06:02 type veth peer name c1 netns {client.name}",
              "link set s0 down", "link set s0 master bond0", "link set s1 master bond0",
              f"address add {SERVER}/24 dev bond0", "link set bond0 up",
              f"neighbour replace {CLIENT} lladdr 02:00:00:00:05:01 dev bond0 nud permanent"])
    client.ip(["link set c1 up"])
    try:
        wait_xdp(space, "s0", "none")
        looked(space, "bond0", "s1")
        for device in ("bond0", "s0", "s1"):
            expect_equal(state_of(space, device), "none", f"XDP on {device}")
    finally:
        space.ip(["link delete bond0", "link delete s1", *AS_BEFORE])
        pair().relink()
    armed()


@test
def a_slave_that_no_rule_names() -> None:
    """The program that passes, which stays when rules go, does not stay on it."""
    space = armed()
    rules(space, f"-A INPUT -i bridge0 -s {CLIENT} -j DROP")
    wait_for(lambda: xdp_of(space, "s0") == ("native", "bf_xdp_idle"), "a program that passes")
    try_ip(space, "link add bridge0 type bridge")
    space.ip(["link set s0 master bridge0"])
    try:
        wait_xdp(space, "s0", "none")
    finally:
        space.ip(["link delete bridge0", *AS_BEFORE])
        pair().relink()
    armed()


@test
def tags_beside_the_frame() -> None:
    """A frame of a VLAN that nobody has is not INPUT's; a program does not see a tag that lies beside it."""
    space, client = armed(), pair().client
    with client:
        subprocess.run(["ethtool", "-K", "c0", "tx-vlan-hw-insert", "on"], check=True, capture_output=True)
    try:
        wait_xdp(space, "s0", "none")
        try_ip(client, "link add link c0 name c0.7 type vlan id 7")
        try:
            client.ip(["link set c0.7 up", "address add 198.51.100.1/32 dev c0.7",
                       f"neighbour add {SERVER} lladdr 02:00:00:00:05:02 dev c0.7 nud permanent",
                       f"route add {SERVER}/32 dev c0.7 src {CLIENT}"])
            expect_equal(pair().send(3), 0, "delivered")
            expect_equal(input_counters(space), [Counter(0, 0)], "counted, of VLAN 7")
        finally:
            client.ip(["link delete c0.7"])
    finally:
        with client:
            subprocess.run(["ethtool", "-K", "c0", "tx-vlan-hw-insert", "off"], check=True, capture_output=True)
    wait_xdp(space, "s0", "native")


@contextlib.contextmanager
def toggling(space: Namespace, device: str) -> Iterator[None]:
    """An offload of a device comes and goes all the while."""
    child = os.fork()
    if child == 0:
        stop: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
        with space:
            while not stop:
                for state in ("on", "off"):
                    subprocess.run(["ethtool", "-K", device, "tx-vlan-hw-insert", state], check=False,
                                   capture_output=True)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        with space:
            tags_in_frames(device)


@test
def who_has_the_other_end_of_a_link_keeps_no_other_device_from_it() -> None:
    space = armed()
    with toggling(pair().client, "c0"):
        for _ in range(8):
            looked(space)
    wait_xdp(space, "s0", "native")


@test
def tags_in_the_frame() -> None:
    """Those it sees: nothing is counted of a VLAN that nobody has, and a priority tag is none, to the stack."""
    rules(router().router, DROP_ALL)
    wait_xdp(router().router, "in0", "native")
    link = LINKS["in0"]
    for tag, counted in ((7, 0), (3 << 13, 1)):
        inner = ethernet(mac(link.inner_mac), mac(link.outer_mac), make(5), ETH_P_IP)
        router().frame("in0", inner[:12] + b"\x81\x00" + tag.to_bytes(2, "big") + inner[12:])
        router().settle()
        expect_equal(input_counters(router().router), [Counter(counted, counted * 28)], f"counters, tag {tag:#x}")


@test
def a_device_that_moves_leaves_its_program() -> None:
    """Nor does a device that gets its index and its name bring it back to life."""
    space, other = armed(), Namespace("other")
    with space:
        number = socket.if_nametoindex("s0")
    space.ip([f"link set s0 netns {other.name}",
              f"link add s0 index {number} address 02:00:00:00:09:09 type veth peer name other0", "link set s0 up"])
    with space:
        tags_in_frames("other0")
    try:
        expect(state_of(other, "s0") != "native", "XDP may still drop on a device that has moved")
        wait_xdp(other, "s0", "none")
        wait_xdp(space, "s0", "native")
        expect_equal(state_of(other, "s0"), "none", "XDP on the device that has moved")
    finally:
        space.ip(["link delete s0"])
        other.ip([f"link set s0 netns {space.name}"])
        space.ip(AS_BEFORE)
        pair().relink()
    other.delete()
    wait_xdp(space, "s0", "native")
    drops(2, True, "back again")


@test
def addresses_switch_off_at_once() -> None:
    """They are on again when the helper has looked."""
    space = armed()
    for line in ("address add 192.0.2.78/32 dev s0", "address delete 192.0.2.78/32 dev s0"):
        space.ip([line])
        expect_equal(pair().send(2), 0, f"delivered just behind: {line}")
        wait_xdp(space, "s0", "native")
        drops(2, True, line)
    expect_equal(input_counters(space), [Counter(8, 8 * 28)], "counters")


# Hooks ahead. netfilter and tc tell nobody: they are looked for once a second.

@contextlib.contextmanager
def nft(table: str, chain: str) -> Iterator[None]:
    space = armed()
    with space:
        subprocess.run(["nft", f"add table {table}; add chain {table} {chain}"], check=True)
    try:
        yield
    finally:
        with space:
            subprocess.run(["nft", f"delete table {table}"], check=True)
    wait_xdp(space, "s0", "native")


def hooked(table: str, chain: str) -> None:
    with nft(table, chain):
        wait_xdp(pair().server, "s0", "none")
        pair().relink()
        before = input_counters(pair().server)[0].packets
        expect_equal(pair().send(2), 0, "delivered")
        expect_equal(input_counters(pair().server)[0].packets - before, 0 if "drop" in chain else 2, "counted at INPUT")


@test
def nft_at_the_priority_of_conntrack() -> None:
    hooked("ip early", "one { type filter hook prerouting priority -200; policy drop; }")


@test
def nft_at_the_priority_of_defragmentation() -> None:
    hooked("ip early", "one { type filter hook prerouting priority -400; policy accept; }")


@test
def nft_at_input() -> None:
    hooked("ip early", "one { type filter hook input priority -10; policy drop; }")


@test
def nft_behind_input_is_no_matter() -> None:
    with nft("ip late", "one { type filter hook input priority 10; policy accept; }"):
        looked(pair().server)
        wait_xdp(pair().server, "s0", "native")
        drops(2, True, "with a hook behind INPUT")


@test
def conntrack_is_no_matter() -> None:
    """Told by what it is."""
    with nft("ip late", "one { type filter hook output priority 10; policy accept; }"):
        with pair().server:
            done = subprocess.run(["nft", "add rule ip late one ct state new counter"], check=False)
        expect_equal(done.returncode, 0, "conntrack")
        looked(pair().server)
        wait_xdp(pair().server, "s0", "native")
        drops(2, True, "with conntrack")


@test
def nft_on_the_device() -> None:
    hooked("netdev early", 'one { type filter hook ingress device "s0" priority 0; policy accept; }')


@test
def tc_on_the_device() -> None:
    space = armed()
    with space:
        subprocess.run(["tc", "qdisc", "add", "dev", "s0", "clsact"], check=True)
        subprocess.run(["tc", "filter", "add", "dev", "s0", "ingress", "matchall", "action", "drop"], check=True)
    try:
        wait_xdp(space, "s0", "none")
    finally:
        with space:
            subprocess.run(["tc", "qdisc", "delete", "dev", "s0", "clsact"], check=True)
    wait_xdp(space, "s0", "native")


# By itself

@test
def by_itself_nothing_is_attached_to_a_veth() -> None:
    """Not even in a flood: its peer would lose its offloads."""
    space = pair().server
    rules(space, f"-A INPUT -i s0 -p udp --dport {PORT + 1} -j DROP")
    set_mode("auto")
    try:
        wait_xdp(space, "s0", "none")
        with pair().flood(PORT + 1):
            for count in (1000, 2000, 3000):
                wait_for(lambda: input_counters(space)[0].packets >= count,  # pylint: disable=cell-var-from-loop
                         f"{count} packets")
                expect_equal(xdp_of(space, "s0"), ("none", ""), "XDP in a flood")
    finally:
        set_mode("native")


if __name__ == "__main__":
    main(at_end=back)
