#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket options themselves, but SET_REPLACE (sockopt_replace.py): sizes, who may ask, errnos, counters.

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
from lib.attempts import COUNTERS_AT, EMPTY, ICMP, Attempts, changed
from lib.blob import ACCEPT, DROP, FAMILY, FILTER_HOOKS, STANDARD, UNUSED, entry, error, plain, verdict, with_input
from lib.check import expect, expect_equal, main, test, test4, test6
from lib.netns import CLONE_NEWNET, Namespace, unshare

MAP_NORESERVE = 0x4000

unshare(CLONE_NEWNET)
opened = blob.raw_socket()
attempts = Attempts(opened)
accepted, reset = attempts.accepted, attempts.reset


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


if __name__ == "__main__":
    main()
