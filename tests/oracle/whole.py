# SPDX-License-Identifier: GPL-2.0
"""Whole tables as bytes: read, written back, replaced by themselves with their counters."""

import ctypes
import socket
import struct

from lib import blob, replace
from lib.family import Family


def offsets(data: bytes, family: Family) -> list[int]:
    """Where the entries begin."""
    found = [0]
    while found[-1] + blob.next_offset(data, found[-1], family) < len(data):
        found.append(found[-1] + blob.next_offset(data, found[-1], family))
    return found


def names(family: Family) -> list[str]:
    """The tables that are there."""
    with open(f"/proc/net/{family.proc}_tables_names", encoding="ascii") as file:
        return sorted(file.read().split())


def put(opened: socket.socket, info: blob.Info, data: bytes, there: int | None = None) -> tuple[str, bytes]:
    """In place of the table that `info` is about, or of one with so many entries: the status, and the old counters."""
    there = info.entries if there is None else there
    old = ctypes.create_string_buffer(16 * there)
    head = replace.encode(info.name.encode(), info.valid_hooks, info.entries, info.size, there,
                          ctypes.addressof(old), info.hook_entry, info.underflow)
    return blob.put(opened, blob.SET_REPLACE, head + data), old.raw


def by_itself(family: Family, table: str) -> None:
    with blob.raw_socket(family) as opened:
        info = blob.info(opened, table)
        status, data = blob.entries(opened, info.size, table)
        statuses = [status]
        status, old = put(opened, info, data)
        head = struct.pack("=32sI4x", table.encode(), info.entries)
        statuses += [status, blob.put(opened, blob.SET_ADD_COUNTERS, head + old)]
    if statuses != ["OK"] * 3:
        raise RuntimeError(f"table {table} by itself: {statuses}")
