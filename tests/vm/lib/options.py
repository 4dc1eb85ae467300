# SPDX-License-Identifier: GPL-2.0
"""The socket options of iptables without iptables: the result is 0 or an errno."""

import ctypes
import socket

from . import replace

LEVEL = {socket.AF_INET: 0, socket.AF_INET6: 41}
SET_REPLACE, SET_ADD_COUNTERS = 64, 65
GET_INFO, GET_ENTRIES, GET_REVISION_MATCH, GET_REVISION_TARGET = 64, 65, 66, 67

_libc = ctypes.CDLL(None, use_errno=True)


def setsockopt(option: int, data: bytes, family: socket.AddressFamily = socket.AF_INET) -> int:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        result = _libc.setsockopt(sock.fileno(), LEVEL[family], option, data, len(data))
        return ctypes.get_errno() if result else 0


def getsockopt(option: int, data: bytes, family: socket.AddressFamily = socket.AF_INET) -> tuple[int, bytes]:
    buffer = ctypes.create_string_buffer(data, max(len(data), 1))
    length = ctypes.c_uint(len(data))
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        result = _libc.getsockopt(sock.fileno(), LEVEL[family], option, buffer, ctypes.byref(length))
        return (ctypes.get_errno() if result else 0), buffer.raw[:len(data)]


def name(table: str) -> bytes:
    return table.encode().ljust(32, b"\0")


def replace_data(counters: int, num_counters: int, entries: int, size: int) -> bytes:
    """A struct ipt_replace for the filter table, with entries that are none."""
    return replace.encode(b"filter", 0x0e, entries, size, num_counters, counters) + b"r" * size
