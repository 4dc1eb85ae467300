#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap on a bad network: random messages in random pieces, with segments that are lost, late, doubled
and out of order. A model says which bytes arrive; exactly these do.

    verdicts.py                     a quick run
    MESSAGES=1000000 verdicts.py    a long one; SEED repeats it, SIZES=equal has all sizes as often
"""

import contextlib
import ctypes
import fcntl
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from typing import Callable, Iterator

from lib import bpf, tap
from lib.check import Failure, Skip, expect, expect_equal, main, test, wait_for
from lib.netns import Namespace
from lib.tap import DISCONNECT, DROP, OK, Programs, load
from lib.tcp import LIMIT, name_of, prefixed, writable

MESSAGES = int(os.environ.get("MESSAGES", "40000"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
NETWORKS = ("limit 10000", "delay 2ms 1ms limit 10000", "loss 1% limit 10000",
            "delay 1ms reorder 30% duplicate 2% loss 0.5% limit 10000")
# Bytes of a message, and how often it has so many.
SIZES = {1: 40, 2: 20, 7: 20, 60: 20, 250: 10, 1000: 3, 1447: 1, 1448: 1, 1449: 1, 4000: 1, 17_000: 0.3}
if os.environ.get("SIZES") == "equal":
    SIZES = dict.fromkeys(SIZES, 1)

SIOCETHTOOL, ETHTOOL_SSG = 0x8946, 0x19

# By the first byte of a message, at each end: multiples of these are dropped. A receiver may drop every other one.
SENT_DROPS, RECEIVED_DROPS, MANY_DROPS, ENDS = 7, 11, 2, 251

SENDERS = 3
# A long run has longer streams, not only more of them, or it would mostly make connections and end them.
LONGER = max(1, min(10, MESSAGES // 100_000))
OFFSETS = 1 << 16

TCP_NOTSENT_LOWAT = 25


def arrives(message: bytes, received_drops: int = RECEIVED_DROPS) -> bool:
    return message[0] % SENT_DROPS != 0 and message[0] % received_drops != 0


def tapped(opened: socket.socket, drops: int, ends: bool, rng: random.Random) -> None:
    kinds = [rng.choice((bpf.SOCKET_FILTER, bpf.SK_SKB)) for _ in range(2)]
    answers = {value: DROP for value in range(256) if value % drops == 0}
    if ends:
        answers[ENDS] = DISCONNECT
    programs = [bpf.load(bpf.prefixed(), kinds[0]), bpf.load(bpf.by_byte(2, answers, OK), kinds[1])]
    tap.tap(opened, Programs(*programs, *programs))
    for fd in programs:
        os.close(fd)


def no_scatter_gather(device: str) -> None:
    """What goes through this device is in one piece of memory, which has no references to its pages, as with many
    a real one."""
    value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_SSG, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        fcntl.ioctl(opened, SIOCETHTOOL, struct.pack("16sQ16x", device.encode(), ctypes.addressof(value)))


class Network:
    """Two namespaces and a link with netem on both ends."""

    def __init__(self, quality: str, linear: bool = False) -> None:
        self.one, self.other = Namespace("one"), Namespace("other")
        self.one.ip([f"link add eth0 type veth peer name eth0 netns {self.other.name}", "link set eth0 up",
                     "address add 10.9.0.1/24 dev eth0"])
        self.other.ip(["link set eth0 up", "address add 10.9.0.2/24 dev eth0"])
        for space in (self.one, self.other):
            with space:
                if linear:
                    no_scatter_gather("eth0")
                command = f"tc qdisc add dev eth0 root netem {quality}"
                done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
                if done.returncode:
                    raise Skip(f"no netem here: {done.stderr.strip()}")

    def pair(self) -> tuple[socket.socket, socket.socket]:
        with self.other:
            listener = socket.create_server(("10.9.0.2", 0))
        with self.one:
            one = socket.create_connection(listener.getsockname(), timeout=LIMIT)
        other = listener.accept()[0]
        listener.close()
        for opened in (one, other):
            opened.settimeout(2 * LIMIT)
        return one, other

    def show(self) -> None:
        """What TCP knows of the connections, for who wonders why one stands still."""
        for space in (self.one, self.other):
            with space:
                shown = subprocess.run(["ss", "-tinmoeH"], stdout=subprocess.PIPE, text=True, check=True).stdout
            print("".join(f"# {space.name}: {line}\n" for line in shown.splitlines()), end="", flush=True)

    def delete(self) -> None:
        self.one.delete()
        self.other.delete()


def waiting(opened: socket.socket, data: bytes) -> None:
    opened.sendall(data)


def not_waiting(opened: socket.socket, data: bytes) -> None:
    """But told when it may go on."""
    while data:
        try:
            data = data[opened.send(data, socket.MSG_DONTWAIT):]
        except BlockingIOError:
            expect(writable(opened, 2 * LIMIT), "no room any more")


def held_back(opened: socket.socket, data: bytes) -> None:
    opened.sendall(data, socket.MSG_MORE)


def of_a_file(opened: socket.socket, data: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)  # where python goes on by send() if sendfile() fails at once
        opened.sendfile(file)


WAYS = {waiting: 6, not_waiting: 4, held_back: 2, of_a_file: 1}


def send(opened: socket.socket, data: bytes, rng: random.Random) -> None:
    at = 0
    while at < len(data):
        size = rng.choice((1, 30, 1448, 20_000, 200_000))
        way = rng.choices(list(WAYS), list(WAYS.values()))[0]
        way(opened, data[at:at + size])
        at += size


def blocking(opened: socket.socket) -> None:
    """With a time limit of the kernel's: python's own makes it one that does not wait."""
    opened.settimeout(None)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        opened.setsockopt(socket.SOL_SOCKET, option, struct.pack("=qq", 2 * LIMIT, 0))


def limited(opened: socket.socket, rng: random.Random) -> None:
    """By this or that, or not at all."""
    if rng.randrange(2):
        blocking(opened)
    opened.setsockopt(socket.SOL_TCP, TCP_NOTSENT_LOWAT, rng.choice((0, 0, 1, 5000)))
    opened.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, rng.randrange(2))
    if rng.randrange(2):
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, rng.choice((1, 20_000, 200_000)))


@contextlib.contextmanager
def signals(seconds: float) -> Iterator[None]:
    """All the time, for those who write."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def recv(opened: socket.socket, size: int) -> bytes:
    return opened.recv(size)


def all_of_it(opened: socket.socket, size: int) -> bytes:
    return opened.recv(min(size, 5000), socket.MSG_WAITALL)


def peeked_first(opened: socket.socket, size: int) -> bytes:
    before = opened.recv(size, socket.MSG_PEEK)
    data = opened.recv(len(before)) if before else b""
    expect(before == data, f"{len(before)} bytes were peeked at, and {len(data)} or others read")
    return data


def at_low_water(opened: socket.socket, size: int) -> bytes:
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, random.choice((1, 30, 3000)))
    return opened.recv(size)


Read = Callable[[socket.socket, int], bytes]
READING: tuple[Read, ...] = (recv, all_of_it, peeked_first, at_low_water)


class Reader(threading.Thread):
    """Reads to the end, in pieces of any size and in one of several ways."""

    def __init__(self, opened: socket.socket, rng: random.Random, reading: tuple[Read, ...] = (recv,)) -> None:
        super().__init__()
        self._opened, self._rng = opened, rng
        self.way = rng.choice(reading)
        self._parts: list[bytes] = []
        self.size = 0
        self.end = "none"  # the error it ended with, OK, or none as yet
        self.start()

    def run(self) -> None:
        end = "OK"
        try:
            while some := self.way(self._opened, self._rng.choice((1, 100, 5000, 1 << 20))):
                self._parts.append(some)
                self.size += len(some)
        except TimeoutError:
            end = "nothing came any more"
        except OSError as error:
            end = name_of(error)
        except Failure as failure:
            end = str(failure)
        self.end = end

    def got(self) -> bytes:
        self.join()
        return b"".join(self._parts)


def messages_of(rng: random.Random, count: int) -> list[bytes]:
    """Of any bytes, of which the first is never the one that ends it all."""
    sizes = rng.choices(list(SIZES), list(SIZES.values()), k=count)
    text = memoryview(rng.randbytes(OFFSETS + max(SIZES)))
    return [b"%c%b" % (first, text[at:at + size - 1])
            for first, at, size in zip(rng.choices(range(ENDS), k=count), rng.choices(range(OFFSETS), k=count), sizes)]


def stream_of(messages: list[bytes]) -> bytes:
    return b"".join(map(prefixed, messages))


def messages_in(stream: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(stream):
        end = at + 2 + int.from_bytes(stream[at:at + 2], "big")
        found.append(stream[at + 2:end])
        at = end
    return found


def what_arrives(messages: list[bytes], received_drops: int = RECEIVED_DROPS) -> bytes:
    return stream_of([one for one in messages if arrives(one, received_drops)])


def expect_same(seen: bytes, wanted: bytes, what: str) -> None:
    same = len(os.path.commonprefix([seen, wanted]))
    expect(seen == wanted, f"{what}: {len(seen)} bytes, not {len(wanted)}; the first {same} are right")


def a_stream(network: Network, rng: random.Random, count: int) -> int:
    """Without a disconnection: all that should arrive does, and nothing else. How many messages."""
    pair = network.pair()
    drops = (RECEIVED_DROPS, MANY_DROPS)[count % 2]
    tapped(pair[0], SENT_DROPS, False, rng)
    tapped(pair[1], drops, False, rng)
    for opened in pair:
        limited(opened, rng)
    sent = [messages_of(rng, count), messages_of(rng, count)]
    readers = [Reader(opened, random.Random(rng.random()), READING) for opened in pair]

    def write(side: int, own: random.Random) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        send(pair[side], stream_of(sent[side]), own)
        pair[side].shutdown(socket.SHUT_WR)

    writers = [threading.Thread(target=write, args=(side, random.Random(rng.random()))) for side in (0, 1)]
    with signals(rng.choice((0, 0.002, 0.05))):
        for writer in writers:
            writer.start()
        for thread in (*writers, *readers):
            thread.join()
    for side in (0, 1):
        if readers[side].end != "OK":
            network.show()
    for side in (0, 1):
        what = f"side {side}, which reads by {readers[side].way.__name__} and ended {readers[side].end}"
        expect_same(readers[side].got(), what_arrives(sent[1 - side], drops), what)
        expect_equal(readers[side].end, "OK", f"the end of side {side}")
    for opened in pair:
        opened.close()
    return 2 * count


def several_senders(network: Network, rng: random.Random, count: int) -> int:
    """What each sends with one call is not torn apart, and comes in his order."""
    pair = network.pair()
    tapped(pair[0], SENT_DROPS, False, rng)
    tapped(pair[1], RECEIVED_DROPS, False, rng)
    limited(pair[0], rng)
    blocking(pair[0])
    sent = [[bytes((one[0], sender)) + one[1:] for one in messages_of(rng, count)] for sender in range(SENDERS)]
    reader = Reader(pair[1], random.Random(rng.random()))

    def write(messages: list[bytes], own: random.Random) -> None:
        at = 0
        while at < len(messages):
            some = own.choice((1, 10, 100))
            pair[0].sendall(stream_of(messages[at:at + some]))
            at += some

    writers = [threading.Thread(target=write, args=(messages, random.Random(rng.random()))) for messages in sent]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    pair[0].shutdown(socket.SHUT_WR)
    came = messages_in(reader.got())
    for sender, messages in enumerate(sent):
        expect_same(stream_of([one for one in came if one[1] == sender]), what_arrives(messages), f"sender {sender}")
    expect_equal(reader.end, "OK", "the end")
    for opened in pair:
        opened.close()
    return SENDERS * count


def disconnected_by_the_receiver(network: Network, rng: random.Random, count: int) -> int:
    """One message ends it: all that was before it is read, and nothing of what came with it."""
    pair = network.pair()
    tapped(pair[0], SENT_DROPS, False, rng)
    tapped(pair[1], RECEIVED_DROPS, True, rng)
    before = messages_of(rng, rng.randrange(1, count))
    reader = Reader(pair[1], random.Random(rng.random()))
    with contextlib.suppress(OSError):  # it may have ended already
        send(pair[0], stream_of(before) + prefixed(bytes((ENDS,)) + b"not this") + prefixed(b"nor this") * 50, rng)
    expect_same(reader.got(), what_arrives(before), "before the message that the receiver's tap ends it for")
    expect_equal(reader.end, "ECONNABORTED", "the end")
    for opened in pair:
        opened.close()
    return len(before)


def disconnected_by_the_sender(network: Network, rng: random.Random, count: int) -> int:
    """What has arrived stays; of what was on its way a beginning may. The network may lose the RST."""
    pair = network.pair()
    pair[1].settimeout(15)
    tapped(pair[0], SENT_DROPS, True, rng)
    tapped(pair[1], RECEIVED_DROPS, False, rng)
    first, second = messages_of(rng, rng.randrange(1, count)), messages_of(rng, rng.randrange(1, 20))
    there = what_arrives(first)
    reader = Reader(pair[1], random.Random(rng.random()))
    send(pair[0], stream_of(first), rng)
    wait_for(lambda: reader.size >= len(there) or reader.end != "none", "what was sent first", 2 * LIMIT)
    try:
        send(pair[0], stream_of(second) + prefixed(bytes((ENDS,)) + b"not this") + prefixed(b"nor this"), rng)
        ended = "OK"
    except OSError as error:
        ended = name_of(error)
    got = reader.got()
    expect_equal(ended, "ECONNABORTED", "the sender's end")
    expect(reader.end in ("ECONNRESET", "nothing came any more"), f"the receiver's end: {reader.end}")
    expect_same(got[:len(there)], there, "what was sent first")
    expect(what_arrives(second).startswith(got[len(there):]), f"{len(got) - len(there)} bytes of no beginning")
    for opened in pair:
        opened.close()
    return len(first)


def on(quality: str, linear: bool = False) -> None:
    rng = random.Random(f"{SEED} {quality} {linear}")
    network = Network(quality, linear)
    done = 0
    while done < MESSAGES // (len(NETWORKS) + 1):
        done += a_stream(network, rng, rng.randrange(200 * LONGER, 2000 * LONGER))
        done += several_senders(network, rng, 200 * LONGER)
        done += disconnected_by_the_receiver(network, rng, 200)
        done += disconnected_by_the_sender(network, rng, 200)
    print(f"# seed {SEED}, netem {quality}{', linear' * linear}: {done} messages", flush=True)
    network.delete()


@test
def no_trouble() -> None:
    on(NETWORKS[0])


@test
def delay() -> None:
    on(NETWORKS[1])


@test
def loss() -> None:
    on(NETWORKS[2])


@test
def everything() -> None:
    on(NETWORKS[3])


@test
def linear_packets() -> None:
    on(NETWORKS[0], True)


if __name__ == "__main__":
    load()
    main()
