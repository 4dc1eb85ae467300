#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What an application sees of a tapped socket is what it sees of any: each story is told on a
plain connection and on one whose ends are both tapped, and has the same end, which is known."""

import os
import select
import signal
import socket
import struct
import threading
import time
from typing import Any, Callable

from lib.check import expect_equal, main, test, wait_for
from lib.iovec import Messages
from lib.process import RECVFROM, said_by_child, waits_in
from lib.tap import load, tap_both
from lib.tcp import (arrived, connection, kept_back, name_of, readable, receive, unacknowledged, unread,
                     wait_for_data, writable)

TCP_INFO, ESTABLISHED = 11, 1
SO_TIMESTAMPNS, SO_TIMESTAMPING = 35, 37
Story = Callable[[socket.socket, socket.socket], Any]


def told(story: Story, end: Any) -> None:
    """On both families, plain and tapped."""
    for family in (4, 6):
        for tapped in (False, True):
            with connection(family) as (one, other):
                if tapped:
                    tap_both(one, other)
                expect_equal(story(one, other), end, f"IPv{family}, {'tapped' if tapped else 'plain'}")


def answer_of(function: Callable[[], Any]) -> Any:
    """What it returns, or the name of the errno that it fails with."""
    try:
        return function()
    except OSError as error:
        return name_of(error)


@test
def queue_lengths() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(b"x" * 700)
        wait_for_data(other, 700)
        arrived(one)
        seen = [unacknowledged(one), unread(other)]
        other.recv(300)
        return [*seen, unread(other)]

    told(story, [0, 700, 400])


@test
def what_cannot_be_sent_yet_is_in_the_queue() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        del other
        one.setblocking(False)
        sent = 0
        while not isinstance(some := answer_of(lambda: one.send(b"x" * 5000)), str):
            sent += some
        return [some, 0 < unacknowledged(one) <= sent, writable(one)]

    told(story, ["EAGAIN", True, False])


@test
def timestamps_of_what_is_received() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

        def stamped() -> Any:  # the kernel takes its time to turn them on
            one.sendall(b"hello")
            wait_for_data(other, 5)
            data, control, flags, _ = other.recvmsg(100, 200)
            stamps: list[Any] = [(level, kind, len(value)) for level, kind, value in control]
            return stamps and [data, stamps, flags]

        return wait_for(stamped, "a timestamp")

    told(story, [b"hello", [(socket.SOL_SOCKET, SO_TIMESTAMPNS, 16)], 0])


@test
def timestamps_of_what_is_sent() -> None:
    """By control data of one message, and read from the error queue."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        # software, report it, with the byte's number, without the data
        one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, (1 << 4) | (1 << 7) | (1 << 11))
        tx_sched_ack_software = struct.pack("=I", (1 << 1) | (1 << 9))
        one.sendmsg([b"x" * 300], [(socket.SOL_SOCKET, SO_TIMESTAMPING, tx_sched_ack_software)])
        receive(other, 300)
        one.setblocking(False)
        found: list[tuple[bool, bool, int]] = []

        def enough() -> bool:
            while not isinstance(got := answer_of(lambda: one.recvmsg(100, 512, socket.MSG_ERRQUEUE)), str):
                _, control, flags, _ = got
                # struct sock_extended_err: whose it is (SO_EE_ORIGIN_TIMESTAMPING), and the byte
                errors = [struct.unpack_from("=IBBBBII", value) for level, _, value in control
                          if level in (socket.SOL_IP, socket.IPPROTO_IPV6)]
                found.extend((bool(flags & socket.MSG_ERRQUEUE), error[1] == 4, error[6]) for error in errors)
            return len(found) >= 2

        wait_for(enough, "two timestamps")
        return found

    told(story, [(True, True, 299)] * 2)


@test
def control_data_that_makes_no_sense() -> None:
    def story(one: socket.socket, _: socket.socket) -> Any:
        bad = [(socket.SOL_SOCKET, 9999, b"1234")]
        return answer_of(lambda: one.sendmsg([b"x"], bad))

    told(story, "EINVAL")


@test
def several_messages_at_once() -> None:
    """sendmmsg() and recvmmsg()."""
    sizes = (10, 700, 1, 3000, 40)
    texts = [bytes((65 + i,)) * size for i, size in enumerate(sizes)]
    whole = b"".join(texts)

    def story(one: socket.socket, other: socket.socket) -> Any:
        sent = Messages(*texts).send(one)
        wait_for_data(other, len(whole))
        received = Messages(*map(bytes, (7, 100, 5000, 10))).receive(other)
        return [sent, received, answer_of(lambda: Messages(bytes(10)).receive(other))]

    told(story, [list(sizes), [whole[:7], whole[7:107], whole[107:]], "EAGAIN"])


@test
def flags_of_send() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        flags = (socket.MSG_EOR, socket.MSG_NOSIGNAL, socket.MSG_DONTWAIT, socket.MSG_MORE, 0)
        return [[one.send(b"12345", flag) for flag in flags], other.recv(25, socket.MSG_WAITALL)]

    told(story, [[5] * 5, b"12345" * 5])


@test
def more_is_to_come() -> None:
    """MSG_MORE keeps a small segment back until there is more, TCP_CORK too. TCP does so for a fifth
    of a second: on a busy machine it may be gone before it is seen, the next time it is not."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        def is_kept(flags: int) -> bool:
            arrived(one)
            sent = one.send(b"x" * 100, flags)
            return kept_back(one) == sent

        one.setsockopt(socket.SOL_TCP, socket.TCP_CORK, 1)
        wait_for(lambda: is_kept(0), "TCP_CORK to keep it back")
        one.setsockopt(socket.SOL_TCP, socket.TCP_CORK, 0)
        arrived(one)
        wait_for(lambda: is_kept(socket.MSG_MORE), "MSG_MORE to keep it back")
        one.send(b"z" * 100)
        one.shutdown(socket.SHUT_WR)
        data = receive(other, 1 << 20)
        return [set(data[:-100]), data[-100:]]

    told(story, [{ord("x")}, b"z" * 100])


@test
def nothing_is_kept_back() -> None:
    """Without either what is sent goes at once."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        del other
        one.send(b"x" * 100)
        return kept_back(one)

    told(story, 0)


@test
def timeouts() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        for end in (one, other):
            end.setblocking(True)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq", 0, 100000))
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("=qq", 0, 100000))
        start = time.monotonic()
        received = answer_of(lambda: other.recv(10))
        waited = time.monotonic() - start >= 0.09
        answer: Any = 0
        while not isinstance(answer, str):
            answer = answer_of(lambda: one.send(b"x" * 100000))
        return [received, waited, answer]

    told(story, ["EAGAIN", True, "EAGAIN"])


def when_it_waits(action: Callable[[], object]) -> threading.Thread:
    """Does that when this process waits in recv()."""
    def act() -> None:
        wait_for(lambda: waits_in(os.getpid(), RECVFROM), "recv() to wait")
        action()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


class Caught(Exception):
    """A signal was."""


def caught(*_: object) -> None:
    raise Caught


@test
def interrupted() -> None:
    """A signal ends a wait that has nothing yet; one that has something says how much."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        for end in (one, other):
            end.setblocking(True)
        signals: list[int] = []
        answers: list[Any] = []
        old = signal.signal(signal.SIGALRM, caught)
        try:
            killer = when_it_waits(lambda: os.kill(os.getpid(), signal.SIGALRM))
            try:
                answers.append(other.recv(10))
            except Caught:
                answers.append("interrupted")
            killer.join()
            signal.signal(signal.SIGALRM, lambda number, _: signals.append(number))
            one.send(b"12345")
            wait_for_data(other, 5)
            killer = when_it_waits(lambda: os.kill(os.getpid(), signal.SIGALRM))
            answers.append(other.recv(10, socket.MSG_WAITALL))
            killer.join()
            one.send(b"678")
            answers.append(other.recv(3))
        finally:
            signal.signal(signal.SIGALRM, old)
        return [answers, signals]

    told(story, [["interrupted", b"12345", b"678"], [signal.SIGALRM]])


@test
def low_water() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 50)
        one.sendall(b"x" * 30)
        wait_for_data(other, 30)
        early = readable(other)
        one.sendall(b"y" * 30)
        wait_for_data(other, 60)
        return [early, readable(other, 20), len(other.recv(1000))]

    told(story, [False, True, 60])


@test
def edge_triggered() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setblocking(False)
        with select.epoll() as poll:
            poll.register(other, select.EPOLLIN | select.EPOLLET | select.EPOLLRDHUP)
            seen = []
            for text in (b"a" * 10, b"b" * 20):
                one.sendall(text)
                arrived(one)
                seen.append([event for _, event in poll.poll(20)])
                seen.append([event for _, event in poll.poll(0)])
            data = other.recv(100)
            one.shutdown(socket.SHUT_WR)
            seen.append([event for _, event in poll.poll(20)])
            return [seen, data, other.recv(100)]

    came = [select.EPOLLIN]
    told(story, [[came, [], came, [], [select.EPOLLIN | select.EPOLLRDHUP]], b"a" * 10 + b"b" * 20, b""])


@test
def resets() -> None:
    """What has come before it is read first."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        one.sendall(b"unread")
        wait_for_data(other, 6)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        one.close()
        wait_for(lambda: other.getsockopt(socket.SOL_TCP, TCP_INFO, 1)[0] != ESTABLISHED, "the reset")
        return [answer_of(lambda: other.recv(100)), answer_of(lambda: other.recv(100)), answer_of(lambda: other.recv(9)),
                answer_of(lambda: other.send(b"x", socket.MSG_NOSIGNAL))]

    told(story, [b"unread", "ECONNRESET", b"", "EPIPE"])


@test
def half_closed() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        one.shutdown(socket.SHUT_WR)
        first = [other.recv(10), answer_of(lambda: one.send(b"x", socket.MSG_NOSIGNAL))]
        other.sendall(b"still")
        second = receive(one, 5)
        other.shutdown(socket.SHUT_RD)
        one.setblocking(False)
        return [*first, second, other.recv(10), answer_of(lambda: one.recv(1))]

    told(story, [b"", "EPIPE", b"still", b"", "EAGAIN"])


@test
def shared_by_processes() -> None:
    """fork and dup: one socket, one tap, whoever reads or writes; it ends with the last."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        twin = other.dup()
        said = said_by_child(lambda: str(other.send(b"from a child")))
        text = receive(one, 12)
        other.close()
        one.sendall(b"to the twin")
        answer = receive(twin, 11)
        twin.close()
        return [said, text, answer, one.recv(1)]

    told(story, ["12", b"from a child", b"to the twin", b""])


@test
def several_readers_share_a_stream() -> None:
    """Each byte goes to one of them, once."""
    text = bytes(range(256)) * 2000

    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setblocking(True)
        got: list[bytes] = []

        def read() -> None:
            while data := other.recv(700):
                got.append(data)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        one.sendall(text)
        one.shutdown(socket.SHUT_WR)
        for reader in readers:
            reader.join()
        return sorted(b"".join(got)) == sorted(text)

    told(story, True)


@test
def held_back_without_room() -> None:
    """What TCP_CORK or MSG_MORE would hold back goes when the rest has to wait for room."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        del other
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        one.setsockopt(socket.SOL_TCP, socket.TCP_CORK, 1)
        one.setblocking(False)
        one.send(b"x" * 40_000, socket.MSG_MORE)
        return kept_back(one)

    told(story, 0)


if __name__ == "__main__":
    load()
    main()
