#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: what passes, what does not, and what an application can tell of it."""

import contextlib
import errno
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time
from typing import Iterator

from lib import bpf, tap
from lib.check import Skip, expect, expect_equal, main, test, wait_for
from lib.tap import DISCONNECT, DROP, OK, Programs, connection, error_of, load, receive

PASS = 0


def program(code: bpf.Code, kind: int = bpf.SOCKET_FILTER) -> int:
    return bpf.load(code, kind)


def prefixed(text: bytes) -> bytes:
    return struct.pack(">H", len(text)) + text


def nothing_comes(opened: socket.socket, seconds: float = 0.3) -> None:
    expect_equal(select.select([opened], [], [], seconds)[0], [], "what is readable")


def attach_all(opened: socket.socket, parse: bpf.Code, verdict: bpf.Code, kind: int = bpf.SOCKET_FILTER) -> None:
    parser, judge = program(parse, kind), program(verdict, kind)
    tap.tap(opened, Programs(parser, judge, parser, judge))
    os.close(parser)
    os.close(judge)


# Attaching

@test
def attaching() -> None:
    for family in (4, 6):
        for attach in (tap.tap, tap.tap_natively):
            with connection(family) as (one, other):
                fd = program(bpf.constant(PASS))
                attach(one, Programs(-1, fd, -1, fd))
                one.sendall(b"there")
                expect_equal(receive(other, 5), b"there", "what was sent")
                other.sendall(b"and back")
                expect_equal(receive(one, 8), b"and back", "what was received")
                sent, received = tap.info(one)
                expect_equal((sent.messages, sent.bytes, sent.dropped), (1, 5, 0), "sent")
                expect_equal((received.messages, received.bytes, received.dropped), (1, 8, 0), "received")
                os.close(fd)


@test
def attaching_errors() -> None:
    fd = program(bpf.constant(PASS))
    with connection() as (one, other):
        expect_equal(error_of(lambda: tap.tap(one, Programs(9999))), "EBADF", "no descriptor")
        with open("/dev/null", "rb") as null:
            expect_equal(error_of(lambda: tap.tap(one, Programs(null.fileno()))), "EINVAL", "no program")
        tracing = program(bpf.constant(0), kind=8)  # cgroup/skb
        expect_equal(error_of(lambda: tap.tap(one, Programs(tracing))), "EINVAL", "another type")
        os.close(tracing)
        name = b"stap".ljust(16, b"\0")
        for value in (name[:15], name, name + bytes(12), name + bytes(20), b"x" * 32):
            expect_equal(error_of(lambda: one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, value)), "EINVAL", str(value))
        unknown = b"nosuch".ljust(16, b"\0")
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, unknown)), "ENOENT", "unknown")
        # None of these has touched it.
        expect_equal(error_of(lambda: tap.info(one)), "EOPNOTSUPP", "untapped")
        tap.tap(one, Programs(fd))
        expect_equal(error_of(lambda: tap.tap(one, Programs(fd))), "EEXIST", "twice")
        tap.tap_natively(other, Programs(recv_verdict=fd))
        again = tap.params(Programs(fd))
        expect_equal(error_of(lambda: other.setsockopt(tap.SOL_STAP, tap.PROGRAMS, again)), "EEXIST", "twice")
        expect_equal(error_of(lambda: one.setsockopt(tap.SOL_STAP, 99, again)), "ENOPROTOOPT", "another option")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        expect_equal(error_of(lambda: tap.tap(datagrams, Programs(fd))), "ENOPROTOOPT", "UDP")
    os.close(fd)


@test
def other_kinds_of_sockets() -> None:
    """Refused, and as they were."""
    fd = program(bpf.constant(PASS))
    with socket.socket(socket.AF_UNIX) as opened:
        expect_equal(error_of(lambda: tap.tap(opened, Programs(-1, fd))), "EOPNOTSUPP", "AF_UNIX")
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as opened:
        expect_equal(error_of(lambda: tap.tap(opened, Programs(-1, fd))), "ENOPROTOOPT", "MPTCP")
    with connection() as (one, other):
        one.setsockopt(socket.SOL_TCP, 19, 1)  # TCP_REPAIR
        expect_equal(error_of(lambda: tap.tap(one, Programs(-1, fd))), "EOPNOTSUPP", "in repair")
        one.setsockopt(socket.SOL_TCP, 19, 0)
        tap.tap(one, Programs(-1, fd))
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_TCP, 19, 1)), "EOPNOTSUPP", "repair of a tapped one")
        sockmap = bpf.sockmap_of(other.fileno())
        expect_equal(error_of(lambda: tap.tap(other, Programs(-1, fd))), "EOPNOTSUPP", "in a sockmap")
        one.sendall(b"there")
        expect_equal(receive(other, 5), b"there", "still works")
        os.close(sockmap)
    with connection() as (one, other):
        tap.tap(one, Programs(-1, fd))
        expect(error_of(lambda: bpf.sockmap_of(one.fileno())) != "OK", "a tapped one came into a sockmap")
    os.close(fd)


@test
def inheriting() -> None:
    """A listener's children are tapped, also those that came before they were accepted."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as listener:
            listener.bind((address, 0))
            listener.listen()
            attach_all(listener, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))
            with socket.socket(family) as one:
                one.connect(listener.getsockname()[:2])
                one.sendall(prefixed(b"a") + prefixed(b"drop") + prefixed(b"b"))
                child = listener.accept()[0]
                with child:
                    child.settimeout(20)
                    expect_equal(receive(child, 6), prefixed(b"a") + prefixed(b"b"), "through a child")
                    child.sendall(prefixed(b"drop") + prefixed(b"c"))
                    expect_equal(receive(one, 3), prefixed(b"c"), "back")
            with socket.socket(family) as gone:
                gone.connect(listener.getsockname()[:2])
                gone.sendall(b"never accepted")


@test
def before_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as one:
        attach_all(one, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))
        one.settimeout(20)
        one.connect(listener.getsockname())
        other = listener.accept()[0]
        with other:
            other.settimeout(20)
            one.sendall(prefixed(b"drop") + prefixed(b"x"))
            expect_equal(receive(other, 3), prefixed(b"x"), "sent")
            other.sendall(prefixed(b"drop") + prefixed(b"y"))
            expect_equal(receive(one, 3), prefixed(b"y"), "received")


@test
def what_was_there_before() -> None:
    """What has come but was not read when the tap is attached is judged."""
    with connection() as (one, other):
        one.sendall(prefixed(b"a") + prefixed(b"drop") + prefixed(b"b"))
        wait_for(lambda: select.select([other], [], [], 0)[0], "data", 20)
        attach_all(other, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))
        expect_equal(receive(other, 6), prefixed(b"a") + prefixed(b"b"), "received")


# Messages

@test
def sees_one_message() -> None:
    """From its first byte on, with its own length: several in a segment, and one in several."""
    for kind in (bpf.SOCKET_FILTER, bpf.SK_SKB):
        with connection() as (one, other):
            attach_all(other, bpf.prefixed(), bpf.by_length(5, DROP), kind)
            one.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
            one.sendall(prefixed(b"abc") + prefixed(b"too long") + prefixed(b"def") + prefixed(b""))
            expect_equal(receive(other, 10), prefixed(b"abc") + prefixed(b"def"), "in one segment")
            for byte in prefixed(b"dropped") + prefixed(b"ghi"):
                one.sendall(bytes((byte,)))
            expect_equal(receive(other, 5), prefixed(b"ghi"), "byte by byte")
            nothing_comes(other)
            expect_equal(tap.info(other)[1][2:], (3, 15, 3), "counted")


@test
def disconnecting_what_is_received() -> None:
    for answer in (DISCONNECT, 1, 3, 77):
        with connection() as (one, other):
            attach_all(other, bpf.prefixed(), bpf.by_byte(2, {ord("x"): answer}))
            one.sendall(prefixed(b"a") + prefixed(b"x") + prefixed(b"b"))
            expect_equal(error_of(lambda: [receive(other, 1000) for _ in range(2)]), "ECONNABORTED", "our side")
            wait_for(lambda: error_of(lambda: one.send(b"more")) != "OK", "the other side's end", 20)


@test
def disconnecting_what_is_sent() -> None:
    with connection() as (one, other):
        attach_all(one, bpf.prefixed(), bpf.by_byte(2, {ord("x"): DISCONNECT}))
        data = prefixed(b"a") + prefixed(b"x") + prefixed(b"b")
        expect_equal(error_of(lambda: one.sendall(data)), "ECONNABORTED", "our side")
        got = b""
        with contextlib.suppress(ConnectionResetError):
            got = receive(other, 1000)
        expect(prefixed(b"a").startswith(got), f"the other side got {got!r}")
        expect_equal(error_of(lambda: other.sendall(b"x" * 10) or time.sleep(0.1) or other.sendall(b"x")) != "OK", True,
                     "the other side")


@test
def incomplete_at_the_end() -> None:
    """Nobody judged it, so it does not pass, and the stream does not end as if it were whole."""
    with connection() as (one, other):
        attach_all(other, bpf.prefixed(), bpf.constant(OK))
        one.sendall(prefixed(b"a") + prefixed(b"bcd")[:3])
        one.shutdown(socket.SHUT_WR)
        expect_equal(error_of(lambda: [receive(other, 1000) for _ in range(2)]), "ECONNABORTED", "receiver")
    for how in ("shutdown", "close"):
        with connection() as (one, other):
            attach_all(one, bpf.prefixed(), bpf.constant(OK))
            one.sendall(prefixed(b"a") + prefixed(b"bcd")[:3])
            if how == "close":
                one.close()
            else:
                one.shutdown(socket.SHUT_WR)
            expect_equal(error_of(lambda: [receive(other, 1000) for _ in range(2)]), "ECONNRESET", how)


@test
def complete_at_the_end() -> None:
    with connection() as (one, other):
        for opened in (one, other):
            attach_all(opened, bpf.prefixed(), bpf.constant(OK))
        one.sendall(prefixed(b"a"))
        one.shutdown(socket.SHUT_WR)
        expect_equal(receive(other, 1000), prefixed(b"a"), "to the end")
        other.sendall(prefixed(b"still"))
        other.close()
        expect_equal(receive(one, 1000), prefixed(b"still"), "half closed")


@test
def parser_errors() -> None:
    for parse, name in ((bpf.constant(-errno.EPROTO), "EPROTO"), (bpf.constant((17 << 20) + 1), "EMSGSIZE")):
        with connection() as (one, other):
            attach_all(other, parse, bpf.constant(OK))
            one.sendall(b"x")
            expect_equal(error_of(lambda: other.recv(10)), name, "receiving")
        with connection() as (one, other):
            attach_all(one, parse, bpf.constant(OK))
            expect_equal(error_of(lambda: one.sendall(b"x")), name, "sending")


@test
def large_messages() -> None:
    """Larger than the window of a fresh connection, than the send buffer, than a view's pages."""
    for size in (3000, 60_000, 65_535):
        data = prefixed(os.urandom(size)) * 3
        check_stream(data, bpf.prefixed(), len(data))
    for size in (100_000, 1 << 20, 5 << 20):
        data = os.urandom(size)
        check_stream(data * 2, bpf.constant(size), size * 2)


def check_stream(data: bytes, parse: bpf.Code, size: int) -> None:
    for tapped in (1, 0):
        with connection() as pair:
            attach_all(pair[tapped], parse, bpf.constant(OK))
            sender = threading.Thread(target=pair[0].sendall, args=(data,))
            sender.start()
            expect(receive(pair[1], size) == data, f"{size} bytes, {'receiver' if tapped else 'sender'} tapped")
            sender.join()


# What the application can tell

@test
def views_of_many_pages() -> None:
    """More than one skb has room for; a program of either type looks at the last byte."""
    load()
    size = 300000
    for kind in (bpf.SOCKET_FILTER, bpf.SK_SKB):
        parse = program(bpf.constant(size), kind)
        verdict = program(bpf.by_byte(size - 1, {ord("d"): DROP}), kind)
        with connection() as (one, other):
            for end in (one, other):
                tap.tap(end, Programs(send_parse=parse, send_verdict=verdict, recv_parse=parse, recv_verdict=verdict))
            def send() -> None:
                for last in b"adbda":
                    one.sendall(bytes(random.randrange(256) for _ in range(100)) * (size // 100 - 1) + b"." * 99
                                + bytes([last]))
            sender = threading.Thread(target=send)
            sender.start()
            data = receive(other, 3 * size)
            sender.join()
            expect_equal(data[size - 1::size], b"aba", f"last bytes, programs of type {kind}")
            expect_equal(tap.info(one)[0].dropped, 2, "dropped by the sender")


@test
def readiness() -> None:
    """poll, epoll (edge-triggered too), FIONREAD and SO_RCVLOWAT know of judged messages alone."""
    with connection() as (one, other), select.epoll() as poller:
        attach_all(other, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))
        poller.register(other, select.EPOLLIN | select.EPOLLET)
        one.sendall(prefixed(b"abc")[:4])
        expect_equal(poller.poll(0.3), [], "events of half a message")
        nothing_comes(other, 0)
        expect_equal(inq(other), 0, "FIONREAD of half a message")
        one.sendall(b"c")
        expect_equal(poller.poll(20), [(other.fileno(), select.EPOLLIN)], "events of a message")
        expect_equal(inq(other), 5, "FIONREAD")
        one.sendall(prefixed(b"drop"))
        expect_equal(poller.poll(0.3), [], "events of a dropped message")
        expect_equal(other.recv(100), prefixed(b"abc"), "read")
        nothing_comes(other, 0)
        one.sendall(prefixed(b"e"))
        expect_equal(poller.poll(20), [(other.fileno(), select.EPOLLIN)], "events of the next")
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 4)
        nothing_comes(other, 0)
        one.sendall(prefixed(b"f"))
        wait_for(lambda: select.select([other], [], [], 0)[0], "enough", 20)
        expect_equal(other.recv(100), prefixed(b"e") + prefixed(b"f"), "read")


def inq(opened: socket.socket) -> int:
    import array
    import fcntl
    number = array.array("i", [0])
    fcntl.ioctl(opened, 0x541B, number)
    return number[0]


@test
def flags_of_recv() -> None:
    with connection() as (one, other):
        attach_all(other, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))
        other.setblocking(False)
        expect_equal(error_of(lambda: other.recv(10)), "EAGAIN", "nothing there")
        other.settimeout(20)
        one.sendall(prefixed(b"abc") + prefixed(b"drop") + prefixed(b"efgh"))
        wait_for(lambda: inq(other) == 5, "the message", 20)
        expect_equal(other.recv(100, socket.MSG_PEEK), prefixed(b"abc"), "peeked")
        expect_equal(other.recv(3, socket.MSG_PEEK), prefixed(b"abc")[:3], "peeked, fewer")
        expect_equal(other.recv(11, socket.MSG_WAITALL), prefixed(b"abc") + prefixed(b"efgh"), "all")
        one.sendall(prefixed(b"hij"))
        expect_equal(other.recv(4, socket.MSG_TRUNC | socket.MSG_WAITALL)[:0], b"", "truncated")
        expect_equal(receive(other, 1), b"j", "the rest")
        other.setblocking(True)
        expect_equal(error_of(lambda: other.recv(1, socket.MSG_OOB)), "EINVAL", "MSG_OOB")
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq", 0, 100_000))
        expect_equal(error_of(lambda: other.recv(1)), "EAGAIN", "SO_RCVTIMEO")
        one.sendall(prefixed(b"k")[:1])  # with half a message there, too: the connection lives on
        expect_equal(error_of(lambda: other.recv(1)), "EAGAIN", "SO_RCVTIMEO in a message")
        one.sendall(prefixed(b"k")[1:])
        expect_equal(receive(other, 3), prefixed(b"k"), "later")


@test
def peeking_further() -> None:
    """SO_PEEK_OFF, where TCP has it, ends at the gate too."""
    with connection() as (one, other):
        attach_all(other, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))
        try:
            other.setsockopt(socket.SOL_SOCKET, 42, 0)
        except OSError as error:
            raise Skip(f"no SO_PEEK_OFF for TCP here: {error}") from error
        one.sendall(prefixed(b"abc") + prefixed(b"drop") + prefixed(b"efg"))
        wait_for(lambda: inq(other) == 5, "the message", 20)
        expect_equal(other.recv(3, socket.MSG_PEEK), prefixed(b"abc")[:3], "first")
        expect_equal(other.recv(100, socket.MSG_PEEK), b"bc", "the rest")
        other.setblocking(False)
        expect_equal(error_of(lambda: other.recv(100, socket.MSG_PEEK)), "EAGAIN", "beyond the gate")


@test
def urgent_data() -> None:
    """They are judged, and read, as part of the stream."""
    with connection() as (one, other):
        attach_all(other, bpf.prefixed(), bpf.by_byte(2, {ord("x"): DISCONNECT}))
        one.sendall(prefixed(b"abc")[:4])
        one.send(b"c", socket.MSG_OOB)
        expect_equal(receive(other, 5), prefixed(b"abc"), "in line")
        one.sendall(prefixed(b"x")[:2])
        one.send(b"x", socket.MSG_OOB)
        expect_equal(error_of(lambda: other.recv(10)), "ECONNABORTED", "judged")
    with connection() as (one, other):
        attach_all(one, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))
        other.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        one.send(prefixed(b"drop"), socket.MSG_OOB)
        one.send(prefixed(b"e"), socket.MSG_OOB)
        expect_equal(receive(other, 3), prefixed(b"e"), "sent")


@test
def a_slow_reader_stops_the_sender() -> None:
    """Sending without waiting ends in EAGAIN, and begins again once there is room."""
    with connection() as (one, other):
        attach_all(one, bpf.up_to(1000), bpf.constant(OK))
        one.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 1 << 30:
                sent += one.send(b"x" * 10_000)
        expect(sent < 1 << 30, "no limit")
        nobody = select.select([], [one], [], 0)[1]
        expect_equal(nobody, [], "writable")
        expect_equal(len(receive(other, sent)), sent, "received")
        expect_equal(select.select([], [one], [], 20)[1], [one], "writable")


@test
def sendfile_and_splice() -> None:
    """What is sent from pages of others is copied before it is judged."""
    with connection() as (one, other), open("/tmp/page", "w+b") as file:
        attach_all(one, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))
        attach_all(other, bpf.prefixed(), bpf.by_byte(2, {ord("e"): DROP}))
        file.write(prefixed(b"drop") + prefixed(b"e") + prefixed(b"x" * 5000))
        file.flush()
        expect_equal(os.sendfile(one.fileno(), file.fileno(), 0, 100_000), 6 + 3 + 5002, "sent")
        expect_equal(receive(other, 5002), prefixed(b"x" * 5000), "sendfile")
        reading, writing = os.pipe()
        one.sendall(prefixed(b"y" * 3000))
        expect_equal(os.splice(other.fileno(), writing, 100_000), 3002, "spliced in")
        expect_equal(os.splice(reading, one.fileno(), 3002), 3002, "spliced out")
        expect_equal(receive(other, 3002), prefixed(b"y" * 3000), "splice")
        os.close(reading)
        os.close(writing)


@test
def random_streams() -> None:
    """Random messages over random pieces, both ends tapped: what arrives is what a model says."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    rng = random.Random(seed)
    for number in range(20):
        messages = [rng.randbytes(rng.choice((0, 1, 5, 60, 1400, 3000, 20_000)) + 1) for _ in range(300)]
        wanted = b"".join(prefixed(one) for one in messages if one[0] % 7 and one[0] % 5)
        data = b"".join(map(prefixed, messages))
        drops = {value: DROP for value in range(256)}
        with connection(rng.choice((4, 6))) as (one, other):
            attach_all(one, bpf.prefixed(), bpf.by_byte(2, {value: DROP for value in drops if value % 7 == 0}))
            attach_all(other, bpf.prefixed(), bpf.by_byte(2, {value: DROP for value in drops if value % 5 == 0}))
            one.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, rng.randrange(2))

            def send() -> None:
                at = 0
                while at < len(data):
                    size = rng.choice((1, 10, 1000, 50_000))
                    one.sendall(data[at:at + size])
                    at += size
                one.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send)
            sender.start()
            try:
                got = receive(other, len(data))
            except TimeoutError:
                print(tap.info(one), tap.info(other), inq(other), flush=True)
                os.system("ss -tinm | grep -v '^State'")
                raise
            sender.join()
            expect(got == wanted, f"stream {number}: {len(got)} bytes, expected {len(wanted)}")


@test
def what_outlives_the_module() -> None:
    """TCP remembers a connection for a minute. What it remembers of one that a tapped listener
    accepted is TCP's own: it goes when the module has gone long since."""
    load()
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as listener, socket.socket(family) as one:
            listener.bind((address, 0))
            tap.tap(listener, Programs(recv_verdict=program(bpf.constant(OK))))
            listener.listen()
            one.connect(listener.getsockname()[:2])
            with listener.accept()[0]:
                pass
            expect_equal(one.recv(1), b"", "the end")
    remembered = ["ss", "-Htan", "state", "time-wait"]
    wait_for(lambda: len(subprocess.run(remembered, stdout=subprocess.PIPE, check=True).stdout.splitlines()) >= 2,
             "two connections in TIME-WAIT")
    wait_for(lambda: not subprocess.run(["modprobe", "-r", "stap"], check=False, stderr=subprocess.DEVNULL).returncode,
             "the module to go")
    subprocess.run(["ss", "-K", *remembered[1:]], stdout=subprocess.DEVNULL, check=True)
    # A kernel without CONFIG_INET_DIAG_DESTROY takes its minute.
    wait_for(lambda: not subprocess.run(remembered, stdout=subprocess.PIPE, check=True).stdout,
             "what is remembered to go", 90)
    load()


@test
def unloading() -> None:
    """Refused while a socket is tapped."""
    load()
    with connection() as (one, _):
        attach_all(one, bpf.constant(1), bpf.constant(OK))
        expect(subprocess.run(["modprobe", "-r", "stap"], capture_output=True).returncode, "it was unloaded")
    wait_for(lambda: not subprocess.run(["modprobe", "-r", "stap"], capture_output=True).returncode, "no taps", 90)
    load()


@test
def connecting_with_the_first_bytes() -> None:
    """It would wait for them, and they for it: refused, as where there is no fast open."""
    fast = 30  # TCP_FASTOPEN_CONNECT
    programs = Programs(-1, program(bpf.constant(OK)), -1, -1)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as early, socket.socket() as late:
        tap.tap(early, programs)
        expect_equal(error_of(lambda: early.setsockopt(socket.SOL_TCP, fast, 1)), "EOPNOTSUPP", "of a tapped socket")
        late.setsockopt(socket.SOL_TCP, fast, 1)
        expect_equal(error_of(lambda: tap.tap(late, programs)), "EOPNOTSUPP", "to tap it before connect()")
        late.connect(listener.getsockname())
        expect_equal(error_of(lambda: tap.tap(late, programs)), "OK", "once it is connected, here without a cookie")
        early.connect(listener.getsockname())
        early.sendall(b"hello")


NO_MEMORY = "/usr/lib/bpfilter-tests/no_memory.ko"


@contextlib.contextmanager
def no_memory() -> Iterator[None]:
    done = subprocess.run(["insmod", NO_MEMORY], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"this kernel has no kretprobes: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["rmmod", "no_memory"], check=True)


@test
def a_child_without_memory() -> None:
    """Nobody may read or write what could not be tapped."""
    load()
    if not os.path.exists(NO_MEMORY):
        raise Skip(f"{NO_MEMORY} is not there: tests/kmod/build makes it")
    constant = program(bpf.constant(OK))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        tap.tap(listener, Programs(-1, constant, -1, constant))
        listener.listen()
        with no_memory(), socket.socket() as client, socket.create_connection(listener.getsockname()) as peer:
            expect_equal(error_of(lambda: tap.tap(client, Programs(-1, constant, -1, constant))), "ENOMEM", "to tap")
            peer.sendall(b"hello")
            child = listener.accept()[0]
            expect_equal([error_of(one) for one in (
                lambda: child.recv(5), lambda: child.send(b"x"), lambda: tap.info(child),
                lambda: os.splice(child.fileno(), os.pipe()[1], 5))], ["ECONNABORTED"] * 4, "what it can do")
            expect_equal(select.select([child], [], [], 20)[0], [child], "who learns of it")
            child.close()
            peer.settimeout(20)
            expect_equal(error_of(lambda: peer.recv(5)), "ECONNRESET", "the other side")
        with socket.create_connection(listener.getsockname()) as peer:
            child = listener.accept()[0]
            with child:
                peer.sendall(b"again")
                expect_equal(receive(child, 5), b"again", "the next one")
    os.close(constant)


if __name__ == "__main__":
    load()
    main()
