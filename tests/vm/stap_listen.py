#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap on a socket that is listened on, while connections come and are accepted."""

import contextlib
import os
import select
import socket
import threading
from typing import Callable

from lib import bpf, diag, tap
from lib.calls import held
from lib.check import expect, expect_equal, main, test, wait_for
from lib.children import KEPT, WHOLE, by_splice, connected, drops_d, drops_d_natively, expect_tapped
from lib.process import Child, waits_in
from lib.tap import DROP, OK, Programs, load
from lib.tcp import arrived, connection, disconnect, fast_open, listening, readable, receive

ACCEPT, ACCEPT4 = 43, 288  # numbers of the system calls
TCP_FASTOPEN = 23
SYN_DATA = 32  # TCPI_OPT_SYN_DATA


@test
def in_the_queue_already() -> None:
    """Who has connected, and sent something, before the listener was tapped, and is accepted after."""
    for family in (4, 6):
        for attach in (drops_d, drops_d_natively):
            with listening(family) as listener, connected(listener) as silent, connected(listener) as peer:
                peer.sendall(WHOLE)
                arrived(peer)
                attach(listener)
                with listener.accept()[0] as child:
                    expect_tapped(child, silent, f"silent, IPv{family}, {attach.__name__}")
                with listener.accept()[0] as child:
                    expect_equal(receive(child, 6), KEPT, f"what was there, IPv{family}, {attach.__name__}")
                    with connected(listener) as third, listener.accept()[0] as after:
                        expect_tapped(after, third, "one that came later")


@test
def between_the_two_steps() -> None:
    """A child that came when there was a tap without programs has those of its parent when it is accepted."""
    with listening() as listener:
        listener.setsockopt(socket.SOL_TCP, tap.TCP_ULP, b"stap")
        with connected(listener) as early, connected(listener) as peer:
            with listener.accept()[0] as child:
                expect_equal(tap.info(child)[1].verdict_id, 0, "a program of what was accepted before")
                early.sendall(WHOLE)
                expect_equal(receive(child, len(WHOLE)), WHOLE, "through a tap without programs")
                fd = bpf.load(bpf.constant(OK))
                child.setsockopt(tap.SOL_STAP, tap.PROGRAMS, tap.params(Programs(-1, fd)))
            parse, verdict = bpf.load(bpf.prefixed()), bpf.load(bpf.by_byte(2, {ord("d"): DROP}))
            listener.setsockopt(tap.SOL_STAP, tap.PROGRAMS, tap.params(Programs(parse, verdict, parse, verdict)))
            with listener.accept()[0] as child:
                expect_tapped(child, peer, "accepted later")
            for opened in (fd, parse, verdict):
                os.close(opened)


def accepts(listener: socket.socket) -> str:
    """What a process reads by splice() of what it accepts."""
    with listener.accept()[0] as child:
        return repr(by_splice(child, len(WHOLE)))


@test
def while_others_wait_in_accept() -> None:
    """Processes that share the listener; none of them is stopped for it."""
    for family in (4, 6):
        with listening(family) as listener:
            number = listener.fileno()
            workers = [Child(lambda: accepts(listener)) for _ in range(3)]  # pylint: disable=cell-var-from-loop
            for worker in workers:
                wait_for(lambda: any(waits_in(worker.pid, call, number)  # pylint: disable=cell-var-from-loop
                                     for call in (ACCEPT, ACCEPT4)), "a worker to wait in accept()")
            drops_d(listener)
            peers = []
            for _ in workers:
                peer = socket.create_connection(listener.getsockname()[:2])
                peers.append(peer)
                peer.sendall(WHOLE)
                peer.shutdown(socket.SHUT_WR)
            said = [worker.said() for worker in workers]
            for peer in peers:
                peer.close()
            expect_equal(said, [repr(KEPT)] * 3, f"what the workers read, IPv{family}")


class Flood:
    """Threads that connect, send, and see whether what comes back was judged, over and over."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.ended = threading.Event()
        self.made = 0
        self.threads = [threading.Thread(target=self._run) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def _run(self) -> None:
        while not self.ended.is_set():
            with socket.socket() as one, contextlib.suppress(OSError):
                one.settimeout(20)
                one.connect(self.address)
                one.sendall(WHOLE)
                self.made += 1
                select.select([one], [], [], 20)

    def end(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()


def accepted_is_tapped(listener: socket.socket) -> None:
    with listener.accept()[0] as child:
        child.settimeout(None)
        sent, received = tap.info(child)
        expect(0 not in (sent.parse_id, sent.verdict_id, received.parse_id, received.verdict_id),
               f"a child that lacks programs: {sent}, {received}")
        expect_equal(by_splice(child, 6), KEPT, "what a child has read")


def in_a_flood(attach: Callable[[socket.socket], None]) -> None:
    """Whatever is accepted after the tap was attached has it, with all of its programs."""
    for _ in range(6):
        with listening() as listener:
            listener.listen(200)
            flood = Flood(listener.getsockname())
            try:
                for _ in range(5):
                    listener.accept()[0].close()
                attach(listener)
                for _ in range(30):
                    accepted_is_tapped(listener)
            finally:
                flood.ended.set()
                listener.close()
                flood.end()
            expect(flood.made > 30, f"only {flood.made} connections were made")


@test
def in_a_flood_at_once() -> None:
    in_a_flood(drops_d)


@test
def in_a_flood_natively() -> None:
    in_a_flood(drops_d_natively)


@test
def closed_in_a_flood() -> None:
    """The listener goes while children of it are being made, and its programs with it."""
    for _ in range(40):
        with listening() as listener:
            listener.listen(200)
            drops_d(listener)
            flood = Flood(listener.getsockname())
            try:
                accepted_is_tapped(listener)
                listener.close()
            finally:
                flood.end()


@test
def ended_in_a_flood_and_connected() -> None:
    """Who no longer listens, and connects, while TCP may still be about to tell it of a child. What it reads then
    has been judged; that nobody moves the gate without the lock is seen by a kernel with lockdep."""
    with listening() as other, socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        drops_d(one)
        for _ in range(60):
            one.listen(200)
            flood = Flood(one.getsockname())
            try:
                accepted_is_tapped(one)
                one.shutdown(socket.SHUT_RD)  # which ends it
                one.settimeout(60)
                one.connect(other.getsockname())
                with other.accept()[0] as peer:
                    for _ in range(20):
                        peer.sendall(WHOLE)
                        expect_equal(receive(one, 6), KEPT, "what it has read")
            finally:
                flood.end()
            disconnect(one)


def ended(listener: socket.socket) -> None:
    listener.shutdown(socket.SHUT_RD)


@test
def tapped_when_it_is_connected_again() -> None:
    """Who listened before there was a tap. TCP may still be about to tell it of a child, without its lock, so there
    is none before all are through that found it listening."""
    for end in (ended, disconnect):
        with listening() as other, socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            one.listen()
            end(one)
            one.settimeout(60)
            one.connect(other.getsockname())
            with other.accept()[0] as peer:
                def attach() -> str:
                    drops_d(one)  # pylint: disable=cell-var-from-loop
                    return "done"

                with held("synchronize_rcu", caller="stap") as until_it_waits:
                    child = Child(attach)
                    until_it_waits()
                child.said()
                expect_tapped(one, peer, f"after {end.__name__}()")


@test
def closed_while_others_look_at_it() -> None:
    """sock_diag reads the programs' ids of a socket that goes."""
    ended = threading.Event()
    seen = [0]

    def look() -> None:
        while not ended.is_set():
            seen[0] += diag.tapped()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(150):
            with connection() as (one, other):
                drops_d(one)
                drops_d(other)
    finally:
        ended.set()
        thread.join()
    expect(seen[0] > 0, "nobody was ever seen")


@test
def what_came_with_the_syn() -> None:
    """What came with a SYN before the listener was tapped."""
    with fast_open(), listening() as listener, socket.socket() as one:
        listener.setsockopt(socket.SOL_TCP, TCP_FASTOPEN, 10)
        one.sendto(WHOLE, 0x20000000, listener.getsockname())
        wait_for(lambda: readable(listener), "the connection")
        wait_for(lambda: one.getsockopt(socket.SOL_TCP, socket.TCP_INFO, 8)[5] & SYN_DATA, "data to have come with the SYN")
        drops_d(listener)
        with listener.accept()[0] as child:
            expect_equal(receive(child, 6), KEPT, "what came with the SYN")


if __name__ == "__main__":
    load()
    main()
