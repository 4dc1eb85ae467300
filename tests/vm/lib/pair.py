# SPDX-License-Identifier: GPL-2.0
"""Two hosts that talk, for tests with real programs.

      client                 server
   +-----------+          +-----------+
   |        c0 |----------| s0        |
   | 192.0.2.1 |          | 192.0.2.2 |
   +-----------+          +-----------+

The tables are those of `server`. Both know each other's MAC address for good.
"""

import contextlib
import os
import signal
import socket
from typing import Iterator

from . import iptables, mark
from .netns import Namespace, ip, sysctl

CLIENT = "192.0.2.1"
SERVER = "192.0.2.2"
PORT = 5000
_CLIENT_MAC = "02:00:00:00:05:01"
_SERVER_MAC = "02:00:00:00:05:02"


class Pair:
    def __init__(self) -> None:
        self.client = Namespace("client")
        self.server = Namespace("server")
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        for side in (self.client, self.server):
            with side:
                sysctl("net/ipv4/icmp_ratemask", 0)
        ip([f"link add c0 netns {self.client.name} address {_CLIENT_MAC} type veth "
            f"peer name s0 netns {self.server.name} address {_SERVER_MAC}"])
        self.client.ip(["link set lo up", "link set c0 up", f"address add {CLIENT}/24 dev c0",
                        f"neighbour add {SERVER} lladdr {_SERVER_MAC} dev c0 nud permanent"])
        self.server.ip(["link set lo up", "link set s0 up", f"address add {SERVER}/24 dev s0",
                        f"neighbour add {CLIENT} lladdr {_CLIENT_MAC} dev s0 nud permanent"])
        self._marks: list[socket.socket] = []
        for side, device in ((self.client, "c0"), (self.server, "s0")):
            with side:
                self._marks.append(mark.open_on(device))
        mark.wait_for_link(*self._marks)
        with self.client:
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sender.bind((CLIENT, PORT))
        with self.server:
            self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._receiver.bind((SERVER, PORT))
            self._receiver.setblocking(False)
            self._receiver.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE

    def send(self, count: int = 1, payload: bytes = b"") -> int:
        """Send datagrams of 28 bytes and the payload to the server; how many arrived."""
        self.receive()
        for _ in range(count):
            self._sender.sendto(payload, (SERVER, PORT))
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
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                while not stop:
                    sender.sendto(b"", (SERVER, port))
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
        with self.client, open("/proc/self/net/snmp", encoding="ascii") as file:
            udp = [line.split() for line in file if line.startswith("Udp:")]
        return int(udp[1][udp[0].index("OutDatagrams")])

    def receive(self) -> int:
        count = 0
        while True:
            try:
                self._receiver.recv(2048)
                count += 1
            except BlockingIOError:
                return count

    def relink(self) -> None:
        """The link was down: forget the errors that sockets remember of it, wait until it works."""
        for opened in self._marks:
            opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        mark.wait_for_link(*self._marks)

    def flush(self) -> None:
        with self.server:
            iptables.restore()

    def close(self) -> None:
        for opened in [self._sender, self._receiver, *self._marks]:
            opened.close()
        self.client.delete()
        self.server.delete()
