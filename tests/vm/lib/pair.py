# SPDX-License-Identifier: GPL-2.0
"""Two hosts that talk, for tests with real programs.

      client                 server
   +-----------+          +-----------+
   |        c0 |----------| s0        |
   | 192.0.2.1 |          | 192.0.2.2 |
   +-----------+          +-----------+

The tables are those of `server`. Both know each other's MAC address for good. In IPv6 they
are fd00::192.0.2.1 and fd00::192.0.2.2; the sockets are of the family under test.
"""

import contextlib
import os
import signal
import socket
from typing import Iterator

from . import iptables, mark
from .family import V4, V6, Family, current
from .netns import Namespace, ip, sysctl, tags_in_frames

CLIENT = "192.0.2.1"
SERVER = "192.0.2.2"
PORT = 5000
_CLIENT_MAC = "02:00:00:00:05:01"
_SERVER_MAC = "02:00:00:00:05:02"


class Pair:
    def __init__(self, family: Family | None = None) -> None:
        self.family = family or current()
        self.client = Namespace("client", ipv6=True)
        self.server = Namespace("server", ipv6=True)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        for side in (self.client, self.server):
            with side:
                sysctl("net/ipv4/icmp_ratemask", 0)
        ip([f"link add c0 netns {self.client.name} address {_CLIENT_MAC} type veth "
            f"peer name s0 netns {self.server.name} address {_SERVER_MAC}"])
        for side, device, own, other, other_mac in ((self.client, "c0", CLIENT, SERVER, _SERVER_MAC),
                                                    (self.server, "s0", SERVER, CLIENT, _CLIENT_MAC)):
            # Without ARP and multicast nobody says anything that is not asked for (router.py).
            side.ip(["link set lo up", f"link set {device} arp off multicast off up",
                     f"address add {own}/24 dev {device}", f"address add {V6.address(own + '/24')} dev {device} nodad",
                     *(f"neighbour add {one.address(other)} lladdr {other_mac} dev {device} nud permanent"
                       for one in (V4, V6))])
        self._marks: list[socket.socket] = []
        for side, device in ((self.client, "c0"), (self.server, "s0")):
            with side:
                tags_in_frames(device)
        self.relink()
        with self.client:
            self._sender = socket.socket(self.family.af, socket.SOCK_DGRAM)
            self._sender.bind((self.family.address(CLIENT), PORT))
        with self.server:
            self._receiver = socket.socket(self.family.af, socket.SOCK_DGRAM)
            self._receiver.bind((self.family.address(SERVER), PORT))
            self._receiver.setblocking(False)
            self._receiver.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE

    def send(self, count: int = 1, payload: bytes = b"") -> int:
        """Send datagrams of the two headers and the payload to the server; how many arrived."""
        self.receive()
        for _ in range(count):
            self._sender.sendto(payload, (self.family.address(SERVER), PORT))
        mark.through(*self._marks)
        mark.through(*self._marks[::-1])
        return self.receive()

    @contextlib.contextmanager
    def flood(self, port: int) -> Iterator[None]:
        """Another process sends datagrams to the port all the while."""
        child = os.fork()
        if child == 0:
            stop: list[int] = []
            signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
            with self.client:
                sender = socket.socket(self.family.af, socket.SOCK_DGRAM)
                to = (self.family.address(SERVER), port)
                while not stop:
                    sender.sendto(b"", to)
            os._exit(0)
        try:
            yield
        finally:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
            self._settle_everywhere()

    def _settle_everywhere(self) -> None:
        """What another process sent may wait on any processor."""
        allowed = os.sched_getaffinity(0)
        for processor in range(os.cpu_count() or 1):
            os.sched_setaffinity(0, {processor})
            mark.through(*self._marks)
            mark.through(*self._marks[::-1])
        os.sched_setaffinity(0, allowed)

    def sent_by_client(self) -> int:
        """Datagrams that the client's stack has sent, by its own counter."""
        with self.client:
            return _statistic(self.family, "Udp", "OutDatagrams")

    def received_by_server(self) -> int:
        """Packets that the server's stack has received, on the link or from itself, before any table."""
        with self.server:
            return _statistic(self.family, "Ip", "InReceives")

    def receive(self) -> int:
        count = 0
        while True:
            try:
                self._receiver.recv(2048)
                count += 1
            except BlockingIOError:
                return count

    def relink(self, server: str = "s0") -> None:
        """The link was down, or the server's end elsewhere or called otherwise: wait until it works.

        A packet socket remembers that its device was down, and is of no use once that has moved.
        """
        for opened in self._marks:
            opened.close()
        self._marks = []
        for side, device in ((self.client, "c0"), (self.server, server)):
            with side:
                self._marks.append(mark.open_on(device))
        mark.wait_for_link(*self._marks)

    def flush(self) -> None:
        with self.server:
            iptables.restore()

    def close(self) -> None:
        for opened in [self._sender, self._receiver, *self._marks]:
            opened.close()
        self.client.delete()
        self.server.delete()


def _statistic(family: Family, layer: str, name: str) -> int:
    """A counter of the stack, in this namespace."""
    if family.number == 6:
        with open("/proc/self/net/snmp6", encoding="ascii") as file:
            return dict((line.split()[0], int(line.split()[1])) for line in file)[f"{layer}6{name}"]
    with open("/proc/self/net/snmp", encoding="ascii") as file:
        names, values = [line.split() for line in file if line.startswith(f"{layer}:")]
    return int(values[names.index(name)])
