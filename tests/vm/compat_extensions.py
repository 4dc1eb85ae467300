#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""32-bit callers and the matches and targets that the kernel itself checks and runs."""

import concurrent.futures
import functools
import shutil
import socket
import struct
import subprocess
import threading
from typing import NamedTuple

from lib import compat
from lib.check import expect, expect_equal, main
from lib.compat import DROP, V4, Caller, Layout, Rule, Table
from lib.narrow import Callers, begin, both, refused

begin()

# Of their structures in the kernel; of limit's what 32-bit callers have, which is another one: 28 bytes, not 40.
SIZES = {b"limit": 28, b"conntrack": 164, b"mark": 12, b"MARK": 8, b"LOG": 32, b"REJECT": 4, b"comment": 256,
         b"multiport": 48, b"tcp": 12, b"udp": 10, b"recent": 228, b"DNAT": 44, b"": 4, b"ERROR": 30, b"NOTRACK": 0, b"TRACE": 0}
FILTER = ["-A INPUT -m limit --limit 5/min --limit-burst 7 -m mark ! --mark 0x1/0xff -j LOG --log-prefix x:",
          "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j one", "-A INPUT -j MARK --set-mark 3",
          "-A INPUT -p udp -m multiport --dports 1,2:3 -m comment --comment text -j REJECT", "-A INPUT -j one",
          "-A one -p tcp -m limit --limit 1/hour -m tcp --dport 80:443 -j REJECT --reject-with tcp-reset",
          "-A one -m recent --set --name there", "-A one -g two", "-A two -j LOG"]
NAT = {4: "-A PREROUTING -p tcp -m limit --limit 1/hour -j DNAT --to-destination 10.0.0.1-10.0.0.9:80-90",
       6: "-A PREROUTING -p tcp -m limit --limit 1/hour -j DNAT --to-destination [fd00::1-fd00::9]:80-90"}


class Use(NamedTuple):
    """Of an extension. Of a payload, what a caller gave; what the kernel keeps behind it is its own affair."""
    name: bytes
    revision: int
    size: int
    payload: bytes


def _use(name: bytes, revision: int, payload: bytes) -> Use:
    given = {b"limit": 8, b"": 0}.get(name, SIZES[name])  # jumps go elsewhere
    return Use(name, revision, len(payload), payload[:given])


def uses(data: bytes, layout: Layout) -> list[list[Use]]:
    """Of each entry, its matches and its target."""
    every, at = [], 0
    while at < len(data):
        end, = struct.unpack_from("=H", data, at + layout.family.conditional + 6)
        entry, begin_ = [], layout.entry
        while begin_ < end:
            size, name, revision = struct.unpack_from("=H29sB", data, at + begin_)
            entry.append(_use(name.split(b"\0")[0], revision, data[at + begin_ + 32:at + begin_ + size]))
            begin_ += size
        expect_equal(begin_, end, "where an entry ends")
        every.append(entry)
        at += end
    expect_equal(at, len(data), "where the entries end")
    return every


def narrowed(wide: list[list[Use]]) -> list[list[Use]]:
    """As a 32-bit caller is to be shown what a 64-bit one is."""
    return [[use._replace(size=(SIZES[use.name] + 3) & -4) for use in entry] for entry in wide]


def restore(callers: Callers, *lines: str) -> None:
    name = callers.family.iptables
    subprocess.run([shutil.which(f"{name}-legacy-restore") or f"{name}-restore"], input="\n".join([*lines, ""]), text=True,
                   check=True)


class Seen(NamedTuple):
    """A table as a caller sees it."""
    hooks: int
    entry: list[int]
    underflow: list[int]
    number: int
    data: bytes


def see(caller: Caller, table: bytes) -> Seen:
    hooks, entry, underflow, number, size = caller.info(table)
    head = caller.entries_head(size, table)
    answer = caller.ask(False, compat.ENTRIES, head, len(head) + size)
    expect_equal(answer.status, "OK", f"entries, {caller.layout.bits} bits")
    return Seen(hooks, entry, underflow, number, answer.data[len(head):])


def write(caller: Caller, table: bytes, seen: Seen) -> None:
    sent = caller.replace(Table(), name=table, hooks=seen.hooks, data=seen.data, num_entries=seen.number,
                          num_counters=seen.number, hook_entry=seen.entry, underflow=seen.underflow)
    expect_equal(sent.status, "OK", f"replace, {caller.layout.bits} bits")


def there_and_back(callers: Callers, table: bytes) -> None:
    """What 64 bits wrote is read with 32, written so, and read by both again."""
    narrow, wide = callers.narrow, callers.wide
    before, listing = see(wide, table), callers.listing(table.decode())
    seen = see(narrow, table)
    expect_equal(uses(seen.data, narrow.layout), narrowed(uses(before.data, wide.layout)), "read with 32 bits")
    write(narrow, table, seen)
    expect_equal(uses(see(wide, table).data, wide.layout), uses(before.data, wide.layout), "64 bits")
    expect_equal(see(wide, table)._replace(data=b""), before._replace(data=b""), "hooks, 64 bits")
    expect_equal(uses(see(narrow, table).data, narrow.layout), uses(seen.data, narrow.layout), "32 bits")
    expect_equal(callers.listing(table.decode()), listing, "what iptables lists")
    write(wide, table, before)
    expect_equal(uses(see(narrow, table).data, narrow.layout), uses(seen.data, narrow.layout), "32 bits, of 64 bits")


@both
def filter_rules(callers: Callers) -> None:
    restore(callers, "*filter", ":one - [0:0]", ":two - [0:0]", *FILTER, "COMMIT")
    there_and_back(callers, b"filter")


@both
def nat_rules(callers: Callers) -> None:
    restore(callers, "*nat", NAT[4 if callers.family == V4 else 6], "COMMIT")
    there_and_back(callers, b"nat")


@both
def they_are_called(callers: Callers) -> None:
    """What a 32-bit caller wrote has an effect, and both read the same counters."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    restore(callers, "*filter", "-A OUTPUT -p udp -m udp --dport 9 -m limit --limit 1/hour --limit-burst 2",
            "-A OUTPUT -p udp -m udp --dport 9 -j MARK --set-mark 5", "-A OUTPUT -m mark --mark 5", "COMMIT")
    write(callers.narrow, b"filter", see(callers.narrow, b"filter"))
    with socket.socket(callers.family.family, socket.SOCK_DGRAM) as sender:
        for _ in range(5):
            sender.sendto(b"x", ("127.0.0.1" if callers.family == V4 else "::1", 9))
    for caller in (callers.narrow, callers.wide):
        packets, at, layout = [], 0, caller.layout
        data = see(caller, b"filter").data
        while at < len(data):
            packets.append(struct.unpack_from("=Q", data, at + layout.counters)[0])
            at += struct.unpack_from("=H", data, at + layout.family.conditional + 6)[0]
        expect_equal(packets[2:5], [2, 5, 5], f"packets, {layout.bits} bits")


def raw_table(callers: Callers, *rules: Rule) -> bytes:
    """What the table has, with these behind its two hooks, where nothing comes to them: no foot, no ERROR."""
    wide = callers.wide
    data = [rule.render(wide.layout, {}) for rule in (Rule(), Rule(), *rules)]
    hooks = [0, 0, 0, len(data[0]), 0]
    number = wide.info(b"raw")[3]
    sent = wide.replace(Table(), name=b"raw", hooks=1 << 0 | 1 << 3, data=b"".join(data), num_entries=len(data),
                        num_counters=number, hook_entry=hooks, underflow=hooks)
    expect_equal(sent.status, "OK", "replace, 64 bits")
    return b"".join(data)


@both
def targets_without_bytes(callers: Callers) -> None:
    """At the end of a table; there is nothing behind them to be read."""
    for name in (b"NOTRACK", b"TRACE"):
        raw_table(callers, Rule((name, b"")))
        there_and_back(callers, b"raw")


# Behind memory of whole pages, of the largest that the kernel maps and more than it has in one piece, there is none.
HOLE, COMMENTS = 3 << 21, 200


def up_to_a_hole(layout: Layout, last: Rule) -> list[Rule]:
    """Rules with which a table of two hooks, which ends with that one, has so many bytes."""
    def filler(comments: int) -> Rule:
        return Rule((b"NOTRACK", b""), ((b"comment", b"x" * 256),) * comments)

    def size(*rules: Rule) -> int:
        return sum(len(rule.render(layout, {})) for rule in rules)

    room = HOLE - size(Rule(), Rule(), last)
    long = room // size(filler(COMMENTS)) - 1
    room -= long * size(filler(COMMENTS))
    comment = size(filler(1)) - size(filler(0))
    plain, short, comments = next((plain, short, rest // comment) for short in (2, 3) for plain in range(comment)
                                  if (rest := room - plain * size(Rule()) - short * size(filler(0))) % comment == 0)
    shorts = [filler(comments // short)] * (short - 1)
    return [*[filler(COMMENTS)] * long, *[Rule()] * plain, *shorts, filler(comments - comments // short * (short - 1))]


@both
def a_target_without_bytes_before_a_hole(callers: Callers) -> None:
    """At the end of a listing behind which is nobody's memory, in the kernel either."""
    last = Rule((b"NOTRACK", b""))
    data = raw_table(callers, *up_to_a_hole(callers.wide.layout, last), last)
    expect_equal(len(data), HOLE, "bytes")
    expect_equal(uses(see(callers.narrow, b"raw").data, callers.narrow.layout),
                 narrowed(uses(data, callers.wide.layout)), "32 bits")


A, B = (Table({"INPUT": first, "FORWARD": second}) for first, second in
        (([compat.tcp(times=3)], [compat.udp()]), ([compat.udp()], [compat.tcp(times=3)])))


@both
def info_of_one_table(callers: Callers) -> None:
    """Whoever replaces it by another one of the same size meanwhile."""
    known = []
    for table in (A, B):
        expect_equal(callers.wide.replace(table).status, "OK", "replace")
        known.append(callers.narrow.info())
    expect(known[0] != known[1] and known[0][4] == known[1][4], f"two tables of one size: {known}")
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            for table in (A, B):
                expect_equal(callers.wide.replace(table).status, "OK", "replace")

    with concurrent.futures.ThreadPoolExecutor() as executor:
        changing = executor.submit(change)
        try:
            for _ in range(50):
                seen = callers.narrow.info()
                expect(seen in known, f"{seen}: neither of {known}")
        finally:
            done.set()
        changing.result()


LIMIT = struct.pack("=2I", 10000, 5).ljust(SIZES[b"limit"], b"\0")


@both
def errors(callers: Callers) -> None:
    check = functools.partial(refused, callers)

    def matching(payload: bytes) -> Table:
        return Table({"INPUT": [Rule(DROP, ((b"limit", payload),))]})

    expect_equal(callers.narrow.replace(matching(LIMIT)).status, "OK", "limit")
    callers.reset()
    check(matching(LIMIT + b"\0" * 12), "EINVAL", "limit as 64-bit callers have it")
    check(matching(b""), "EINVAL", "limit without a payload")
    check(matching(LIMIT[:-4]), "EINVAL", "limit, too small")
    check(Table({"INPUT": [Rule((b"LOG", b"\0" * 36))]}), "EINVAL", "LOG, too large")
    check(Table({"INPUT": [Rule((b"LOG", b"\x09".ljust(32, b"\0")))]}), "EINVAL", "a level that there is not")
    check(Table({"INPUT": [Rule((b"LOG", b"\x09".ljust(32, b"\0"))), Rule((b"NOSUCH", b"\0" * 4))]}), "ENOENT",
          "a target that there is not, behind what is wrong")


def where_unknown(callers: Callers) -> None:
    """They write and read these as 64-bit callers do."""
    restore(callers, "*filter", ":one - [0:0]", ":two - [0:0]", *FILTER, "COMMIT")
    other, before = Caller(callers.wide.layout, 32), see(callers.wide, b"filter")
    expect_equal(see(other, b"filter"), before, "read with 32 bits")
    write(other, b"filter", before)
    expect_equal(see(callers.wide, b"filter"), before, "written with 32 bits")


both(where_unknown, known=False)

if __name__ == "__main__":
    main()
