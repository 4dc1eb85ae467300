# SPDX-License-Identifier: GPL-2.0
"""A listener of nfnetlink_queue, to which -j QUEUE gives packets: include/uapi/linux/netfilter/nfnetlink_queue.h."""

import itertools
import os
import select
import socket
import struct
from typing import Iterator, NamedTuple

from .check import Failure

NETLINK_NETFILTER = 12
QUEUE = 3 << 8  # NFNL_SUBSYS_QUEUE
PACKET, VERDICT, CONFIG = QUEUE, QUEUE | 1, QUEUE | 2
REQUEST, ACK, ERROR = 1, 4, 2
DROP, ACCEPT, REPEAT = 0, 1, 4
_BIND, _COPY_PACKET = 1, 2
_COMMAND, _PARAMETERS = 1, 2  # of CONFIG
_SO_RCVBUFFORCE = 33
_PACKET_HEADER, _VERDICT_HEADER, _PAYLOAD = 1, 2, 10


class Packet(NamedTuple):
    number: int
    hook: int
    data: bytes  # from the IP header on


def _attribute(kind: int, data: bytes) -> bytes:
    return (struct.pack("=HH", 4 + len(data), kind) + data).ljust((len(data) + 7) & ~3, b"\0")


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        yield kind & 0x3FFF, data[at + 4:at + size]
        at += (size + 3) & ~3


class Listener:
    """To a queue of the namespace we are in, until it is closed."""

    def __init__(self, number: int = 0, room: int = 0) -> None:
        """`room`: for so many bytes of packets, if that is more than usual."""
        self._number = number
        self._sequence = itertools.count(1)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        if room:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, room)
        self._socket.bind((0, 0))
        self._ask(CONFIG, _attribute(_COMMAND, struct.pack("!BxH", _BIND, 0)))
        self._ask(CONFIG, _attribute(_PARAMETERS, struct.pack("!IB", 0xFFFF, _COPY_PACKET)))

    def _send(self, kind: int, attributes: bytes, flags: int) -> None:
        body = struct.pack("=BBH", socket.AF_UNSPEC, 0, socket.htons(self._number)) + attributes
        self._socket.send(struct.pack("=IHHII", 16 + len(body), kind, flags, next(self._sequence), 0) + body)

    def _ask(self, kind: int, attributes: bytes) -> None:
        self._send(kind, attributes, REQUEST | ACK)
        kind, error = struct.unpack_from("=4xH10xi", self._socket.recv(65536))
        if kind != ERROR or error:
            raise OSError(-error, f"nfnetlink_queue: {os.strerror(-error)}")

    def _receive(self) -> Packet | None:
        """None: the kernel says something else."""
        data = self._socket.recv(1 << 17)
        if struct.unpack_from("=4xH", data)[0] != PACKET:
            return None
        found = dict(_attributes(data[20:]))
        number, hook = struct.unpack_from("!I2xB", found[_PACKET_HEADER])
        return Packet(number, hook, found.get(_PAYLOAD, b""))

    def next(self, seconds: float = 20) -> Packet:
        """The limit is only for hangs."""
        while self.waits(seconds):
            if packet := self._receive():
                return packet
        raise Failure("no packet came to the queue")

    def waiting(self) -> Iterator[Packet]:
        """Those that are there now."""
        while self.waits():
            if packet := self._receive():
                yield packet

    def waits(self, seconds: float = 0) -> bool:
        """Whether there is a packet."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def judge(self, packet: Packet, verdict: int) -> None:
        self._send(VERDICT, _attribute(_VERDICT_HEADER, struct.pack("!II", verdict, packet.number)), REQUEST)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
