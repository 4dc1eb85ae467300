#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What ufw and firewalld load (tests/rulesets): who is let in, who is turned away how, and who is not heard.

    outside 192.0.2.2, ... -- eth0 [ server 192.0.2.1, 10.10.10.1 ] eth1 -- inside 10.10.10.5, 10.20.0.5
"""

import contextlib
import socket
from typing import Callable, Iterator

from lib import iptables, system
from lib.check import expect, expect_equal, main, test, wait_for
from lib.family import TABLES
from lib.hosts import Host, cable, kept_out, listening, reaches, refused, refused_after
from lib.iptables import Counters, must
from lib.netns import sysctl
from lib.rulesets import has_sets, load

SERVER, OUTSIDE, INSIDE = "192.0.2.1", "192.0.2.2", "10.10.10.5"
UNWANTED = {"ufw": "203.0.113.65", "firewalld": "203.0.113.99"}

server, outside, inside = Host("server", forwards=True), Host("outside"), Host("inside")


def build() -> None:
    cable(server, f"eth0={SERVER}/24", outside, f"eth0={OUTSIDE}/24")
    cable(server, "eth1=10.10.10.1/24", inside, f"eth0={INSIDE}/24")
    server.address("eth1", "10.20.0.1/24")
    inside.address("eth0", "10.20.0.5/24")
    for address in UNWANTED.values():
        outside.address("eth0", f"{address}/32")
    server.ip(["route add 203.0.113.0/24 dev eth0"])
    outside.default(SERVER)
    inside.default("10.10.10.1")


@contextlib.contextmanager
def loaded(name: str) -> Iterator[None]:
    with server:
        load(name)
    sysctl("net/netfilter/nf_log_all_netns", 1)
    try:
        yield
    finally:
        sysctl("net/netfilter/nf_log_all_netns", 0)
        with server:
            for table in TABLES:
                iptables.restore(table=table)
            if has_sets(name):
                must("ipset", "destroy")
        server.forget()


def policy(chain: str) -> Callable[[], int]:
    def count() -> int:
        with server:
            return Counters().policy[chain].packets
    return count


def rule(chain: str, text: str) -> Callable[[], int]:
    def count() -> int:
        with server:
            counters = Counters()
        return counters.rules[chain][counters.texts[chain].index(text)].packets
    return count


def logged(prefix: str, port: int) -> bool:
    return any(prefix in line and f" DPT={port} " in line for line in system.kernel_log())


@test
def ufw_lets_in() -> None:
    with loaded("ufw"):
        for port in (80, 443, 8443):
            with listening(server, port) as opened:
                reaches(outside, (SERVER, port), opened, OUTSIDE)
        wait_for(lambda: logged("[UFW ALLOW] ", 8443), "the log of what is let in")
        must_ping(outside, SERVER)
        # What is sent is let in again.
        with listening(outside, 7777) as opened, listening(outside, 7778, "udp") as asked:
            reaches(server, (OUTSIDE, 7777), opened, SERVER)
            reaches(server, (OUTSIDE, 7778), asked, SERVER, "udp")


def must_ping(host: Host, address: str) -> None:
    host.run("ping", "-c", "1", "-W", "20", address)


@test
def ufw_keeps_out() -> None:
    with loaded("ufw"), listening(server, 80), listening(server, 9090), listening(server, 9091, "udp"):
        refused(outside, (SERVER, 25))  # with a reset
        kept_out(outside, (SERVER, 9090), rule("ufw-user-input", "-s 203.0.113.64/26 -j DROP"), source=UNWANTED["ufw"])
        kept_out(outside, (SERVER, 9090), policy("INPUT"))
        kept_out(outside, (SERVER, 9091), policy("INPUT"), "udp")
        wait_for(lambda: logged("[UFW BLOCK] ", 9090), "the log of what is kept out")
        expect(not logged("[UFW BLOCK] ", 25), "what is rejected is logged as blocked")
        with listening(inside, 443):
            kept_out(outside, (INSIDE, 443 + 1), policy("FORWARD"))


@test
def ufw_forwards() -> None:
    """One port of one host."""
    with loaded("ufw"), listening(inside, 443) as opened:
        reaches(outside, (INSIDE, 443), opened, OUTSIDE)


@test
def ufw_limits() -> None:
    """`ufw limit ssh`: the sixth connection of half a minute is refused, of this client alone."""
    with loaded("ufw"):
        with listening(server, 22) as opened:
            refused_after(5, 30, outside, (SERVER, 22), opened)
            outside.address("eth0", "192.0.2.3/24")
            reaches(outside, (SERVER, 22), opened, "192.0.2.3", source="192.0.2.3")


@test
def firewalld_lets_in() -> None:
    with loaded("firewalld"):
        for host, source, port in ((outside, OUTSIDE, 22), (outside, OUTSIDE, 80), (inside, "10.20.0.5", 22),
                                   (inside, INSIDE, 9090)):  # trusted
            with listening(server, port) as opened:
                reaches(host, ("10.20.0.1" if host is inside else SERVER, port), opened, source, source=source)
        must_ping(outside, SERVER)


@test
def firewalld_keeps_out() -> None:
    with loaded("firewalld"), listening(server, 9090), listening(server, 80), listening(inside, 80):
        refused(outside, (SERVER, 9090))
        refused(outside, (SERVER, 9090), "udp")
        refused(inside, ("10.20.0.1", 80), source="10.20.0.5")
        refused(outside, (INSIDE, 80))
        kept_out(outside, (SERVER, 80), rule("IN_drop", "-j DROP"), source=UNWANTED["firewalld"])
        for prefix, port in (("IN_public_REJECT: ", 9090), ("FWD_public_REJECT: ", 80), ("IN_drop_DROP: ", 80)):
            wait_for(lambda: logged(prefix, port), f"the log of {prefix}")  # pylint: disable=cell-var-from-loop


@test
def firewalld_forwards_ports() -> None:
    """To another host, and to another port; and masquerades."""
    with loaded("firewalld"):
        with listening(inside, 22) as opened:
            reaches(outside, (SERVER, 2222), opened, OUTSIDE)
        with listening(server, 80) as opened:
            reaches(outside, (SERVER, 8081), opened, OUTSIDE)
        with listening(outside, 80) as opened:
            reaches(inside, (OUTSIDE, 80), opened, SERVER)


@test
def firewalld_follows_ftp() -> None:
    """The helper is given by a rule, and what it expects is RELATED."""
    with loaded("firewalld"), listening(server, 21) as control, listening(server, 40000) as passive:
        with outside, socket.create_connection((SERVER, 21), 30) as client:
            accepted, _ = control.accept()
            with accepted:
                accepted.sendall(b"220 here.\r\n")
                expect_equal(client.recv(100)[:3], b"220", "what the client is told first")
                refused(outside, (SERVER, 40000))
                accepted.sendall(b"227 Entering Passive Mode (192,0,2,1,156,64).\r\n")
                expect_equal(client.recv(100)[:3], b"227", "what the client is told")
                reaches(outside, (SERVER, 40000), passive, OUTSIDE)


if __name__ == "__main__":
    build()
    main()
