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
address, so they never answer; what reaches them is read from their links. The same in IPv6:
10.N.0.1 is fd00::10.N.0.1 (family.py), and fd00:N::/32 goes where 10.N/16 does.

Nothing but the packets that a test injects is ever on the way: no ARP and no neighbour
discovery, as the router's devices claim to need none; no group that would be reported, as
they claim to know no multicast and not to forward by themselves (the whole namespace does);
no redirect, as they have no link-local address; no limit of ICMP errors.

A packet is known again by its IP id, or flow label; what the router says by itself has
another TTL.
"""

import errno
import os
import socket
import sys
from typing import Iterable, NamedTuple, Sequence

from . import iptables, mark, packet
from .family import V4, V6
from .netns import Namespace, ip, sysctl, tags_in_frames

SO_RCVBUFFORCE = 33

TTL = 77  # of injected packets

LOCAL = "10.1.0.1"
# Protocols whose delivery to the router itself can be seen; headers of IPv6 count as such.
PROTOCOLS = (packet.ICMP, packet.TCP, packet.UDP, packet.GRE, packet.ESP, packet.SCTP, 253)
PROTOCOLS_6 = (packet.ICMPV6, packet.TCP, packet.UDP, packet.GRE, packet.ESP, packet.AH, packet.SCTP, packet.UDPLITE,
               packet.ROUTING, packet.FRAGMENT, packet.DESTINATION, packet.NONE, packet.MOBILITY, 253)
IPV6_FLOWINFO, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT = 11, 51, 52

CHUNK = 64  # packets under way at once; a veth ring holds 256


class Link(NamedTuple):
    inner: str  # device of the router
    outer: str
    network: str  # "10.N"; fd00::10.N.0.0/112, fd00:N::/32
    side: str
    inner_mac: str
    outer_mac: str

    @property
    def gateway(self) -> str:
        return f"{self.network}.0.2"

    @property
    def number(self) -> str:
        return self.network.removeprefix("10.")

    def routes(self, mute: bool) -> list[str]:
        """What the router must be told of this link when it is up."""
        lines = [f"address add {self.network}.0.1/24 broadcast + dev {self.inner} noprefixroute",
                 f"address add {V6.address(self.network + '.0.1/24')} dev {self.inner} noprefixroute nodad"]
        lines += [f"neighbour add {family.address(self.gateway)} lladdr {self.outer_mac} dev {self.inner} nud permanent"
                  for family in (V4, V6)]
        networks = [(V4, f"{self.network}.0.0/16"), (V6, V6.address(f"{self.network}.0.0/16")),
                    (V6, f"fd00:{self.number}::/32")]
        return lines + [f"route replace blackhole {network}" if mute and self.side == "left" else
                        f"route replace {network} via {family.address(self.gateway)} dev {self.inner} onlink"
                        for family, network in networks]


LINKS = {
    link.inner: link for link in (
        Link("in0", "l0", "10.1", "left", "02:00:00:00:01:01", "02:00:00:00:01:02"),
        Link("out0", "r0", "10.2", "right", "02:00:00:00:02:01", "02:00:00:00:02:02"),
        Link("in1", "l1", "10.3", "left", "02:00:00:00:03:01", "02:00:00:00:03:02"),
        Link("out1", "r1", "10.4", "right", "02:00:00:00:04:01", "02:00:00:00:04:02"),
    )
}

# A link that can come and go: Router.appear(). Devices of the router for it are called as one likes.
SPARE = "spare"


def _spare(inner: str) -> Link:
    return Link(inner, "l2", "10.5", "left", "02:00:00:00:05:01", "02:00:00:00:05:02")


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
        self.router = Namespace("router", ipv6=True)
        self.left = Namespace("left")
        self.right = Namespace("right")
        self._settings()
        self._links()
        self._sockets()

    # The namespaces

    def _settings(self) -> None:
        with self.router:
            sysctl("net/ipv4/ip_forward", 1)
            sysctl("net/ipv6/conf/all/forwarding", 1)
            sysctl("net/ipv6/conf/default/forwarding", 0)
            sysctl("net/ipv6/icmp/ratelimit", 0)
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
        ip(self._create(link) for link in LINKS.values())
        lines = ["link set lo up"]
        for link in LINKS.values():
            lines += [_up(link.inner), *link.routes(self._mute)]
        lines += ["address add 10.9.0.1/16 dev lo",  # on loopback all of a prefix is local
                  *(f"route add local {network} dev lo" for network in (V6.address("10.9.0.0/16"), "fd00:9::/32"))]
        self.left.ip(f"link set {link.outer} up" for link in LINKS.values() if link.side == "left")
        self.right.ip(f"link set {link.outer} up" for link in LINKS.values()
                      if link.side == "right")
        self.router.ip(lines)
        for link in LINKS.values():
            with self._side(link):
                tags_in_frames(link.outer)

    def _create(self, link: Link) -> str:
        return (f"link add {link.inner} netns {self.router.name} address {link.inner_mac} type veth peer "
                f"name {link.outer} netns {self._side(link).name} address {link.outer_mac}")

    def _side(self, link: Link) -> Namespace:
        return self.left if link.side == "left" else self.right

    def delete(self) -> None:
        for opened in self._opened:
            opened.close()
        for namespace in (self.router, self.left, self.right):
            namespace.delete()

    # Sockets

    def _sockets(self) -> None:
        self._opened: list[socket.socket] = []
        self._inject: dict[str, socket.socket] = {}  # by inner device: sends on the outer one
        self._seen: dict[str, list[socket.socket]] = {}  # by inner device: what left through it
        self._links_now: dict[str, Link] = {}
        self._marks_in: dict[str, socket.socket] = {}
        self._marks_out: dict[str, socket.socket] = {}
        for link in LINKS.values():
            self._open(link.inner, link)
        with self.router:
            self._local = [self._raw(socket.AF_INET, protocol) for protocol in PROTOCOLS]
            self._local_6 = [self._raw(socket.AF_INET6, protocol) for protocol in PROTOCOLS_6]
            for raw in self._local_6:
                raw.setsockopt(socket.IPPROTO_IPV6, IPV6_FLOWINFO, 1)
                raw.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)
            self._output = {
                4: self._keep(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)),
                6: self._keep(socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW))}
            self._output[4].setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

    def _raw(self, af: int, protocol: int) -> socket.socket:
        raw = self._keep(socket.socket(af, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol))
        raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        return raw

    def _open(self, name: str, link: Link) -> None:
        """The sockets of a link, which goes by this name here."""
        with self._side(link):
            self._inject[name] = self._keep(_packet_socket(link.outer, 0, receive=False))
            self._seen[name] = [self._keep(_packet_socket(link.outer, kind))
                                for kind in (packet.ETH_P_IP, packet.ETH_P_IPV6)]
            self._marks_out[name] = self._keep(mark.open_on(link.outer))
        with self.router:
            self._marks_in[name] = self._keep(mark.open_on(link.inner))
        self._links_now[name] = link
        mark.wait_for_link(self._marks_in[name], self._marks_out[name])

    def _keep(self, opened: socket.socket) -> socket.socket:
        self._opened.append(opened)
        return opened

    # The spare link

    def appear(self, name: str) -> None:
        """The router gets another device, called like that: SPARE is its link."""
        link = _spare(name)
        ip([self._create(link)])
        self.left.ip([f"link set {link.outer} up"])
        with self.left:
            tags_in_frames(link.outer)
        self.router.ip([_up(name), *link.routes(self._mute)])
        self._open(SPARE, link)

    def rename(self, name: str) -> None:
        """The device of the spare link is called like this from now on."""
        old, new = self._links_now[SPARE], _spare(name)
        self.router.ip([f"link set {old.inner} down", f"link set {old.inner} name {name}", f"address flush dev {name}",
                        f"link set {name} up", *new.routes(self._mute)])
        self._links_now[SPARE] = new
        for opened in (self._marks_in[SPARE], self._marks_out[SPARE], self._inject[SPARE], *self._seen[SPARE]):
            opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        mark.wait_for_link(self._marks_in[SPARE], self._marks_out[SPARE])

    def vanish(self) -> None:
        link = self._links_now.pop(SPARE)
        for opened in (self._marks_in.pop(SPARE), self._marks_out.pop(SPARE), self._inject.pop(SPARE),
                       *self._seen.pop(SPARE)):
            self._opened.remove(opened)
            opened.close()
        self.router.ip([f"link delete {link.inner}"])

    # Traffic

    def inject(self, inner: str, ip_packet: bytes, destination_mac: str | None = None) -> None:
        """Put a packet on the link of the router's device `inner`, towards the router."""
        link = self._links_now[inner]
        kind = packet.ETH_P_IPV6 if packet.version_of(ip_packet) == 6 else packet.ETH_P_IP
        frame = packet.ethernet(packet.mac(destination_mac or link.inner_mac),
                                packet.mac(link.outer_mac), ip_packet, kind)
        self._inject[inner].send(frame)

    def frame(self, inner: str, frame: bytes) -> None:
        """Put any Ethernet frame there."""
        self._inject[inner].send(frame)

    def output(self, ip_packet: bytes) -> str:
        """Send a packet, with its IP header, from the router itself; "" or the errno's name.
        A packet that is dropped at OUTPUT gives EPERM."""
        try:
            self._output[packet.version_of(ip_packet)].sendto(ip_packet, (packet.destination_of(ip_packet), 0))
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return ""

    def settle(self, links: Iterable[str] | None = None, rounds: int | None = None) -> None:
        """Return when all that was sent on these links has been decided and has arrived.

        A mark sent to the router comes behind the packets injected; one sent by the router
        behind what it forwarded then. Answers take another round.
        """
        links = tuple(self._links_now if links is None else links)
        for _ in range(rounds or (1 if self._mute else 2)):
            for inner in links:
                mark.through(self._marks_out[inner], self._marks_in[inner])
            for inner in links:
                mark.through(self._marks_in[inner], self._marks_out[inner])

    def fates(self) -> list[tuple[str, int]]:
        """All packets since the last call that were delivered, by their ids, each with where:
        "local", or the router's device through which it left. Only those injected, by their TTL."""
        found: list[tuple[str, int]] = []
        for raw in self._local:
            found += [("local", packet.ident_of(data)) for data in _drain(raw) if _injected(packet.ttl_of(data))]
        for raw in self._local_6:
            found += [("local", ident) for ident, ttl in _drain_6(raw) if _injected(ttl)]
        for name, both in self._seen.items():
            for opened in both:
                found += [(name, packet.ident_of(data[packet.ETH_HEADER:])) for data in _drain(opened)
                          if _injected(packet.ttl_of(data[packet.ETH_HEADER:]))]
        return found

    # One hook at a time

    def through(self, hook: str, packets: Sequence[bytes], inner: str = "in0") -> list[bool]:
        """Send packets through a hook; for each, whether it came out. Ids must be distinct."""
        out: set[int] = set()
        self.fates()
        for start in range(0, len(packets), CHUNK):
            for one in packets[start:start + CHUNK]:
                if hook == "OUTPUT":
                    self.output(one)
                else:
                    self.inject(inner, one)
            self.settle((inner, "out0"))
            out |= {ident for _, ident in self.fates()}
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


def _up(device: str) -> str:
    return f"link set {device} arp off multicast off up"


def _injected(ttl: int) -> bool:
    return ttl in (TTL, TTL - 1)


def _drain_6(opened: socket.socket) -> Iterable[tuple[int, int]]:
    """Raw IPv6 sockets do not show the header: flow label and hop limit come beside the data."""
    while True:
        try:
            _, beside, _, _ = opened.recvmsg(1, 256)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP error for this socket
        values = {kind: data for _, kind, data in beside}
        flow = int.from_bytes(values.get(IPV6_FLOWINFO, b"\0"), "big")
        yield flow & 0xFFFFF, int.from_bytes(values.get(IPV6_HOPLIMIT, b"\0"), sys.byteorder)


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
