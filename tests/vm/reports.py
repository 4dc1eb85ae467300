#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What others have stumbled over, with real sockets: small inputs, each with its own answer."""

import socket

from lib import blob, iptables, packet
from lib.check import LONG, expect, expect_equal, main, test, wait_for
from lib.family import current
from lib.hosts import PATIENCE, Host, bridge, cable, kept_out, listening, plug, reaches, refused
from lib.iptables import Counters, must, run

FAMILY = current()
IPSET_FLAG_PHYSDEV, FLAGS_AT = 2, 40  # struct xt_set_info_match_v4: iptables itself never sets it
TIMES = 1000 if LONG else 10


def counts(host: Host, chain: str, table: str = "filter") -> list[int]:
    with host:
        return [counter.packets for counter in Counters(table=table).rules[chain]]


@test
def two_zones_with_one_tuple() -> None:
    """Two networks with the same addresses behind one router: a connection of each, which only the zone tells apart."""
    router, far = Host("router", forwards=True), Host("far")
    ones = [Host("left"), Host("right")]
    cable(router, "wan=192.0.2.1/24", far, "eth0=192.0.2.2/24")
    for number, one in enumerate(ones, 1):
        cable(router, f"lan{number}=10.{number}.0.1/24", one, f"eth0=10.{number}.0.2/24")
        one.address("eth0", "10.9.0.7/32")
        one.default(f"10.{number}.0.1")
        family = f"-{FAMILY.number}"
        for line in (f"route add {FAMILY.address('10.9.0.7')} via {FAMILY.address(f'10.{number}.0.2')} dev lan{number} "
                     f"table {number}", f"rule add fwmark {number} lookup {number}"):
            router.run("ip", family, *line.split())
    with router:
        iptables.restore(*(line for number in (1, 2) for line in (
            f"-A PREROUTING -i lan{number} -j CT --zone-orig {number}",
            f"-A PREROUTING -i lan{number} -j MARK --set-mark {number}")), table="raw")
        iptables.restore("-A PREROUTING -m connmark ! --mark 0 -j CONNMARK --restore-mark",
                         *(f"-A PREROUTING -i lan{number} -j CONNMARK --set-mark {number}" for number in (1, 2)),
                         table="mangle")
        iptables.restore("-A POSTROUTING -o wan -j MASQUERADE", table="nat")
    with listening(far, 53, "udp") as asked, listening(far, 80) as opened:
        for kind, server in (("udp", asked), ("tcp", opened)):
            clients = []
            for one in ones:
                with one:
                    client = socket.socket(FAMILY.af, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
                client.settimeout(PATIENCE)
                client.bind((FAMILY.address("10.9.0.7"), 4000))
                client.connect((FAMILY.address("192.0.2.2"), 53 if kind == "udp" else 80))
                clients.append(client)
            if kind == "udp":
                for client, word in zip(clients, (b"one", b"two")):
                    client.send(word)
                peers = [server.recvfrom(10) for _ in clients]
                for data, peer in peers:
                    server.sendto(data, peer)
                expect_equal(len({peer for _, peer in peers}), 2, "who the server sees")
                for client, word in zip(clients, (b"one", b"two")):
                    expect_equal(client.recv(10), word, "what comes back")
            else:
                accepted = [server.accept()[0] for _ in clients]
                expect_equal(len({connection.getpeername()[:2] for connection in accepted}), 2, "who the server sees")
                for client, word in zip(clients, (b"one", b"two")):
                    client.sendall(word)
                for connection in accepted:
                    with connection:
                        connection.sendall(connection.recv(10))
                expect_equal([client.recv(10) for client in clients], [b"one", b"two"], "what comes back")
            for client in clients:
                client.close()
    with router:
        zones = run("conntrack", "-L", "-f", f"ipv{FAMILY.number}").output
        for number in (1, 2):
            expect(f"zone-orig={number}" in zones, f"no connection of zone {number}: {zones}")


@test
def who_owns_what_is_said_last() -> None:
    """A socket's packets have an owner; a reset has none where nobody listens, nor has what TIME_WAIT acknowledges."""
    host, other = Host("host"), Host("other")
    cable(host, "eth0=192.0.2.1/24", other, "eth0=192.0.2.2/24")
    everybody = "0-4294967294"
    with host:
        iptables.restore(*(f"-A OUTPUT -p tcp --sport {port} -m owner {which} --uid-owner {everybody}"
                           for port in (99, 80) for which in ("", "!")))
    refused(other, ("192.0.2.1", 99))
    owned, unowned, *others = counts(host, "OUTPUT")
    expect(owned == 0 and unowned > 0 and others == [0, 0], f"a reset: {owned}, {unowned}, {others}")
    with listening(host, 80) as opened, other:
        with socket.create_connection((FAMILY.address("192.0.2.1"), 80), PATIENCE) as client:
            accepted, _ = opened.accept()
            accepted.sendall(b"x")
            expect_equal(client.recv(10), b"x", "data")
            accepted.close()  # first: this end waits
            expect_equal(client.recv(10), b"", "the end")
            port = client.getsockname()[1]
    wait_for(lambda: "TIME-WAIT" in host.run("ss", "-Htan"), "TIME_WAIT")
    before = counts(host, "OUTPUT")
    expect(before[2] >= 2, f"an answer to a SYN and data have an owner: {before}")
    _out_of_order(other, port)
    wait_for(lambda: counts(host, "OUTPUT")[3] > before[3], "an acknowledgement without an owner")
    expect_equal(counts(host, "OUTPUT")[2], before[2], "packets with an owner")


def _out_of_order(host: Host, port: int) -> None:
    """A segment of a connection that is over, far from its window."""
    segment = packet.tcp(port, 80, packet.ACK, payload=b"late")
    whole = packet.ip("192.0.2.2", "192.0.2.1", packet.TCP, segment)
    with host, socket.socket(FAMILY.af, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(whole, (FAMILY.address("192.0.2.1"), 0))


@test
def way_back_in_a_vrf() -> None:
    """rpfilter asks the routes of the device that the packet's device belongs to."""
    host, near = Host("host"), Host("near")
    host.ip(["link add red type vrf table 100", "link set red up"])
    cable(host, "eth0=192.0.2.1/24", near, "eth0=192.0.2.2/24")
    host.ip(["link set eth0 master red"])
    near.address("eth0", "198.51.100.7/24")
    near.ip([f"route replace {FAMILY.address('192.0.2.1')} dev eth0"])
    with host:
        must("sysctl", "-qw", "net.ipv4.udp_l3mdev_accept=1")
        if FAMILY.number == 6:
            run("ip", "-6", "address", "replace", FAMILY.address("192.0.2.1/24"), "dev", "eth0", "nodad")
        iptables.restore("-A PREROUTING -i eth0 -p udp -m rpfilter -j ACCEPT", "-A PREROUTING -i eth0 -p udp -j DROP",
                         table="raw")
    with listening(host, 53, "udp") as asked:
        with near, socket.socket(FAMILY.af, socket.SOCK_DGRAM) as client:
            client.sendto(b"x", (FAMILY.address("192.0.2.1"), 53))
        expect_equal(asked.recvfrom(10)[0], b"x", "data")
        expect_equal(counts(host, "PREROUTING", "raw"), [1, 0], "with a way back")
        kept_out(near, ("192.0.2.1", 53), lambda: counts(host, "PREROUTING", "raw")[1], "udp", source="198.51.100.7")
        expect_equal(counts(host, "PREROUTING", "raw"), [1, 1], "without")


@test
def sets_with_the_port_of_a_bridge() -> None:
    """hash:net,iface with `physdev:`, of what is bridged: for rules that ask for ports, which iptables cannot write."""
    host = Host("host")
    left, right = Host("left"), Host("right")
    bridge(host, "br0", "192.0.2.1/24")
    plug(host, "br0", left, "192.0.2.2/24")
    plug(host, "br0", right, "192.0.2.3/24")
    must("modprobe", "br_netfilter")
    with host:
        must("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1", "net.bridge.bridge-nf-call-ip6tables=1")
        must("ipset", "create", "ports", "hash:net,iface", "family", "inet6" if FAMILY.number == 6 else "inet")
        must("ipset", "add", "ports", f"{FAMILY.address('192.0.2.0/24')},physdev:p-left")
        iptables.restore("-A INPUT -p tcp -m set --match-set ports src,src -m tcp --dport 80 -j DROP")
        with blob.raw_socket() as opened:
            entries = blob.entries(opened)[1]
            rule = bytearray(entries[:blob.next_offset(entries, 0)])
            for flags in (0, IPSET_FLAG_PHYSDEV):
                rule[blob.ENTRY + blob.HEADER + FLAGS_AT] = flags
                expect_equal(blob.of_table("filter", {2: [rule]}).commit(opened), "OK", "commit")
                _bridged(host, left, right, bool(flags))
        text = [line for line in iptables.save(options="") if line.startswith("-A")]
        expect_equal(text, ["-A FORWARD -p tcp -m set --match-set ports src,src -m tcp --dport 80 -j DROP"], "listed")
        must(iptables.RESTORE, stdin="\n".join(iptables.save(options="")) + "\n")
        must(iptables.IPTABLES, "-D", *text[0].split()[1:])
        must("ipset", "destroy", "ports")


def _bridged(host: Host, left: Host, right: Host, asked: bool) -> None:
    """What comes by the port is dropped if the rule asks for ports; else it asks for the bridge, which is in no set."""
    with listening(left, 80) as one, listening(right, 80) as other:
        if asked:
            kept_out(left, ("192.0.2.3", 80), lambda: counts(host, "FORWARD")[0])
        else:
            reaches(left, ("192.0.2.3", 80), other, "192.0.2.2")
        reaches(right, ("192.0.2.2", 80), one, "192.0.2.3")


@test
def set_is_free_at_once() -> None:
    """`iptables -D`, and then `ipset destroy`, again and again (LONG=1: 1,000 times), beside packets that ask."""
    host, other = Host("host"), Host("other")
    cable(host, "eth0=192.0.2.1/24", other, "eth0=192.0.2.2/24")
    rule = ("INPUT", "-p", "udp", "-m", "set", "--match-set", "gone", "src", "-j", "ACCEPT")
    with other, socket.socket(FAMILY.af, socket.SOCK_DGRAM) as sending:
        for number in range(TIMES):
            with host:
                must("ipset", "create", "gone", "hash:ip", "family", "inet6" if FAMILY.number == 6 else "inet")
                must(iptables.IPTABLES, "-A", *rule)
                sending.sendto(b"x", (FAMILY.address("192.0.2.1"), 53))
                must(iptables.IPTABLES, "-D", *rule)
                done = run("ipset", "destroy", "gone")
                expect_equal((done.status, done.errors), (0, ""), f"destroy, time {number}")


POLICIES = (
    "-A INPUT -m policy --dir in --pol ipsec -j ACCEPT",
    "-A INPUT -m policy --dir in --pol ipsec --strict --reqid 1 --spi 0x100 --proto esp --mode tunnel "
    "--tunnel-dst 10.0.0.0/8 --tunnel-src 10.0.0.0/8 --next --reqid 2 -j ACCEPT",
    "-A OUTPUT -m policy --dir out --pol none -j DROP",
)


@test
def policies_deleted() -> None:
    """By what they say, and by their number, from between others."""
    host = Host("host")
    with host:
        iptables.restore(*POLICIES)
        saved = [line for line in iptables.save(options="") if line.startswith("-A")]
        expect_equal(len(saved), len(POLICIES), "rules")
        for number in (1, 0, 2):
            must(iptables.IPTABLES, "-D", *FAMILY.text(POLICIES[number]).split()[1:])
            left = [line for line in iptables.save(options="") if line.startswith("-A")]
            expect(saved[number] not in left, f"{saved[number]} is still there")
        expect_equal(left, [], "rules left")


if __name__ == "__main__":
    main()
