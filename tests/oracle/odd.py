# SPDX-License-Identifier: GPL-2.0
"""Valid but odd: what ip_tables takes and iptables never writes.

Each way takes a table to pieces (parts.py), changes one rule, and says in words what it did. Some
kernels refuse what others take: the whole table, then.
"""

import random
import socket
import struct
from typing import Callable

import whole
from interest import Interest
from lib import blob
from lib.family import Family
from lib.packet import TCP, UDP, UDPLITE
from parts import Entry, Part, Table

INVERTED_PROTOCOL = 0x40
IN_NAME, OUT_NAME, IN_MASK, OUT_MASK = (0, 16, 32, 48)  # behind the addresses


def _port(rng: random.Random, interest: Interest) -> int:
    return min(65535, max(0, rng.choice(interest.ports) + rng.choice((-1, 0, 0, 1))))


def _ports(rng: random.Random, interest: Interest) -> bytes:
    """Two ranges; the first may be greater than the second."""
    ranges = []
    for _ in range(2):
        kind = rng.random()
        low, high = _port(rng, interest), _port(rng, interest)
        ranges += [0, 65535] if kind < 0.4 else [low, low] if kind < 0.6 else [low, high]
    return struct.pack("=4H", *ranges)


def _tcp(rng: random.Random, interest: Interest) -> Part:
    mask = rng.choice((0, 0, 0, 2, 0x12, 0x3F, 0xFF))
    return Part(b"tcp", _ports(rng, interest) + bytes((rng.choice((0, 0, 0, 2, 4, 8)), mask, rng.randrange(256) & mask,
                                                       rng.choice((0, 0, 0, 1, 2, 4, 8, 15)))))


def _udp(rng: random.Random, interest: Interest, name: bytes = b"udp") -> Part:
    return Part(name, _ports(rng, interest) + bytes((rng.choice((0, 0, 0, 1, 2, 3)), 0)))


def _icmp(rng: random.Random, family: Family) -> Part:
    """A type, or any (255 in IPv4 only), and a range of codes that may be empty."""
    kinds = (8, 8, 0, 3, 3, 11, 255) if family.number == 4 else (128, 128, 129, 1, 1, 3, 255)
    return Part(b"icmp" if family.number == 4 else b"icmp6",
                bytes((rng.choice(kinds), rng.choice((0, 0, 0, 1, 3)), rng.choice((0, 1, 2, 255)),
                       rng.choice((0, 0, 1)))))


def _range(rng: random.Random, values: tuple[int, ...]) -> tuple[int, int]:
    return rng.choice(values), rng.choice(values)


def _frag(rng: random.Random) -> Part:
    # Lengths are not asked for: IP6T_FRAG_LEN is taken and means little. First and more may come together.
    return Part(b"frag", struct.pack("=3IBB", *_range(rng, (0, 1, 2, 1000, 0xFFFFFFFF)), rng.choice((0, 8)),
                                     rng.choice((0, 1, 5, 9, 0x10, 0x14, 0x20, 0x3F, rng.randrange(64))),
                                     rng.choice((0, 0, 0, 1, 2, 3))))


def _header(rng: random.Random) -> Part:
    soft = rng.choice((0, 1, 1))
    inverted = rng.choice((0, 0, 0xFF, rng.randrange(256) if soft else 0xFF))
    return Part(b"ipv6header", bytes((rng.randrange(256), inverted, soft)))


def _hl(rng: random.Random) -> Part:
    return Part(b"hl", bytes((rng.randrange(4), rng.choice((0, 76, 77, 78, 255)))))


def _ah(rng: random.Random) -> Part:
    return Part(b"ah", struct.pack("=3IBB2x", *_range(rng, (0, 1, 2, 256, 0xFFFFFFFF)), rng.choice((0, 0, 24, 12)),
                                   rng.choice((0, 0, 1)), rng.choice((0, 0, 1, 2, 3))))


def _options(rng: random.Random) -> Part:
    count = rng.choice((0, 1, 1, 2, 16))
    options = [rng.choice((0x05FF, 0x0502, 0x01FF, 0x0102, 0x0401, 0xC910, 0x1E00, 0x1EFF)) for _ in range(count)]
    return Part(rng.choice((b"hbh", b"dst")),
                struct.pack("=IBB16HB3x", rng.choice((8, 8, 16, 24)), rng.choice((0, 1, 2, 3)), rng.choice((0, 0, 1)),
                            *options, *[0] * (16 - count), count))


def _routing(rng: random.Random) -> Part:
    # The types, the number of segments left and the length alone; addresses are iptables' to write.
    flags = rng.choice((0, 1, 2, 4, 7))
    return Part(b"rt", struct.pack("=4IBB2x", rng.choice((0, 0, 2, 4)), *_range(rng, (0, 1, 2, 255)),
                                   rng.choice((8, 24, 40)), flags, rng.choice((0, 0, 1, 2, 4, 7))).ljust(280, b"\0"))


def _of_headers(rng: random.Random) -> Part:
    return rng.choice((_frag, _header, _hl, _ah, _options, _routing))(rng)


Way = Callable[[random.Random, Interest, Table, Entry], str]


def _ask_protocol(entry: Entry, family: Family, protocol: int) -> None:
    """This one and no other; matches that ask for another go."""
    at = len(family.ip_part())
    if family.number == 4:
        struct.pack_into("=H", entry.ip, at - 4, protocol)
        entry.ip[at - 1] &= ~INVERTED_PROTOCOL
    else:
        struct.pack_into("=H", entry.ip, at - 8, protocol)
        entry.ip[at - 5] |= 1
        entry.ip[at - 4] &= ~INVERTED_PROTOCOL
    entry.matches = [one for one in entry.matches if one.name in (b"frag", b"ipv6header", b"hl", b"ah", b"hbh",
                                                                   b"dst", b"rt", b"eui64")]


def protocols(rng: random.Random, interest: Interest, table: Table, entry: Entry) -> str:
    """One to three matches of a protocol, maybe the same one twice, with ranges that may be empty."""
    family = table.family
    protocol = rng.choice((TCP, UDP, UDPLITE, family.icmp))
    make: dict[int, Callable[[], Part]] = {
        TCP: lambda: _tcp(rng, interest), UDP: lambda: _udp(rng, interest),
        UDPLITE: lambda: _udp(rng, interest, b"udplite"), family.icmp: lambda: _icmp(rng, family)}
    _ask_protocol(entry, family, protocol)
    added = [make[protocol]() for _ in range(rng.choice((1, 1, 2, 3)))]
    entry.matches += added
    return f"protocol {protocol}, " + ", ".join(f"{one.name.decode()} {one.payload.hex()}" for one in added)


# Where the IPv6 header is: the version and most of the class, and a part of the flow label. Addresses are behind.
MISPLACED_PORTS = ((0x6000, 0x6FFF), (0x6000, 0x600F), (0, 0xFFFF), (0x7000, 0), (0x45, 0x5FFF))


def unflagged(rng: random.Random, interest: Interest, table: Table, entry: Entry) -> str:
    """A protocol, but not the flag that it is asked for: some kernels set it, others look for its header in the
    wrong place."""
    said = protocols(rng, interest, table, entry)
    if table.family.number == 4:
        return said
    entry.ip[len(table.family.ip_part()) - 5] &= ~1
    for part in entry.matches:
        if part.name in (b"tcp", b"udp", b"udplite") and rng.random() < 0.8:
            ports = struct.pack("=4H", *rng.choice(MISPLACED_PORTS), *rng.choice(((0, 0xFFFF), (0, 0), (1, 0xFFFF))))
            part.payload = ports + part.payload[8:]
        elif part.name == b"icmp6" and rng.random() < 0.8:
            part.payload = bytes((0x60, *part.payload[1:]))
    return f"unflagged {said}, " + ", ".join(one.payload[:12].hex() for one in entry.matches)


def no_test(rng: random.Random, _: Interest, table: Table, entry: Entry) -> str:
    """What there is no way to ask."""
    if table.family.number == 4 or rng.random() < 0.2:
        at = len(table.family.ip_part()) - (2 if table.family.number == 4 else 5)
        entry.ip[at] |= rng.choice((4, 8, 0x80))
        return f"flags {entry.ip[at]:#x}"
    entry.matches.append(Part(b"hl", bytes((rng.choice((4, 5, 255)), rng.choice((0, 77, 255))))))
    return f"hl {entry.matches[-1].payload.hex()}"


def no_addresses(rng: random.Random, interest: Interest, table: Table, entry: Entry) -> str:
    """A list of them that is to be there, strictly or not."""
    if table.family.number == 4:
        return no_test(rng, interest, table, entry)
    head = struct.pack("=4IBB2x", 0, 0, 0xFFFFFFFF, 0, rng.choice((0x11, 0x11, 0x31, 0x31, 0x21)), 0)
    first = socket.inet_pton(socket.AF_INET6, rng.choice(interest.addresses))
    entry.matches.append(Part(b"rt", (head + first).ljust(280, b"\0")))
    return f"rt {entry.matches[-1].payload[:40].hex()}"


def headers(rng: random.Random, interest: Interest, table: Table, entry: Entry) -> str:
    """Several matches of extension headers in one rule, in any order, the same one twice among them."""
    if table.family.number == 4:
        return protocols(rng, interest, table, entry)
    added = [_of_headers(rng) for _ in range(rng.choice((1, 2, 2, 3, 5)))]
    for one in added:
        entry.matches.insert(rng.randrange(len(entry.matches) + 1), one)
    return "headers " + ", ".join(f"{one.name.decode()} {one.payload[:48].hex()}" for one in added)


def repeated(rng: random.Random, _: Interest, __: Table, entry: Entry) -> str:
    entry.matches += [rng.choice(entry.matches) for _ in range(rng.choice((1, 2)))] if entry.matches else []
    return f"{len(entry.matches)} matches, the last ones twice"


def devices(rng: random.Random, _: Interest, table: Table, entry: Entry) -> str:
    """Masks with holes, and names behind which is something."""
    at = 4 * len(table.family.packed("0.0.0.0"))
    name, mask = rng.choice(((IN_NAME, IN_MASK), (OUT_NAME, OUT_MASK)))
    asked = rng.choice((b"in0", b"in1", b"out0", b"lo", b"in", b"")).ljust(16, rng.choice((b"\0", b"x", b"\xff")))
    bits = bytes(rng.choice((0, 0, 0xFF, 0xFF, 0x0F)) if number < rng.choice((2, 4, 4, 16)) else 0 for number in range(16))
    entry.ip[at + name:at + name + 16] = asked
    entry.ip[at + mask:at + mask + 16] = bits
    return f"device {name} {asked.hex()}/{bits.hex()}"


def inversions(rng: random.Random, _: Interest, table: Table, entry: Entry) -> str:
    """Of what is asked for, and of what is not."""
    at = len(table.family.ip_part()) - (1 if table.family.number == 4 else 4)
    entry.ip[at] ^= rng.choice((1, 2, 4, 8, 0x10, 0x20, 0x18, 0x03))
    return f"inverted {entry.ip[at]:#x}"


def beyond_mask(rng: random.Random, interest: Interest, table: Table, entry: Entry) -> str:
    """Bits of an address that its mask leaves out: never equal in IPv4, not looked at in IPv6."""
    width = 4 if table.family.number == 4 else 16
    which = rng.choice((0, width))
    entry.ip[which:which + width] = socket.inet_pton(table.family.af, rng.choice(interest.addresses))
    bits = rng.choice((8, 16, 24, 31) if width == 4 else (16, 32, 64, 112, 127))
    entry.ip[which + 2 * width:which + 3 * width] = ((1 << bits) - 1 << 8 * width - bits).to_bytes(width, "big")
    return f"address {entry.ip[:4 * width].hex()}"


def flags(rng: random.Random, _: Interest, table: Table, entry: Entry) -> str:
    """goto with a verdict, a class that nobody looks at, notes of the kernel's."""
    family = table.family
    at = len(family.ip_part()) - (2 if family.number == 4 else 5)
    entry.ip[at] |= rng.choice((family.goto, family.goto, 2))
    if family.number == 6:
        entry.ip[at - 1] = rng.randrange(256)
    entry.nfcache, entry.comefrom = rng.randrange(1 << 32), rng.randrange(1 << 32)
    entry.counters = rng.randrange(1 << 64), rng.randrange(1 << 64)
    return f"flags {entry.ip[at]:#x}, nfcache {entry.nfcache:#x}"


def error(rng: random.Random, _: Interest, table: Table, entry: Entry) -> str:
    """A rule that drops as the head of a chain would."""
    entry.target, entry.jump = Part(b"ERROR", rng.choice((b"odd", b"ERROR", b"")).ljust(30, b"\0")), None
    entry.slack = rng.choice((0, 0, 8, 24))
    return f"target ERROR, {entry.slack} bytes behind it"


def revision(rng: random.Random, _: Interest, __: Table, entry: Entry) -> str:
    """One that nothing has."""
    part = rng.choice([*entry.matches, entry.target])
    part.revision = rng.choice((1, 255))
    return f"revision {part.revision} of {part.name.decode() or 'the standard target'}"


def no_end(_: random.Random, __: Interest, table: Table, ___: Entry) -> str:
    table.entries.pop()
    return "no last entry"


WAYS: tuple[tuple[Way, int], ...] = ((protocols, 10), (headers, 10), (repeated, 2), (devices, 4), (inversions, 3),
                                     (beyond_mask, 2), (unflagged, 3), (flags, 3), (error, 2), (revision, 0), (no_end, 0),
                                     (no_test, 0), (no_addresses, 0))


def change(rng: random.Random, interest: Interest, name: str) -> list[str]:
    """Make a table odd; what was done, and how that ended."""
    family = interest.family
    with blob.raw_socket(family) as opened:
        info = blob.info(opened, name)
        status, data = blob.entries(opened, info.size, name)
        table = Table.parse(family, info, data)
        lines = [f"odd {name}: {status}, {len(table.entries)} entries"]
        rules = table.rules()
        ways, weights = zip(*WAYS)
        for entry in rules:
            if rng.random() < 0.7:
                number = table.entries.index(entry)
                lines.append(f"odd entry {number}: {rng.choices(ways, weights)[0](rng, interest, table, entry)}")
        if rules and rng.random() < 0.2:
            lines.append(f"odd: {rng.choice((revision, no_end, no_test, no_addresses))(rng, interest, table, rng.choice(rules))}")
        wanted, data = table.render()
        lines.append(f"changed as bytes: {whole.put(opened, wanted, data, info.entries)[0]}")
        return lines
