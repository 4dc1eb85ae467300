#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket options themselves: sizes, the order of checks, errnos, what is echoed.

What iptables relies on is in iptables.py; this is for what only a hand-made request can
ask, and for the answers that must be exactly those of ip_tables.
"""

import ctypes
import mmap
import os
import socket
import stat
import struct

from lib import blob, cgroup
from lib.blob import (ACCEPT, DROP, ENTRY, ERROR, FAMILY, FILTER_HOOKS, QUEUE, RETURN, STANDARD, UNUSED, entry, error,
                      match, plain, verdict, with_input)
from lib.check import expect, expect_equal, main, test, test4, test6
from lib.netns import CLONE_NEWNET, Namespace, unshare

MAP_NORESERVE = 0x4000

unshare(CLONE_NEWNET)
opened = blob.raw_socket()

XT_TCP = struct.pack("=4H4B", 0, 0xFFFF, 0, 0xFFFF, 0, 0, 0, 0)
TCP, UDP = 6, 17
MASK = b"\xff" * (3 if FAMILY.number == 4 else 15) + b"\0"  # all but the last byte of an address
ICMP = b"icmp" if FAMILY.number == 4 else b"icmp6"
EMPTY = 3 * STANDARD + ERROR  # a table without rules
# In an entry
COUNTERS_AT = ENTRY - 16
COMEFROM_AT = len(FAMILY.ip_part()) + 8
NFCACHE_AT = len(FAMILY.ip_part())


def refused(table: blob.Table, error_name: str, what: str, longer: int = 0) -> None:
    """The request fails like this and the rules in force are what they were."""
    reset()
    before = blob.entries(opened)
    expect_equal(table.commit(opened, longer), error_name, what)
    expect_equal(blob.entries(opened), before, f"table after {what}")


def accepted(table: blob.Table, what: str, longer: int = 0) -> None:
    reset()
    expect_equal(table.commit(opened, longer), "OK", what)
    expect_equal(blob.info(opened).entries, len(table.rules), f"entries after {what}")


def reset() -> None:
    expect_equal(plain().commit(opened), "OK", "an empty table")


# GET_INFO

@test
def info_of_a_fresh_table() -> None:
    offsets = (UNUSED, 0, STANDARD, 2 * STANDARD, UNUSED)
    expect_equal(blob.info(opened), blob.Info("OK", "filter", FILTER_HOOKS, offsets, offsets, 4, EMPTY), "info")


@test
def info_errors() -> None:
    name = b"filter".ljust(blob.INFO, b"\0")
    for length in (0, 83, 85, 4096):
        expect_equal(blob.get(opened, blob.GET_INFO, name, length)[0], "EINVAL", f"length {length}")
    for table in (b"nosuch", b"", b"x" * 32, b"filterx", b"FILTER"):
        expect_equal(blob.get(opened, blob.GET_INFO, table.ljust(blob.INFO, b"\0"))[0], "ENOENT", f"table {table!r}")
    expect_equal(blob.get_at(opened, blob.GET_INFO, 8, blob.INFO), "EFAULT", "bad address")


# GET_ENTRIES

@test
def entries_of_a_fresh_table() -> None:
    reset()
    status, data = blob.entries(opened)
    expect_equal((status, len(data)), ("OK", EMPTY), "status and length")
    expected = bytearray()
    for hook, policy in ((1, ACCEPT), (2, ACCEPT), (3, ACCEPT)):
        expected += entry(verdict(policy), comefrom=1 << hook)
    expect_equal(data[:3 * STANDARD].hex(), expected.hex(), "the three policies, with the hook that reaches each")
    expect_equal(data[3 * STANDARD:].hex(), entry(error()).hex(), "the last entry")


@test
def entries_errors() -> None:
    size = blob.info(opened).size
    head = struct.pack("=32sI4x", b"filter", size)
    for length in (0, 39, 40 + size - 1, 40 + size + 1):
        expect_equal(blob.get(opened, blob.GET_ENTRIES, head, length)[0], "EINVAL", f"length {length}")
    for stale in (size - 8, size + 8, 8):
        expect_equal(blob.entries(opened, stale)[0], "EAGAIN", f"size {stale}")
    expect_equal(blob.entries(opened, size, "nosuch")[0], "ENOENT", "unknown table")
    expect_equal(blob.get_at(opened, blob.GET_ENTRIES, 8, 40 + size), "EFAULT", "bad address")


@test
def entries_of_a_size_that_is_wrong_cost_nothing() -> None:
    """The size is compared before there is memory for an answer, which these would not be given."""
    size = 400 << 20
    with (mmap.mmap(-1, 40 + size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE) as memory,
          cgroup.limited(64 << 20) as group):
        memory[:40] = struct.pack("=32sI4x", b"filter", size)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        expect_equal(group.run(lambda: blob.get_at(opened, blob.GET_ENTRIES, address, 40 + size)), "EAGAIN", "entries")
        del address


# Revisions

@test
def revisions() -> None:
    for option, name, revision, expected in (
            (blob.GET_REVISION_MATCH, b"tcp", 0, "OK"), (blob.GET_REVISION_MATCH, b"udp", 0, "OK"),
            (blob.GET_REVISION_MATCH, ICMP, 0, "OK"), (blob.GET_REVISION_MATCH, b"tcp", 1, "EPROTONOSUPPORT"),
            (blob.GET_REVISION_MATCH, ICMP, 255, "EPROTONOSUPPORT"),
            (blob.GET_REVISION_MATCH, b"nosuchm", 0, "ENOENT"), (blob.GET_REVISION_MATCH, b"", 0, "ENOENT"),
            (blob.GET_REVISION_MATCH, b"standard", 0, "ENOENT"), (blob.GET_REVISION_TARGET, b"", 0, "OK"),
            (blob.GET_REVISION_TARGET, b"ERROR", 0, "OK"), (blob.GET_REVISION_TARGET, b"", 1, "EPROTONOSUPPORT"),
            (blob.GET_REVISION_TARGET, b"NOSUCH", 0, "ENOENT"), (blob.GET_REVISION_TARGET, b"standard", 0, "ENOENT")):
        status, data = blob.get(opened, option, struct.pack("=29sB", name, revision))
        expect_equal(status, expected, f"option {option} {name!r} revision {revision}")
        if status == "OK":
            expect_equal(len(data), blob.REVISION, "length")
    for option in (blob.GET_REVISION_MATCH, blob.GET_REVISION_TARGET):
        for length in (0, 29, 31):
            expect_equal(blob.get(opened, option, b"tcp".ljust(64, b"\0"), length)[0], "EINVAL", f"length {length}")


# The range of options, who may ask

@test4
def other_options() -> None:
    zero = b"\0" * 84
    for option in (60, 61, 62, 63, 68, 69, 70, 71, 72):
        expect_equal(blob.get(opened, option, zero)[0], "ENOPROTOOPT", f"get {option}")
    for option in (63, 66, 67, 68, 69, 70):
        expect_equal(blob.put(opened, option, zero), "ENOPROTOOPT", f"set {option}")


@test6
def options_of_ipv6_itself() -> None:
    """Numbers of the range that are others' are never ours: 66 and 67 are the traffic class."""
    zero = b"\0" * 84
    for option in (60, 62, 66, 67, 70, 72):
        expect_equal(blob.get(opened, option, zero)[0], "OK", f"get {option}")
    for option in (63, 71):
        expect_equal(blob.get(opened, option, zero)[0], "ENOPROTOOPT", f"get {option}")
    for option in (68, 69):
        expect_equal(blob.get(opened, option, zero)[0], "EINVAL", f"get {option}, whose length is wrong")
    for option in (66, 67, 70):
        expect_equal(blob.put(opened, option, zero), "OK", f"set {option}")
    for option in (63, 68, 69):
        expect_equal(blob.put(opened, option, zero), "ENOPROTOOPT", f"set {option}")


@test6
def ipv4_through_a_socket_of_ipv6() -> None:
    """Level SOL_IP on a datagram socket is for the tables of IPv4; one of IPv4 has no others."""
    name = b"filter".ljust(blob.INFO, b"\0")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as both:
        status, data = blob.get(both, blob.GET_INFO, name, level=socket.SOL_IP)
        expect_equal((status, struct.unpack_from("=I", data, 80)), ("OK", (632,)), "status and size")
        expect_equal(blob.info(both).size, EMPTY, "size at its own level")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four:
        expect_equal(blob.get(four, blob.GET_INFO, name, level=socket.IPPROTO_IPV6)[0], "ENOTSUP", "status")


@test
def kinds_of_sockets() -> None:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(FAMILY.af, kind) as other:
            expect_equal(blob.info(other).status, "OK", f"socket type {kind}")
            expect_equal(blob.entries(other)[0], "OK", f"socket type {kind}")


@test
def without_privilege() -> None:
    """EPERM comes before anything else is looked at."""
    head = plain().head(opened)

    def ask() -> list[str]:
        words = [blob.info(opened).status, blob.get(opened, blob.GET_INFO, b"", 1)[0],
                 blob.entries(opened, EMPTY)[0], blob.get(opened, blob.GET_REVISION_MATCH, b"", 3)[0],
                 blob.get(opened, blob.GET_REVISION_TARGET, b"", 3)[0], blob.put(opened, blob.SET_REPLACE, head, 0),
                 blob.put(opened, blob.SET_ADD_COUNTERS, b"", 0)]
        with socket.socket(FAMILY.af, socket.SOCK_DGRAM) as own:
            words.append(blob.info(own).status)
        return words

    expect_equal(blob.nobody(ask), ["EPERM"] * 8, "answers")


# SET_REPLACE: the header

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


def changed(**fields: object) -> blob.Table:
    table = plain()
    for name, value in fields.items():
        setattr(table, name, value)
    return table


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


# SET_REPLACE: entries

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


# Counters

@test
def old_counters() -> None:
    """Exactly as many as there were entries, and the values they had."""
    reset()
    add = struct.pack("=32sI4x", b"filter", 4) + struct.pack("=8Q", 1, 2, 3, 4, 5, 6, 7, 8)
    expect_equal(blob.put(opened, blob.SET_ADD_COUNTERS, add), "OK", "add")
    table = with_input(entry(verdict(DROP)))
    expect_equal(table.commit(opened), "OK", "replace")
    expect_equal(struct.unpack_from("=8Q", table.old.raw), (1, 2, 3, 4, 5, 6, 7, 8), "old counters")
    expect_equal(table.old.raw[64:72], b"\xaa" * 8, "what is behind them")
    data = blob.entries(opened)[1]
    expect_equal(struct.unpack_from("=QQ", data, COUNTERS_AT), (0, 0), "new counters")


@test
def old_counters_to_nowhere() -> None:
    """The table is in force by then: the fault is not reported."""
    for address in (0, 8):
        accepted(changed(counters_at=address), f"counters at {address}")


def add_counters(values: list[int], name: bytes = b"filter", count: int | None = None, longer: int = 0) -> str:
    number = len(values) // 2 if count is None else count
    data = struct.pack("=32sI4x", name, number) + struct.pack(f"={len(values)}Q", *values)
    return blob.put(opened, blob.SET_ADD_COUNTERS, data, len(data) + longer)


@test
def adding_counters() -> None:
    reset()
    for _ in range(2):
        expect_equal(add_counters([7, 700, 0, 0, 2 ** 64 - 1, 2 ** 63, 0, 5]), "OK", "add")
    data = blob.entries(opened)[1]
    expect_equal(blob.counters(data),
                 [(14, 1400), (0, 0), (2 ** 64 - 2, 0), (0, 10)], "counters, of every entry")
    reset()


@test
def adding_counters_errors() -> None:
    reset()
    four = [1] * 8
    expect_equal(add_counters(four, longer=8), "EINVAL", "longer")
    expect_equal(add_counters(four, longer=-8), "EINVAL", "shorter")
    expect_equal(add_counters([], count=0), "EINVAL", "none")
    expect_equal(add_counters(four, count=5), "EINVAL", "count too large for the length")
    expect_equal(add_counters([1] * 10), "EINVAL", "one more than there are")
    expect_equal(add_counters([1] * 6), "EINVAL", "one less than there are")
    expect_equal(add_counters(four, count=0xFFFFFFFF), "EINVAL", "huge count")
    expect_equal(add_counters(four, name=b"nosuch"), "ENOENT", "unknown table")
    expect_equal(struct.unpack_from("=QQ", blob.entries(opened)[1], COUNTERS_AT), (0, 0), "counters")


@test
def adding_counters_makes_the_table() -> None:
    """Of a table that nobody has used yet, too: it is there then, with its first contents."""
    fresh = Namespace("fresh")
    with fresh:
        with blob.raw_socket() as own:
            head = struct.pack("=32sI4x", b"raw", 3)
            values = (3, 300, 0, 0, 0, 7)
            status = blob.put(own, blob.SET_ADD_COUNTERS, head + struct.pack("=6Q", *values))
            expect_equal(status, "OK", "as many as its first contents are")
            listed = blob.counters(blob.entries(own, table="raw")[1])
            expect_equal(listed, [(3, 300), (0, 0), (0, 7)], "counters")
            head = struct.pack("=32sI4x", b"security", 1)
            expect_equal(blob.put(own, blob.SET_ADD_COUNTERS, head + bytes(16)), "EINVAL", "too few")
    fresh.delete()


@test
def stale_requests() -> None:
    """Somebody else changed the table in between: try again, nothing is lost."""
    reset()
    first = with_input(entry(verdict(DROP)))
    first.num_counters = 4
    expect_equal(first.commit(opened), "OK", "first")
    second = with_input(entry(verdict(ACCEPT)), entry(verdict(ACCEPT)))
    second.num_counters = 4
    before = blob.entries(opened)
    expect_equal(second.commit(opened), "EAGAIN", "second, of the same view")
    expect_equal(blob.entries(opened), before, "table")
    expect_equal(blob.entries(opened, EMPTY)[0], "EAGAIN", "entries of the old size")
    reset()


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


# /proc

@test
def proc_files() -> None:
    directory = "/proc/self/net"
    for name in (f"{FAMILY.proc}_tables_{what}" for what in ("names", "matches", "targets")):
        info = os.stat(f"{directory}/{name}")
        expect_equal((stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid), (0o440, 0, 0), name)

    def lines(name: str) -> list[str]:
        with open(f"{directory}/{name}", encoding="ascii") as file:
            return file.read().splitlines()

    expect("filter" in lines(f"{FAMILY.proc}_tables_names"), "filter in names")
    for name in ("tcp", "udp", ICMP.decode()):
        expect(name in lines(f"{FAMILY.proc}_tables_matches"), f"{name} in matches")
    expect("ERROR" in lines(f"{FAMILY.proc}_tables_targets"), "ERROR in targets")
    expect("nosuch" not in lines(f"{FAMILY.proc}_tables_matches"), "nosuch in matches")


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
