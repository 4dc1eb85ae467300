#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""-j QUEUE: packets go to who listens to queue 0, and on as that one says."""

import socket
import subprocess
from typing import Iterator

from lib import iptables as tables
from lib.check import Skip, expect, expect_equal, main, test
from lib.family import current
from lib.iptables import Counter, Counters
from lib.netns import Namespace
from lib.nfqueue import ACCEPT, DROP, REPEAT, Listener, Packet

FAMILY = current()
HOOKS = {"INPUT": 1, "OUTPUT": 3}
SIZE = FAMILY.header + 8 + 5  # of what send() sends


class Space:
    """A namespace with a receiver on its loopback."""

    def __init__(self) -> None:
        if subprocess.run(["modprobe", "nfnetlink_queue"], capture_output=True, check=False).returncode:
            raise Skip("this kernel has no nfnetlink_queue")
        self.namespace = Namespace("queue", ipv6=True)
        self.namespace.ip(["link set lo up"])
        with self.namespace:
            self._receiver = socket.socket(FAMILY.af, socket.SOCK_DGRAM)
            self._receiver.bind(("127.0.0.1" if FAMILY.number == 4 else "::1", 0))
            self._receiver.settimeout(20)
            self._sender = socket.socket(FAMILY.af, socket.SOCK_DGRAM)

    def rules(self, *lines: str, table: str = "filter") -> None:
        with self.namespace:
            tables.restore(*lines, table=table)

    def counters(self, chain: str, table: str = "filter") -> list[Counter]:
        with self.namespace:
            return Counters(table=table).rules[chain]

    def send(self, data: bytes) -> str:
        """The errno's text, or nothing."""
        try:
            self._sender.sendto(data, self._receiver.getsockname())
        except OSError as error:
            return str(error.strerror)
        return ""

    def receive(self) -> bytes:
        return self._receiver.recv(100)

    def nothing_came(self) -> bool:
        self._receiver.setblocking(False)
        try:
            self._receiver.recv(100)
        except BlockingIOError:
            return True
        finally:
            self._receiver.settimeout(20)
        return False

    def listen(self) -> Listener:
        with self.namespace:
            return Listener()


_spaces: list[Space] = []


def space() -> Space:
    if not _spaces:
        _spaces.append(Space())
    return _spaces[0]


def seen(packet: Packet, hook: str, data: bytes) -> None:
    expect_equal((packet.hook, len(packet.data), packet.data[-5:]), (HOOKS[hook], SIZE, data), "the queued packet")


def each_hook() -> Iterator[str]:
    for hook in HOOKS:
        space().rules(f"-A {hook} -p udp -j QUEUE", f"-A {hook} -p udp")
        yield hook


@test
def accepted() -> None:
    """It waits, and goes on when it is let go, behind the table: no later rule sees it."""
    for hook in each_hook():
        with space().listen() as listener:
            expect_equal(space().send(b"first"), "", "send")
            packet = listener.next()
            seen(packet, hook, b"first")
            expect(space().nothing_came(), f"it did not wait, {hook}")
            listener.judge(packet, ACCEPT)
            expect_equal(space().receive(), b"first", f"what is received, {hook}")
        expect_equal(space().counters(hook), [Counter(1, SIZE), Counter(0, 0)], f"counters of {hook}")


@test
def dropped() -> None:
    for hook in each_hook():
        with space().listen() as listener:
            for data, verdict in ((b"first", DROP), (b"other", ACCEPT)):
                expect_equal(space().send(data), "", "send")
                packet = listener.next()
                seen(packet, hook, data)
                listener.judge(packet, verdict)
            expect_equal(space().receive(), b"other", f"what is received, {hook}")
            expect(space().nothing_came(), f"what was dropped came, {hook}")


@test
def repeated() -> None:
    """The hook is entered again: it is queued, and counted, once more."""
    for hook in each_hook():
        with space().listen() as listener:
            space().send(b"again")
            for verdict in (REPEAT, REPEAT, ACCEPT):
                packet = listener.next()
                seen(packet, hook, b"again")
                listener.judge(packet, verdict)
            expect_equal(space().receive(), b"again", f"what is received, {hook}")
        expect_equal(space().counters(hook), [Counter(3, 3 * SIZE), Counter(0, 0)], f"counters of {hook}")


@test
def only_what_the_rule_says() -> None:
    for hook in HOOKS:
        space().rules(f"-A {hook} -p tcp -j QUEUE", f"-A {hook} -p udp")
        with space().listen() as listener:
            expect_equal(space().send(b"other"), "", "send")
            expect_equal(space().receive(), b"other", f"what is received, {hook}")
            expect(not listener.waits(), f"it was queued, {hook}")
        expect_equal(space().counters(hook), [Counter(0, 0), Counter(1, SIZE)], f"counters of {hook}")


@test
def nobody_listens() -> None:
    """Then it is dropped, and counted; its sender is not told."""
    for hook in each_hook():
        expect_equal(space().send(b"first"), "", f"send, {hook}")
        expect(space().nothing_came(), f"it went through, {hook}")
        expect_equal(space().counters(hook), [Counter(1, SIZE), Counter(0, 0)], f"counters of {hook}")


@test
def from_a_user_chain() -> None:
    """And in another table: the ones behind it see what is let go."""
    space().rules("-A INPUT -j ACCEPT")
    space().rules("-A PREROUTING -p udp -j user", "-A user -p udp -j QUEUE", table="mangle")
    with space().listen() as listener:
        space().send(b"inner")
        packet = listener.next()
        expect_equal((packet.hook, packet.data[-5:]), (0, b"inner"), "the queued packet")
        listener.judge(packet, ACCEPT)
        expect_equal(space().receive(), b"inner", "what is received")
    expect_equal(space().counters("INPUT"), [Counter(1, SIZE)], "the next hook")
    expect_equal(space().counters("user", "mangle"), [Counter(1, SIZE)], "the rule")
    space().rules(table="mangle")


@test
def listener_goes() -> None:
    """What it has not judged is dropped."""
    for hook in each_hook():
        with space().listen() as listener:
            space().send(b"first")
            seen(listener.next(), hook, b"first")
        expect(space().nothing_came(), f"it went through, {hook}")


if __name__ == "__main__":
    main()
