# SPDX-License-Identifier: GPL-2.0
"""Tables that iptables cannot make: jumps to anywhere, even into a built-in chain or to the head of a chain."""

import hashlib
import random
import struct

import whole
from lib import blob, replace
from lib.family import HOOKS_OF, Family


def _verdict_at(data: bytes, offset: int, family: Family) -> int | None:
    """Where a standard target's verdict is; None for other targets."""
    target = offset + int.from_bytes(data[offset + len(family.ip_part()) + 4:][:2], "little")
    return target + blob.HEADER if data[target + 2:target + 2 + 29] == b"\0" * 29 else None


def redirect(rng: random.Random, family: Family, table: str) -> list[str]:
    """Send one to three rules somewhere else. The policies stay: they must be verdicts."""
    with blob.raw_socket(family) as opened:
        info = blob.info(opened, table)
        status, data = blob.entries(opened, info.size, table)
        offsets = whole.offsets(data, family)
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
        lines.append(f"changed as bytes: {whole.put(opened, info, bytes(changed))[0]}")
        return lines


def read(family: Family, table: str) -> list[str]:
    """Its counters, and a digest of the rest."""
    with blob.raw_socket(family) as opened:
        status, data = blob.entries(opened, None, table)
        rest = bytearray(data)
        for offset in whole.offsets(data, family):
            rest[offset + family.entry - 16:offset + family.entry] = b"\0" * 16
        lines = [f"{table}: {status}, hooks {HOOKS_OF[table]}, {hashlib.sha256(rest).hexdigest()[:16]}"]
        lines += [f"[{packets}:{size}] {table} entry {number}"
                  for number, (packets, size) in enumerate(blob.counters(data, family))]
        return lines


def clear(family: Family, table: str) -> str:
    with blob.raw_socket(family) as opened:
        return f"cleared: {blob.of_table(table, family=family).commit(opened)}"
