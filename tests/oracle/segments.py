# SPDX-License-Identifier: GPL-2.0
"""What is behind the IP header, for both families: ports near those of the rules, odd flags and options."""

import random

from interest import Interest
from lib import packet
from lib.family import Family
from lib.packet import TCP, UDP


def port(rng: random.Random, interest: Interest) -> int:
    if rng.random() < 0.1:
        return rng.randrange(65536)
    return min(65535, max(0, rng.choice(interest.ports) + rng.choice((-1, 0, 0, 0, 0, 1))))


TCP_OPTIONS = (b"", b"", b"", b"", b"\2\4\5\xb4", b"\1\1\4\2", b"\3\3\7\1", b"\x08\x0a" + b"t" * 8 + b"\1\1",
               b"\x22\x02\1\1\2\4\5\xb4", b"\x08\0\2\4", b"\x08\x01\2\4", b"\x08\xff\2\4", b"\1\1\1\2",
               b"\1" * 40, b"\0\0\0\0\2\4\5\xb4")
TCP_FLAGS = (packet.SYN,) * 4 + (packet.ACK, packet.SYN | packet.ACK, packet.FIN | packet.ACK, packet.RST,
                                 packet.PSH | packet.ACK, 0, 0x3F, 0xFF)


def payload(rng: random.Random) -> bytes:
    return b"p" * rng.choice((0, 0, 0, 1, 7, 64, 500, 501, 1000, 1300))


def draw(rng: random.Random, interest: Interest, protocol: int, behind: bytes | None = None) -> bytes:
    """`behind`: what the ports of TCP and UDP are followed by in the end."""
    behind = payload(rng) if behind is None else behind
    if protocol == TCP:
        offset = rng.randrange(16) if rng.random() < 0.05 else None
        return packet.tcp(port(rng, interest), port(rng, interest), rng.choice(TCP_FLAGS),
                          rng.choice(TCP_OPTIONS), behind, offset)
    if protocol == UDP:
        return packet.udp(port(rng, interest), port(rng, interest), behind)
    if protocol in (packet.SCTP, packet.DCCP, packet.ESP, packet.AH) and rng.random() < 0.9:
        return _other(rng, interest, protocol)
    return b"x" * rng.choice((0, 4, 8, 40))


SPIS = (0, 1, 2, 255, 256, 257, 65535, 65536, 0x1000000, 0xFFFFFFFF)


def _other(rng: random.Random, interest: Interest, protocol: int) -> bytes:
    """Of protocols that nobody here speaks: as much as rules ask about."""
    if protocol in (packet.SCTP, packet.DCCP):
        ports = port(rng, interest).to_bytes(2, "big") + port(rng, interest).to_bytes(2, "big")
        if protocol == packet.DCCP:  # offset, checksum, type, sequence number
            return ports + bytes((rng.choice((3, 3, 4, 6)), 0, 0, 0, rng.choice((0, 2, 4, 20)) << 1)) + b"\0" * 3 + (
                rng.choice((b"", b"\1\0\0\0", b"\2" * 12)))
        chunks = b"".join(rng.choice((b"\0\3\0\4", b"\1\0\0\x08abcd", b"\3\0\0\4", b"\0\0\0\0"))
                          for _ in range(rng.choice((1, 1, 2))))
        return ports + b"vtag" + b"sum " + chunks
    spi = rng.choice(SPIS).to_bytes(4, "big")
    return spi + b"\0" * 8 if protocol == packet.ESP else b"\x11\4\0\0" + spi + b"\0" * 16


def whole_packet(family: Family, source: str, destination: str, protocol: int, segment: bytes, ident: int,
                 ttl: int) -> bytes:
    if family.number == 6:
        return packet.ipv6(source, destination, protocol, segment, ident=ident, ttl=ttl)
    return packet.ipv4(source, destination, protocol, segment, ident=ident, ttl=ttl)


def about(rng: random.Random, interest: Interest, router: str) -> bytes:
    """The beginning of a packet that an ICMP error may be about: one that came from where the error goes."""
    family = interest.family
    source = rng.choice((router, *interest.addresses))
    destination = rng.choice(interest.addresses)
    protocol = rng.choice((TCP, UDP, UDP, family.icmp, 99))
    segment = packet.icmp(128 if family.number == 6 else 8) if protocol == family.icmp else draw(
        rng, interest, protocol, b"")
    whole = whole_packet(family, source, destination, protocol, segment, rng.randrange(1, 200), 50)
    return whole[:family.header + rng.choice((8, 8, 8, 20, 4))]
