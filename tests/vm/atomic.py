#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tables replaced under traffic, by several at once: no packet uncounted or let through, no half table."""

import multiprocessing
import os
import socket
import struct
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Callable

from lib import blob
from lib.blob import ACCEPT, DROP, entry, verdict
from lib.check import expect_equal, main, test, wait_for
from lib.family import BOTH, CHAINS, Family
from lib.iptables import must
from lib.netns import Namespace
from lib.packet import UDP
from lib.pair import PORT, Pair

IN, OUT = 1, 3
LOCAL = {4: "127.0.0.1", 6: "::1"}
ROUNDS = 30  # replacements of each table
LEAST = 300  # packets of each sender
fork = multiprocessing.get_context("fork")


class Sender:
    """A process that sends datagrams until it is told to stop, on a processor of its own if it can."""

    def __init__(self, number: int, send: Callable[[], bool]) -> None:
        self._mine, other = fork.Pipe()
        self._process = fork.Process(target=self._work, args=(number, send, other), daemon=True)
        self._process.start()
        other.close()
        self._mine.recv()

    @staticmethod
    def _work(number: int, send: Callable[[], bool], pipe: Connection) -> None:
        os.sched_setaffinity(0, {number % (os.cpu_count() or 1)})
        sent = passed = 0
        while sent < LEAST or not pipe.poll():
            passed += send()
            sent += 1
            if sent == 1:
                pipe.send("started")
        pipe.send((sent, passed))

    def stop(self) -> tuple[int, int]:
        """How many datagrams were sent, and how many of those the kernel let out."""
        self._mine.send("stop")
        result: tuple[int, int] = self._mine.recv()
        self._process.join()
        return result


def datagrams(family: Family, to: str, port: int) -> Callable[[], bool]:
    """Opens a socket here; what is returned sends one datagram and says whether it may."""
    sender = socket.socket(family.af, socket.SOCK_DGRAM)

    def send() -> bool:
        try:
            sender.sendto(b"", (to, port))
        except PermissionError:
            return False
        except ConnectionRefusedError:
            return True  # about an earlier one
        return True

    return send


def loopback() -> Namespace:
    space = Namespace("atomic", ipv6=True)
    space.ip(["link set lo up"])
    return space


class Filter:
    """A filter table that is replaced again and again. One rule gives all UDP of a hook this
    verdict; others, that never match, stand before it."""

    def __init__(self, family: Family, hook: int, target: int) -> None:
        self.family = family
        self.opened = blob.raw_socket(family)
        self._hook = hook
        self._target = target
        self._index = 0
        self.packets = self.bytes = 0
        self.replace(0)
        self.packets = self.bytes = 0

    def _add(self, packets: int, size: int) -> None:
        self.packets += packets
        self.bytes += size

    def replace(self, others: int) -> None:
        """What the old table had counted is added to what we know."""
        rules = [entry(verdict(DROP), protocol=200 + number % 50, family=self.family) for number in range(others)]
        rules.append(entry(verdict(self._target), protocol=UDP, family=self.family))
        table = blob.of_table("filter", {self._hook: rules}, self._target, self.family)
        expect_equal(table.commit(self.opened), "OK", f"IPv{self.family.number} replacement by {others} rules")
        self._add(*struct.unpack_from("=QQ", table.old.raw, 16 * self._index))
        self._index = table.hooks[self._hook][1] - 1

    def zero_by_iptables(self) -> None:
        """`iptables -L -Z` lists what it is about to forget; what comes in between is kept."""
        chain = CHAINS[self._hook]
        listing = must(self.family.iptables, "-L", chain, "-Z", "-v", "-x", "-n").splitlines()[2:]
        for line in listing:
            words = line.split()
            if words and words[0].isdigit():  # and not "Zeroing chain"
                self._add(int(words[0]), int(words[1]))

    def finish(self) -> tuple[int, int]:
        """All that was counted, with what stands in the table now."""
        self._add(*blob.counters(blob.entries(self.opened)[1], self.family)[self._index])
        self.opened.close()
        return self.packets, self.bytes


SIZES = (0, 100, 3, 40, 70, 90, 1, 12)  # of either form


@test
def every_packet_is_counted_once() -> None:
    """Four processes send while both tables are replaced, listed and zeroed: nothing is lost or counted twice."""
    space = loopback()
    with space:
        filters = [Filter(family, OUT, ACCEPT) for family in BOTH]
        senders = [[Sender(number, datagrams(one.family, LOCAL[one.family.number], 9)) for number in range(2)]
                   for one in filters]
        for number in range(ROUNDS):
            for one in filters:
                one.replace(SIZES[number % len(SIZES)])
                if number % 12 == 5:
                    one.zero_by_iptables()
                if number % 8 == 1:
                    must(one.family.save, "-c")
        for one, pair in zip(filters, senders):
            sent = sum(sender.stop()[0] for sender in pair)
            expect_equal(one.finish(), (sent, sent * (one.family.header + 8)),
                         f"IPv{one.family.number}, {sent} packets")
    space.delete()


@test
def every_packet_from_outside_is_counted_once() -> None:
    """The same for packets that arrive, on all processors: as many as the stack has received."""
    for family in BOTH:
        pair = Pair(family)
        with pair.server:
            one = Filter(family, IN, DROP)
        before = pair.received_by_server()
        with pair.flood(PORT + 1), pair.flood(PORT + 2):
            wait_for(lambda: pair.received_by_server() > before + LEAST, "traffic")
            with pair.server:
                for number in range(ROUNDS):
                    one.replace(SIZES[number % len(SIZES)])
        received = pair.received_by_server() - before
        with pair.server:
            expect_equal(one.finish(), (received, received * (family.header + 8)), f"IPv{family.number}")
        pair.close()


@test
def nothing_passes_while_replacing() -> None:
    """Old and new table drop all; so does what is between them."""
    space = loopback()
    with space:
        filters = [Filter(family, OUT, DROP) for family in BOTH]
        senders = [Sender(number, datagrams(one.family, LOCAL[one.family.number], 9))
                   for number in range(2) for one in filters]
        for number in range(ROUNDS):
            for one in filters:
                one.replace(SIZES[number % len(SIZES)])
        for sender in senders:
            sent, passed = sender.stop()
            expect_equal(passed, 0, f"packets let out, of {sent}")
        for one in filters:
            one.finish()
    space.delete()


@test
def nothing_comes_in_while_replacing() -> None:
    for family in BOTH:
        pair = Pair(family)
        with pair.server:
            one = Filter(family, IN, DROP)
        before = pair.received_by_server()
        with pair.flood(PORT):
            wait_for(lambda: pair.received_by_server() > before, "traffic")
            with pair.server:
                for number in range(ROUNDS):
                    one.replace(SIZES[number % len(SIZES)])
            wait_for(lambda: pair.received_by_server() > before + LEAST, "traffic")
        expect_equal(pair.receive(), 0, f"IPv{family.number} datagrams delivered")
        with pair.server:
            one.finish()
        pair.close()


def tagged(family: Family, tag: int) -> blob.Table:
    """A table that can be told from others, and from a mixture: `tag` rules, each with it."""
    return blob.of_table("mangle", {4: [entry(verdict(DROP), protocol=200, nfcache=tag, family=family)
                                        for _ in range(tag)]}, family=family)


def write_tables(family: Family, first: int, pipe: Connection) -> None:
    """ROUNDS tables, each tried until nobody else was faster."""
    with blob.raw_socket(family) as opened:
        late = 0
        for number in range(ROUNDS):
            while (status := tagged(family, first + number % 7 * 3).commit(opened)) == "EAGAIN":
                late += 1
            if status != "OK":
                pipe.send(f"REPLACE: {status}")
                return
        pipe.send(f"OK {late}")


def read_tables(family: Family, pipe: Connection) -> None:
    """List until told to stop. A listing is one of the tables written, or it is "try again"."""
    wrong = ""
    seen: set[int] = set()
    with blob.raw_socket(family) as opened:
        while not pipe.poll() or not seen:
            status, data = blob.entries(opened, None, "mangle")
            if status == "EAGAIN":
                continue
            tags = [struct.unpack_from("=I", data, offset + len(family.ip_part()))[0]
                    for offset in range(0, len(data) - family.error(), family.standard())]
            rules = tags[4:-1]
            if status != "OK" or tags[:4] + tags[-1:] != [0] * 5 or rules != [len(rules)] * len(rules):
                wrong = f"{status} {tags}"
                break
            seen.add(len(rules))
    pipe.send(wrong or f"OK {len(seen)}")


def start(work: Callable[..., None], *arguments: object) -> tuple[BaseProcess, Connection]:
    mine, other = fork.Pipe()
    process = fork.Process(target=work, args=(*arguments, other), daemon=True)
    process.start()
    other.close()
    return process, mine


@test
def listings_are_whole() -> None:
    """Two write, two list, in each family: every listing is one table, and no one tries again for ever."""
    space = loopback()
    with space:
        for family in BOTH:
            with blob.raw_socket(family) as opened:
                expect_equal(tagged(family, 1).commit(opened), "OK", "first table")
        writers = [start(write_tables, family, 1 + number) for family in BOTH for number in range(2)]
        readers = [start(read_tables, family) for family in BOTH for _ in range(2)]
        for process, pipe in writers:
            expect_equal(pipe.recv().split()[0], "OK", "a writer")
            process.join()
        for process, pipe in readers:
            pipe.send("stop")
            expect_equal(pipe.recv().split()[0], "OK", "a reader")
            process.join()
    space.delete()


if __name__ == "__main__":
    main()
