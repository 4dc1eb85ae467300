#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What kube-proxy loads (tests/rulesets/kube-proxy.v4), and traffic to its services.

    clients 192.0.2.2, 198.51.100.2 -- eth0 [ node 192.0.2.1 ] cni0 10.244.0.1/16 -- pods: web1, web2, web3: :8080,
                                                                                    lb1, lb2: :8080, and one that asks

| service | is | |
|---|---|---|
| web | 10.96.0.1:80 | any of web1, web2 and web3 |
| lb | 10.96.0.3:80, 203.0.113.11:80 | lb1 or lb2, and the same for three hours |
| lb | port 31080 of the node | lb1 alone, which is on this node, and sees who asks |
| noep | 10.96.0.77:80, 203.0.113.10:80 | has no endpoint |
"""

import contextlib
import socket
from typing import Iterator

from lib.check import expect, expect_equal, main, test
from lib.hosts import Host, bridge, cable, kept_out, listening, plug, refused, talk
from lib.iptables import Counters, must
from lib.rulesets import load

WEB, LB, LB_OUTSIDE, NO_ENDPOINTS = ("10.96.0.1", 80), ("10.96.0.3", 80), ("203.0.113.11", 80), ("10.96.0.77", 80)
NODE_PORT = ("192.0.2.1", 31080)
CLIENT, STRANGER, NODE = "192.0.2.2", "198.51.100.2", "10.244.0.1"
# That one of three is never chosen: less than one in 10 million runs.
TRIES = 45

node = Host("node", forwards=True)
client, asks = Host("client"), Host("asks")
PODS = {name: (Host(name), address) for name, address in
        (("web1", "10.244.1.2"), ("web2", "10.244.2.2"), ("web3", "10.244.3.2"), ("lb1", "10.244.1.9"),
         ("lb2", "10.244.2.9"))}


def build() -> None:
    cable(node, "eth0=192.0.2.1/24", client, f"eth0={CLIENT}/24")
    client.address("eth0", f"{STRANGER}/24")
    client.default("192.0.2.1")
    node.ip(["route add 198.51.100.0/24 dev eth0"])
    node.default(CLIENT)
    bridge(node, "cni0", f"{NODE}/16")
    # Pods send everything to the node, also what is for each other, so that answers are translated back.
    for pod, address in ((asks, "10.244.4.4"), *PODS.values()):
        plug(node, "cni0", pod, f"{address}/32")
        pod.ip([f"route add {NODE} dev eth0"])
        pod.default(NODE)
    with node:
        load("kube-proxy")


@contextlib.contextmanager
def serving(*names: str) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(listening(PODS[name][0], 8080)) for name in names]


def packets(chain: str, text: str) -> int:
    with node:
        counters = Counters()
    return sum(counter.packets for counter, rule in zip(counters.rules[chain], counters.texts[chain]) if text in rule)


@test
def several_endpoints() -> None:
    """Each gets its share. A pod is seen as it is, all others as the node, to which the answer must go."""
    with serving("web1", "web2", "web3") as servers:
        chosen = [talk(asks, WEB, servers) for _ in range(TRIES)]
        expect_equal({peer for peer, _ in chosen}, {"10.244.4.4"}, "who the pods see")
        expect_equal({number for _, number in chosen}, {0, 1, 2}, f"endpoints of {TRIES} connections")
        for host in (client, node):
            seen = {talk(host, WEB, servers)[0] for _ in range(3)}
            expect_equal(seen, {NODE}, f"who the pods see of the {host.role}")


@test
def endpoint_asks_its_own_service() -> None:
    """And may get itself, which works as it is seen as the node then; by the others it is seen as it is."""
    with serving("web1", "web2", "web3") as servers:
        seen = {talk(PODS["web1"][0], WEB, servers)[::-1] for _ in range(TRIES)}
    expect_equal(seen, {(0, NODE), (1, "10.244.1.2"), (2, "10.244.1.2")}, "endpoints, and who they see")


@test
def the_same_endpoint_for_who_comes_again() -> None:
    """recent: each of those who ask has one of the two."""
    with serving("lb1", "lb2") as servers:
        for host in (asks, PODS["web2"][0], PODS["web3"][0]):
            chosen = {talk(host, LB, servers)[1] for _ in range(10)}
            expect_equal(len(chosen), 1, f"endpoints of one client: {chosen}")
            name = f"KUBE-SEP-BBBBBBBBBBBBBBB{4 + chosen.pop()}"
            own = host.run("ip", "-o", "-4", "address", "show", "dev", "eth0").split()[3].split("/")[0]
            with node, open(f"/proc/self/net/xt_recent/{name}", encoding="ascii") as file:
                known = file.read()
            expect(f"src={own} " in known, f"{own} is not in the list of {name}: {known}")


@test
def ports_of_the_node() -> None:
    """From outside: the endpoint that is here, which sees who asks."""
    with serving("lb1", "lb2") as servers:
        expect_equal({talk(client, NODE_PORT, servers) for _ in range(8)}, {(CLIENT, 0)}, "who is seen by whom")
        seen = {peer for peer, _ in (talk(node, NODE_PORT, servers) for _ in range(4))}
        expect_equal(seen, {NODE}, "who is seen of the node itself")


@test
def addresses_of_load_balancers() -> None:
    """For those of 192.0.2.0/24 alone."""
    with serving("lb1", "lb2") as servers:
        expect_equal(talk(client, LB_OUTSIDE, servers), (CLIENT, 0), "who is seen by whom")
        kept_out(client, LB_OUTSIDE, lambda: packets("KUBE-PROXY-FIREWALL", "KUBE-FW-AAAAAAAAAAAAAAA3"),
                 source=STRANGER)


@test
def services_without_endpoints() -> None:
    """Are refused at once, whoever asks."""
    for host in (asks, client, node):
        refused(host, NO_ENDPOINTS)
    refused(client, ("203.0.113.10", 80))


@test
def endpoints_that_come_and_go() -> None:
    """kube-proxy replaces whole chains by iptables-restore --noflush; connections stay where they are."""
    sync = "\n".join(["*nat", ":KUBE-SVC-AAAAAAAAAAAAAAA1 - [0:0]",
                      '-A KUBE-SVC-AAAAAAAAAAAAAAA1 -m comment --comment "default/web:http -> 10.244.3.2:8080" '
                      "-j KUBE-SEP-BBBBBBBBBBBBBBB3", "COMMIT", ""])
    with serving("web1", "web2", "web3") as servers:
        with node:
            must("iptables-legacy-restore", "-w", "5", "--noflush", "--counters", stdin=sync)
        expect_equal({talk(asks, WEB, servers)[1] for _ in range(20)}, {2}, "endpoints")


if __name__ == "__main__":
    build()
    main()
