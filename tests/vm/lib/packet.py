# SPDX-License-Identifier: GPL-2.0
"""IPv4 and IPv6 packets, byte by byte; every field can be wrong."""

import socket
import struct
from typing import Any, NamedTuple, Sequence

from .family import Family, current

ICMP, IGMP, TCP, UDP, DCCP, GRE, ESP, AH, ICMPV6, SCTP, UDPLITE = 1, 2, 6, 17, 33, 47, 50, 51, 58, 132, 136

# What may stand between the IPv6 header and the rest; NONE says that nothing follows.
HOP, ROUTING, FRAGMENT, NONE, DESTINATION, MOBILITY = 0, 43, 44, 59, 60, 135

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

# Fragment field.
DF, MF = 0x4000, 0x2000

ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD
ETH_HEADER = 14


def checksum(data: bytes) -> int:
    if len(data) & 1:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def tcp(sport: int = 1024, dport: int = 80, flags: int = SYN, options: bytes = b"",
        payload: bytes = b"", offset: int | None = None) -> bytes:
    """`offset`: header length in words, for wrong ones; `options` is padded to words."""
    options += b"\0" * (-len(options) % 4)
    if offset is None:
        offset = 5 + len(options) // 4
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 0, (offset << 4) & 0xFF, flags,
                       1024, 0, 0) + options + payload


def udp(sport: int = 1024, dport: int = 53, payload: bytes = b"") -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def icmp(kind: int = 8, code: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!BBHI", kind, code, 0, 0) + payload


_CHECKSUM_AT = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}


def _with_checksum(source: bytes, destination: bytes, protocol: int, segment: bytes) -> bytes:
    at = _CHECKSUM_AT.get(protocol)
    if at is None or len(segment) < (20 if protocol == TCP else 8):
        return segment
    pseudo = b"" if protocol == ICMP else source + destination + struct.pack(
        "!HH", protocol, len(segment))
    value = checksum(pseudo + segment)
    if protocol == UDP and value == 0:
        value = 0xFFFF
    return segment[:at] + struct.pack("!H", value) + segment[at + 2:]


def ipv4(source: str, destination: str, protocol: int, segment: bytes = b"", *,
         ident: int = 1, ttl: int = 64, tos: int = 0, fragment: int = 0,
         options: bytes = b"", trailer: bytes = b"", header_words: int | None = None,
         total: int | None = None, wrong_checksum: bool = False) -> bytes:
    """`fragment`: the field with DF and MF; `trailer`: bytes behind the packet's length."""
    options += b"\0" * (-len(options) % 4)
    source_bytes, destination_bytes = socket.inet_aton(source), socket.inet_aton(destination)
    words = 5 + len(options) // 4
    if not fragment & (MF | 0x1FFF):
        segment = _with_checksum(source_bytes, destination_bytes, protocol, segment)
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x40 | (words if header_words is None else header_words), tos,
        4 * words + len(segment) if total is None else total, ident, fragment, ttl, protocol, 0,
        source_bytes, destination_bytes) + options
    value = checksum(header) ^ (1 if wrong_checksum else 0)
    return header[:10] + struct.pack("!H", value) + header[12:] + segment + trailer


class Header(NamedTuple):
    """An extension header of IPv6: all but its first byte, which tells what follows."""
    kind: int
    rest: bytes


def _in_words(body: bytes, words: int | None) -> bytes:
    """Its length, in words of 8 bytes behind the first, and the body padded to that."""
    body += b"\0" * (-(len(body) + 2) % 8)
    return bytes(((len(body) + 2) // 8 - 1 if words is None else words,)) + body


def _pad_options(options: bytes) -> bytes:
    short = -(len(options) + 2) % 8
    return options + (b"" if not short else b"\0" if short == 1 else bytes((1, short - 2)) + b"\0" * (short - 2))


def options_header(kind: int, options: bytes = b"", words: int | None = None) -> Header:
    """HOP or DESTINATION; `words`: its length field, for wrong ones."""
    return Header(kind, _in_words(_pad_options(options), words))


def routing_header(kind: int = 0, left: int = 0, data: bytes = b"\0" * 4, words: int | None = None) -> Header:
    """`data`: what follows the number of segments left (for type 0: 4 reserved bytes, addresses)."""
    return Header(ROUTING, _in_words(bytes((kind, left)) + data, words))


def fragment_header(offset: int = 0, more: bool = False, ident: int = 1, reserved: int = 0) -> Header:
    """`offset` in units of 8 bytes; `reserved`: the byte behind the first and the two bits."""
    field = offset << 3 | (reserved >> 8 & 3) << 1 | more
    return Header(FRAGMENT, struct.pack("!BHI", reserved & 0xFF, field & 0xFFFF, ident))


def authentication_header(spi: int = 1, words: int = 4, reserved: int = 0, body: bytes = b"\0" * 16) -> Header:
    """`words` of 4 bytes behind the first two, as it says of itself."""
    return Header(AH, struct.pack("!BHI", words, reserved, spi) + body)


def mobility_header(kind: int = 5, words: int | None = None) -> Header:
    return Header(MOBILITY, _in_words(bytes((kind, 0)) + b"\0" * 4, words))


def _flow(tos: int, ident: int, version: int) -> bytes:
    return struct.pack("!I", version << 28 | tos << 20 | ident & 0xFFFFF)


def ipv6(source: str, destination: str, protocol: int, segment: bytes = b"", *,
         ident: int = 1, ttl: int = 64, tos: int = 0, headers: Sequence[Header] = (),
         trailer: bytes = b"", length: int | None = None, version: int = 6, cut: int | None = None) -> bytes:
    """`ident` is the flow label; `trailer`: bytes behind the packet's length; `length`: the
    field, for wrong ones; `cut`: leave so many bytes behind the IPv6 header, and say so."""
    source_bytes = socket.inet_pton(socket.AF_INET6, source)
    destination_bytes = socket.inet_pton(socket.AF_INET6, destination)
    if all(header.kind != FRAGMENT for header in headers):
        segment = _with_checksum(source_bytes, destination_bytes, protocol, segment)
    kinds = [header.kind for header in headers] + [protocol]
    body = b"".join(bytes((following,)) + header.rest for header, following in zip(headers, kinds[1:])) + segment
    if cut is not None:
        body = body[:cut]
    return (_flow(tos, ident, version) + struct.pack("!HBB", len(body) if length is None else length, kinds[0], ttl)
            + source_bytes + destination_bytes + body + trailer)


# Of both families

def ip(source: str, destination: str, protocol: int, segment: bytes = b"", family: Family | None = None,
       **fields: Any) -> bytes:
    """A packet of the family under test; its addresses are written as IPv4's (family.py)."""
    family = family or current()
    ends = family.address(source), family.address(destination)
    if family.number == 6:
        return ipv6(*ends, protocol, segment, **fields)
    return ipv4(*ends, protocol, segment, **fields)


def version_of(packet: bytes) -> int:
    return packet[0] >> 4


def ident_of(packet: bytes) -> int:
    """The IP id; with IPv6 the flow label."""
    if version_of(packet) == 6:
        return (packet[1] & 0xF) << 16 | packet[2] << 8 | packet[3]
    return packet[4] << 8 | packet[5]


def ttl_of(packet: bytes) -> int:
    return packet[7] if version_of(packet) == 6 else packet[8]


def destination_of(packet: bytes) -> str:
    if version_of(packet) == 6:
        return socket.inet_ntop(socket.AF_INET6, packet[24:40])
    return socket.inet_ntoa(packet[16:20])


def length_of(packet: bytes) -> int:
    """What iptables counts: the length in the header."""
    if version_of(packet) == 6:
        return 40 + (packet[4] << 8 | packet[5])
    return packet[2] << 8 | packet[3]


def ethernet(destination: bytes, source: bytes, payload: bytes, kind: int = ETH_P_IP) -> bytes:
    return destination + source + struct.pack("!H", kind) + payload


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
