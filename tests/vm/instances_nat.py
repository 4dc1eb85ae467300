#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""NAT, with packets both ways: what leaves the router, and what comes back as if nothing had been.

    10.1.0.7 -- in0 [ router 10.1.0.1, 10.2.0.1; local: 10.9.0.0/16 ] out0 -- 10.2.0.7
                                                                    [ out1 -- 10.4.0.7
"""

import socket

from lib import packet
from lib.check import expect, expect_equal, main, test
from lib.family import current
from lib.iptables import run
from lib.packet import ACK, FIN, ICMP, ICMPV6, SYN, TCP, UDP, tcp, udp
from lib.router import TTL
from lib.scene import Scene
from lib.wire import Seen, sums_are_right

FAMILY = current()
scene = Scene()
router, wire, rules, counts, clean = scene.router, scene.wire, scene.rules, scene.counts, scene.clean
HERE, THERE, OTHER = "10.1.0.7", "10.2.0.7", "10.4.0.7"
OUR_LEFT, OUR_RIGHT = "10.1.0.1", "10.2.0.1"
ICMP_OF_FAMILY = ICMPV6 if FAMILY.number == 6 else ICMP
End = tuple[str, int]


def endpoint(address: str, ports: object = "") -> str:
    """As --to-destination and the like have it."""
    if ports == "":
        return FAMILY.address(address)
    return f"[{FAMILY.address(address)}]:{ports}" if FAMILY.number == 6 else f"{address}:{ports}"


def nat(*lines: str) -> None:
    """These are the rules of nat, and no connection is known."""
    rules(*lines, table="nat")
    with router:
        expect_equal(run("conntrack", "-F").status, 0, "conntrack -F")


def send(inner: str, source: End, destination: End, flags: int | None = None, payload: bytes = b"") -> None:
    """A datagram, or with flags a TCP segment, towards the router."""
    segment = (udp(source[1], destination[1], payload) if flags is None
               else tcp(source[1], destination[1], flags, payload=payload))
    protocol = UDP if flags is None else TCP
    wire.send(inner, [packet.ip(source[0], destination[0], protocol, segment, ttl=TTL)])


def ends(seen: Seen) -> tuple[End, End]:
    return (seen.source, seen.ports[0]), (seen.destination, seen.ports[1])


def came_out(inner: str, source: End, destination: End, what: str) -> Seen:
    seen = wire.one(inner)
    expect_equal(ends(seen), ((FAMILY.address(source[0]), source[1]), (FAMILY.address(destination[0]), destination[1])),
                 what)
    expect(sums_are_right(seen), f"{what}: a checksum is wrong: {seen.whole.hex()}")
    return seen


def there_and_back(chain: str, asked: tuple[End, End], made: tuple[End, End], out: str = "out0",
                   flags: int | None = None) -> None:
    """What is sent as `asked` leaves as `made`, its answer comes back, and more of both; the rule is met once."""
    for number in range(2):
        what = f"{'there' if number == 0 else 'there again'}, {'udp' if flags is None else 'tcp'}"
        send("in0", *asked, flags=flags if number == 0 or flags is None else ACK)
        came_out(out, *made, what)
        send(out, made[1], made[0], flags=None if flags is None else SYN | ACK)
        came_out("in0", asked[1], asked[0], f"back, {what}")
        expect_equal(counts(chain, "nat")[0], 1, f"packets of the rule, {what}")


@test
@clean
def dnat() -> None:
    for flags in (None, SYN):
        nat(f"-A PREROUTING -i in0 -p {'udp' if flags is None else 'tcp'} --dport 8080 -j DNAT "
            f"--to-destination {endpoint(THERE, 80)}", "-A PREROUTING")
        there_and_back("PREROUTING", ((HERE, 1024), (OUR_LEFT, 8080)), ((HERE, 1024), (THERE, 80)), flags=flags)
        expect_equal(counts("PREROUTING", "nat"), [1, 0], "packets")


@test
@clean
def dnat_without_ports() -> None:
    nat(f"-A PREROUTING -i in0 -d {THERE} -j DNAT --to-destination {endpoint(OTHER)}")
    there_and_back("PREROUTING", ((HERE, 1024), (THERE, 53)), ((HERE, 1024), (OTHER, 53)), out="out1")


@test
@clean
def dnat_to_ranges() -> None:
    """To one of several addresses, one of several ports; and, with a base, to the port that stands as far behind."""
    first, last = FAMILY.address("10.2.0.7"), FAMILY.address("10.2.0.9")
    several = f"[{first}-{last}]:80-82" if FAMILY.number == 6 else f"{first}-{last}:80-82"
    nat(f"-A PREROUTING -i in0 -p udp --dport 53 -j DNAT --to-destination {several}",
        f"-A PREROUTING -i in0 -p udp --dport 1000:1009 -j DNAT --to-destination {endpoint(THERE, '5000-5009/1000')}")
    chosen = set()
    for number in range(16):
        send("in0", (f"10.1.1.{number}", 1024), (OUR_LEFT, 53))
        seen = wire.one("out0")
        chosen.add(seen.destination)
        expect(seen.destination in {FAMILY.address(f"10.2.0.{last}") for last in (7, 8, 9)}, "another address")
        expect(80 <= seen.ports[1] <= 82, "another port")
    expect(len(chosen) > 1, f"16 sources, and one of three addresses: {chosen}")
    for port in (1000, 1007):
        send("in0", (HERE, 1024), (OUR_LEFT, port))
        came_out("out0", (HERE, 1024), (THERE, port + 4000), "with a base")


@test
@clean
def snat() -> None:
    for flags in (None, SYN):
        protocol = "udp" if flags is None else "tcp"
        nat(f"-A POSTROUTING -o out0 -p {protocol} -j SNAT --to-source {endpoint('10.2.0.99', 4000)}", "-A POSTROUTING")
        there_and_back("POSTROUTING", ((HERE, 1024), (THERE, 53)), (("10.2.0.99", 4000), (THERE, 53)), flags=flags)


@test
@clean
def snat_of_what_is_received() -> None:
    """INPUT: the local socket is asked by somebody else, and its answer goes to who asked."""
    nat(f"-A INPUT -p udp --dport 53 -j SNAT --to-source {endpoint('10.1.0.99')}")
    with router, socket.socket(FAMILY.af, socket.SOCK_DGRAM) as opened:
        opened.bind((FAMILY.address(OUR_LEFT), 53))
        opened.settimeout(20)
        send("in0", (HERE, 1024), (OUR_LEFT, 53), payload=b"question")
        data, address = opened.recvfrom(100)
        expect_equal((data, address[:2]), (b"question", (FAMILY.address("10.1.0.99"), 1024)), "what is received")
        opened.sendto(b"answer", address)
    router.settle()
    expect_equal(came_out("in0", (OUR_LEFT, 53), (HERE, 1024), "the answer").body[8:], b"answer", "data")


@test
@clean
def masquerade() -> None:
    """As the address of the device it leaves by; ports only where asked for, or where two would be the same."""
    for flags in (None, SYN):
        nat("-A POSTROUTING -o out0 -j MASQUERADE", "-A POSTROUTING")
        there_and_back("POSTROUTING", ((HERE, 1024), (THERE, 53)), ((OUR_RIGHT, 1024), (THERE, 53)), flags=flags)
    send("in0", (HERE, 1024), (THERE, 53))
    came_out("out0", (OUR_RIGHT, 1024), (THERE, 53), "the first")
    send("in0", ("10.1.0.8", 1024), (THERE, 53))
    other = wire.one("out0")
    expect_equal((other.source, other.ports[0] != 1024), (FAMILY.address(OUR_RIGHT), True), "two with one port")
    send("out0", (THERE, 53), (OUR_RIGHT, other.ports[0]))
    came_out("in0", (THERE, 53), ("10.1.0.8", 1024), "the other's answer")
    nat("-A POSTROUTING -o out0 -p udp -j MASQUERADE --to-ports 3000-3001")
    send("in0", (HERE, 1024), (THERE, 53))
    expect(wire.one("out0").ports[0] in (3000, 3001), "a port of the range")


@test
@clean
def redirect() -> None:
    """To a local socket, whose answer comes from where the question went."""
    nat("-A PREROUTING -i in0 -p udp --dport 5353 -j REDIRECT --to-ports 53")
    with router, socket.socket(FAMILY.af, socket.SOCK_DGRAM) as opened:
        opened.bind(("", 53))
        opened.settimeout(20)
        for number in range(2):
            send("in0", (HERE, 1024), (THERE, 5353), payload=b"question")
            data, address = opened.recvfrom(100)
            expect_equal((data, address[:2]), (b"question", (FAMILY.address(HERE), 1024)), "what is received")
            opened.sendto(b"answer", address)
            router.settle()
            expect_equal(came_out("in0", (THERE, 5353), (HERE, 1024), "the answer").body[8:], b"answer", "data")
            expect_equal(counts("PREROUTING", "nat"), [1], f"packets, question {number}")


@test
@clean
def of_what_is_sent() -> None:
    """OUTPUT: another destination is another way, and the socket never learns of it."""
    nat(f"-A OUTPUT -p udp -d {THERE} --dport 53 -j DNAT --to-destination {endpoint(OTHER, 5353)}")
    with router, socket.socket(FAMILY.af, socket.SOCK_DGRAM) as opened:
        opened.bind((FAMILY.address(OUR_RIGHT), 4000))
        opened.connect((FAMILY.address(THERE), 53))
        opened.settimeout(20)
        opened.send(b"question")
        router.settle()
        came_out("out1", (OUR_RIGHT, 4000), (OTHER, 5353), "the question")
        send("out1", (OTHER, 5353), (OUR_RIGHT, 4000), payload=b"answer")
        expect_equal(opened.recv(100), b"answer", "what is received")
    expect_equal(counts("OUTPUT", "nat"), [1], "packets")


@test
@clean
def netmap() -> None:
    nat(f"-A PREROUTING -i in0 -d 10.8.0.0/16 -j NETMAP --to {FAMILY.address('10.2.0.0/16')}",
        f"-A POSTROUTING -o out0 -j NETMAP --to {FAMILY.address('10.7.0.0/16')}")
    there_and_back("PREROUTING", ((HERE, 1024), ("10.8.0.7", 53)), (("10.7.0.7", 1024), (THERE, 53)))


@test
@clean
def both_ends() -> None:
    """DNAT and SNAT of the same connection; and NAT and conntrack agree on what it is."""
    nat(f"-A PREROUTING -i in0 -p tcp --dport 8080 -j DNAT --to-destination {endpoint(THERE, 80)}",
        "-A POSTROUTING -o out0 -j MASQUERADE")
    rules("-A FORWARD -m conntrack --ctstate DNAT", "-A FORWARD -m conntrack --ctstate ESTABLISHED --ctdir REPLY",
          f"-A FORWARD -m conntrack --ctorigdst {OUR_LEFT} --ctorigdstport 8080")
    there_and_back("PREROUTING", ((HERE, 1024), (OUR_LEFT, 8080)), ((OUR_RIGHT, 1024), (THERE, 80)), flags=SYN)
    expect_equal(counts("FORWARD"), [4, 2, 4], "packets")


@test
@clean
def errors_of_translated_connections() -> None:
    """What an ICMP error is about is translated back with it."""
    nat(f"-A PREROUTING -i in0 -p udp --dport 8080 -j DNAT --to-destination {endpoint(THERE, 80)}",
        "-A POSTROUTING -o out0 -j MASQUERADE")
    rules("-A FORWARD -m conntrack --ctstate RELATED")
    send("in0", (HERE, 1024), (OUR_LEFT, 8080))
    sent = came_out("out0", (OUR_RIGHT, 1024), (THERE, 80), "the question")
    kind = (1, 4) if FAMILY.number == 6 else (3, 3)
    wire.send("out0", [packet.ip(THERE, OUR_RIGHT, ICMP_OF_FAMILY, packet.icmp(*kind, sent.whole), ttl=TTL)])
    error = wire.one("in0")
    about = error.quoted
    expect_equal((error.source, error.destination, error.protocol, error.kind),
                 (FAMILY.address(OUR_LEFT), FAMILY.address(HERE), ICMP_OF_FAMILY, kind), "the error")
    expect_equal(ends(about), ((FAMILY.address(HERE), 1024), (FAMILY.address(OUR_LEFT), 8080)), "what it is about")
    expect(sums_are_right(error), f"a checksum is wrong: {error.whole.hex()}")
    expect_equal(counts("FORWARD"), [1], "related")


@test
@clean
def only_new_connections_are_asked() -> None:
    """Neither what is established, nor untracked, nor invalid."""
    rules("-A PREROUTING -p udp --dport 99 -j CT --notrack", table="raw")
    nat("-A PREROUTING", "-A POSTROUTING",
        f"-A PREROUTING -p udp --dport 99 -j DNAT --to-destination {endpoint(OTHER)}")
    send("in0", (HERE, 1024), (THERE, 99))
    came_out("out0", (HERE, 1024), (THERE, 99), "untracked")
    send("in0", (HERE, 1), (THERE, 2), flags=packet.RST)
    came_out("out0", (HERE, 1), (THERE, 2), "invalid")
    expect_equal((counts("PREROUTING", "nat"), counts("POSTROUTING", "nat")), ([0, 0], [0]), "packets")
    for flags in (SYN, ACK, FIN | ACK):
        send("in0", (HERE, 1024), (THERE, 80), flags=flags)
    expect_equal((counts("PREROUTING", "nat"), counts("POSTROUTING", "nat")), ([1, 0], [1]), "packets")


@test
@clean
def verdicts_of_nat() -> None:
    """A translation ends the chain like ACCEPT; a user chain returns behind the jump."""
    nat("-A PREROUTING -j one", "-A PREROUTING -p tcp", "-A PREROUTING -p udp", "-A one -p tcp -j two", "-A one -p tcp",
        f"-A two -p tcp --dport 8080 -j DNAT --to-destination {endpoint(THERE, 80)}", "-A two")
    send("in0", (HERE, 1024), (OUR_LEFT, 8080), flags=SYN)
    send("in0", (HERE, 1024), (THERE, 81), flags=SYN)
    send("in0", (HERE, 1024), (THERE, 53))
    expect_equal({chain: counts(chain, "nat") for chain in ("PREROUTING", "one", "two")},
                 {"PREROUTING": [3, 1, 1], "one": [2, 1], "two": [1, 1]}, "packets")


@test
@clean
def connections_outlive_rules() -> None:
    """What is translated stays so when the table is replaced, and when it is emptied."""
    nat(f"-A PREROUTING -i in0 -p udp --dport 8080 -j DNAT --to-destination {endpoint(THERE, 80)}")
    send("in0", (HERE, 1024), (OUR_LEFT, 8080))
    came_out("out0", (HERE, 1024), (THERE, 80), "by the first rule")
    rules(f"-A PREROUTING -i in0 -p udp --dport 8080 -j DNAT --to-destination {endpoint(OTHER, 80)}", table="nat")
    send("in0", (HERE, 1024), (OUR_LEFT, 8080))
    came_out("out0", (HERE, 1024), (THERE, 80), "the same connection")
    send("in0", (HERE, 1025), (OUR_LEFT, 8080))
    came_out("out1", (HERE, 1025), (OTHER, 80), "a new one")


if __name__ == "__main__":
    main()
