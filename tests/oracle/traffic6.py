# SPDX-License-Identifier: GPL-2.0
"""Random IPv6 packets: chains of extension headers, fragments of all kinds, much of it broken."""

import random
import socket
from typing import Callable

import segments
from aim import Aim
from interest import Interest
from lib import packet
from lib.packet import ICMPV6, TCP, UDP, UDPLITE, Header
from lib.router import TTL

# Options: PadN, router alert, tunnel limit, home address, one to skip, ones that end in an ICMP error or in silence.
OPTIONS = (b"", b"", b"\1\2\0\0", b"\5\2\0\0", b"\4\1\7", b"\xc9\x10" + b"\0" * 16, b"\x1e\0", b"\x1e\4abcd",
           b"\x5e\1x", b"\x9e\0", b"\xde\0", b"\1\4\0\0\0\0\5\2\0\0", b"\x3e\0\x1e\1a", b"\1\xff\0\0", b"\x26\2\0\0\1")


def _options(rng: random.Random, kind: int) -> Header:
    words = rng.choice((0, 1, 3, 255)) if rng.random() < 0.06 else None
    return packet.options_header(kind, b"".join(rng.choice(OPTIONS) for _ in range(rng.choice((0, 1, 1, 2)))), words)


def _routing(rng: random.Random, addresses: list[str]) -> Header:
    kind = rng.choice((0, 0, 0, 2, 2, 4, 7))
    through = b"".join(socket.inet_pton(socket.AF_INET6, address)
                       for address in rng.sample(addresses, rng.choice((0, 1, 1, 2, 3))))
    reserved = b"\0" * 4 if rng.random() < 0.8 else b"\0\0\0\1"
    words = rng.choice((0, 1, 2, 5, 200)) if rng.random() < 0.06 else None
    return packet.routing_header(kind, rng.choice((0, 0, 0, 1, 2, 255)), reserved + through, words)


FRAGMENT_IDS = (0, 1, 2, 1000, 0xFFFFFFFF)


def _fragment(rng: random.Random, kind: str) -> Header:
    offset, more = {"first": (0, True), "atomic": (0, False),
                    "middle": (rng.choice((1, 2, 3, 100)), True), "last": (rng.choice((1, 1, 2, 3, 8191)), False)}[kind]
    ident = rng.choice(FRAGMENT_IDS) if rng.random() < 0.6 else rng.randrange(1 << 32)
    return packet.fragment_header(offset, more, ident, rng.choice((0, 0, 0, 1, 0x100, 0x3FF)))


def _headers(rng: random.Random, addresses: list[str], none: float) -> list[Header]:
    """Often none; sometimes a reasonable chain, sometimes any."""
    kind = rng.random()
    if kind < none:
        return []
    headers = []
    if kind < 0.9:
        if rng.random() < 0.3:
            headers.append(_options(rng, packet.HOP))
        if rng.random() < 0.25:
            headers.append(_options(rng, packet.DESTINATION))
        if rng.random() < 0.2:
            headers.append(_routing(rng, addresses))
        if rng.random() < 0.4:
            headers.append(_fragment(rng, rng.choice(("first", "first", "atomic", "middle", "last"))))
        if rng.random() < 0.15:
            headers.append(_authentication(rng))
        if rng.random() < 0.15:
            headers.append(_options(rng, packet.DESTINATION))
        return headers
    for _ in range(rng.choice((1, 2, 3, 4, 8))):
        kinds: tuple[Callable[[], Header], ...] = (
            lambda: _options(rng, packet.HOP), lambda: _options(rng, packet.DESTINATION),
            lambda: _routing(rng, addresses), lambda: _authentication(rng),
            lambda: _fragment(rng, rng.choice(("first", "atomic", "middle", "last"))),
            lambda: packet.mobility_header(rng.randrange(9)))
        headers.append(rng.choice(kinds)())
    return headers


def _authentication(rng: random.Random) -> Header:
    words = rng.choice((0, 1, 2, 3, 255)) if rng.random() < 0.1 else 4
    return packet.authentication_header(rng.choice((0, 1, 2, 256, 0xFFFFFFFF)), words, rng.choice((0, 0, 0, 1)))


PROTOCOLS = (TCP, UDP, ICMPV6, UDPLITE, 47, packet.ESP, packet.NONE, packet.MOBILITY, packet.DCCP, packet.SCTP, 253,
             99)
WEIGHTS = (36, 30, 18, 4, 1, 4, 3, 4, 3, 3, 1, 1)
EVEN = (5, 4, 4, 2, 1, 3, 1, 5, 3, 3, 1, 1)
TOS = (0, 0, 0, 0x10, 0xB8, 0x01, 0x12, 0xBB)
# None that asks the router to do something about its neighbours or groups: those need a hop limit of 255 or 1.
ICMP_TYPES = (128, 128, 128, 129, 1, 2, 3, 4, 127, 133, 135, 136, 143, 200, 255)


def _segment(rng: random.Random, interest: Interest, protocol: int, destination: str) -> bytes:
    if protocol == ICMPV6:
        if rng.random() < 0.25:
            # Never "too big": what the router learns from that it would remember.
            return packet.icmp(rng.choice((1, 1, 3, 4)), rng.choice((0, 1, 3, 4)),
                               segments.about(rng, interest, destination))
        return packet.icmp(rng.choice(ICMP_TYPES), rng.choice((0, 0, 0, 1, 2, 3, 4)), segments.payload(rng)[:8])
    if protocol == packet.MOBILITY:
        header = packet.mobility_header(rng.choice((0, 1, 5, 6, 7, 8, 20)), rng.choice((None, None, None, 0, 5)))
        return bytes((rng.choice((59, 59, 59, 6)),)) + header.rest
    if protocol == UDPLITE:
        segment = segments.draw(rng, interest, UDP)
        return segment[:4] + b"\0\0" + segment[6:]
    return segments.draw(rng, interest, protocol)


def one(rng: random.Random, interest: Interest, ident: int, source: str, destination: str, at: Aim,
        from_self: bool) -> bytes:
    protocol = at.protocol or rng.choices(PROTOCOLS, EVEN if interest.even else WEIGHTS)[0]
    headers = _headers(rng, interest.addresses, 0.2 if interest.even else 0.42)
    segment = at.ports(_segment(rng, interest, protocol, destination))
    fields: dict[str, object] = {"tos": rng.choice(TOS)}
    if rng.random() < 0.12:
        whole = sum(1 + len(header.rest) for header in headers) + len(segment)
        fields["cut"] = rng.randrange(whole + 1)
    if rng.random() < 0.05:
        fields["trailer"] = b"\0" * rng.choice((1, 18, 30))
    if rng.random() < 0.03:
        fields |= rng.choice(({"length": 0}, {"length": 2000}, {"length": rng.randrange(64)}, {"version": 5}))
    if from_self:
        fields.pop("version", None)  # it tells which socket to use
    return packet.ipv6(source, destination, protocol, segment, ident=ident, ttl=TTL, headers=headers,
                       **fields)  # type: ignore[arg-type]
