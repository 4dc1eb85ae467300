#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What Docker loads (tests/rulesets/docker.v4), and its containers' traffic.

    near 192.0.2.2, far 203.0.113.5 -- eth0 [ host 192.0.2.1 ] docker0 -- web 172.17.0.2, :80
                                                               br-app --- data 172.18.0.2 :5432, names 172.18.0.3 :53,
                                                                          calls 172.18.0.4 :3868
                                                               br-int --- inner 172.19.0.2
"""

from lib import iptables
from lib.check import expect, main, test
from lib.hosts import Host, bridge, cable, kept_out, listening, plug, reaches, refused
from lib.iptables import Counters, run
from lib.netns import sysctl
from lib.rulesets import load

OUTER = "192.0.2.1"
NEAR, FAR = "192.0.2.2", "203.0.113.5"

host = Host("host", forwards=True)
outside, web, data, names, calls, inner = (Host(name) for name in ("outside", "web", "data", "names", "calls", "inner"))


def build() -> None:
    cable(host, f"eth0={OUTER}/24", outside, f"eth0={NEAR}/24")
    outside.address("eth0", f"{FAR}/24")
    host.ip(["route add 203.0.113.0/24 dev eth0"])
    outside.ip([f"route add 172.16.0.0/12 via {OUTER}"])
    for name, number in (("docker0", 17), ("br-app", 18), ("br-int", 19)):
        bridge(host, name, f"172.{number}.0.1/16")
    for name, guest, address in (("docker0", web, "172.17.0.2"), ("br-app", data, "172.18.0.2"),
                                 ("br-app", names, "172.18.0.3"), ("br-app", calls, "172.18.0.4"),
                                 ("br-int", inner, "172.19.0.2")):
        plug(host, name, guest, f"{address}/16", address.rsplit(".", 1)[0] + ".1")
    with host:
        sysctl("net/ipv4/conf/docker0/route_localnet", 1)
        load("docker")


def packets(chain: str, text: str, table: str = "filter") -> int:
    """Of the rules of a chain that have this in them."""
    with host:
        counters = Counters(table=table)
    found = [counter.packets for counter, rule in zip(counters.rules[chain], counters.texts[chain]) if text in rule]
    return sum(found) if found else -1


@test
def published_ports() -> None:
    """From outside, and the containers see who asks."""
    for kind, port, server, inner_port in (("tcp", 8080, web, 80), ("tcp", 15432, data, 5432),
                                           ("udp", 5353, names, 53), ("sctp", 3868, calls, 3868)):
        with listening(server, inner_port, kind) as opened:
            reaches(outside, (OUTER, port), opened, NEAR, kind)
    refused(outside, (OUTER, 8080))  # of the container itself: nobody listens


@test
def what_the_administrator_says_comes_first() -> None:
    """DOCKER-USER, by the port that was asked for before it was translated."""
    with listening(web, 80):
        kept_out(outside, (OUTER, 8080), lambda: packets("DOCKER-USER", "--ctorigdstport 8080"), source=FAR)
    with listening(data, 5432) as opened:
        reaches(outside, (OUTER, 15432), opened, FAR, source=FAR)


@test
def from_the_host() -> None:
    """By its address; and by 127.0.0.1, which leaves it with route_localnet."""
    with listening(web, 80) as opened:
        reaches(host, (OUTER, 8080), opened, "172.17.0.1")
        reaches(host, ("127.0.0.1", 9090), opened, "172.17.0.1")
    refused(host, ("127.0.0.1", 9090))
    refused(host, ("127.0.0.1", 9091))


@test
def from_containers() -> None:
    """Of another network, as their bridge; of the same one, as the host; and to the outside."""
    with listening(web, 80) as opened:
        reaches(data, (OUTER, 8080), opened, "172.17.0.1")
        reaches(web, (OUTER, 8080), opened, "172.17.0.1")
    with listening(names, 53, "udp") as opened:
        reaches(data, ("172.18.0.3", 53), opened, "172.18.0.2", "udp")
    with listening(outside, 80) as opened, listening(outside, 53, "udp") as asked:
        reaches(web, (NEAR, 80), opened, OUTER)
        reaches(data, (NEAR, 53), asked, OUTER, "udp")


@test
def past_the_published_ports() -> None:
    """Who knows the container's address has no more of it; and 127.0.0.1 is asked by nobody from outside."""
    with listening(web, 80), listening(names, 54, "udp"):
        kept_out(outside, ("172.17.0.2", 80), lambda: packets("PREROUTING", "172.17.0.2/32", "raw"))
        kept_out(outside, ("172.18.0.3", 54), lambda: packets("DOCKER", "! -i br-app -o br-app -j DROP"), "udp")


@test
def inner_networks() -> None:
    """Neither in nor out."""
    with listening(outside, 80), listening(inner, 80):
        kept_out(inner, (NEAR, 80), lambda: packets("DOCKER-INTERNAL", "-i br-int"))
        kept_out(outside, ("172.19.0.2", 80), lambda: packets("DOCKER-INTERNAL", "-o br-int"))


@test
def ports_that_are_unpublished() -> None:
    """Docker deletes the rules of a container by what they say; connections go with conntrack -D."""
    rules = ("-t nat -D DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
             "-D DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT")
    with listening(web, 80):
        with host:
            for rule in rules:
                iptables.iptables(rule)
        refused(outside, (OUTER, 8080))
        with host:
            for rule in rules:
                iptables.iptables(rule.replace("-D DOCKER", "-I DOCKER"))
    with listening(web, 80) as opened:
        reaches(outside, (OUTER, 8080), opened, NEAR)
    with host:
        expect("src=172.17.0.2" in run("conntrack", "-L", "-p", "tcp").output, "the connection is not in the list")


if __name__ == "__main__":
    build()
    main()
