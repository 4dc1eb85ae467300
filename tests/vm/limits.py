#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The limits of docs/limits.md, at them and beyond: an error with a reason, and the old rules stay.

Its other rows: matches and targets are module.unsupported_rules', the size of a request pipe_caller.lengths',
requests at a time the fairness suite's, the deadline helper_death.hung's and pipe_request.hang's, those of
the tap the stap suites'.
"""

import struct

from lib import blob, module, system
from lib import iptables as tables
from lib.blob import DROP, entry, error, match, verdict
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
    """Each with an address and a port of its own."""
    rules = []
    for one in range(number):
        ports = struct.pack("=4HB3x", 0, 65535, one % 60000, one % 60000, 0)
        rules.append(entry(verdict(DROP), match(b"udp", ports), protocol=UDP,
                           source=struct.pack(">II", 10 << 24 | one, 0xFFFFFFFF)))
    return rules


def called_chains(number: int) -> blob.Table:
    """Each called from INPUT by a rule of its own that does not match, but for the last one's."""
    names = [b"c%d" % one for one in range(number)]
    table = blob.with_input(*(entry(verdict(0), protocol=UDP if one == number - 1 else 200) for one in range(number)),
                            chains={name: [entry(verdict(DROP))] for name in names})
    jump = len(table.rules[0])
    head, body = len(entry(error())), len(entry(verdict(DROP)))
    chains = table.offset(number + 3) + head
    for one in range(number):
        struct.pack_into("=i", table.rules[one], jump - 8, chains + one * (head + 2 * body))
    return table


def drops_one(table: blob.Table, place: int) -> None:
    """It is taken; a datagram meets this entry, and is not delivered."""
    with pair().server:
        with blob.raw_socket() as opened:
            expect_equal(table.commit(opened), "OK", "REPLACE")
    expect_equal(pair().send(1), 0, "delivered")
    with pair().server:
        with blob.raw_socket() as opened:
            expect_equal(blob.counters(blob.entries(opened)[1])[place][0], 1, "packets at the last rule")
        tables.restore()
    expect_equal(pair().send(1), 1, "delivered afterwards")


@test
def rules_of_a_table() -> None:
    """A hundred thousand that do not match, and one that does; and as many as half of that, all equal."""
    needs_records()
    drop = entry(verdict(DROP), protocol=UDP)
    drops_one(blob.with_input(*many_rules(100000), drop), 100000)
    drops_one(blob.with_input(*[entry(verdict(DROP), protocol=200)] * 50000, drop), 50000)


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
            expect_equal(blob.with_input(*many_rules(150000)).commit(opened), "ENOMEM", "REPLACE")
        expect(any("bpfilter: " in line for line in system.kernel_log()[log:]), "the kernel log says nothing")
        expect_equal(tables.save(), before, "rules afterwards")
    expect_equal(pair().send(1), 0, "delivered afterwards")
    with pair().server:
        iptables("-F")


if __name__ == "__main__":
    main()
