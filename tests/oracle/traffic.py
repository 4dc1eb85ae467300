# SPDX-License-Identifier: GPL-2.0
"""Random packets for a ruleset: from near its edges, through all hooks, some broken."""

import random
from typing import NamedTuple

import segments
import traffic6
from aim import NOTHING, Aim
from interest import DEVICES, Interest, near
from lib import packet
from lib.packet import DF, ICMP, MF, TCP, UDP, UDPLITE
from lib.router import SPARE, TTL

SELF = "self"  # sent by the router: OUTPUT
MTU = 1500
WRONG_MAC = "02:00:00:00:99:99"
# Not of the router alone.
OTHER_MACS = (WRONG_MAC, WRONG_MAC, "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01")


class Packet(NamedTuple):
    origin: str  # the router's device on whose link it is put, or SELF
    ident: int
    data: bytes
    mac: str | None = None  # not the router's
    offload: bytes = b""  # a virtio header, if it is to lie in pages or to be segmented


PROTOCOLS = (TCP, UDP, ICMP, UDPLITE, packet.GRE, packet.ESP, packet.AH, packet.DCCP, packet.SCTP, 253, 99)
WEIGHTS = (40, 30, 20, 3, 2, 3, 3, 3, 3, 2, 1)
EVEN = (5, 4, 4, 2, 1, 3, 3, 3, 3, 1, 1)


def _segment(rng: random.Random, interest: Interest, protocol: int, destination: str) -> bytes:
    if protocol == ICMP:
        if rng.random() < 0.25:
            # Never 3/4 or 5: what the router learns from those it would remember.
            return packet.icmp(rng.choice((3, 3, 3, 4, 11, 12)), rng.choice((0, 1, 2, 3, 13)),
                               segments.about(rng, interest, destination))
        return packet.icmp(rng.choice((8, 8, 8, 0, 3, 3, 5, 11, 13, 200, 255)), rng.choice((0, 0, 0, 1, 2, 3)),
                           segments.payload(rng)[:8])
    if protocol == UDPLITE:
        segment = segments.draw(rng, interest, UDP)
        return segment[:4] + b"\0\0" + segment[6:]
    return segments.draw(rng, interest, protocol)


TOS = (0, 0, 0, 0x10, 0xB8, 0x01, 0x12, 0xBB)
IP_OPTIONS = (b"\1\1\1\1", b"\1" * 40, b"\x07\x0b\x04" + b"\0" * 9, b"\x44\x0c\x05\x00" + b"\0" * 8, b"\x94\x04\0\0",
              b"\x07\x02\x04\0", b"\x83\x07\x04\x0a\x02\x00\x07\x00")


def _fields(rng: random.Random) -> dict[str, object]:
    fields: dict[str, object] = {"tos": rng.choice(TOS)}
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
    ways: tuple[dict[str, object], ...] = ({"wrong_checksum": True}, {"total": 2000}, {"total": 19},
                                           {"header_words": 4}, {"header_words": 15})
    return rng.choice(ways)


def _destination(rng: random.Random, interest: Interest, origin: str) -> str:
    kind = rng.random()
    if kind < 0.15:
        return rng.choice(interest.routers)
    if kind < 0.18:
        return rng.choice(interest.groups)
    address = rng.choice(interest.addresses)
    if address in interest.loopback and origin != SELF and rng.random() < 0.9:
        address = rng.choice(interest.remote + interest.local)
    return near(rng, address) if rng.random() < 0.6 else address


def _source(rng: random.Random, interest: Interest, origin: str) -> str:
    """Addresses of the router itself, and of loopback, are martians on a wire; some are wanted."""
    if origin in interest.by_mac and rng.random() < 0.1:
        return rng.choice((interest.by_mac[origin], rng.choice(tuple(interest.by_mac.values()))))
    address = rng.choice(interest.addresses)
    if address not in interest.remote and rng.random() < 0.7:
        address = rng.choice(interest.remote)
    return near(rng, address) if rng.random() < 0.6 else address


def _asked(rng: random.Random, interest: Interest, asked: str, usual: str) -> str:
    """An address like the one that is asked for, or the usual one."""
    address, _, mask = asked.partition("/")
    if not address:
        return usual
    wide = mask.isdigit() and int(mask) < (30 if interest.family.number == 4 else 126)
    return near(rng, address) if wide else address


def ends(rng: random.Random, interest: Interest, origin: str, at: Aim = NOTHING) -> tuple[str, str]:
    """Source and destination."""
    usual = _destination(rng, interest, origin)
    if at.chain == "INPUT" or at.chain == "FORWARD":
        usual = rng.choice(interest.local + interest.routers if at.chain == "INPUT" else interest.remote)
    return (_asked(rng, interest, at.source, _source(rng, interest, origin)),
            _asked(rng, interest, at.destination, usual))


def _one_v4(rng: random.Random, interest: Interest, ident: int, source: str, destination: str, at: Aim,
            from_self: bool) -> bytes:
    protocol = at.protocol or rng.choices(PROTOCOLS, EVEN if interest.even else WEIGHTS)[0]
    segment = at.ports(_segment(rng, interest, protocol, destination))
    if rng.random() < 0.08:
        segment = segment[:rng.randrange(24)]
    fields = _fields(rng)
    # The socket that sends from the router itself insists on a right header.
    if not from_self and rng.random() < 0.03:
        fields |= _broken(rng)
    if from_self:
        fields.pop("trailer", None)
    return packet.ipv4(source, destination, protocol, segment, ident=ident, ttl=TTL,
                       **fields)  # type: ignore[arg-type]


def one(rng: random.Random, interest: Interest, ident: int, spare: bool) -> Packet:
    at = rng.choice(interest.aims) if interest.aims and rng.random() < 0.6 else NOTHING
    origin = SELF if rng.random() < 0.25 else rng.choice(DEVICES + ("in0", "in0") + interest.more_devices)
    if at.device or at.chain == "OUTPUT":
        origin = at.device or SELF
    if spare and rng.random() < 0.5:
        origin = SPARE
    make = traffic6.one if interest.family.number == 6 else _one_v4
    data = make(rng, interest, ident, *ends(rng, interest, origin, at), at, origin == SELF)
    while len(data) > MTU:
        data = make(rng, interest, ident, *ends(rng, interest, origin, at), at, origin == SELF)
    mac = rng.choice(OTHER_MACS) if origin != SELF and rng.random() < 0.06 else None
    return Packet(origin, ident, data, mac)


def draw(rng: random.Random, interest: Interest, count: int, first: int = 1, spare: bool = False) -> list[Packet]:
    """`spare`: the spare link is there."""
    return [one(rng, interest, first + number, spare) for number in range(count)]
