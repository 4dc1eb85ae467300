#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Instances of a match and a target that do what none should: what the caller is told, and what packets find."""

import errno
import socket
from typing import Callable

from lib import blob, fake, hostile
from lib.caller import Child, fate
from lib.check import expect_equal, main, test
from lib.hostile import match, target
from lib.hostile_rules import HOOKS, INPUT, OUTPUT, begin, checks, end, order, put, rule


@test
def checked_and_called() -> None:
    """Each once for each hook that it comes to; the second REPLACE brings what a listing shows."""
    begin()
    expect_equal(put(rule(match(), match())), "OK", "replace")
    hostile.live(3, "in force")
    hostile.put("calls", 0)
    expect_equal(fate(), "passes", "a datagram")
    expect_equal(hostile.get("calls"), 6, "calls at OUTPUT and INPUT")
    sizes = [line.fields["size"] for line in fake.log("REPLACE")]
    expect_equal((len(sizes), len(set(sizes))), (2, 1), "REPLACEs, and their sizes")
    expect_equal(fake.wait_for_line("WALK"), {"errno": 0}, "commit")
    end()


@test
def payload_as_listed() -> None:
    """What came again, and comes in a REPLAY, is what a listing shows."""
    begin()
    asked, to = hostile.payload(), hostile.payload(verdict=hostile.ACCEPT)
    name = b"hostile\0" + b"n" * 21  # what is behind the NUL is not shown
    table = rule(blob.match(name, asked), to=blob.target(b"hostile", to))
    expect_equal(put(table), "OK", "replace")
    with open(f"{fake.DIRECTORY}/checked", "rb") as file:
        data = file.read()
    head = blob.REPLACE + blob.ENTRY + 32
    expect_equal(data[blob.REPLACE + blob.ENTRY:head], blob.match(b"hostile", bytes(hostile.SIZE))[:32], "its head")
    expect_equal(data[head:head + 40], hostile.shown(asked, HOOKS), "the match")
    expect_equal(data[head + 72:head + 112], hostile.shown(to, HOOKS), "the target")
    end()


@test
def refused_half_way() -> None:
    """By each of the checks of a table in turn: all that came before is undone, the old table stays."""
    begin()
    expect_equal(put(rule(match())), "OK", "replace")
    rules = [rule(match(), match()), rule(), rule(match())]
    for nth in range(1, 8):
        hostile.put("checks", 0)
        hostile.put("fail_nth", nth)
        expect_equal(put(*rules), "EBADE" if nth <= 6 else "OK", f"failure {nth}")
        hostile.put("fail_nth", 0)
        hostile.live(2 if nth <= 6 else 6, f"failure {nth}")
    for place in range(6):
        one = [match(), match(), target(), target(), match(), target()]
        one[place] = match(error=errno.EXFULL) if place in (0, 1, 4) else target(error=errno.EXFULL)
        rules = [rule(*one[:2], to=one[2]), rule(to=one[3]), rule(one[4], to=one[5])]
        expect_equal(put(*rules), "EXFULL", f"error at {place}")
    hostile.live(6, "behind errors")
    end()


@test
def errors_of_x_tables() -> None:
    """As ip_tables has them, and in the order of the rules."""
    begin()
    odd = blob.match(b"hostile", bytes(hostile.SIZE + 8))
    for what, error in ((rule(blob.match(b"nothing", b"")), "ENOENT"),
                        (rule(to=blob.target(b"nothing", b"")), "ENOENT"),
                        (rule(blob.match(b"hostile", hostile.payload(), 9)), "EPROTOTYPE"),
                        (rule(blob.match(b"h" * 29, b"")), "EINVAL"),
                        (rule(odd), "EINVAL"), (rule(to=odd), "EINVAL")):
        expect_equal(put(what), error, bytes(what[blob.ENTRY:blob.ENTRY + 40]).hex())
        hostile.live(0, error)
    expect_equal(put(rule(match(error=errno.EXFULL)), rule(odd)), "EXFULL", "the first of two errors")
    expect_equal(put(rule(odd), rule(match(error=errno.EXFULL))), "EINVAL", "the first of two errors")
    end()


@test
def what_the_helper_found_behind() -> None:
    """Its error comes when all else is well, and takes all back; one that no caller sees is another."""
    begin()
    for number, error in ((errno.ELOOP, "ELOOP"), (errno.ECHILD, "EIO"), (errno.EPIPE, "EIO"), (4095, "EIO")):
        order(f"CHECK error {number}")
        expect_equal(put(rule(match())), error, f"error {number}")
        hostile.live(0, error)
    expect_equal(put(rule(match(error=errno.EXFULL))), "EXFULL", "an error before it")
    end()


# What they do to packets

@test
def verdicts() -> None:
    begin()
    queue = 5 << 16 | hostile.QUEUE
    for what, expected in ((rule(match(hostile.OTHER), to=target(verdict=0)), "passes"),
                           (rule(match(), match(hostile.HOTDROP)), "dropped"),
                           (rule(to=target(verdict=hostile.DROP)), "dropped"),
                           (rule(to=target(verdict=hostile.ACCEPT)), "passes"),
                           (rule(to=target(verdict=queue | hostile.BYPASS)), "passes"),
                           (rule(to=target(verdict=queue)), "lost"),
                           (rule(to=target(hostile.MOVE)), "passes"),
                           (rule(match(hostile.LEAVE_WORD), match(hostile.FIND_WORD)), "passes"),
                           (rule(match(hostile.LEAVE_WORD), to=target(hostile.FIND_WORD)), "passes")):
        expect_equal(put(what), "OK", "replace")
        expect_equal(fate(2), expected, bytes(what[blob.ENTRY:]).hex())
        expect_equal(hostile.get("wrong"), 0, "what must not be")
    end()


def received(send: Callable[[socket.socket, tuple[str, int]], object], count: int = 1) -> list[bytes]:
    """What comes of it, up to so many datagrams; all that was sent behind them came too."""
    kind = (socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(*kind) as receiver, socket.socket(*kind) as sender:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        send(sender, receiver.getsockname())
        return [receiver.recv(100) for _ in range(count)]


@test
def packets_of_another_length() -> None:
    """Longer or shorter at each hook."""
    begin()
    for act, expected in ((hostile.LONGER, b"12345678xxxxxxxx"), (hostile.SHORTER, b"")):
        expect_equal(put(rule(to=target(act))), "OK", "replace")
        expect_equal(received(lambda sender, to: sender.sendto(b"12345678", to)), [expected], "datagram")
    hostile.live(1, "at the end")
    end()


@test
def stolen_packets() -> None:
    """Nobody learns of it, and nothing is touched."""
    begin()
    expect_equal(put(rule(to=target(hostile.STEAL))), "OK", "replace")
    hostile.put("calls", 0)
    expect_equal(fate(1), "lost", "a stolen datagram")
    expect_equal(hostile.get("calls"), 1, "calls")
    end()


@test
def sent_from_within() -> None:
    """Each copy is sent from within the hook that has the one before; what would be too deep is dropped."""
    begin()
    order(f"CHECK hooks {OUTPUT}")
    expect_equal(put(rule(to=target(hostile.SEND))), "OK", "replace")
    order(f"CHECK hooks {HOOKS}")
    hostile.put("sent", 0)
    hostile.put("calls", 0)
    child = Child(lambda: 0 if fate(1) else 1)
    expect_equal(child.result(), 0, "a datagram")
    # At OUTPUT four are under way, and the fourth's copy is dropped; INPUT may not call.
    expect_equal((hostile.get("calls"), hostile.get("sent")), (4, 4), "calls at OUTPUT, and copies")
    expect_equal(put(rule(match())), "OK", "replace")
    expect_equal(fate(), "passes", "a datagram behind it")
    end()


if __name__ == "__main__":
    main(at_end=fake.back)
