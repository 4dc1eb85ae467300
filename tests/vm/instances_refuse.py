#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What the checks of the kernel's own matches and targets refuse: the same errors, and nothing has changed."""

import os
import signal
import struct
import subprocess

from lib import blob, iptables
from lib.blob import ACCEPT, RETURN, aligned, entry, match, target, verdict
from lib.check import expect_equal, main, test, test4, wait_for
from lib.family import current
from lib.iptables import RESTORE, must, run, save, try_iptables
from lib.netns import CLONE_NEWNET, unshare

unshare(CLONE_NEWNET)
FAMILY = current()
NAME = f"{'ip6' if FAMILY.number == 6 else 'ip'}tables"
EINVAL = f"{NAME}: Invalid argument. Run `dmesg' for more information.\n"
ENOENT = f"{NAME}: No chain/target/match by that name.\n"
ERANGE = f"{NAME}: Numerical result out of range.\n"
TO = f"--to-destination {FAMILY.address('10.0.0.1')}"

WRONG_HOOK = (
    "INPUT -m owner --uid-owner 0", "INPUT -j CLASSIFY --set-class 1:1", "INPUT -m policy --dir out --pol ipsec",
    "OUTPUT -m policy --dir in --pol ipsec", "OUTPUT -m physdev --physdev-out x",
    "OUTPUT -m mac --mac-source 00:00:00:00:00:01", "INPUT -m rpfilter", "OUTPUT -m socket",
    "INPUT -m addrtype --dst-type LOCAL --limit-iface-out", "OUTPUT -m addrtype --dst-type LOCAL --limit-iface-in",
    f"-t nat INPUT -j DNAT {TO}", "-t nat POSTROUTING -j REDIRECT", "-t nat PREROUTING -j MASQUERADE",
    "-t mangle INPUT -p tcp --syn -j TCPMSS --clamp-mss-to-pmtu")
WRONG_TABLE = ("FORWARD -j CT --notrack", "-t mangle FORWARD -j REJECT", "INPUT -j TOS --set-tos 4", "INPUT -j TRACE",
               f"INPUT -j DNAT {TO}")
WRONG_PROTOCOL = (
    "INPUT -m tcp --dport 1", "INPUT -p udp -m tcp --dport 1", "INPUT ! -p tcp -m tcp --dport 1",
    "INPUT -j REJECT --reject-with tcp-reset", "INPUT -p udp -j REJECT --reject-with tcp-reset",
    "INPUT -m tcpmss --mss 42", "-t mangle FORWARD -p tcp -j TCPMSS --set-mss 42",
    "-t mangle PREROUTING -j TCPOPTSTRIP --strip-options sack")
WRONG_VALUE = ("INPUT -j NFQUEUE --queue-balance 0:65535", "INPUT -m recent --name a/b --set",
               "INPUT -m cgroup --path wrong")
OUT_OF_RANGE = ("INPUT -m limit --limit 1/day --limit-burst 10000",)
NO_SUCH_OBJECT = ("INPUT -m nfacct --nfacct-name wrong", "-t raw PREROUTING -p tcp -j CT --helper wrong",
                  "-t raw PREROUTING -j CT --helper ftp",
                  "INPUT -m rateest --rateest wrong --rateest-lt --rateest-bps 1")
# A rule that is good, and whose check leaves something behind that must be taken back.
GOOD = "-m recent --name good --set -m limit --limit 3/sec"


def command(case: str) -> list[str]:
    """`iptables -t TABLE -A CHAIN rule` of [-t TABLE] CHAIN rule."""
    words = case.split()
    return words[:2] + ["-A"] + words[2:] if words[0] == "-t" else ["-A", *words]


def refused(case: str, errors: str) -> None:
    before = save(table="")
    done = run(iptables.IPTABLES, *command(case))
    expect_equal((done.status, done.output, done.errors), (1, "", errors), case)
    expect_equal(save(table=""), before, f"rules after {case}")


def all_refused(cases: tuple[str, ...], errors: str) -> None:
    for table in ("raw", "mangle", "nat", "filter"):
        iptables.restore(table=table)
    iptables.restore(f"-A INPUT {GOOD}")
    for case in cases:
        refused(case, errors)


@test
def wrong_hook() -> None:
    all_refused(WRONG_HOOK, EINVAL)


@test
def wrong_hook_by_a_jump() -> None:
    """A user chain is called from the hooks whose chains lead to it."""
    iptables.restore("-A FORWARD -j one", "-A one -j two", "-A two -p udp -j RETURN")
    refused("two -m owner --uid-owner 0", EINVAL)
    iptables.restore("-A OUTPUT -j one", "-A one -j two", "-A two -m owner --uid-owner 0")
    refused("INPUT -j one", EINVAL)
    refused("INPUT -g two", EINVAL)
    # Nobody calls it.
    iptables.restore("-A one -m owner --uid-owner 0")


@test
def wrong_table() -> None:
    all_refused(WRONG_TABLE, EINVAL)


@test
def wrong_protocol() -> None:
    all_refused(WRONG_PROTOCOL, EINVAL)


@test
def wrong_value() -> None:
    all_refused(WRONG_VALUE, EINVAL)


@test
def out_of_range() -> None:
    all_refused(OUT_OF_RANGE, ERANGE)


@test
def no_such_object() -> None:
    all_refused(NO_SUCH_OBJECT, ENOENT)


@test4
def set_that_is_not_there() -> None:
    """Asked by iptables before; and by the kernel, when it went in between."""
    must("ipset", "create", "gone", "hash:ip")
    iptables.restore("-A INPUT -m set --match-set gone src")
    with blob.raw_socket() as opened:
        entries = blob.entries(opened)[1]
    iptables.restore()
    must("ipset", "destroy", "gone")
    with blob.raw_socket() as opened:
        rule = bytearray(entries[:blob.next_offset(entries, 0)])
        expect_equal(blob.with_input(rule).commit(opened), "ENOENT", "a set that is gone")


@test
def owner_of_another_user_namespace() -> None:
    """Who asks must be of the user namespace that the network namespace belongs to: ids mean nothing otherwise."""
    with subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", "sleep", "1000"]) as child:
        try:
            own = os.readlink("/proc/self/ns/net")
            wait_for(lambda: os.readlink(f"/proc/{child.pid}/ns/net") != own and _mapped(child.pid), "the namespaces")
            rule = (iptables.IPTABLES, "-A", "OUTPUT", "-m", "owner", "--uid-owner", "0")
            done = run("nsenter", f"--net=/proc/{child.pid}/ns/net", *rule)
            expect_equal((done.status, done.errors), (1, EINVAL), "from outside")
            done = run("nsenter", f"--user=/proc/{child.pid}/ns/user", f"--net=/proc/{child.pid}/ns/net", *rule)
            expect_equal((done.status, done.errors), (0, ""), "from inside")
        finally:
            child.send_signal(signal.SIGKILL)


def _mapped(pid: int) -> bool:
    with open(f"/proc/{pid}/uid_map", encoding="ascii") as file:
        return bool(file.read().strip())


# By hand: what iptables would not send

def limit(average: int = 10000, burst: int = 5, size: int = 40) -> bytes:
    """struct xt_rateinfo"""
    return match(b"limit", struct.pack("=II", average, burst).ljust(size, b"\0"))


def mark(value: int = 1) -> bytes:
    return target(b"MARK", struct.pack("=II", value, 0xFFFFFFFF), 2)


def rule(matches: bytes = b"", what: bytes = b"") -> bytearray:
    return entry(what or verdict(ACCEPT), matches)


NOSUCH = rule(match(b"nosuch", b"\0" * 8))
NO_TARGET = rule(what=target(b"NOSUCH", b"\0" * 8))
WRONG_REVISION = rule(match(b"limit", b"\0" * 40, 9))
TOO_LARGE = rule(limit(0xFFFFFFFF, 0xFFFFFFFF))
WRONG_SIZE = rule(limit(size=48))
ERRORS = {"ENOENT": NOSUCH, "EPROTOTYPE": WRONG_REVISION, "ERANGE": TOO_LARGE, "EINVAL": WRONG_SIZE}


def answers(*rules: bytearray) -> str:
    with blob.raw_socket() as opened:
        return blob.with_input(*rules).commit(opened)


@test
def unknown_names() -> None:
    iptables.restore()
    for what, one in (("match", NOSUCH), ("target", NO_TARGET)):
        expect_equal(answers(one), "ENOENT", f"unknown {what}")
    expect_equal(answers(WRONG_REVISION), "EPROTOTYPE", "unknown revision")
    # A target is no match, and a match no target.
    expect_equal((answers(rule(match(b"MARK", b"\0" * 8, 2))), answers(rule(what=target(b"limit", b"\0" * 40)))),
                 ("ENOENT", "ENOENT"), "a target as a match, a match as a target")
    expect_equal(answers(rule(limit())), "OK", "a good one")


@test
def revisions() -> None:
    """What the kernel says when it is asked whether it has them."""
    with blob.raw_socket() as opened:
        for option, name, revision, expected in (
                (blob.GET_REVISION_MATCH, b"limit", 0, "OK"), (blob.GET_REVISION_MATCH, b"limit", 9, "EPROTONOSUPPORT"),
                (blob.GET_REVISION_MATCH, b"nosuch", 0, "ENOENT"), (blob.GET_REVISION_TARGET, b"MARK", 2, "OK"),
                (blob.GET_REVISION_TARGET, b"MARK", 9, "EPROTONOSUPPORT"),
                (blob.GET_REVISION_TARGET, b"MARK", 0, "EPROTONOSUPPORT"),
                (blob.GET_REVISION_TARGET, b"nosuch", 0, "ENOENT"), (blob.GET_REVISION_TARGET, b"REJECT", 0, "OK"),
                (blob.GET_REVISION_MATCH, b"REJECT", 0, "ENOENT")):
            asked = struct.pack("=29sB", name, revision)
            expect_equal(blob.get(opened, option, asked)[0], expected, f"{name.decode()} {revision}, {option}")


@test
def sizes() -> None:
    """Of a payload: neither more nor less."""
    iptables.restore()
    for size in (8, 32, 48, 400):
        expect_equal(answers(rule(match(b"limit", b"\1" * size))), "EINVAL", f"limit with {size} bytes")
    expect_equal(answers(rule(what=target(b"MARK", b"\0" * 16, 2))), "EINVAL", "MARK with 16 bytes")
    expect_equal(aligned(len(limit())), len(limit()), "a good one is aligned")


@test
def first_error_wins() -> None:
    """The rules are checked in their order, the matches of a rule in theirs, and its target last."""
    iptables.restore(f"-A INPUT {GOOD}")
    before = save(table="")
    good = rule(limit(), mark())
    iptables.restore(f"-A INPUT {GOOD}")
    for name, one in ERRORS.items():
        expect_equal(answers(good, one, good), name, f"{name} alone")
        for other in ERRORS.values():
            expect_equal(answers(good, one, other), name, f"{name} before another")
            expect_equal(answers(one, *[other] * 3, good), name, f"{name} before three others")
    expect_equal(save(table=""), before, "the rules")


@test
def order_within_a_rule() -> None:
    """A match is looked for and checked before the next one is looked for, and the target comes last."""
    iptables.restore()
    too_large, nosuch = limit(0xFFFFFFFF, 0xFFFFFFFF), match(b"nosuch", b"\0" * 8)
    no_target = target(b"NOSUCH", b"\0" * 8)
    for what, matches, target_, expected in (
            ("range, name", too_large + nosuch, b"", "ERANGE"), ("name, range", nosuch + too_large, b"", "ENOENT"),
            ("range, target's name", too_large, no_target, "ERANGE"),
            ("good, range", limit() + too_large, b"", "ERANGE"),
            ("match's name, target's name", nosuch, no_target, "ENOENT"),
            ("revision, name", match(b"limit", b"\0" * 40, 9) + nosuch, b"", "EPROTOTYPE"),
            ("size, target's name", limit(size=48), no_target, "EINVAL"),
            ("good, target's name", limit(), no_target, "ENOENT")):
        expect_equal(answers(rule(matches, target_)), expected, what)


@test
def structure_comes_first() -> None:
    """A table that is no table, or a loop, is refused before any name is looked for."""
    iptables.restore()
    nothing: list[bytearray] = []
    for names in (nothing, [NOSUCH]):
        loop = blob.with_input(*names, rule(what=verdict(1)), chains={b"one": [rule(what=verdict(1))]})
        inside = len(loop.rules) - 3
        for index in (len(names), inside):
            loop.rules[index] = rule(what=verdict(loop.offset(inside)))
        wrong = blob.with_input(*names)
        wrong.num_entries = 99
        with blob.raw_socket() as opened:
            expect_equal(loop.commit(opened), "ELOOP", f"a loop, {len(names)} unknown names")
            expect_equal(wrong.commit(opened), "EINVAL", f"a wrong number, {len(names)} unknown names")
    expect_equal(answers(rule(what=verdict(RETURN)), NOSUCH), "ENOENT", "an unknown name alone")


@test
def restore_with_several_errors() -> None:
    """iptables-restore says which line failed: COMMIT, whatever rule it was."""
    iptables.restore(f"-A INPUT {GOOD}")
    before = save(table="")
    wrong = {"nfacct": "-A INPUT -m nfacct --nfacct-name wrong", "owner": "-A INPUT -m owner --uid-owner 0",
             "limit": "-A INPUT -m limit --limit 1/day --limit-burst 10000"}
    for first in wrong:
        for second in wrong:
            text = iptables.ruleset(f"-A INPUT {GOOD}", wrong[first], wrong[second])
            done = run(RESTORE, stdin=text)
            expect_equal((done.status, done.errors), (1, f"{NAME}-restore: line {text.count(chr(10))} failed\n"),
                         f"{first}, then {second}")
    expect_equal(save(table=""), before, "the rules")
    expect_equal(try_iptables("-D INPUT 1").status, 0, "they can still be changed")


if __name__ == "__main__":
    main()
