#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Instances of a match and a target that do what none should, called by a helper that lies.

The helper is tests/kmod/fake_helper: its programs call the instances of the first rule one after
the other, until a match does not. The match and the target are tests/kmod/xt_hostile.
"""

import contextlib
import errno
import os
import signal
import socket
import struct
import subprocess
from typing import Callable, Iterator

from lib import blob, deaths, fake, hostile, iptables, module, system
from lib.blob import entry, verdict
from lib.caller import Child, fate, get_info, works
from lib.check import expect, expect_equal, main, test, wait_for
from lib.hostile import match, target
from lib.netns import CLONE_NEWNET, CLONE_NEWUSER, Namespace, sysctl, unshare

HOOKS = 0x0E
INPUT, OUTPUT = 1 << 1, 1 << 3


def begin(*orders: str) -> None:
    fake.fresh()
    hostile.load()
    works()
    order(*orders)


def order(*lines: str) -> None:
    fake.order("REPLACE check", *lines)


def put(*rules: bytearray) -> str:
    with blob.raw_socket() as opened:
        return blob.with_input(*rules).commit(opened)


def rule(*matches: bytes, to: bytes = target()) -> bytearray:
    return entry(to, b"".join(matches))


def drop_all() -> None:
    """A table without instances."""
    fake.order()
    expect_equal(put(), "OK", "a table without instances")
    order()


def checks() -> list[int]:
    return [line.fields["errno"] for line in fake.log("CHECK")]


def end() -> None:
    """Nothing of it is there when the table goes."""
    drop_all()
    hostile.live(0, "at the end")
    expect_equal(fate(), "passes", "a datagram at the end")


# The caller's part

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


# A helper that lies

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


# Ends

@test
def helpers_that_die() -> None:
    """Before the list, behind it, and with what was checked: the caller does not notice, or has its old table."""
    begin()
    expect_equal(put(rule(match())), "OK", "replace")
    for what, count in (("CHECK then_crash_once", 3), ("WALK crash_once", 3)):
        order(what)
        fake.forget()
        expect_equal(put(rule()), "OK", what)
        hostile.live(1, what)
        expect_equal(len(fake.log("REPLACE")), count, f"REPLACEs of {what}")
        os.unlink(f"{fake.DIRECTORY}/crashed")
    order("CHECK crash_then_nothing")
    expect_equal(put(rule(match())), "EIO", "a helper that asks for nothing, behind one that did")
    hostile.live(1, "what another helper asked for")
    for what in ("CHECK then_crash", "WALK crash"):
        order(what)
        expect_equal(put(rule(match(), match())), "EIO", f"{what}, always")
        hostile.live(1, what)
    order("WALK then_crash")
    expect_equal(put(rule(match())), "OK", "a helper that dies behind the commit")
    hostile.live(2, "a helper that dies behind the commit")
    fake.kill()
    works()
    expect_equal(fate(), "passes", "with another helper")
    hostile.live(2, "with another helper")
    end()


@test
def callers_that_are_killed() -> None:
    """While it was checked, or with what was checked: all is undone, the old table stays."""
    begin()
    expect_equal(put(rule(match())), "OK", "replace")
    order("WALK wait")
    fake.forget()
    child = Child(lambda: 0 if put(rule()) == "OK" else 1)
    fake.wait_for_line("REPLACE", 2)
    child.kill()
    expect_equal(child.result(), -signal.SIGKILL, "the caller")
    wait_for(lambda: hostile.get("live") == 2, "what was checked to go")
    order()
    expect_equal(fake.wait_for_line("WALK"), {"errno": errno.ECANCELED}, "commit")
    hostile.live(2, "behind it")
    expect_equal(get_info(), 0, "GET_INFO")
    order("WALK then_wait")
    fake.forget()
    child = Child(lambda: 0 if put(rule()) == "OK" else 1)
    fake.wait_for_line("WALK")
    child.kill()
    expect_equal(child.result(), -signal.SIGKILL, "the caller behind the commit")
    expect_equal(hostile.get("live"), 3, "instances while the helper has the request")
    order()
    wait_for(lambda: hostile.get("live") == 1, "the old instances to go")
    hostile.live(1, "behind it")
    end()


def user() -> int:
    """The number of what went wrong, or 0."""
    unshare(CLONE_NEWUSER | CLONE_NEWNET)

    def table(count: int) -> str:
        return put(*(rule(match()) for _ in range(count)))
    if table(1000) != "OK":
        return 1
    order("WALK then_wait")
    fake.forget()
    other = Child(lambda: 0 if table(1000) == "OK" else 1)
    fake.wait_for_line("WALK")
    other.kill()
    other.result()
    order()
    if fake.wait_for_line("write") != {"errno": errno.ENOENT} or hostile.get("live") != 4000:
        return 2
    fake.forget()
    # It destroys what it has made before it ends, so that is held up too.
    refused = Child(lambda: 0 if table(1001) == "ENOMEM" else 1)
    if fake.wait_for_line("WALK") != {"errno": errno.ENOMEM}:
        return 3
    hostile.put("hold", 0)
    if refused.result() != 0:
        return 3
    wait_for(lambda: hostile.get("live") == 2000, "what was left to go")
    return 0 if table(1001) == "OK" else 4


@test
def left_and_paid_for() -> None:
    """What killed callers leave behind is on their user's account until it is gone: two such tables are too much."""
    begin()
    with module.parameter("user_memory", 1):
        hostile.put("hold", 1)
        try:
            expect_equal(Child(user).result(), 0, "a user with tables of half of what he may have")
        finally:
            hostile.put("hold", 0)
    wait_for(lambda: hostile.get("live") == 0, "his namespace to go")
    end()


@test
def namespaces_that_go() -> None:
    begin()
    space = Namespace("instances")
    with space:
        expect_equal(get_info(), 0, "GET_INFO")
        order()
        expect_equal(put(rule(match(), match())), "OK", "replace")
        hostile.live(3, "in the namespace")
    space.delete()
    wait_for(lambda: hostile.get("live") == 0, "the namespace's instances to go")
    end()


@test
def swapped_under_traffic() -> None:
    """No packet finds one that is gone."""
    begin()
    child = os.fork()
    if child == 0:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while True:
                try:
                    sender.sendto(b"x", ("127.0.0.1", 9))
                except OSError:
                    pass
    for number in range(30):
        expect_equal(put(*(rule(match(), match()) for _ in range(number % 3 + 1))), "OK", f"replace {number}")
        hostile.live(3 * (number % 3 + 1), f"replace {number}")
    hostile.put("calls", 0)
    wait_for(lambda: hostile.get("calls") > 0, "calls")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    end()


@test
def modules_that_are_held() -> None:
    """xt_hostile while it is in force; then it can be removed at once, and so can ours."""
    begin()
    expect_equal(put(rule(match())), "OK", "replace")
    expect(not fake._rmmod("xt_hostile"), "xt_hostile was removed")  # pylint: disable=protected-access
    drop_all()
    expect(fake._rmmod("xt_hostile"), "xt_hostile cannot be removed")  # pylint: disable=protected-access
    fake.remove()


if __name__ == "__main__":
    main(at_end=fake.back)
