#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Instances that a helper asks for, and calls, as it may not."""

import contextlib
import errno
import struct
import subprocess
from typing import Iterator

from lib import blob, fake, hostile, iptables, system
from lib.blob import entry, verdict
from lib.caller import fate
from lib.check import expect_equal, main, test
from lib.hostile import match, target
from lib.hostile_rules import INPUT, OUTPUT, begin, checks, end, order, put, rule
from lib.netns import sysctl


@test
def lists_that_are_refused() -> None:
    begin()
    expect_equal(put(rule(match())), "OK", "replace")
    rules = (rule(match()), rule(match()))
    size = len(b"".join(bytes(one) for one in blob.with_input(*rules).rules))
    whole = len(rules[0])
    for what in (*(f"offset {number}" for number in (4, 8, whole - 8, whole + 8, size, size + 8, -8, -4, 2 ** 31 - 8)),
                 *(f"end {number}" for number in (8, 64, 112, 136, 144)), "same", "backwards", "hooks 1", "hooks 16",
                 "hooks 32", "hooks -1", "count -1", f"count {size // 112 + 1}", "error -5", "error 4096"):
        order(f"CHECK {what}")
        fake.forget()
        expect_equal(put(*rules), "EBADMSG", what)
        expect_equal(checks(), [errno.EINVAL], what)
        hostile.live(2, what)
    for what, error in (("unmapped", errno.EFAULT), ("other_id", errno.ENOENT)):
        order(f"CHECK {what}")
        fake.forget()
        expect_equal(put(*rules), "EBADMSG", what)
        expect_equal(checks(), [error], what)
    order("CHECK twice")
    expect_equal(put(*rules), "OK", "a second list in the place of the first")
    hostile.live(4, "a second list")
    order("CHECK count 0")
    expect_equal(put(*rules), "OK", "an empty list")
    hostile.live(0, "an empty list")
    end()


@test
def wrong_requests() -> None:
    """To check what was checked is refused; nor is it in force without a commit."""
    begin()
    order("WALK check")
    expect_equal(put(rule(match())), "OK", "checked twice")
    expect_equal(checks()[1:], [errno.EINVAL], "the second check")
    for what, error, commit in (("nothing", "EIO", []), ("small 7", "EINVAL", [errno.EINVAL]),
                                ("reroute", "EINVAL", [errno.EINVAL])):
        order(f"WALK {what}")
        fake.forget()
        expect_equal(put(rule()), error, what)
        expect_equal([line.fields["errno"] for line in fake.log("WALK")], commit, what)
        hostile.live(2, what)
    order("WALK fail 5")
    expect_equal(put(rule()), "OK", "an error behind the commit")
    hostile.live(1, "an error behind the commit")
    end()


@contextlib.contextmanager
def traced() -> Iterator[system.KernelLog]:
    """What is sent here is; the kernel's log from now on."""
    subprocess.run(["modprobe", "nf_log_syslog"], check=True)
    iptables.must("nft", "-f", "-", stdin=(
        "add table inet tracing\nadd chain inet tracing out { type filter hook output priority -400; }\n"
        "add rule inet tracing out meta nftrace set 1\n"))
    sysctl("net/netfilter/nf_log_all_netns", 1)
    try:
        with system.KernelLog() as log:
            yield log
    finally:
        sysctl("net/netfilter/nf_log_all_netns", 0)
        iptables.must("nft", "delete", "table", "inet", "tracing")


def names(log: system.KernelLog) -> set[str]:
    return {line.split()[1] for line in log.read() if line.startswith("TRACE:")}


@test
def lies_about_what_counted() -> None:
    """Of a traced packet. What there is is called as ip_tables calls it, and of the rest no line says anything else."""
    begin()
    # INPUT has entries 0 and 1, FORWARD 2, OUTPUT 3; 4 is the last one.
    nothing = "filter:ERROR:rule:0"
    with traced() as log:
        for number, expected in ((-1, set()), (-2, set()), (0, {nothing, "filter:INPUT:rule:1"}),
                                 (3 * 16, {"filter:OUTPUT:policy:1", "filter:INPUT:policy:4"}),
                                 *((number, {nothing}) for number in (4 * 16, 99 * 16, 2 ** 31 - 1, -16, -3))):
            order(f"WALK counted {number}")
            expect_equal(put(rule(match())), "OK", "replace")
            expect_equal(fate(), "passes", f"counted {number}")
            expect_equal(names(log), expected, f"counted {number}")
    end()


@test
def entries_that_are_none() -> None:
    """That a helper has taken all the same: the names end with what can be read, and within it."""
    begin()
    with traced() as log:
        for what, at, value in (("a size of 0", 90, 0), ("a size beyond the end", 90, 0xFFF8),
                                ("a target in the head", 88, 8), ("a target behind the end", 88, 0xFFF8),
                                ("an odd target", 88, 113)):
            order("CHECK count 1", "WALK counted 64")
            bad = rule(match())
            struct.pack_into("=H", bad, at, value)
            expect_equal(put(rule(match()), bad), "OK", what)
            expect_equal(fate(), "passes", what)
            names(log)
        order("WALK counted 32")
        long = entry(blob.target(b"ERROR", b"x" * 32))
        expect_equal(put(rule(match()), long, rule()), "OK", "a name without an end")
        expect_equal(fate(), "passes", "a name without an end")
        expect_equal(names(log), {"filter:ERROR:rule:0", f"filter:{'x' * 29}:rule:1"}, "a name without an end")
    end()


@test
def code_that_calls() -> None:
    """Code may have instances, for what they hold, and call none: the packet is dropped."""
    begin()
    order("WALK plain")
    expect_equal(put(rule(match())), "OK", "replace")
    hostile.live(2, "as code")
    hostile.put("calls", 0)
    expect_equal(fate(), "dropped", "a call")
    expect_equal(hostile.get("calls"), 0, "calls")
    end()


@test
def calls_that_are_none() -> None:
    """Of numbers that are not there, for ever, from a hook that it is not for: the packet is dropped."""
    begin()
    for root in (2, 3, 0xFFFF):
        order(f"WALK root {root | 1 << 16}")
        expect_equal(put(rule(match())), "OK", "replace")
        expect_equal(fate(), "dropped", f"a call of instance {root}")
    order("WALK root 0")
    expect_equal(put(rule(match())), "OK", "replace")
    hostile.put("calls", 0)
    expect_equal(fate(), "dropped", "a call for ever")
    expect_equal(hostile.get("calls"), (1 << 20) - 1, "calls")
    with traced():
        hostile.put("calls", 0)
        expect_equal(fate(), "dropped", "a call for ever, of a traced packet")
        expect_equal(hostile.get("calls"), (1 << 20) - 1, "calls, of a traced packet")
    order(f"CHECK hooks {INPUT}")
    expect_equal(put(rule(match())), "OK", "replace")
    hostile.put("calls", 0)
    expect_equal(fate(), "dropped", "a call from another hook")
    expect_equal(hostile.get("calls"), 0, "calls from another hook")
    order(f"CHECK hooks {INPUT | OUTPUT}")
    expect_equal(put(rule(match())), "OK", "replace")
    expect_equal(fate(), "passes", "a call from its hooks")
    end()


@test
def packets_of_another_protocol() -> None:
    """A rule that was checked for TCP is not there for others, whatever the program says."""
    begin()
    for protocol, inverted, calls in ((6, 0, 0), (17, 0, 2), (17, 0x40, 0), (6, 0x40, 2)):
        expect_equal(put(entry(target(verdict=hostile.ACCEPT), protocol=protocol, inverted=inverted)), "OK", "replace")
        hostile.put("calls", 0)
        expect_equal(fate(), "passes", "a datagram")
        expect_equal(hostile.get("calls"), calls, f"calls, protocol {protocol}, inverted {inverted}")
    end()


@test
def tables_at_another_place() -> None:
    """What is the nat core's is not called by others, nor with another priority."""
    begin()
    for name in (b"nat", b"mangle", b"raw", b"security", b"another"):
        table = blob.with_input(rule())
        table.name, table.num_counters = name, 4
        fake.forget()
        with blob.raw_socket() as opened:
            expect_equal(table.commit(opened), "EINVAL", f"table {name.decode()}")
        expect_equal([line.fields["errno"] for line in fake.log("WALK")], [errno.EINVAL], f"commit of {name.decode()}")
        hostile.live(0, name.decode())
    end()


if __name__ == "__main__":
    main(at_end=fake.back)
