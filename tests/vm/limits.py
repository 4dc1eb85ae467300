#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The limits of docs/limits.md, at them and beyond: an error with a reason, and the old rules stay.

Its other rows: matches and targets are module.unsupported_rules', the size of a request pipe_caller.lengths',
requests at a time the fairness suite's, the deadline helper_death.hung's and pipe_request.hang's, those of
the tap the stap suites'.
"""

import struct

from lib import blob, helper, module, system
from lib import iptables as tables
from lib.blob import DROP, RETURN, entry, error, match, verdict
from lib.check import Skip, expect, expect_equal, expect_in, main, test
from lib.iptables import Counters, iptables, try_iptables
from lib.packet import UDP
from lib.pair import Pair

DEPTH = 4095  # of the stack of chains
LOOPS = 23  # 2 to this are as many chains as one packet may enter

_pairs: list[Pair] = []


def pair() -> Pair:
    system.only_ours()
    if not _pairs:
        _pairs.append(Pair())
    return _pairs[0]


def nested(depth: int) -> list[str]:
    """Chains, each of which leads to the next; the last one drops."""
    return ["-A INPUT -p udp -j c1", *(f"-A c{n} -j c{n + 1}" for n in range(1, depth)), f"-A c{depth} -j DROP"]


@test
def depth_of_chains() -> None:
    with pair().server:
        tables.restore(*nested(DEPTH), f"-A c{DEPTH + 1} -j DROP")
    expect_equal(pair().send(2), 0, "delivered through as many chains as there may be")
    with pair().server:
        counters = Counters().rules
        expect_equal({counters[f"c{n}"][0].packets for n in (1, DEPTH // 2, DEPTH)}, {2}, "packets in the chains")
        before = tables.save()
        log = len(system.kernel_log())
        done = try_iptables(f"-I c{DEPTH} 1 -j c{DEPTH + 1}")
        expect_equal(done.status, 1, "status of one more")
        expect_in("Memory allocation problem", done.errors, "the reason")
        expect(any(f"{DEPTH + 1} deep, more than {DEPTH}" in line for line in system.kernel_log()[log:]),
               "the kernel log says nothing")
        expect_equal(tables.save(), before, "rules afterwards")
    expect_equal(pair().send(1), 0, "delivered afterwards")
    with pair().server:
        tables.restore()


def doubling(levels: int) -> list[str]:
    """Chains, each of which leads twice to the next: a packet enters 2 to that many, less two."""
    lines = ["-A INPUT -p udp -j c1", "-A INPUT -p udp -j c1"]
    for level in range(1, levels - 1):
        lines += [f"-A c{level} -j c{level + 1}"] * 2
    return [*lines, f"-A c{levels - 1} -p tcp -j DROP"]


@test
def chains_entered_by_a_packet() -> None:
    """Most of what is allowed is let through, more is dropped."""
    for levels, delivered in ((16, 1), (LOOPS + 1, 0)):
        with pair().server:
            tables.restore(*doubling(levels))
        expect_equal(pair().send(1), delivered, f"delivered, with {2 ** levels - 2} chains")
    with pair().server:
        tables.restore()
    expect_equal(pair().send(1), 1, "delivered afterwards")


def many_rules(number: int) -> list[bytearray]:
    """Each with an address and a port of its own. They differ from one in two places, and are made fast."""
    ports = struct.pack("=4HB3x", 0, 65535, 0, 0, 0)
    first = entry(verdict(DROP), match(b"udp", ports), protocol=UDP, source=b"\0\0\0\0\xff\xff\xff\xff")
    at = len(entry(b"")) + len(match(b"udp", b""))
    rules = []
    for one in range(number):
        rule = bytearray(first)
        struct.pack_into(">I", rule, 0, 10 << 24 | one)
        struct.pack_into("=HH", rule, at + 4, one % 60000, one % 60000)
        rules.append(rule)
    return rules


def called_chains(number: int) -> blob.Table:
    """Each called from INPUT by a rule of its own that does not match, but for the last one's."""
    jump, head, drop, foot = (entry(what, protocol=protocol) for what, protocol in
                              ((verdict(0), 200), (error(), 0), (verdict(DROP), 0), (verdict(RETURN), 0)))
    name_at = len(head) - len(error()) + 32
    chains = number * len(jump) + 3 * len(drop) + len(head)
    table = blob.with_input()
    calls, bodies = [], []
    for one in range(number):
        call, begin = bytearray(jump), bytearray(head)
        struct.pack_into("=i", call, len(call) - 8, chains + one * (len(head) + len(drop) + len(foot)))
        struct.pack_into("30s", begin, name_at, b"c%d" % one)
        calls.append(call)
        bodies += [begin, drop, foot]
    calls[-1] = entry(calls[-1][-len(verdict(0)):], protocol=UDP)
    table.rules[-1:-1] = bodies
    table.rules[:0] = calls
    table.hooks = {1: (0, number), 2: (number + 1, number + 1), 3: (number + 2, number + 2)}
    return table


def drops_one(table: blob.Table, place: int) -> None:
    """It is taken; a datagram meets this entry, and is not delivered. What iptables makes of it is not asked: it
    would take its time."""
    with pair().server, blob.raw_socket() as opened:
        expect_equal(table.commit(opened), "OK", "REPLACE")
    expect_equal(pair().send(1), 0, "delivered")
    with pair().server, blob.raw_socket() as opened:
        status, listing = blob.entries(opened)
        expect_equal(status, "OK", "GET_ENTRIES")
        counters = struct.unpack_from("=QQ", listing, table.offset(place) + len(entry(b"")) - 16)
        expect_equal(counters[0], 1, "packets at the last rule")
        expect_equal(blob.plain().commit(opened), "OK", "REPLACE with nothing")
    expect_equal(pair().send(1), 1, "delivered afterwards")


@test
def rules_of_a_table() -> None:
    """A hundred thousand that do not match, and one that does; and thirty thousand that are all equal."""
    needs_records()
    drop = entry(verdict(DROP), protocol=UDP)
    drops_one(blob.with_input(*many_rules(100000), drop), 100000)
    drops_one(blob.with_input(*[entry(verdict(DROP), protocol=200)] * 30000, drop), 30000)


@test
def chains_of_a_table() -> None:
    number = 60000
    needs_records()
    drops_one(called_chains(number), number + 3 + 3 * number - 2)


def needs_records() -> None:
    if system.form() == "code":
        raise Skip("so much is for records alone")


@test
def rules_in_one_program() -> None:
    """As code there can be no more than the verifier takes: ENOMEM, a line in the kernel log, and the old rules
    stay."""
    with pair().server:
        tables.restore("-A INPUT -p udp -j DROP")
        before = tables.save()
        log = len(system.kernel_log())
        with module.parameter("form", "code"), blob.raw_socket() as opened:
            expect_equal(blob.with_input(*many_rules(60000)).commit(opened), "ENOMEM", "REPLACE")
        expect(any("bpfilter: " in line for line in system.kernel_log()[log:]), "the kernel log says nothing")
        expect_equal(tables.save(), before, "rules afterwards")
    expect_equal(pair().send(1), 0, "delivered afterwards")
    with pair().server:
        iptables("-F")


def longest_rules(number: int) -> list[bytearray]:
    """Each asks for fifteen ports, as often as there is room for it."""
    ports = struct.pack("=BB15H15xB", 2, 15, *range(0, 150, 10), 0)
    return [entry(verdict(DROP), match(b"multiport", ports, 1) * 800, protocol=UDP)] * number


@test
def work_on_one_request() -> None:
    """What takes longer than half of the deadline: ENOMEM for who asks, and a line in the kernel log; the helper and
    the old rules stay."""
    with pair().server:
        tables.restore("-A INPUT -p udp -j DROP")
        before = tables.save()
        alive = helper.all_alive()
        log = len(system.kernel_log())
        with module.parameter("deadline", 6), blob.raw_socket() as opened:
            expect_equal(blob.with_input(*longest_rules(400)).commit(opened), "ENOMEM", "REPLACE")
        expect(any("bpfilter: " in line for line in system.kernel_log()[log:]), "the kernel log says nothing")
        expect_equal(helper.all_alive(), alive, "the helper")
        expect_equal(tables.save(), before, "rules afterwards")
    expect_equal(pair().send(1), 0, "delivered afterwards")
    with pair().server:
        iptables("-F")


if __name__ == "__main__":
    main()
