#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""32-bit callers: the same tables in another layout, with 64-bit callers beside them.

Debian's 6.12 has none of it any more (CONFIG_NETFILTER_XTABLES_COMPAT): to ip_tables there, and so to
us, they are callers like all others.
"""

import functools
import shutil
import subprocess

from lib import compat
from lib.check import expect, expect_equal, main
from lib.compat import ACCEPT, DROP, V4, Caller, Layout, Rule, Table, error, tcp, udp
from lib.narrow import Callers, begin, both, refused

begin()

JUMPS = Table({"INPUT": [tcp("web", times=2), udp("web"), Rule(DROP)], "OUTPUT": [Rule("out", protocol=6)]},
              {"out": [tcp("web"), Rule(DROP)], "web": [Rule(ACCEPT, protocol=17), tcp(DROP)]})
LISTED = ["-N out", "-N web", "-A INPUT -p tcp -m tcp --dport 80:443 -m tcp --dport 80:443 -j web",
          "-A INPUT -p udp -m udp --sport 53 -j web", "-A INPUT -j DROP", "-A OUTPUT -p tcp -j out",
          "-A out -p tcp -m tcp --dport 80:443 -j web", "-A out -j DROP",
          "-A web -p udp -j ACCEPT", "-A web -p tcp -m tcp --dport 80:443 -j DROP"]


@both
def fresh_table(callers: Callers) -> None:
    """Hooks that the table does not have are 0xffffffff less the difference of the sizes."""
    size, step, less = (620, 148, 12) if callers.family == V4 else (828, 200, 28)
    unused = 0xFFFFFFFF - less
    hooks = [unused, 0, step, 2 * step, unused]
    expect_equal(callers.narrow.info(), (0x0E, hooks, hooks, 4, size), "info")
    expect_equal(callers.wide.info()[4], size + less, "what a 64-bit caller is told")
    rendered = Table().render(callers.narrow.layout)
    expect_equal(callers.narrow.listed().hex(), rendered.entries.hex(), "entries")


@both
def written_by_32_bits(callers: Callers) -> None:
    expect_equal(callers.narrow.replace(JUMPS).status, "OK", "replace")
    for caller in (callers.narrow, callers.wide):
        rendered = JUMPS.render(caller.layout)
        what = f"{caller.layout.bits} bits"
        expect_equal(caller.listed().hex(), rendered.entries.hex(), f"entries, {what}")
        _, entries, underflows, number, size = caller.info()
        expect_equal((entries[1:4], underflows[1:4]), (rendered.hook_entry[1:4], rendered.underflow[1:4]), what)
        expect_equal((number, size), (len(rendered.offsets) - 1, len(rendered.entries)), what)
    expect_equal(callers.listing(), LISTED, "what iptables lists")


@both
def written_by_64_bits(callers: Callers) -> None:
    expect_equal(callers.narrow.replace(JUMPS).status, "OK", "replace")
    before = callers.narrow.entries()
    expect_equal(callers.wide.replace(JUMPS).status, "OK", "replace, 64 bits")
    expect_equal(callers.narrow.entries(), before, "what a 32-bit caller sees of it")


@both
def sent_back(callers: Callers) -> None:
    """What iptables made, read and written by a 32-bit caller, is what it was."""
    name = callers.family.iptables
    restore = shutil.which(f"{name}-legacy-restore") or f"{name}-restore"
    rules = "\n".join(["*filter", ":out - [0:0]", ":web - [0:0]", *LISTED[2:], "COMMIT", ""])
    subprocess.run([restore], input=rules, text=True, check=True)
    before = callers.wide.entries()
    seen = callers.narrow.entries().data
    _, entries, underflows, number, _ = callers.narrow.info()
    sent = callers.narrow.replace(Table(), data=seen, hook_entry=entries, underflow=underflows, num_entries=number)
    expect_equal(sent.status, "OK", "replace")
    expect_equal(callers.wide.entries(), before, "entries, 64 bits")
    expect_equal(callers.narrow.entries().data, seen, "entries, 32 bits")
    expect_equal(callers.listing(), LISTED, "what iptables lists")


@both
def entries_errors(callers: Callers) -> None:
    size = callers.narrow.info()[4]
    head = callers.narrow.entries_head(size)
    for length in (0, 35, 36, 36 + size - 1, 36 + size + 1, 40 + size):
        expect_equal(callers.narrow.ask(False, compat.ENTRIES, head, length).status, "EINVAL", f"length {length}")
    for stale in (size - 4, size + 4, callers.wide.info()[4]):
        expect_equal(callers.narrow.entries(stale).status, "EAGAIN", f"size {stale}")
    unknown = callers.narrow.entries_head(size, b"nosuch")
    expect_equal(callers.narrow.ask(False, compat.ENTRIES, unknown, 36 + size).status, "ENOENT", "unknown table")
    bad = callers.narrow.ask(False, compat.ENTRIES, head, 36 + size, address=8)
    expect_equal(bad.status, "EFAULT", "bad address")
    expect_equal(callers.narrow.ask(False, compat.INFO, b"filter".ljust(84, b"\0"), 80).status, "EINVAL", "info")


# Counters

@both
def counters(callers: Callers) -> None:
    """Added by a 32-bit caller behind a header of 36 bytes; exactly as many are given back."""
    values = [1, 10, 2, 20, 3, 30, 2 ** 64 - 1, 2 ** 40]
    expect_equal(callers.narrow.add_counters(values), "OK", "add")
    expect_equal(callers.wide.add_counters(values), "OK", "add, 64 bits")
    doubled = [2 * value % 2 ** 64 for value in values]
    for caller in (callers.narrow, callers.wide):
        data, layout = caller.entries().data, caller.layout
        offsets = Table().render(layout).offsets[:4]
        seen = [word for at in offsets for word in compat.words(data[at + layout.counters:at + layout.entry])]
        expect_equal(seen, doubled, f"listed, {layout.bits} bits")
    answer = callers.narrow.replace(JUMPS)
    expect_equal(answer.status, "OK", "replace")
    expect_equal(compat.words(answer.counters[:64]), doubled, "old counters")
    expect_equal(answer.counters[64:], b"\xaa" * 16, "what is behind them")
    expect_equal(callers.narrow.replace(Table(), counters_at=8).status, "OK", "counters to nowhere")


@both
def counters_errors(callers: Callers) -> None:
    add = callers.narrow.add_counters
    four = [1] * 8
    expect_equal(add(four, length=36 + 64 + 4), "EINVAL", "longer")
    expect_equal(add(four, length=36 + 64 - 4), "EINVAL", "shorter")
    expect_equal(add(four, length=36), "EINVAL", "header alone")
    expect_equal(add(four, count=5), "EINVAL", "count too large")
    expect_equal(add([1] * 6), "EINVAL", "too few")
    expect_equal(add(four, name=b"nosuch"), "ENOENT", "unknown table")


# Errnos of SET_REPLACE

@both
def header_errors(callers: Callers) -> None:
    check = functools.partial(refused, callers, Table())
    size = len(Table().render(callers.narrow.layout).entries)
    check("EINVAL", "shorter than its header", length=91)
    check("EINVAL", "shorter than it says", length=92 + size - 1)
    check("EINVAL", "no counters", num_counters=0)
    check("ENOMEM", "too many counters", num_counters=0x7FFFFFF)
    check("EAGAIN", "counters of another table", num_counters=7)
    check("ENOENT", "unknown table", name=b"nosuch")
    check("EINVAL", "hooks of another table", hooks=0x0F)
    check("EINVAL", "one entry less", num_entries=3)
    check("EINVAL", "one entry more", num_entries=5)
    check("EINVAL", "no number of entries", num_entries=0)
    check("EINVAL", "more entries than can be", num_entries=0x10000000)
    check("EINVAL", "no entries, unknown table", num_entries=0, data=b"", hooks=0, name=b"nosuch")
    step = callers.narrow.layout.entry + 36
    for slot in ("hook_entry", "underflow"):
        for wrong in (4, size, 0x10000, 0xFFFFFFFF):
            check("EINVAL", f"{slot} {wrong}", **{slot: [0, wrong, step, 2 * step, 0]})


@both
def hooks_wrap_around(callers: Callers) -> None:
    """Offsets have 32 bits: one that ends at 0 when it is translated is the first entry's."""
    growth = callers.wide.layout.entry + 40 - callers.narrow.layout.entry - 36
    rendered = Table().render(callers.narrow.layout)
    hooks = [0, 2 ** 32 - growth, *rendered.hook_entry[2:]]
    expect_equal(callers.narrow.replace(Table(), hook_entry=hooks).status, "OK", "replace")
    expect_equal(callers.narrow.info()[1][1], 0, "hook_entry")


@both
def extension_errors(callers: Callers) -> None:
    """What no extension is called is found on the first walk, before all that is EINVAL to others."""
    policy = Table()
    policy.rules["INPUT"] = [Rule((b"NOSUCH", b"\0" * 8))]
    hooks = policy.render(callers.narrow.layout)
    check = functools.partial(refused, callers)
    check(policy, "ENOENT", "unknown target")
    check(policy, "ENOENT", "unknown target for a policy", underflow=[0, 0, *hooks.underflow[2:]])
    check(policy, "ENOENT", "unknown target, wrong number", num_entries=1)
    expect_equal(callers.wide.replace(policy, underflow=[0, 0, *policy.render(callers.wide.layout).underflow[2:]])
                 .status, "EINVAL", "the same of a 64-bit caller")
    check(with_input(Rule((b"A" * 29, b"\0" * 8))), "EINVAL", "name without end")
    check(with_input(Rule(DROP, ((b"nosuchm", b"\0" * 8),))), "ENOENT", "unknown match")
    check(with_input(Rule(DROP, ((b"tcp", compat.XT_TCP),))), "EINVAL", "tcp without -p tcp")
    check(with_input(Rule(DROP, ((b"tcp", compat.XT_TCP + b"\0" * 4),), 6)), "EINVAL", "tcp as 64-bit callers have it")
    check(with_input(Rule(DROP, ((b"tcp", compat.XT_TCP[:8]),), 6)), "EINVAL", "tcp, too small")
    check(with_input(Rule((b"", b"\xff" * 8))), "EINVAL", "verdict as 64-bit callers have it")
    check(with_input(Rule((b"ERROR", b"x\0".ljust(34, b"\0")))), "EINVAL", "larger ERROR target")
    check(with_input(Rule((b"ERROR", b"x" * 30))), "EINVAL", "name of a chain without end")
    slack = error("x")
    slack.slack = 8
    check(with_input(slack), "EINVAL", "room behind a target")
    check(with_input(tcp(DROP)), "EINVAL", "an entry that is not aligned to 4",
          data=misaligned(callers, with_input(tcp(DROP))))


def with_input(*rules: Rule) -> Table:
    return Table({"INPUT": list(rules)})


def misaligned(callers: Callers, table: Table) -> bytes:
    """The first entry ends 2 bytes later than it should."""
    layout = callers.narrow.layout
    rendered = table.render(layout)
    data = bytearray(rendered.entries)
    data[layout.family.conditional + 6] += 2
    return bytes(data[:rendered.offsets[1]] + b"\0\0" + data[rendered.offsets[1]:-2])


@both
def jumps(callers: Callers) -> None:
    first = JUMPS.render(callers.narrow.layout)
    check = functools.partial(refused, callers)
    head = first.offsets[7]  # INPUT 0-3, FORWARD 4, OUTPUT 5-6, out 7-10
    expect(callers.narrow.replace(jump(head)).status == "OK", "jump to the head of a chain")
    callers.reset()
    for what, offset in (("into the head of a chain", head + 4), ("into a rule", head + 100),
                         ("to the end", first.offsets[-1]), ("far away", 0x7FFFFF00)):
        check(jump(offset), "ELOOP", f"jump {what}")
    check(jump(0), "EINVAL", "jump to offset 0")
    check(jump(0x7FFFFFFF), "EINVAL", "jump to what is negative when it is translated")
    check(Table({"INPUT": [Rule("a")]}, {"a": [tcp("b")], "b": [Rule("a")]}), "ELOOP", "two chains in a circle")


def jump(offset: int) -> Table:
    return Table({**JUMPS.rules, "INPUT": [tcp(offset, times=2), udp("web"), Rule(DROP)]}, JUMPS.chains)


@both
def jumps_that_nothing_reaches(callers: Callers) -> None:
    """They are as wrong as they were, and come back."""
    table = Table(chains={"a": [tcp(301)], "b": [tcp(0x7FFFFF00), tcp("b")]})
    expect_equal(callers.narrow.replace(table).status, "OK", "replace")
    expect_equal(callers.narrow.listed().hex(), table.render(callers.narrow.layout).entries.hex(), "entries")


def where_unknown(callers: Callers) -> None:
    """They speak as 64-bit callers do, or are not understood."""
    other = Caller(callers.wide.layout, 32)
    expect_equal(other.replace(JUMPS).status, "OK", "replace")
    for what, caller in (("32 bits", other), ("64 bits", callers.wide)):
        rendered = JUMPS.render(callers.wide.layout)
        expect_equal(caller.listed().hex(), rendered.entries.hex(), f"entries, {what}")
        expect_equal(caller.info()[4], len(rendered.entries), f"size, {what}")
    expect_equal(other.add_counters([1] * 2 * other.info()[3]), "OK", "counters")
    expect_equal(callers.narrow.entries(other.info()[4]).status, "EINVAL", "entries, in a layout of 32 bits")
    expect_equal(callers.narrow.replace(JUMPS).status, "EINVAL", "replace, in a layout of 32 bits")
    expect_equal(callers.narrow.add_counters([1] * 2 * other.info()[3]), "EINVAL", "counters, in a layout of 32 bits")


both(where_unknown, known=False)

if __name__ == "__main__":
    main()
