# SPDX-License-Identifier: GPL-2.0
"""Packets that do not lie in one piece, and such as stand for many: paged, and to be segmented (GSO).

A packet socket makes of a long frame one whose first `hdr_len` bytes are linear and whose rest
lies in pages; the headers may be among those. A virtio header also says how to segment.
"""

import random
import struct

import segments
import traffic
from interest import DEVICES, Interest
from lib import packet
from lib.packet import ICMP, ICMPV6, TCP, UDP
from lib.router import TTL

NEEDS_CHECKSUM = 1
TCPV4, TCPV6 = 1, 4


def _offload(linear: int, kind: int = 0, size: int = 0, checksum: tuple[int, int] | None = None) -> bytes:
    """struct virtio_net_hdr"""
    start, offset = checksum or (0, 0)
    return struct.pack("=BBHHHH", NEEDS_CHECKSUM if checksum else 0, kind, linear, size, start, offset)


def one(rng: random.Random, interest: Interest, ident: int, origin: str, gso: bool) -> traffic.Packet:
    six = interest.family.number == 6
    source, destination = traffic.ends(rng, interest, origin)
    header = packet.ETH_HEADER + interest.family.header
    if gso:
        payload = b"g" * rng.choice((1449, 3000, 9000, 30000))
        segment = packet.tcp(segments.port(rng, interest), segments.port(rng, interest), packet.ACK, payload=payload)
        offload = _offload(header + 20, TCPV6 if six else TCPV4, rng.choice((500, 1400, 1448)), (header, 16))
        data = segments.whole_packet(interest.family, source, destination, TCP, segment, ident, TTL)
        return traffic.Packet(origin, ident, data, None, offload)
    protocol = rng.choice((TCP, UDP, UDP, ICMPV6 if six else ICMP))
    payload = b"g" * rng.randrange(4200, 8900)
    segment = packet.icmp(128 if six else 8, 0, payload) if protocol in (ICMP, ICMPV6) else segments.draw(
        rng, interest, protocol, payload)
    offload = _offload(rng.choice((packet.ETH_HEADER, header, header + 4, header + 20)))
    data = segments.whole_packet(interest.family, source, destination, protocol, segment, ident, TTL)
    return traffic.Packet(origin, ident, data, None, offload)


def draw(rng: random.Random, interest: Interest, count: int, gso: bool, first: int = 1) -> list[traffic.Packet]:
    """`gso`: half of them stand for many."""
    return [one(rng, interest, first + number, rng.choice(DEVICES), gso and rng.random() < 0.5)
            for number in range(count)]
