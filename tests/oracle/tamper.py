# SPDX-License-Identifier: GPL-2.0
"""Tables that iptables cannot make: jumps to anywhere, even into a built-in chain or to the head of a chain."""

import hashlib
import random
import socket
import struct

from lib import blob, replace
from lib.family import HOOKS_OF, Family


def _offsets(data: bytes, family: Family) -> list[int]:
    """Where the entries begin."""
    found = [0]
    while found[-1] + blob.next_offset(data, found[-1], family) < len(data):
        found.append(found[-1] + blob.next_offset(data, found[-1], family))
    return found


def _verdict_at(data: bytes, offset: int, family: Family) -> int | None:
    """Where a standard target's verdict is; None for other targets."""
    target = offset + int.from_bytes(data[offset + len(family.ip_part()) + 4:][:2], "little")
    return target + blob.HEADER if data[target + 2:target + 2 + 29] == b"\0" * 29 else None


def _replace(opened: socket.socket, info: blob.Info, data: bytes) -> str:
    """The old counters go nowhere, which is no error."""
    head = replace.encode(info.name.encode(), info.valid_hooks, info.entries, info.size, info.entries, 0,
                          info.hook_entry, info.underflow)
    return blob.put(opened, blob.SET_REPLACE, head + data)


def redirect(rng: random.Random, family: Family, table: str) -> list[str]:
    """Send one to three rules somewhere else. The policies stay: they must be verdicts."""
    with blob.raw_socket(family) as opened:
        info = blob.info(opened, table)
        status, data = blob.entries(opened, info.size, table)
        offsets = _offsets(data, family)
        rules = [offset for offset in offsets if _verdict_at(data, offset, family) and offset not in info.underflow]
        changed = bytearray(data)
        lines = [f"tamper {table}: {status}, {len(offsets)} entries"]
        for _ in range(rng.choice((1, 1, 2, 3))):
            if not rules:
                break
            rule = rng.choice(rules)
            later = [offset for offset in offsets[:-1] if offset > rule]
            # Back may lead to a loop, and behind the last entry is nothing: both must be refused.
            to = rng.choice(later if rng.random() < 0.95 and later else offsets[1:])
            if rng.random() < 0.02:
                to += 8
            at = _verdict_at(data, rule, family)
            assert at
            struct.pack_into("=i", changed, at, to)
            lines.append(f"rule entry {offsets.index(rule)}: jump to {to}")
        lines.append(f"tampered: {_replace(opened, info, bytes(changed))}")
        return lines


def read(family: Family, table: str) -> list[str]:
    """Its counters, and a digest of the rest."""
    with blob.raw_socket(family) as opened:
        status, data = blob.entries(opened, None, table)
        rest = bytearray(data)
        for offset in _offsets(data, family):
            rest[offset + family.entry - 16:offset + family.entry] = b"\0" * 16
        lines = [f"{table}: {status}, hooks {HOOKS_OF[table]}, {hashlib.sha256(rest).hexdigest()[:16]}"]
        lines += [f"[{packets}:{size}] {table} entry {number}"
                  for number, (packets, size) in enumerate(blob.counters(data, family))]
        return lines


def clear(family: Family, table: str) -> str:
    with blob.raw_socket(family) as opened:
        return f"cleared: {blob.of_table(table, family=family).commit(opened)}"
