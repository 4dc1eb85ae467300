#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A match and a target that do what none should (tests/kmod/xt_hostile): what comes of them is the same."""

import errno
import socket
import struct

from lib import blob, hostile
from lib.blob import ACCEPT, DROP, entry, verdict
from lib.caller import fate
from lib.check import expect_equal, main, test
from lib.hostile import match, target
from lib.netns import CLONE_NEWNET, ip, unshare

unshare(CLONE_NEWNET)
ip(["link set lo up"])

QUEUE = 5 << 16 | hostile.QUEUE  # where nobody listens


def put(*rules: bytearray, hook: int = 3) -> str:
    with blob.raw_socket() as opened:
        return blob.of_table("filter", {hook: list(rules)}).commit(opened)


def counted() -> list[tuple[int, int]]:
    """By each rule of OUTPUT, without its policy."""
    with blob.raw_socket() as opened:
        return blob.counters(blob.entries(opened)[1])[2:-2]


def rule(*matches: bytes, to: bytes) -> bytearray:
    return entry(to, b"".join(matches))


def begin() -> None:
    expect_equal(put(), "OK", "an empty table")
    hostile.load()


def end() -> None:
    expect_equal(put(), "OK", "an empty table")
    hostile.live(0, "at the end")
    expect_equal(fate(), "passes", "a datagram at the end")


BEHIND = rule(to=verdict(ACCEPT))  # what came through is counted here


@test
def verdicts_and_counters() -> None:
    """By fate and by which rules count."""
    begin()
    for number, (one, expected, packets) in enumerate((
            (rule(match(), to=verdict(DROP)), "dropped", [1, 0]),
            (rule(match(hostile.OTHER), to=verdict(DROP)), "passes", [0, 1]),
            (rule(match(), match(hostile.OTHER), match(hostile.HOTDROP), to=verdict(DROP)), "passes", [0, 1]),
            (rule(match(), match(hostile.HOTDROP), to=verdict(ACCEPT)), "dropped", [0, 0]),
            # What wants a packet dropped and matches all the same lets its rule have its way first.
            (rule(match(hostile.HOTDROP_TOO), to=verdict(ACCEPT)), "dropped", [1, 0]),
            (rule(match(hostile.HOTDROP_TOO), match(), to=target(hostile.MOVE)), "dropped", [1, 0]),
            (rule(match(hostile.HOTDROP_TOO), to=target(verdict=hostile.ACCEPT)), "dropped", [1, 0]),
            (rule(match(hostile.HOTDROP_TOO), match(hostile.OTHER), to=verdict(ACCEPT)), "dropped", [0, 0]),
            (rule(match(hostile.OTHER), to=target(verdict=hostile.DROP)), "passes", [0, 1]),
            (rule(match(), to=target(verdict=hostile.DROP)), "dropped", [1, 0]),
            (rule(to=target(verdict=hostile.ACCEPT)), "passes", [1, 0]),
            (rule(to=target(verdict=QUEUE)), "lost", [1, 0]),
            (rule(to=target(verdict=QUEUE | hostile.BYPASS)), "passes", [1, 0]),
            (rule(to=target(hostile.STEAL)), "lost", [1, 0]),
            (rule(to=target(hostile.MOVE)), "passes", [1, 1]),
            (rule(match(hostile.LEAVE_WORD), to=target(hostile.FIND_WORD)), "passes", [1, 1]))):
        expect_equal(put(one, BEHIND), "OK", f"replace {number}")
        expect_equal(fate(2), expected, f"fate {number}")
        expect_equal([count for count, _ in counted()], packets, f"packets {number}")
        expect_equal(hostile.get("wrong"), 0, f"what must not be, {number}")
    end()


@test
def errors_of_a_verdict() -> None:
    """The sender sees them."""
    begin()
    expect_equal(put(rule(to=target(verdict=errno.EXFULL << 16))), "OK", "replace")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(b"x", ("127.0.0.1", 9))
            seen = 0
        except OSError as error:
            seen = error.errno or 0
    expect_equal(seen, errno.EXFULL, "errno of sendto")
    end()


@test
def length_as_the_next_rule_counts_it() -> None:
    begin()
    for act, more in ((hostile.LONGER, 4), (hostile.SHORTER, -4)):
        expect_equal(put(rule(to=target(act)), BEHIND), "OK", "replace")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(10)
            sender.sendto(b"12345678", receiver.getsockname())
            expect_equal(receiver.recv(100), (b"12345678" + b"x" * 4)[:8 + more], "datagram")
        expect_equal(counted(), [(1, 36), (1, 36 + more)], "counters")
    end()


@test
def sent_from_within() -> None:
    """The copy of each copy comes to the rule again, until there are three marks; what waits goes on then."""
    begin()
    marked = blob.match(b"mark", struct.pack("=IIB3x", 3, 0xffffffff, 0), 1)
    expect_equal(put(rule(marked, to=verdict(ACCEPT)), rule(to=target(hostile.SEND)), BEHIND), "OK", "replace")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        sender.sendto(b"x", receiver.getsockname())
        expect_equal([receiver.recv(10) for _ in range(4)], [b"x"] * 4, "datagrams")
    expect_equal([count for count, _ in counted()], [1, 3, 3], "packets")
    end()


def listing(data: bytes) -> str:
    """What a listing shows of that match, which was in the first rule of OUTPUT."""
    with blob.raw_socket() as opened:
        status, found = blob.entries(opened)
    expect_equal(status, "OK", "listing")
    at = found.index(data[:8])  # error, and what it does
    return found[at:at + blob.aligned(hostile.SIZE)].hex()


@test
def listings() -> None:
    """What the check wrote, up to what is shown, and zeros behind."""
    begin()
    expect_equal(put(rule(match(hostile.MOVE), to=target(hostile.SHORTER))), "OK", "replace")
    for data in (hostile.payload(hostile.MOVE), hostile.payload(hostile.SHORTER)):
        expect_equal(listing(data), hostile.shown(data, 1 << 3).hex(), "payload")
    end()


@test
def refusals() -> None:
    """By each check in turn, in the order of the rules; what came before is undone."""
    begin()
    rules = [rule(match(), match(), to=target()), rule(to=target()), rule(match(), to=verdict(ACCEPT)), BEHIND]
    expect_equal(put(rule(match(), to=verdict(DROP))), "OK", "replace")
    for nth in range(1, 7):
        hostile.put("checks", 0)
        hostile.put("fail_nth", nth)
        expect_equal(put(*rules), "EBADE" if nth <= 5 else "OK", f"failure {nth}")
        hostile.put("fail_nth", 0)
        hostile.live(1 if nth <= 5 else 5, f"failure {nth}")
    odd = blob.match(b"hostile", bytes(hostile.SIZE + 8))
    wrong = match(error=errno.EXFULL)
    for what, expected in (((rule(wrong, odd, to=verdict(ACCEPT)),), "EXFULL"),
                           ((rule(odd, wrong, to=verdict(ACCEPT)),), "EINVAL"),
                           ((rule(odd, to=blob.target(b"nothing", b"")),), "EINVAL"),
                           ((rule(match(), to=blob.target(b"nothing", b"")),), "ENOENT"),
                           ((rule(match(), to=odd),), "EINVAL"),
                           ((rule(blob.match(b"hostile", hostile.payload(), 9), to=verdict(ACCEPT)),), "EPROTOTYPE"),
                           ((rule(wrong, to=verdict(ACCEPT)), rule(odd, to=verdict(ACCEPT))), "EXFULL"),
                           ((rule(wrong, to=verdict(ACCEPT)), rule(to=verdict(8))), "ELOOP")):
        expect_equal(put(*what), expected, expected)
        hostile.live(5, expected)
    end()


if __name__ == "__main__":
    main()
