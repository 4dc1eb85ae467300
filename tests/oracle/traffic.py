# SPDX-License-Identifier: GPL-2.0
"""Random packets for a ruleset: from near its edges, through all three hooks, some broken."""

import random
from typing import NamedTuple

import rules
from lib import packet
from lib.packet import DF, ICMP, MF, TCP, UDP
from lib.router import TTL

SELF = "self"  # sent by the router: OUTPUT
WRONG_MAC = "02:00:00:00:99:99"


class Packet(NamedTuple):
    origin: str  # the router's device on whose link it is put, or SELF
    data: bytes
    mac: str | None = None  # not the router's


def _port(rng: random.Random, interest: rules.Interest) -> int:
    if rng.random() < 0.1:
        return rng.randrange(65536)
    return min(65535, max(0, rng.choice(interest.ports) + rng.choice((-1, 0, 0, 0, 0, 1))))


TCP_OPTIONS = (b"", b"", b"", b"", b"\2\4\5\xb4", b"\1\1\4\2", b"\3\3\7\1", b"\x08\x0a" + b"t" * 8 + b"\1\1",
               b"\x22\x02\1\1\2\4\5\xb4", b"\x08\0\2\4", b"\x08\x01\2\4", b"\x08\xff\2\4", b"\1\1\1\2",
               b"\1" * 40, b"\0\0\0\0\2\4\5\xb4")
TCP_FLAGS = (packet.SYN,) * 4 + (packet.ACK, packet.SYN | packet.ACK, packet.FIN | packet.ACK, packet.RST,
                                 packet.PSH | packet.ACK, 0, 0x3F, 0xFF)


def _segment(rng: random.Random, interest: rules.Interest, protocol: int) -> bytes:
    payload = b"p" * rng.choice((0, 0, 0, 1, 7, 64, 500))
    if protocol == TCP:
        offset = rng.randrange(16) if rng.random() < 0.05 else None
        return packet.tcp(_port(rng, interest), _port(rng, interest), rng.choice(TCP_FLAGS),
                          rng.choice(TCP_OPTIONS), payload, offset)
    if protocol == UDP:
        return packet.udp(_port(rng, interest), _port(rng, interest), payload)
    if protocol == ICMP:
        # Never the 20 bytes that could be taken for the packet an error is about.
        return packet.icmp(rng.choice((8, 8, 8, 0, 3, 3, 5, 11, 13, 200, 255)), rng.choice((0, 0, 0, 1, 2, 3)),
                           payload[:8])
    return b"x" * rng.choice((0, 4, 8, 40))


IP_OPTIONS = (b"\1\1\1\1", b"\1" * 40, b"\x07\x0b\x04" + b"\0" * 9, b"\x44\x0c\x05\x00" + b"\0" * 8, b"\x94\x04\0\0",
              b"\x07\x02\x04\0", b"\x83\x07\x04\x0a\x02\x00\x07\x00")


def _fields(rng: random.Random) -> dict[str, object]:
    fields: dict[str, object] = {"tos": rng.choice((0, 0, 0, 0x10, 0xB8))}
    if rng.random() < 0.08:
        fields["options"] = rng.choice(IP_OPTIONS)
    kind = rng.random()
    if kind < 0.1:
        fields["fragment"] = rng.choice((0, 1, 1, 2, 3, 100, 0x1FFF)) | rng.choice((0, MF))
    elif kind < 0.3:
        fields["fragment"] = DF
    if rng.random() < 0.05:
        fields["trailer"] = b"\0" * rng.choice((1, 18, 30))
    return fields


def _broken(rng: random.Random) -> dict[str, object]:
    """What the IP layer refuses before any rule."""
    return rng.choice(({"wrong_checksum": True}, {"total": 2000}, {"total": 19}, {"header_words": 4},
                       {"header_words": 15}))


def _destination(rng: random.Random, interest: rules.Interest, origin: str) -> str:
    kind = rng.random()
    if kind < 0.15:
        return rng.choice(rules.ROUTER_ADDRESSES)
    if kind < 0.18:
        return rng.choice(("10.1.0.255", "10.2.0.255", "255.255.255.255", "224.0.0.1"))
    address = rng.choice(interest.addresses)
    if address.startswith("127.") and origin != SELF and rng.random() < 0.9:
        address = rng.choice(interest.addresses[:-2])
    return rules.near(rng, address) if rng.random() < 0.6 else address


def _source(rng: random.Random, interest: rules.Interest) -> str:
    """Addresses of the router itself, and 127/8, are martians on a wire; some are wanted."""
    address = rng.choice(interest.addresses)
    if (address.startswith(("127.", "10.9.")) or address in rules.ROUTER_ADDRESSES) and rng.random() < 0.7:
        address = rng.choice(interest.addresses[:8])
    return rules.near(rng, address) if rng.random() < 0.6 else address


def one(rng: random.Random, interest: rules.Interest, ident: int) -> Packet:
    origin = SELF if rng.random() < 0.25 else rng.choice(rules.DEVICES + ("in0", "in0"))
    protocol = rng.choices((TCP, UDP, ICMP, 47, 50, 132, 253, 99), (40, 30, 20, 2, 2, 2, 2, 1))[0]
    segment = _segment(rng, interest, protocol)
    if rng.random() < 0.08:
        segment = segment[:rng.randrange(24)]
    fields = _fields(rng)
    # The socket that sends from the router itself insists on a right header.
    if origin != SELF and rng.random() < 0.03:
        fields |= _broken(rng)
    if origin == SELF:
        fields.pop("trailer", None)
    data = packet.ipv4(_source(rng, interest), _destination(rng, interest, origin), protocol, segment,
                       ident=ident, ttl=TTL, **fields)  # type: ignore[arg-type]
    return Packet(origin, data, WRONG_MAC if origin != SELF and rng.random() < 0.02 else None)


def draw(rng: random.Random, interest: rules.Interest, count: int) -> list[Packet]:
    return [one(rng, interest, ident + 1) for ident in range(count)]
