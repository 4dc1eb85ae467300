# SPDX-License-Identifier: GPL-2.0
"""The machine under test and what is around it.

    left                          router                            right
   +--------+                +----------------------+                +--------+
   |     l0 |----------------| in0             out0 |----------------| r0     |
   |        |                | 10.1.0.1    10.2.0.1 |                |        |
   |     l1 |----------------| in1             out1 |----------------| r1     |
   | no     |                | 10.3.0.1    10.4.0.1 |                | no     |
   | address|                |                      |                | address|
   +--------+                | lo 127.0.0.1         |                +--------+
                             | local: 10.9.0.0/16   |
                             +----------------------+

The tables are those of `router`. Each of 10.1, 10.2, 10.3 and 10.4/16 is routed to a
gateway with a permanent neighbour entry, 10.N.0.2, on its link. left and right have no
address, so they never answer; what reaches them is read from their links. Nothing but the
packets that a test injects is ever on the way: no IPv6, no ARP, no limit of ICMP errors.

A packet is known again by its IP id; what the router says by itself has another TTL.
"""

import errno
import os
import socket
from typing import Iterable, NamedTuple, Sequence

from . import iptables, mark, packet
from .netns import Namespace, ip, sysctl

SO_RCVBUFFORCE = 33

TTL = 77  # of injected packets

LOCAL = "10.1.0.1"
# Protocols whose delivery to the router itself can be seen.
PROTOCOLS = (packet.ICMP, packet.TCP, packet.UDP, packet.GRE, packet.ESP, 132, 253)

CHUNK = 64  # packets under way at once; a veth ring holds 256


class Link(NamedTuple):
    inner: str  # device of the router
    outer: str
    network: str  # "10.N"
    side: str
    inner_mac: str
    outer_mac: str

    @property
    def gateway(self) -> str:
        return f"{self.network}.0.2"


LINKS = {
    link.inner: link for link in (
        Link("in0", "l0", "10.1", "left", "02:00:00:00:01:01", "02:00:00:00:01:02"),
        Link("out0", "r0", "10.2", "right", "02:00:00:00:02:01", "02:00:00:00:02:02"),
        Link("in1", "l1", "10.3", "left", "02:00:00:00:03:01", "02:00:00:00:03:02"),
        Link("out1", "r1", "10.4", "right", "02:00:00:00:04:01", "02:00:00:00:04:02"),
    )
}


def _packet_socket(device: str, kind: int, receive: bool = True) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK,
                           socket.htons(kind) if receive else 0)
    opened.bind((device, kind if receive else 0))
    if receive:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    return opened


class Router:
    def __init__(self, mute: bool = False) -> None:
        """`mute`: the router has no way back to the left side, so it answers nothing."""
        self._mute = mute
        # Queues are in order on one processor only.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        self.router = Namespace("router")
        self.left = Namespace("left")
        self.right = Namespace("right")
        self._settings()
        self._links()
        self._sockets()

    # The namespaces

    def _settings(self) -> None:
        with self.router:
            sysctl("net/ipv4/ip_forward", 1)
            sysctl("net/ipv4/icmp_ratelimit", 0)
            sysctl("net/ipv4/icmp_ratemask", 0)
            for name in ("icmp_msgs_per_sec", "icmp_msgs_burst"):
                sysctl(f"net/ipv4/{name}", 10_000_000, missing_ok=True)
            for scope in ("all", "default"):
                sysctl(f"net/ipv4/conf/{scope}/rp_filter", 0)
                sysctl(f"net/ipv4/conf/{scope}/accept_redirects", 0)
                sysctl(f"net/ipv4/conf/{scope}/send_redirects", 0)
                # Options of source routing are matched, not obeyed.
                sysctl(f"net/ipv4/conf/{scope}/accept_source_route", 0)
        for name in ("icmp_msgs_per_sec", "icmp_msgs_burst"):
            sysctl(f"net/ipv4/{name}", 10_000_000, missing_ok=True)  # 6.1: of the machine

    def _links(self) -> None:
        lines = []
        for link in LINKS.values():
            side = self.left if link.side == "left" else self.right
            lines.append(f"link add {link.inner} netns {self.router.name} address {link.inner_mac} "
                         f"type veth peer name {link.outer} netns {side.name} "
                         f"address {link.outer_mac}")
        ip(lines)
        lines = ["link set lo up"]
        for link in LINKS.values():
            lines += [
                f"link set {link.inner} up",
                f"address add {link.network}.0.1/24 broadcast + dev {link.inner} noprefixroute",
                f"neighbour add {link.gateway} lladdr {link.outer_mac} dev {link.inner} "
                "nud permanent",
                f"route add blackhole {link.network}.0.0/16"
                if self._mute and link.side == "left" else
                f"route add {link.network}.0.0/16 via {link.gateway} dev {link.inner} onlink",
            ]
        lines.append("address add 10.9.0.1/16 dev lo")  # on loopback all of a prefix is local
        self.left.ip(f"link set {link.outer} up" for link in LINKS.values() if link.side == "left")
        self.right.ip(f"link set {link.outer} up" for link in LINKS.values()
                      if link.side == "right")
        self.router.ip(lines)

    def delete(self) -> None:
        for opened in self._opened:
            opened.close()
        for namespace in (self.router, self.left, self.right):
            namespace.delete()

    # Sockets

    def _sockets(self) -> None:
        self._opened: list[socket.socket] = []
        self._inject: dict[str, socket.socket] = {}  # by inner device: sends on the outer one
        self._seen: dict[str, socket.socket] = {}  # by inner device: what left through it
        self._marks_in: dict[str, socket.socket] = {}
        self._marks_out: dict[str, socket.socket] = {}
        for link in LINKS.values():
            with self.left if link.side == "left" else self.right:
                self._inject[link.inner] = self._keep(_packet_socket(link.outer, 0, receive=False))
                self._seen[link.inner] = self._keep(_packet_socket(link.outer, packet.ETH_P_IP))
                self._marks_out[link.inner] = self._keep(mark.open_on(link.outer))
            with self.router:
                self._marks_in[link.inner] = self._keep(mark.open_on(link.inner))
            mark.wait_for_link(self._marks_in[link.inner], self._marks_out[link.inner])
        with self.router:
            self._local = []
            for protocol in PROTOCOLS:
                raw = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK,
                                    protocol)
                raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
                self._local.append(self._keep(raw))
            self._output = self._keep(socket.socket(socket.AF_INET, socket.SOCK_RAW,
                                                    socket.IPPROTO_RAW))
            self._output.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

    def _keep(self, opened: socket.socket) -> socket.socket:
        self._opened.append(opened)
        return opened

    # Traffic

    def inject(self, inner: str, ip_packet: bytes, destination_mac: str | None = None) -> None:
        """Put a packet on the link of the router's device `inner`, towards the router."""
        link = LINKS[inner]
        frame = packet.ethernet(packet.mac(destination_mac or link.inner_mac),
                                packet.mac(link.outer_mac), ip_packet)
        self._inject[inner].send(frame)

    def frame(self, inner: str, frame: bytes) -> None:
        """Put any Ethernet frame there."""
        self._inject[inner].send(frame)

    def output(self, ip_packet: bytes) -> str:
        """Send a packet, with its IP header, from the router itself; "" or the errno's name.
        A packet that is dropped at OUTPUT gives EPERM."""
        try:
            self._output.sendto(ip_packet, (packet.destination_of(ip_packet), 0))
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return ""

    def settle(self, links: Iterable[str] = tuple(LINKS), rounds: int | None = None) -> None:
        """Return when all that was sent on these links has been decided and has arrived.

        A mark sent to the router comes behind the packets injected; one sent by the router
        behind what it forwarded then. Answers take another round.
        """
        links = tuple(links)
        for _ in range(rounds or (1 if self._mute else 2)):
            for inner in links:
                mark.through(self._marks_out[inner], self._marks_in[inner])
            for inner in links:
                mark.through(self._marks_in[inner], self._marks_out[inner])

    def arrived(self) -> list[tuple[str, bytes]]:
        """All packets since the last call that were delivered, each with where: "local", or the
        router's device through which it left. Only those injected, by their TTL."""
        found: list[tuple[str, bytes]] = []
        for raw in self._local:
            for data in _drain(raw):
                if packet.ttl_of(data) in (TTL, TTL - 1):
                    found.append(("local", data))
        for inner, opened in self._seen.items():
            for data in _drain(opened):
                data = data[packet.ETH_HEADER:]
                if packet.ttl_of(data) in (TTL, TTL - 1):
                    found.append((inner, data))
        return found

    # One hook at a time

    def through(self, hook: str, packets: Sequence[bytes], inner: str = "in0") -> list[bool]:
        """Send packets through a hook; for each, whether it came out. Ids must be distinct."""
        out: set[int] = set()
        self.arrived()
        for start in range(0, len(packets), CHUNK):
            for one in packets[start:start + CHUNK]:
                if hook == "OUTPUT":
                    self.output(one)
                else:
                    self.inject(inner, one)
            self.settle((inner, "out0"))
            out |= {packet.ident_of(data) for _, data in self.arrived()}
        return [packet.ident_of(one) in out for one in packets]

    def __enter__(self) -> "Router":
        """`with router:` is inside its namespace."""
        self.router.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.router.__exit__(*exception)

    def flush(self) -> None:
        with self:
            iptables.restore()


def _drain(opened: socket.socket) -> Iterable[bytes]:
    while True:
        try:
            data, address = opened.recvfrom(65536)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP error for this socket
        if len(address) == 5 and address[2] == mark.PACKET_OUTGOING:
            continue
        yield data


class Addresses(NamedTuple):
    """Where a packet must come from and go to in order to pass a hook, as "10.N" prefixes."""
    source: str
    destination: str


# INPUT: 10.9/16 is local, all of it.
OF_HOOK = {
    "INPUT": Addresses("10.1", "10.9"),
    "FORWARD": Addresses("10.1", "10.2"),
    "OUTPUT": Addresses("10.1", "10.2"),
}
