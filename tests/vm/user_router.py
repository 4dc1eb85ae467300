#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A router as people have it at home: it masquerades, forwards ports, and keeps the rest out.

    desk 10.1.0.7 --+
    server 10.1.0.8 + lan0 10.1.0.1 [ router ] wan0 192.0.2.1 -- [ provider ] -- far 198.51.100.7
"""

import errno
import socket

from lib import iptables
from lib.check import expect, expect_equal, main, test, wait_for
from lib.family import current
from lib.hosts import PATIENCE, Host, bridge, cable, kept_out, listening, plug, reaches, refused, talk
from lib.iptables import Counters, must

FAMILY = current()
WAN, DESK, SERVER, FAR = "192.0.2.1", "10.1.0.7", "10.1.0.8", "198.51.100.7"
IP_MTU_DISCOVER, IP_PMTUDISC_DO, IPV6_MTU_DISCOVER = 10, 2, 23

router, provider = Host("router", forwards=True), Host("provider", forwards=True)
desk, server, far = Host("desk"), Host("server"), Host("far")


def end(address: str, port: object) -> str:
    return f"[{FAMILY.address(address)}]:{port}" if FAMILY.number == 6 else f"{address}:{port}"


def build() -> None:
    cable(router, f"wan0={WAN}/24", provider, "cust0=192.0.2.2/24")
    cable(provider, "net0=198.51.100.1/24", far, f"eth0={FAR}/24")
    router.default("192.0.2.2")
    far.default("198.51.100.1")
    bridge(router, "lan0", "10.1.0.1/24")
    plug(router, "lan0", desk, f"{DESK}/24", "10.1.0.1")
    plug(router, "lan0", server, f"{SERVER}/24", "10.1.0.1")


def rules() -> None:
    with router:
        iptables.restore(
            f"-A PREROUTING -d {WAN} -p tcp --dport 8080 -j DNAT --to-destination {end(SERVER, 80)}",
            f"-A PREROUTING -d {WAN} -p udp --dport 5000:5009 -j DNAT --to-destination {end(SERVER, '6000-6009/5000')}",
            f"-A POSTROUTING -s 10.1.0.0/24 -d {SERVER} -p tcp --dport 80 -j MASQUERADE",  # hairpin
            "-A POSTROUTING -o wan0 -j MASQUERADE", table="nat")
        iptables.restore(
            "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A FORWARD -i lan0 -j ACCEPT",
            "-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT",
            "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -i lan0 -j ACCEPT",
            *(["-A INPUT -p icmpv6 -j ACCEPT"] if FAMILY.number == 6 else []),
            policies={"INPUT": "DROP", "FORWARD": "DROP"})
    router.forget()


def policy(chain: str) -> int:
    """Packets that came to it."""
    with router:
        return Counters().policy[chain].packets


@test
def out() -> None:
    """As the router, everybody, several with one port."""
    rules()
    with listening(far, 80) as opened, listening(far, 53, "udp") as asked:
        for host in (desk, server):
            reaches(host, (FAR, 80), opened, WAN)
            reaches(host, (FAR, 53), asked, WAN, "udp")
    refused(desk, (FAR, 81))
    refused(desk, (FAR, 54), "udp")


@test
def forwarded_ports() -> None:
    """From outside, to the server, which sees who asks; also of a range, each port to its own."""
    rules()
    with listening(server, 80) as opened:
        reaches(far, (WAN, 8080), opened, FAR)
    for port in (5000, 5009):
        with listening(server, port + 1000, "udp") as opened:
            reaches(far, (WAN, port), opened, FAR, "udp")
    refused(far, (WAN, 8080))


@test
def hairpin() -> None:
    """From within, by the address outside: the answer must come back through the router."""
    rules()
    with listening(server, 80) as opened:
        reaches(desk, (WAN, 8080), opened, "10.1.0.1")
        reaches(server, (WAN, 8080), opened, "10.1.0.1")


@test
def nothing_else_comes_in() -> None:
    rules()
    provider.ip([f"route replace {FAMILY.address('10.1.0.0/24')} via {FAMILY.address(WAN)}"])
    with listening(router, 22), listening(desk, 80):
        kept_out(far, (WAN, 22), lambda: policy("INPUT"))
        kept_out(far, (DESK, 80), lambda: policy("FORWARD"))
        kept_out(far, (WAN, 5010), lambda: policy("INPUT"), "udp")
    provider.ip([f"route del {FAMILY.address('10.1.0.0/24')}"])


@test
def errors_come_back() -> None:
    """Of a translated connection to who asked: that nobody is there, and that a packet is too big for the way."""
    rules()
    provider.ip(["link set net0 mtu 1300"])
    level, option = (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) if FAMILY.number == 6 else (socket.SOL_IP, IP_MTU_DISCOVER)
    with desk, socket.socket(FAMILY.af, socket.SOCK_DGRAM) as opened:
        opened.settimeout(PATIENCE)
        opened.setsockopt(level, option, IP_PMTUDISC_DO)
        opened.connect((FAMILY.address(FAR), 53))
        opened.send(b"x" * 1400)
        wait_for(lambda: opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE, "EMSGSIZE")
        expect_equal(opened.getsockopt(level, 24 if FAMILY.number == 6 else 14), 1300, "MTU of the way")
    provider.ip(["link set net0 mtu 1500"])
    # The same in the other direction, about what came to a forwarded port.
    refused(far, (WAN, 5001), "udp")


@test
def connections_stay() -> None:
    """Across a replace of all tables, and without rules as long as they are known."""
    rules()
    with listening(far, 80) as opened, desk, socket.create_connection((FAMILY.address(FAR), 80), PATIENCE) as one:
        accepted, _ = opened.accept()
        with accepted:
            accepted.settimeout(PATIENCE)
            for step in range(3):
                one.sendall(b"x")
                expect_equal(accepted.recv(10), b"x", f"data, step {step}")
                with router:
                    saved = "\n".join(iptables.save(table="")) + "\n"
                    must(iptables.RESTORE, "-c", stdin=saved)
                    if step == 1:
                        iptables.restore(table="nat")
            accepted.sendall(b"y")
            expect_equal(one.recv(10), b"y", "data back")


def ports(options: str, count: int = 24, source: int = 0) -> list[int]:
    """From which ports connections from ports beside each other leave, with these options of MASQUERADE."""
    with router:
        iptables.restore(f"-A POSTROUTING -o wan0 -p udp -j MASQUERADE {options}".strip(), table="nat")
    router.forget()
    found = []
    with listening(far, 53, "udp") as opened, desk:
        for number in range(count):
            with socket.socket(FAMILY.af, socket.SOCK_DGRAM) as asking:
                asking.bind((FAMILY.address(DESK), 20000 + source + number))
                asking.sendto(b"x", (FAMILY.address(FAR), 53))
            found.append(int(opened.recvfrom(10)[1][1]))
    return found


@test
def random_ports() -> None:
    """Kept without an option; else another for each. That 24 random ones are as asked for happens once in 10^100."""
    rules()
    expect_equal(ports(""), list(range(20000, 20024)), "kept")
    for options in ("--random", "--random-fully", "--to-ports 3000-3999 --random-fully"):
        found = ports(options)
        expect_equal(len(set(found)), 24, f"different ports of {options}")
        kept = sum(port == 20000 + number for number, port in enumerate(found))
        expect(kept <= 3, f"{kept} of 24 ports are as they were, {options}")
        if "--to-ports" in options:
            expect(all(3000 <= port <= 3999 for port in found), f"out of the range: {found}")
    expect(found != ports("--to-ports 3000-3999 --random-fully"), "the same random ports twice")


@test
def persistent() -> None:
    """One client has one address of several, whatever it asks for; without it, destinations tell as well."""
    addresses = [f"192.0.2.{last}" for last in range(100, 116)]
    router.ip([f"address add {FAMILY.address(one + '/32')} dev wan0" + (" nodad" if FAMILY.number == 6 else "")
               for one in addresses])
    others = [f"198.51.100.{last}" for last in range(100, 112)]
    for one in others:
        far.address("eth0", f"{one}/32")
    to = f"{FAMILY.address(addresses[0])}-{FAMILY.address(addresses[-1])}"
    for options, several in (("", True), ("--persistent", False)):
        with router:
            iptables.restore(f"-A POSTROUTING -o wan0 -p tcp -j SNAT --to-source {to} {options}".strip(), table="nat")
        router.forget()
        with listening(far, 80) as opened:
            seen = {talk(desk, (one, 80), [opened])[0] for one in others}
        expect(seen <= set(map(FAMILY.address, addresses)), f"addresses of no range: {seen}")
        expect_equal(len(seen) > 1, several, f"several addresses for one client, {options or 'no option'}: {seen}")


if __name__ == "__main__":
    build()
    main()
