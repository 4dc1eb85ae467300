#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""SET_REPLACE: the order of checks, errnos, what is echoed; all that only a hand-made table can have."""

import ctypes
import os
import struct

from lib import blob
from lib.attempts import COMEFROM_AT, COUNTERS_AT, EMPTY, ICMP, NFCACHE_AT, XT_TCP, Attempts, changed
from lib.blob import (ACCEPT, DROP, ENTRY, ERROR, FAMILY, QUEUE, RETURN, STANDARD, UNUSED, entry, error, match, plain,
                      verdict, with_input)
from lib.check import expect, expect_equal, main, test
from lib.netns import CLONE_NEWNET, unshare

TCP, UDP = 6, 17
MASK = b"\xff" * (3 if FAMILY.number == 4 else 15) + b"\0"  # all but the last byte of an address

unshare(CLONE_NEWNET)
opened = blob.raw_socket()
attempts = Attempts(opened)
refused, accepted, reset = attempts.refused, attempts.accepted, attempts.reset


# The header

@test
def replace_identity() -> None:
    accepted(plain(), "an empty table")
    accepted(plain((DROP, ACCEPT, DROP)), "policies")
    accepted(plain(), "eight bytes more than needed", longer=8)


@test
def replace_lengths() -> None:
    reset()
    data = plain().head(opened) + plain().blob()
    for length in (0, 1, 95, 96, len(data) - 1, len(data) - 8):
        expect_equal(blob.put(opened, blob.SET_REPLACE, data, length), "EINVAL", f"length {length}")
    expect_equal(blob.info(opened).entries, 4, "entries")


@test
def replace_number_of_counters() -> None:
    for count, expected in ((0, "EINVAL"), (3, "EAGAIN"), (5, "EAGAIN"), (1000, "EAGAIN"),
                            (0x7FFFFFFF, "ENOMEM"), (0x7FFFFFFF // 16, "ENOMEM"), (0xFFFFFFFF, "ENOMEM")):
        refused(changed(num_counters=count), expected, f"{count} counters")


@test
def replace_numbers() -> None:
    for count in (0, 3, 5, 1000):
        refused(changed(num_entries=count), "EINVAL", f"{count} entries")
    refused(changed(num_entries=0xFFFFFFFF), "ENOMEM", "more entries than any table may have")
    for size in (0, 8, EMPTY - 8):
        refused(changed(size=size), "EINVAL", f"size {size}")
    refused(changed(size=EMPTY + 8), "EINVAL", "eight bytes more", longer=8)
    refused(changed(size=0x20000000), "EINVAL", "huge size")


@test
def replace_names_and_hooks() -> None:
    refused(changed(name=b"nosuch"), "ENOENT", "unknown table")
    table = changed(name=b"nosuch")
    table.rules[0][0:1] = b"\0"
    table.rules[0][ENTRY + 32:ENTRY + 36] = struct.pack("=i", 0)
    refused(table, "EINVAL", "unknown table with a bad verdict: the entries are checked first")
    for hooks in (0, 6, 0x0C, 0x1E, 0x1F):
        refused(changed(valid_hooks=hooks), "EINVAL", f"valid_hooks {hooks:#x}")


@test
def replace_hook_offsets() -> None:
    for name in ("hook_entry", "underflow"):
        for offset in (8, 1, STANDARD - 1, 0x10000, EMPTY, UNUSED):
            refused(changed(**{name: {1: offset}}), "EINVAL", f"{name} {offset}")
    refused(changed(hook_entry={2: 0}, underflow={2: 0}), "EINVAL", "two hooks at one place")
    swapped = {1: 2 * STANDARD, 3: 0}
    refused(changed(hook_entry=swapped, underflow=swapped), "EINVAL", "hooks out of order")


@test
def replace_underflow_must_be_a_policy() -> None:
    for value in (RETURN, QUEUE):
        refused(with_policy(entry(verdict(value))), "EINVAL", f"verdict {value}")
    refused(with_policy(entry(verdict(ACCEPT), protocol=TCP)), "EINVAL", "a condition")
    refused(with_policy(entry(verdict(ACCEPT), flags=1)), "EINVAL", "-f")
    refused(with_policy(entry(verdict(ACCEPT), match(b"tcp", XT_TCP), protocol=TCP)), "EINVAL", "a match")
    refused(with_policy(entry(error())), "EINVAL", "an ERROR entry")


def with_policy(policy: bytearray) -> blob.Table:
    table = plain()
    table.rules[0] = policy
    return table


# Entries

@test
def replace_verdicts() -> None:
    for value in (ACCEPT, DROP, QUEUE, RETURN):
        accepted(with_input(entry(verdict(value))), f"verdict {value}")
    for value in (0, -3, -6, -100, -0x80000000):
        refused(with_input(entry(verdict(value))), "EINVAL", f"verdict {value}")


@test
def replace_flags() -> None:
    known = 3 if FAMILY.number == 4 else 7
    accepted(with_input(entry(verdict(DROP), flags=known, inverted=0x7F, protocol=1)), "all known flags")
    for flags in (known + 1, 0x80, 0xFF):
        refused(with_input(entry(verdict(DROP), flags=flags)), "EINVAL", f"flags {flags:#x}")
    refused(with_input(entry(verdict(DROP), inverted=0x80)), "EINVAL", "inverted flags")


@test
def replace_offsets_of_an_entry() -> None:
    for offset in (0, 8, ENTRY - 8, ENTRY - 1, ENTRY + 8, STANDARD + 1, 0xFFF8):
        refused(with_input(entry(verdict(DROP), target_offset=offset)), "EINVAL", f"target_offset {offset}")
    for offset in (0, 8, *(STANDARD + step for step in (-16, -9, -8, 1, 4)), 0xFFF8):
        refused(with_input(entry(verdict(DROP), next_offset=offset)), "EINVAL", f"next_offset {offset}")


@test
def replace_target_sizes() -> None:
    for size in (0, 31, 32, 36, 48, 0xFFFF):
        refused(with_input(entry(blob.target(b"", struct.pack("=i4x", DROP), size=size))), "EINVAL",
                f"target_size {size}")
    refused(with_input(entry(blob.target(b"", struct.pack("=i12x", DROP)))), "EINVAL", "a larger standard target")
    refused(with_input(entry(blob.target(b"ERROR", b"x\0".ljust(22, b"\0")))), "EINVAL", "a smaller ERROR target")


@test
def replace_names_of_targets() -> None:
    refused(with_input(entry(blob.target(b"", struct.pack("=i4x", DROP), revision=1))), "ENOENT", "standard revision 1")
    refused(with_input(entry(blob.target(b"NOSUCH", b"\0" * 8))), "ENOENT", "unknown target")
    refused(with_input(entry(blob.target(b"A" * 29, b"\0" * 8))), "EINVAL", "name without end")
    refused(with_input(entry(blob.target(b"A" * 28, b"\0" * 8))), "ENOENT", "longest name")
    refused(with_input(entry(blob.target(b"standard", struct.pack("=i4x", DROP)))), "ENOENT", "user space's name")
    table = plain()
    table.rules[3] = entry(error(b"A" * 30))
    refused(table, "EINVAL", "name of a chain without end")


@test
def replace_ignored_fields() -> None:
    """Counters and comefrom of the blob mean nothing; nfcache is echoed."""
    accepted(with_input(entry(verdict(DROP), counters=(1234, 5678), comefrom=0x55, nfcache=0x77)), "odd fields")
    data = blob.entries(opened)[1]
    expect_equal(struct.unpack_from("=QQ", data, COUNTERS_AT), (0, 0), "counters")
    expect_equal(struct.unpack_from("=I", data, COMEFROM_AT), (2,), "comefrom")
    expect_equal(struct.unpack_from("=I", data, NFCACHE_AT), (0x77,), "nfcache")


# Matches

@test
def replace_matches() -> None:
    tcp = match(b"tcp", XT_TCP)
    accepted(with_input(entry(verdict(DROP), tcp, protocol=TCP)), "tcp")
    accepted(with_input(entry(verdict(DROP), tcp + tcp, protocol=TCP)), "tcp twice")
    accepted(with_input(entry(verdict(DROP), match(b"udp", struct.pack("=4H", 0, 1, 2, 3) + b"\0\0"), protocol=UDP)),
             "udp")
    for what, made, protocol, inverted, expected in (
            ("tcp without protocol", tcp, 0, 0, "EINVAL"), ("tcp and udp", tcp, UDP, 0, "EINVAL"),
            ("tcp and ! tcp", tcp, TCP, 0x40, "EINVAL"), ("tcp, too large", match(b"tcp", XT_TCP + b"\0" * 8), TCP, 0, "EINVAL"),
            ("tcp, too small", match(b"tcp", XT_TCP[:8]), TCP, 0, "EINVAL"),
            ("tcp, unknown inverse", match(b"tcp", XT_TCP[:11] + b"\xf0"), TCP, 0, "EINVAL"),
            ("tcp revision 1", match(b"tcp", XT_TCP, revision=1), TCP, 0, "ENOENT"),
            ("unknown match", match(b"nosuchm", b"\0" * 16), TCP, 0, "ENOENT"),
            ("udp, unknown inverse", match(b"udp", struct.pack("=4HB", 0, 1, 2, 3, 0xFC)), UDP, 0, "EINVAL"),
            ("icmp, unknown inverse", match(ICMP, bytes((8, 0, 255, 2))), FAMILY.icmp, 0, "EINVAL"),
            ("icmp without protocol", match(ICMP, bytes((8, 0, 255, 0))), 0, 0, "EINVAL")):
        refused(with_input(entry(verdict(DROP), made, protocol=protocol, inverted=inverted)), expected, what)


@test
def replace_sizes_of_matches() -> None:
    for size in (0, 31, 40, 44, 248, 0xFFFF):
        refused(with_input(entry(verdict(DROP), match(b"tcp", XT_TCP, size=size), protocol=TCP)), "EINVAL",
                f"match_size {size}")


# Control flow

def jumping(distance: int, flags: int = 0, chain: list[bytearray] | None = None) -> blob.Table:
    """INPUT's only rule jumps `distance` bytes from the first rule of the chain "user"."""
    table = with_input(entry(verdict(1), flags=flags), chains={b"user": chain or []})
    table.rules[0] = entry(verdict(table.offset(5) + distance), flags=flags)
    return table


@test
def replace_jumps() -> None:
    accepted(jumping(0), "jump to a chain")
    accepted(jumping(0, flags=FAMILY.goto), "goto")
    accepted(jumping(-ERROR), "jump to the head of a chain")
    accepted(jumping(-ERROR - STANDARD), "jump into OUTPUT")
    accepted(jumping(-ERROR - 3 * STANDARD), "jump to the next rule")
    for what, distance in (("jump into a rule", 8), ("into its middle", 100), ("behind the end", STANDARD + ERROR),
                           ("far behind the end", 0x7FFFFF00 - 1000)):
        refused(jumping(distance), "ELOOP", what)
    refused(jumping(-ERROR - 4 * STANDARD), "EINVAL", "jump to offset 0")


@test
def replace_loops() -> None:
    table = jumping(0, chain=[entry(verdict(1))])
    table.rules[5] = entry(verdict(table.offset(5)))
    refused(table, "ELOOP", "a rule that jumps to itself")
    table = with_input(entry(verdict(1)), chains={b"a": [entry(verdict(1))], b"b": [entry(verdict(1))]})
    for rule, to in ((0, 5), (5, 8), (8, 5)):
        table.rules[rule] = entry(verdict(table.offset(to)))
    refused(table, "ELOOP", "two chains in a circle")
    table.rules[0] = entry(verdict(ACCEPT))
    accepted(table, "a circle that nothing leads to")
    table = with_input(entry(verdict(ACCEPT)), chains={b"a": [entry(verdict(0x7FFFFF8))]})
    accepted(table, "a bad jump that nothing leads to")


@test
def replace_odd_shapes() -> None:
    table = with_input()
    table.rules.pop()
    accepted(table, "no last ERROR entry")
    accepted(with_input(chains={b"c": [], b"d": []}), "two chains")
    table = with_input(chains={b"c": []})
    table.rules[3:3] = [entry(error(b"c")), entry(verdict(RETURN))]
    accepted(table, "two chains of one name")
    table = with_input()
    table.rules.insert(3, entry(error(b"c")))
    accepted(table, "a chain without a foot")
    table = jumping(0)
    del table.rules[5]
    refused(table, "ELOOP", "falling off the end of the last chain")


# Large ones, and noise

@test
def large_table() -> None:
    """Five thousand entries come back as they were sent."""
    rules = [entry(verdict(DROP), source=FAMILY.packed(f"10.{n >> 8}.{n & 255}.0") + MASK, nfcache=n)
             for n in range(5000)]
    accepted(with_input(*rules), "5000 rules")
    expect_equal(blob.entries(opened)[1][:5000 * STANDARD],
                 b"".join(bytes(one[:COMEFROM_AT] + struct.pack("=I", 2) + one[COMEFROM_AT + 4:]) for one in rules),
                 "entries")
    reset()


@test
def garbage() -> None:
    """Noise instead of entries is refused."""
    reset()
    before = blob.entries(opened)
    head = plain().head(opened)
    for seed in range(64):
        noise = bytes((seed * 131 + index * index * (seed | 1) + (index >> 3)) & 0xFF for index in range(EMPTY))
        expect(blob.put(opened, blob.SET_REPLACE, head + noise) in ("EINVAL", "ENOENT", "ELOOP"), f"noise {seed}")
    expect_equal(blob.entries(opened), before, "table")


@test
def single_wrong_bytes() -> None:
    """Bytes of a small table set to 0xff, one at a time: an answer, and the table usable."""
    table = with_input(entry(verdict(DROP), match(b"tcp", XT_TCP), protocol=TCP), chains={b"c": []})
    data = table.blob()
    allowed = {"OK", "EINVAL", "ENOENT", "ELOOP"}
    for index in range(0, len(data), 7 if FAMILY.number == 4 else 17):
        reset()
        table.num_counters = 4
        head = table.head(opened)
        status = blob.put(opened, blob.SET_REPLACE, head + data[:index] + b"\xff" + data[index + 1:])
        expect(status in allowed, f"byte {index}: {status}")
    reset()


@test
def buffer_at_the_end_of_a_page() -> None:
    """A request whose buffer ends at the end of a page, with nothing behind it."""
    reset()
    page = os.sysconf("SC_PAGESIZE")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    area = libc.mmap(None, 2 * page, 3, 0x22, -1, 0)
    libc.munmap(area + page, page)
    data = plain().head(opened) + plain().blob()
    start = area + page - len(data)
    ctypes.memmove(start, data, len(data))

    def replace_at(address: int) -> int:
        result: int = libc.setsockopt(opened.fileno(), FAMILY.level, blob.SET_REPLACE, ctypes.c_void_p(address), len(data))
        return result

    expect_equal(replace_at(start), 0, "exact")
    expect_equal(replace_at(start + 8), -1, "beyond the page")
    expect(ctypes.get_errno() in (14, 22), "EFAULT or EINVAL")


if __name__ == "__main__":
    main()
