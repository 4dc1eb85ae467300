# SPDX-License-Identifier: GPL-2.0
"""IPv4 packets, byte by byte; every field can be wrong."""

import socket
import struct

ICMP, IGMP, TCP, UDP, GRE, ESP = 1, 2, 6, 17, 47, 50

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))

# Fragment field.
DF, MF = 0x4000, 0x2000

ETH_P_IP = 0x0800
ETH_HEADER = 14


def checksum(data: bytes) -> int:
    if len(data) & 1:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
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


_CHECKSUM_AT = {TCP: 16, UDP: 6, ICMP: 2}


def _with_checksum(source: bytes, destination: bytes, protocol: int, segment: bytes) -> bytes:
    at = _CHECKSUM_AT.get(protocol)
    if at is None or len(segment) < (20 if protocol == TCP else 8):
        return segment
    pseudo = b"" if protocol == ICMP else source + destination + struct.pack(
        "!HH", protocol, len(segment))
    value = checksum(pseudo + segment)
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


def ident_of(packet: bytes) -> int:
    return packet[4] << 8 | packet[5]


def ttl_of(packet: bytes) -> int:
    return packet[8]


def destination_of(packet: bytes) -> str:
    return socket.inet_ntoa(packet[16:20])


def length_of(packet: bytes) -> int:
    """What iptables counts: the length in the header."""
    return packet[2] << 8 | packet[3]


def ethernet(destination: bytes, source: bytes, payload: bytes, kind: int = ETH_P_IP) -> bytes:
    return destination + source + struct.pack("!H", kind) + payload


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
