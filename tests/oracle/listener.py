# SPDX-License-Identifier: GPL-2.0
"""Who listens to queue 0, where -j QUEUE sends packets, and says what becomes of each."""

import socket
import struct
from typing import Iterator, NamedTuple

from lib import packet
from lib.router import TTL

NETLINK_NETFILTER = 12
QUEUE = 3 << 8  # NFNL_SUBSYS_QUEUE
PACKET, VERDICT, CONFIG = QUEUE | 0, QUEUE | 1, QUEUE | 2
ERROR = 2
REQUEST, ACK = 1, 4
CFG_COMMAND, CFG_PARAMETERS = 1, 2
PACKET_HEADER, VERDICT_HEADER, PAYLOAD = 1, 2, 10
BIND, COPY_PACKET = 1, 2
DROP, ACCEPT, REPEAT = 0, 1, 4
SO_RCVBUFFORCE = 33


class Queued(NamedTuple):
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
    """Of the namespace we are in. Until it is closed: then packets are dropped again."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self._socket.bind((0, 0))
        self._repeated: set[tuple[int, int]] = set()
        self._ask(CONFIG, _attribute(CFG_COMMAND, struct.pack("!BxH", BIND, 0)))
        self._ask(CONFIG, _attribute(CFG_PARAMETERS, struct.pack("!IB", 0xFFFF, COPY_PACKET)))
        self._socket.setblocking(False)

    def _send(self, kind: int, attributes: bytes, flags: int) -> None:
        message = struct.pack("=HHIIBBH", kind, flags, 1, 0, socket.AF_UNSPEC, 0, 0) + attributes
        self._socket.send(struct.pack("=I", 4 + len(message)) + message)

    def _ask(self, kind: int, attributes: bytes) -> None:
        self._send(kind, attributes, REQUEST | ACK)
        answer = self._socket.recv(65536)
        kind, error = struct.unpack_from("=4xH10xi", answer)
        if kind != ERROR or error:
            raise OSError(-error, "the queue cannot be listened to")

    def _received(self) -> Iterator[Queued]:
        while True:
            try:
                data = self._socket.recv(1 << 17)
            except BlockingIOError:
                return
            if struct.unpack_from("=4xH", data)[0] != PACKET:
                continue
            found = dict(_attributes(data[20:]))
            number, hook = struct.unpack_from("!I2xB", found[PACKET_HEADER])
            yield Queued(number, hook, found.get(PAYLOAD, b""))

    def answer(self) -> list[str]:
        """Decide what is waiting now, by nothing but the packet; what was said, in order."""
        lines = []
        for one in list(self._received()):
            # What the router says by itself has ids of its own choice.
            ident = packet.ident_of(one.data) if packet.ttl_of(one.data) in (TTL, TTL - 1) else 0
            verdict = (ACCEPT, ACCEPT, DROP, REPEAT)[ident % 4]
            if verdict == REPEAT:
                verdict = ACCEPT if (ident, one.hook) in self._repeated else REPEAT
                self._repeated.add((ident, one.hook))
            self._send(VERDICT, _attribute(VERDICT_HEADER, struct.pack("!II", verdict, one.number)), REQUEST)
            lines.append(f"queued {ident} at {one.hook}, {len(one.data)} bytes: {verdict}")
        return lines

    def close(self) -> None:
        self._socket.close()
