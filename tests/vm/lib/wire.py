# SPDX-License-Identifier: GPL-2.0
"""What leaves the router (router.py), byte by byte, and what can be read in it."""

import contextlib
import socket
import sys
from typing import NamedTuple, Sequence

from . import mark, packet
from .family import Family, current
from .router import LINKS, Router

SOL_PACKET, PACKET_AUXDATA = 263, 8
CSUM_NOT_READY = 1 << 3


class Seen(NamedTuple):
    source: str
    destination: str
    protocol: int
    body: bytes  # behind the IP header
    whole: bytes
    unfinished: bool = False  # the card would have filled in the checksum, which is that of the pseudo header so far

    @property
    def ports(self) -> tuple[int, int]:
        return int.from_bytes(self.body[:2], "big"), int.from_bytes(self.body[2:4], "big")

    @property
    def kind(self) -> tuple[int, int]:
        """Type and code of an ICMP message."""
        return self.body[0], self.body[1]

    @property
    def quoted(self) -> "Seen":
        """The packet that an ICMP error is about, as far as it is there."""
        return read(self.body[8:])

    @property
    def flags(self) -> int:
        """TCP's."""
        return self.body[13]

    @property
    def acknowledged(self) -> int:
        return int.from_bytes(self.body[8:12], "big")


def read(data: bytes, unfinished: bool = False) -> Seen:
    if packet.version_of(data) == 6:
        source, destination = (socket.inet_ntop(socket.AF_INET6, data[at:at + 16]) for at in (8, 24))
        return Seen(source, destination, data[6], data[40:packet.length_of(data)], data, unfinished)
    source, destination = (socket.inet_ntoa(data[at:at + 4]) for at in (12, 16))
    return Seen(source, destination, data[9], data[4 * (data[0] & 0xF):packet.length_of(data)], data, unfinished)


def sums_are_right(seen: Seen) -> bool:
    """Checksums of the IPv4 header and of TCP, UDP or ICMP."""
    if packet.version_of(seen.whole) == 4 and packet.checksum(seen.whole[:len(seen.whole) - len(seen.body)]):
        return False
    if seen.protocol == packet.ICMP:
        return packet.checksum(seen.body) == 0
    width = slice(8, 40) if packet.version_of(seen.whole) == 6 else slice(12, 20)
    pseudo = seen.whole[width] + seen.protocol.to_bytes(4, "big") + len(seen.body).to_bytes(4, "big")
    if seen.unfinished:
        at = {packet.TCP: 16, packet.UDP: 6}[seen.protocol]
        return int.from_bytes(seen.body[at:at + 2], "big") == packet.checksum(pseudo) ^ 0xFFFF
    return packet.checksum(pseudo + seen.body) == 0


class Wire:
    """All that comes out of the router's four devices, from now on."""

    def __init__(self, router: Router, family: Family | None = None) -> None:
        family = family or current()
        self.router = router
        kind = packet.ETH_P_IPV6 if family.number == 6 else packet.ETH_P_IP
        self._opened = {}
        for link in LINKS.values():
            with router.left if link.side == "left" else router.right:
                opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(kind))
                opened.bind((link.outer, kind))
                opened.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
                self._opened[link.inner] = opened

    def seen(self, inner: str) -> list[Seen]:
        """What came out there since the last call."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data, beside, _, address = self._opened[inner].recvmsg(65536, 256)
                if address[2] == mark.PACKET_OUTGOING:
                    continue
                data = data[packet.ETH_HEADER:]
                # struct tpacket_auxdata
                status = [int.from_bytes(value[:4], sys.byteorder) for _, kind, value in beside
                          if kind == PACKET_AUXDATA]
                found.append(read(data[:packet.length_of(data)], any(one & CSUM_NOT_READY for one in status)))
        return found

    def send(self, inner: str, packets: Sequence[bytes]) -> None:
        """Put them on the link of this device, towards the router, and wait until all that comes of it has come."""
        for one in packets:
            self.router.inject(inner, one)
        self.router.settle()

    def one(self, inner: str) -> Seen:
        """The one packet that came out there."""
        found = self.seen(inner)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} packets left through {inner}, not one: "
                                 f"{[one.whole.hex() for one in found]}")
        return found[0]
