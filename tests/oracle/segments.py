# SPDX-License-Identifier: GPL-2.0
"""What is behind the IP header, for both families: ports near those of the rules, odd flags and options."""

import random

import rules
from lib import packet
from lib.packet import TCP, UDP


def port(rng: random.Random, interest: rules.Interest) -> int:
    if rng.random() < 0.1:
        return rng.randrange(65536)
    return min(65535, max(0, rng.choice(interest.ports) + rng.choice((-1, 0, 0, 0, 0, 1))))


TCP_OPTIONS = (b"", b"", b"", b"", b"\2\4\5\xb4", b"\1\1\4\2", b"\3\3\7\1", b"\x08\x0a" + b"t" * 8 + b"\1\1",
               b"\x22\x02\1\1\2\4\5\xb4", b"\x08\0\2\4", b"\x08\x01\2\4", b"\x08\xff\2\4", b"\1\1\1\2",
               b"\1" * 40, b"\0\0\0\0\2\4\5\xb4")
TCP_FLAGS = (packet.SYN,) * 4 + (packet.ACK, packet.SYN | packet.ACK, packet.FIN | packet.ACK, packet.RST,
                                 packet.PSH | packet.ACK, 0, 0x3F, 0xFF)


def payload(rng: random.Random) -> bytes:
    return b"p" * rng.choice((0, 0, 0, 1, 7, 64, 500))


def draw(rng: random.Random, interest: rules.Interest, protocol: int) -> bytes:
    if protocol == TCP:
        offset = rng.randrange(16) if rng.random() < 0.05 else None
        return packet.tcp(port(rng, interest), port(rng, interest), rng.choice(TCP_FLAGS),
                          rng.choice(TCP_OPTIONS), payload(rng), offset)
    if protocol == UDP:
        return packet.udp(port(rng, interest), port(rng, interest), payload(rng))
    return b"x" * rng.choice((0, 4, 8, 40))
