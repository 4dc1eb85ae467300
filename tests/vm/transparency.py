#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What an application sees of a tapped socket is what it sees of any: each story is told on a
plain connection and on one whose ends are both tapped, and the answers are compared."""

import array
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from typing import Any, Callable

from lib import bpf, cgroup, tap
from lib.check import expect, expect_equal, main, test, wait_for
from lib.tap import OK, Programs, connection

SIOCINQ, SIOCOUTQ = 0x541B, 0x5411
SO_TIMESTAMPNS, SO_TIMESTAMPING = 35, 37
Story = Callable[[socket.socket, socket.socket], Any]


def tap_both(*ends: socket.socket) -> None:
    parse, verdict = bpf.load(bpf.up_to(1000)), bpf.load(bpf.constant(OK))
    for end in ends:
        tap.tap(end, Programs(parse, verdict, parse, verdict))


def same(story: Story) -> None:
    """On both families, plain and tapped."""
    subprocess.run(["modprobe", "stap"], check=True)
    for family in (4, 6):
        answers = []
        for tapped in (False, True):
            with connection(family) as (one, other):
                if tapped:
                    tap_both(one, other)
                answers.append(story(one, other))
        expect_equal(answers[1], answers[0], f"IPv{family}, tapped as plain")


def error_of(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def ioctl(opened: socket.socket, number: int) -> int:
    value = array.array("i", [0])
    fcntl.ioctl(opened, number, value)
    return value[0]


def settle(opened: socket.socket, size: int) -> None:
    wait_for(lambda: ioctl(opened, SIOCINQ) >= size, f"{size} bytes")


@test
def queue_lengths() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.sendall(b"x" * 700)
        settle(other, 700)
        wait_for(lambda: ioctl(one, SIOCOUTQ) == 0, "what was sent to be acknowledged")
        seen = [ioctl(one, SIOCOUTQ), ioctl(other, SIOCINQ)]
        other.recv(300)
        return [*seen, ioctl(other, SIOCINQ)]

    same(story)


@test
def what_cannot_be_sent_yet_is_in_the_queue() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        del other
        one.setblocking(False)
        sent = 0
        while True:
            try:
                sent += one.send(b"x" * 5000)
            except BlockingIOError:
                break
        return [ioctl(one, SIOCOUTQ) > 0, ioctl(one, SIOCOUTQ) <= sent, select.select([], [one], [], 0)[1]]

    same(story)


@test
def timestamps_of_what_is_received() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        control: list[Any] = []
        while not control:  # the kernel takes its time to turn them on
            one.sendall(b"hello")
            settle(other, 5)
            data, control, flags, _ = other.recvmsg(100, 200)
        return [data, [(level, kind, len(value)) for level, kind, value in control], flags]

    same(story)


@test
def timestamps_of_what_is_sent() -> None:
    """By control data of one message, and read from the error queue."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        # software, report it, with the byte's number, without the data
        one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, (1 << 4) | (1 << 7) | (1 << 11))
        tx_sched_ack_software = struct.pack("=I", (1 << 1) | (1 << 9))
        one.sendmsg([b"x" * 300], [(socket.SOL_SOCKET, SO_TIMESTAMPING, tx_sched_ack_software)])
        other.recv(300)
        one.setblocking(False)
        found: list[int] = []

        def enough() -> bool:
            while True:
                got = error_of(lambda: one.recvmsg(100, 512, socket.MSG_ERRQUEUE))
                if isinstance(got, str):
                    return len(found) >= 2
                found.append(got[2] & socket.MSG_ERRQUEUE)

        wait_for(enough, "two timestamps")
        return found

    same(story)


@test
def control_data_that_makes_no_sense() -> None:
    def story(one: socket.socket, _: socket.socket) -> Any:
        bad = [(socket.SOL_SOCKET, 9999, b"1234")]
        return error_of(lambda: one.sendmsg([b"x"], bad))

    same(story)


class Piece(ctypes.Structure):
    """struct iovec"""
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Message(ctypes.Structure):
    """struct mmsghdr, where an int and its padding are as long as a pointer"""
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("pieces", ctypes.POINTER(Piece)),
                ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_ssize_t), ("done", ctypes.c_uint32)]


def messages(buffers: list[ctypes.Array[ctypes.c_char]]) -> Any:
    pieces = [Piece(ctypes.addressof(buffer), len(buffer)) for buffer in buffers]
    made = (Message * len(buffers))()
    for message, piece in zip(made, pieces):
        message.pieces = ctypes.pointer(piece)
        message.count = 1
    made.kept = pieces
    return made


@test
def several_messages_at_once() -> None:
    """sendmmsg() and recvmmsg()."""
    libc = ctypes.CDLL(None, use_errno=True)

    def story(one: socket.socket, other: socket.socket) -> Any:
        buffers = [ctypes.create_string_buffer(bytes((65 + i,)) * size, size)
                   for i, size in enumerate((10, 700, 1, 3000, 40))]
        sent = messages(buffers)
        answers = [libc.sendmmsg(one.fileno(), sent, len(sent), 0), [message.done for message in sent]]
        settle(other, 3751)
        buffers = [ctypes.create_string_buffer(size) for size in (7, 100, 5000, 10)]
        received = messages(buffers)
        answers += [libc.recvmmsg(other.fileno(), received, len(received), socket.MSG_DONTWAIT, None),
                    [message.done for message in received], [buffer.raw for buffer in buffers]]
        answers += [libc.recvmmsg(other.fileno(), received, 1, socket.MSG_DONTWAIT, None), ctypes.get_errno()]
        return answers

    same(story)


@test
def flags_of_send() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        answers = [error_of(lambda flag=flag: one.send(b"12345", flag)) for flag in
                   (socket.MSG_EOR, socket.MSG_NOSIGNAL, socket.MSG_DONTWAIT, socket.MSG_MORE, 0)]
        return [answers, other.recv(25, socket.MSG_WAITALL)]

    same(story)


@test
def more_is_to_come() -> None:
    """MSG_MORE keeps a small segment back until there is more, TCP_CORK too."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        one.setsockopt(socket.SOL_TCP, socket.TCP_CORK, 1)
        one.send(b"x" * 100)
        corked = select.select([other], [], [], 0.05)[0] == []
        one.setsockopt(socket.SOL_TCP, socket.TCP_CORK, 0)
        settle(other, 100)
        one.send(b"y" * 100, socket.MSG_MORE)
        kept = ioctl(other, SIOCINQ)
        one.send(b"z" * 100)
        settle(other, 300)
        return [corked, kept, other.recv(1000)]

    same(story)


@test
def timeouts() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        for end in (one, other):
            end.setblocking(True)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq", 0, 100000))
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("=qq", 0, 100000))
        start = time.monotonic()
        received = error_of(lambda: other.recv(10))
        waited = time.monotonic() - start >= 0.09
        answer: Any = 0
        while not isinstance(answer, str):
            answer = error_of(lambda: one.send(b"x" * 100000))
        return [received, waited, answer]

    same(story)


@test
def interrupted() -> None:
    """A signal ends a wait that has nothing yet; one that has something says how much."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        for end in (one, other):
            end.setblocking(True)
        caught = []
        old = signal.signal(signal.SIGALRM, lambda *_: caught.append(1) or (_ for _ in ()).throw(InterruptedError))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            try:
                received: Any = other.recv(10)
            except InterruptedError:
                received = "interrupted"
            one.send(b"12345")
            settle(other, 5)
            return [received, other.recv(10), caught]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)

    same(story)


@test
def low_water() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 50)
        one.sendall(b"x" * 30)
        settle(other, 30)
        early = select.select([other], [], [], 0.05)[0] == []
        one.sendall(b"y" * 30)
        settle(other, 60)
        return [early, select.select([other], [], [], 5)[0] == [other], len(other.recv(1000))]

    same(story)


@test
def edge_triggered() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setblocking(False)
        with select.epoll() as poll:
            poll.register(other, select.EPOLLIN | select.EPOLLET | select.EPOLLRDHUP)
            seen = []
            for text in (b"a" * 10, b"b" * 20):
                one.sendall(text)
                seen.append([event for _, event in poll.poll(5)])
                seen.append(poll.poll(0.02))  # type: ignore[arg-type]
            data = other.recv(100)
            one.shutdown(socket.SHUT_WR)
            seen.append([event for _, event in poll.poll(5)])
            return [seen, data, other.recv(100)]

    same(story)


@test
def resets() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        one.sendall(b"unread")
        settle(other, 6)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        one.close()
        wait_for(lambda: select.select([other], [], [], 0)[0] and other.getsockopt(socket.SOL_TCP, 11, 1) != b"\x01",
                 "the reset")
        return [error_of(lambda: other.recv(100)), error_of(lambda: other.recv(100)),
                error_of(lambda: other.send(b"x", socket.MSG_NOSIGNAL))]

    same(story)


@test
def half_closed() -> None:
    def story(one: socket.socket, other: socket.socket) -> Any:
        one.shutdown(socket.SHUT_WR)
        first = [other.recv(10), error_of(lambda: one.send(b"x", socket.MSG_NOSIGNAL))]
        other.sendall(b"still")
        second = one.recv(5)
        other.shutdown(socket.SHUT_RD)
        one.setblocking(False)
        return [*first, second, other.recv(10), error_of(lambda: one.recv(1))]

    same(story)


@test
def shared_by_processes() -> None:
    """fork and dup: one socket, one tap, whoever reads or writes; it ends with the last."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        twin = other.dup()
        pid = os.fork()
        if not pid:
            other.sendall(b"from a child")
            os._exit(0)
        os.waitpid(pid, 0)
        text = one.recv(12, socket.MSG_WAITALL)
        other.close()
        one.sendall(b"to the twin")
        answer = twin.recv(11, socket.MSG_WAITALL)
        twin.close()
        return [text, answer, one.recv(1)]

    same(story)


@test
def two_readers_share_a_stream() -> None:
    """Each byte goes to one of them, once."""
    def story(one: socket.socket, other: socket.socket) -> Any:
        other.setblocking(True)
        got: list[bytes] = []

        def read() -> None:
            while data := other.recv(700):
                got.append(data)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        text = bytes(range(256)) * 2000
        one.sendall(text)
        one.shutdown(socket.SHUT_WR)
        for reader in readers:
            reader.join()
        return sorted(b"".join(got)) == sorted(text)

    same(story)


def memory_of(opened: socket.socket) -> dict[str, int]:
    """SO_MEMINFO, by its names."""
    names = ("rmem_alloc", "rcvbuf", "wmem_alloc", "sndbuf", "fwd_alloc", "wmem_queued", "optmem", "backlog", "drops")
    return dict(zip(names, struct.unpack("=9I", opened.getsockopt(socket.SOL_SOCKET, 55, 36))))


@test
def memory_is_the_sockets_own() -> None:
    """What nobody reads is on the reader's account, what is not sent yet on the sender's, and no
    more than its buffer lets in (and the message that was under way)."""
    subprocess.run(["modprobe", "stap"], check=True)
    with connection() as (one, other):
        tap_both(one, other)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50000)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50000)
        one.setblocking(False)
        sent = 0
        while not isinstance(answer := error_of(lambda: one.send(b"x" * 1000)), str):
            sent += answer
        sender, reader = memory_of(one), memory_of(other)
        expect(sender["wmem_queued"] <= sender["sndbuf"] + 70000, f"sender: {sender}")
        expect(reader["rmem_alloc"] > 10000, f"reader: {reader}")
        expect(reader["rmem_alloc"] <= reader["rcvbuf"] + 70000, f"reader: {reader}")
        one.shutdown(socket.SHUT_WR)
        received = 0
        while some := other.recv(100000):
            received += len(some)
        expect_equal(received, sent, "bytes")
        expect_equal(memory_of(other)["rmem_alloc"], 0, "what the reader holds afterwards")
        wait_for(lambda: memory_of(one)["wmem_queued"] == 0, "the last acknowledgement")


@test
def memory_is_the_cgroups_too() -> None:
    """A message that has begun is on the account of who writes it, as what TCP has is."""
    subprocess.run(["modprobe", "stap"], check=True)
    with cgroup.limited(200 << 20) as group:
        def in_group() -> str:
            with connection() as (one, _):
                parse = bpf.load(bpf.constant(10 << 20))
                tap.tap(one, Programs(parse, -1, -1, -1))
                before = group.stat("sock")
                one.sendall(bytes(6 << 20))
                held = group.stat("sock") - before
                one.close()
                after = group.stat("sock") - before
            return f"{round(held / (1 << 20))} {round(after / (1 << 20))}"

        expect_equal(group.run(in_group), "6 0", "MiB on its account, with the message begun and with the socket gone")


@test
def churn() -> None:
    """Connections that come and go, are killed with what they hold, and are dropped in a backlog:
    nothing is left of them."""
    subprocess.run(["modprobe", "stap"], check=True)
    with open("/proc/sys/net/ipv4/tcp_fin_timeout", "w", encoding="ascii") as file:
        file.write("1")  # or it is a minute until those are gone whose other side says nothing
    parse, verdict = bpf.load(bpf.prefixed()), bpf.load(bpf.by_byte(2, {ord("d"): tap.DROP, ord("q"): tap.DISCONNECT}))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        tap.tap(listener, Programs(parse, verdict, parse, verdict))
        listener.listen(16)
        for round_ in range(40):
            pid = os.fork()
            if not pid:
                clients = []
                for i in range(12):
                    client = socket.socket()
                    client.setblocking(False)
                    if i % 2:
                        tap.tap(client, Programs(parse, verdict, parse, verdict))
                    client.connect_ex(listener.getsockname())
                    select.select([], [client], [], 0.2)
                    error_of(lambda: client.send(struct.pack(">H", 30) + b"apdq"[i % 4:i % 4 + 1] + b"." * (i * 4)))
                    clients.append(client)
                    if i % 3 == 0:
                        clients.pop(0).close()
                os.kill(os.getpid(), signal.SIGKILL)
            accepted = []
            while select.select([listener], [], [], 0.05 if round_ % 4 else 0)[0]:
                accepted.append(listener.accept()[0])
                error_of(lambda: accepted[-1].send(struct.pack(">H", 5) + b"x"))
                error_of(lambda: accepted[-1].recv(100, socket.MSG_DONTWAIT))
            os.waitpid(pid, 0)
            for child in accepted:
                child.close()
    os.close(parse)
    os.close(verdict)
    wait_for(lambda: subprocess.run(["modprobe", "-r", "stap"], check=False, stderr=subprocess.DEVNULL).returncode == 0,
             "the module to be free of taps", 100)


if __name__ == "__main__":
    main()
