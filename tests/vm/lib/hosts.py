# SPDX-License-Identifier: GPL-2.0
"""Hosts that talk with real sockets, as users do: links and bridges between namespaces, and who sees whom.

Addresses are written as those of IPv4 (family.py). ARP and neighbour discovery are at work here.
"""

import contextlib
import errno
import itertools
import select
import socket
import time
from typing import Callable, Iterator

from . import check
from .family import Family, current
from .iptables import must, run
from .netns import Namespace, ip, sysctl

End = tuple[str, int]
SCTP = 132
PATIENCE = 30  # seconds, for hangs alone
_KINDS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "sctp": (socket.SOCK_STREAM, SCTP)}


class Host(Namespace):
    """With loopback, and no address yet."""

    def __init__(self, role: str, forwards: bool = False) -> None:
        super().__init__(role, ipv6=True)
        self.role = role
        self.ip(["link set lo up"])
        with self:
            for path in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/default/forwarding"):
                sysctl(path, int(forwards))
            # Who forwards in IPv6 asks for neighbours by its link-local address.
            sysctl("net/ipv6/conf/default/addr_gen_mode", 0)
            for scope in ("all", "default"):
                sysctl(f"net/ipv4/conf/{scope}/rp_filter", 0)
                sysctl(f"net/ipv4/conf/{scope}/send_redirects", 0)
            # An answer that is not given because there were many would be one that is missed.
            sysctl("net/ipv4/icmp_ratemask", 0)
            sysctl("net/ipv6/icmp/ratelimit", 0)

    def address(self, device: str, address: str, family: Family | None = None) -> None:
        family = family or current()
        nodad = " nodad" if family.number == 6 else ""
        self.ip([f"address add {family.address(address)} dev {device}{nodad}", f"link set {device} up"])

    def default(self, gateway: str, family: Family | None = None) -> None:
        self.ip([f"route add default via {(family or current()).address(gateway)}"])

    def forget(self) -> None:
        """No connection is known any more."""
        with self:
            check.expect_equal(run("conntrack", "-F").status, 0, "conntrack -F")

    def run(self, *command: str, stdin: str = "") -> str:
        with self:
            return must(*command, stdin=stdin)


def cable(one: Host, one_end: str, other: Host, other_end: str) -> None:
    """A link between two hosts; each is said as DEVICE=ADDRESS."""
    (device, address), (far, far_address) = one_end.split("="), other_end.split("=")
    ip([f"link add {device} netns {one.name} type veth peer name {far} netns {other.name}"])
    one.address(device, address)
    other.address(far, far_address)


def bridge(host: Host, name: str, address: str) -> None:
    """Where br_netfilter is loaded, rules are not asked about what is bridged."""
    host.ip([f"link add {name} type bridge"])
    with host:
        for table in ("iptables", "ip6tables"):
            sysctl(f"net/bridge/bridge-nf-call-{table}", 0, missing_ok=True)
    host.address(name, address)


def plug(host: Host, name: str, guest: Host, address: str, gateway: str = "") -> None:
    """The guest's eth0 is a port of the bridge; `gateway` is where it sends what is not of its network."""
    port = f"p-{guest.role}"[:15]
    ip([f"link add {port} netns {host.name} type veth peer name eth0 netns {guest.name}"])
    host.ip([f"link set {port} master {name}", f"link set {port} up"])
    guest.address("eth0", address)
    if gateway:
        guest.default(gateway)


@contextlib.contextmanager
def listening(host: Host, port: int, kind: str = "tcp", address: str = "") -> Iterator[socket.socket]:
    style, protocol = _KINDS[kind]
    family = current()
    with host:
        opened = socket.socket(family.af, style, protocol)
    with opened:
        opened.settimeout(PATIENCE)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((family.address(address) if address else "", port))
        if style == socket.SOCK_STREAM:
            opened.listen(64)
        yield opened


def _open(host: Host, kind: str, source: str = "") -> socket.socket:
    style, protocol = _KINDS[kind]
    with host:
        opened = socket.socket(current().af, style, protocol)
    opened.settimeout(PATIENCE)
    if source:
        opened.bind((current().address(source), 0))
    return opened


def _end(to: End) -> End:
    return current().address(to[0]), to[1]


def talk(client: Host, to: End, servers: list[socket.socket], kind: str = "tcp", source: str = "") -> tuple[str, int]:
    """The client asks, one of the servers answers, and both get what the other has said; the address from which the
    server sees it come, and which server it was."""
    with _open(client, kind, source) as opened:
        opened.connect(_end(to))
        if kind == "udp":
            opened.send(b"question")
        ready = select.select(servers, [], [], PATIENCE)[0]
        check.expect_equal(len(ready), 1, f"servers that hear of a question to {to}")
        number = servers.index(ready[0])
        if kind == "udp":
            data, peer = ready[0].recvfrom(100)
            check.expect_equal(data, b"question", "what the server gets")
            ready[0].sendto(b"answer", peer)
            check.expect_equal(opened.recv(100), b"answer", "what the client gets")
            return str(peer[0]), number
        accepted, peer = ready[0].accept()
        with accepted:
            accepted.settimeout(PATIENCE)
            for sender, receiver in ((opened, accepted), (accepted, opened)):
                sender.sendall(b"x" * 1000)
                check.expect_equal(_all(receiver, 1000), b"x" * 1000, f"data of a connection to {to}")
            return str(peer[0]), number


def _all(opened: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := opened.recv(length - len(data))):
        data += more
    return data


def reaches(client: Host, to: End, server: socket.socket, seen_as: str, kind: str = "tcp", source: str = "") -> None:
    """It is answered, by this server, who sees it come from that address."""
    check.expect_equal(talk(client, to, [server], kind, source)[0], current().address(seen_as),
                       f"{client.role} to {to}, {kind}: who the server sees")


def refused(client: Host, to: End, kind: str = "tcp", source: str = "", error: int = errno.ECONNREFUSED) -> None:
    """The client is told so."""
    with _open(client, kind, source) as opened:
        try:
            opened.connect(_end(to))
            if kind == "udp":
                opened.send(b"question")
                opened.recv(100)
            seen = 0
        except TimeoutError:
            seen = errno.ETIMEDOUT
        except OSError as why:
            seen = why.errno or 0
    check.expect_equal(errno.errorcode.get(seen, "answered"), errno.errorcode[error], f"{client.role} to {to}, {kind}")


def refused_after(free: int, seconds: float, client: Host, to: End, server: socket.socket) -> None:
    """The first connections are answered; who has had so many within that time has no more."""
    start = time.monotonic()
    for number in itertools.count():
        try:
            talk(client, to, [server])
        except ConnectionRefusedError:
            check.expect(number >= free, f"{client.role} to {to}: refused after {number} connections")
            return
        check.expect(number < free or time.monotonic() - start > seconds,
                     f"{client.role} to {to}: answered after {number} connections")


def kept_out(client: Host, to: End, count: Callable[[], int], kind: str = "tcp", source: str = "") -> None:
    """Nobody answers, and what is counted there has grown."""
    before = count()
    with _open(client, kind, source) as opened:
        opened.setblocking(False)
        opened.connect_ex(_end(to))
        if kind == "udp":
            opened.send(b"question")
        check.wait_for(lambda: count() > before, f"{client.role} to {to}, {kind}, to be dropped")
        error = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        check.expect_equal(error, 0, f"{client.role} to {to}, {kind}: error")
        events = select.select([opened] if kind == "udp" else [], [opened] if kind != "udp" else [], [], 0)
        check.expect(not any(events), f"{client.role} to {to}, {kind}: answered, though counted")
