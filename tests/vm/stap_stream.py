#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: streams of large, many and random messages."""

import os
import random
import socket
import threading

from lib import bpf, tap
from lib.check import expect, expect_equal, main, test
from lib.tap import DROP, OK, load
from lib.tcp import arrived, connection, prefixed, receive, unread


def check_stream(data: bytes, parse: bpf.Code) -> None:
    for tapped in (1, 0):
        with connection() as pair:
            tap.tap_all(pair[tapped], parse, bpf.constant(OK))
            sender = threading.Thread(target=pair[0].sendall, args=(data,))
            sender.start()
            came = receive(pair[1], len(data))
            sender.join()
            expect(came == data, f"{len(came)} of {len(data)} bytes, {'receiver' if tapped else 'sender'} tapped")
            expect_equal(tap.info(pair[tapped])[tapped].bytes, len(data), "bytes that were judged")


@test
def large_messages() -> None:
    """Larger than the window of a fresh connection, than the send buffer, than a view's pages."""
    for size in (3000, 60_000, 65_535):
        check_stream(prefixed(os.urandom(size)) * 3, bpf.prefixed())
    for size in (100_000, 1 << 20, 5 << 20):
        check_stream(os.urandom(size) * 2, bpf.constant(size))


@test
def views_of_many_pages() -> None:
    """More than one skb has room for; a program of either type looks at the last byte."""
    size = 300_000
    sent = [random.randbytes(size - 1) + bytes((last,)) for last in b"adbda"]
    wanted = b"".join(message for message in sent if message[-1] != ord("d"))
    for kind in (bpf.SOCKET_FILTER, bpf.SK_SKB):
        for tapped in (0, 1):
            with connection() as (one, other):
                end = (one, other)[tapped]
                tap.tap_all(end, bpf.constant(size), bpf.by_byte(size - 1, {ord("d"): DROP}), kind)
                sender = threading.Thread(target=one.sendall, args=(b"".join(sent),))
                sender.start()
                data = receive(other, len(wanted))
                sender.join()
                expect(data == wanted, f"{len(data)} bytes of {len(wanted)}, or others, programs of type {kind}")
                expect_equal(tap.info(end)[tapped].dropped, 2, "dropped")


def resuming(size: int, most: int) -> bpf.Code:
    """A parser: messages of one size, which counts their bytes, and wants to be shown none twice."""
    return [(0xBF, 6, 1, 0, 0), (0x61, 0, 6, 0, 0), (0xB5, 0, 0, 2, most),
            (0xB7, 0, 0, 0, -71), bpf.EXIT, (0x61, 1, 6, 48, 0), (0x0F, 0, 1, 0, 0), (0xA5, 0, 0, 2, size),
            (0xB7, 0, 0, 0, size), bpf.EXIT, (0x63, 6, 0, 48, 0), (0xB7, 0, 0, 0, 0), bpf.EXIT]


@test
def a_parser_that_resumes() -> None:
    """It is shown what is behind the bytes that it is done with, and nothing else, message after message."""
    size, piece = 20_000, 1000
    data = os.urandom(5 * size)
    for tapped in (0, 1):
        with connection() as (one, other):
            tap.tap_all((one, other)[tapped], resuming(size, 4 * piece), bpf.by_length(size, DROP))
            for at in range(0, len(data), piece):
                one.sendall(data[at:at + piece])
                arrived(one)
            expect(receive(other, len(data)) == data, "other bytes")
            expect_equal(tap.info((one, other)[tapped])[tapped][2:], (5, len(data), 0), "counted")


SENT_DROPS, RECEIVED_DROPS = 7, 5  # by the first byte


def drops_multiples(opened: socket.socket, number: int) -> None:
    verdict = bpf.by_byte(2, {value: DROP for value in range(0, 256, number)})
    tap.tap_all(opened, bpf.prefixed(), verdict)


def random_stream(rng: random.Random, what: str) -> None:
    messages = [rng.randbytes(rng.choice((0, 1, 5, 60, 1400, 3000, 20_000)) + 1) for _ in range(300)]
    wanted = b"".join(prefixed(one) for one in messages if one[0] % SENT_DROPS and one[0] % RECEIVED_DROPS)
    data = b"".join(map(prefixed, messages))
    with connection(rng.choice((4, 6))) as (one, other):
        drops_multiples(one, SENT_DROPS)
        drops_multiples(other, RECEIVED_DROPS)
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
            print(f"# {tap.info(one)} {tap.info(other)} {unread(other)}", flush=True)
            os.system("ss -tinm | grep -v '^State'")
            raise
        sender.join()
        expect(got == wanted, f"{what}: {len(got)} bytes of {len(wanted)}, or others")


@test
def random_streams() -> None:
    """Random messages over random pieces, both ends tapped: what arrives is what a model says."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    rng = random.Random(seed)
    for number in range(20):
        random_stream(rng, f"seed {seed}, stream {number}")


if __name__ == "__main__":
    load()
    main()
