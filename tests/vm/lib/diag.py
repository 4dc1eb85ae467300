# SPDX-License-Identifier: GPL-2.0
"""sock_diag(7): what the kernel says of connections of TCP."""

import os
import socket
import struct
from typing import Iterator

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST, _ERROR, _DONE, _DUMP = 4, 20, 1, 2, 3, 0x300
_ULP_INFO = 19  # INET_DIAG_ULP_INFO, which comes with:
_WITH_INFO = 1 << (2 - 1)  # INET_DIAG_INFO
ULP_NAME, STAP_INFO = 1, 0x1354
_HEAD, _MESSAGE = 16, 72  # bytes of struct nlmsghdr, of struct inet_diag_msg


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        size, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:size]
        data = data[(size + 3) & ~3:]


def _question(opened: socket.socket) -> bytes:
    packed = b""
    for name in (opened.getsockname(), opened.getpeername()):
        packed += socket.inet_pton(opened.family, name[0]).ljust(16, b"\0")
    ports = struct.pack(">HH", opened.getsockname()[1], opened.getpeername()[1])
    whole = struct.pack("=BBBxI", opened.family, socket.IPPROTO_TCP, _WITH_INFO, 0xFFFFFFFF)
    whole += ports + packed + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    return struct.pack("=IHHII", _HEAD + len(whole), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0) + whole


def ulp(opened: socket.socket) -> dict[int, bytes] | None:
    """The attributes within INET_DIAG_ULP_INFO of the answer to who asks; None: it has none."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as diag:
        diag.settimeout(20)
        diag.send(_question(opened))
        answer = diag.recv(1 << 16)
    size, kind = struct.unpack_from("=IH", answer)
    if kind == _ERROR:
        error = -struct.unpack_from("=i", answer, _HEAD)[0]
        raise OSError(error, os.strerror(error))
    found = dict(_attributes(answer[_HEAD + _MESSAGE:size]))
    return dict(_attributes(found[_ULP_INFO])) if _ULP_INFO in found else None


def tapped() -> int:
    """How many sockets of IPv4 have the protocol stap."""
    whole = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, _WITH_INFO, 0xFFFFFFFF) + bytes(48)
    head = struct.pack("=IHHII", _HEAD + len(whole), _SOCK_DIAG_BY_FAMILY, _REQUEST | _DUMP, 1, 0)
    count = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as diag:
        diag.settimeout(20)
        diag.send(head + whole)
        while True:
            answer = diag.recv(1 << 16)
            while answer:
                size, kind = struct.unpack_from("=IH", answer)
                if kind in (_DONE, _ERROR):
                    return count
                found = dict(_attributes(answer[_HEAD + _MESSAGE:size]))
                count += _ULP_INFO in found and STAP_INFO in dict(_attributes(found[_ULP_INFO]))
                answer = answer[(size + 3) & ~3:]
