#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap on a bad network: random messages in random pieces, with segments that are lost, late, doubled
and out of order. A model says which bytes arrive; exactly these do.

    verdicts.py                     a quick run
    MESSAGES=1000000 verdicts.py    a long one; SEED repeats it
"""

import ctypes
import fcntl
import os
import random
import socket
import struct
import subprocess
import threading

from lib import bpf, tap
from lib.check import Skip, expect, main, test
from lib.netns import Namespace
from lib.tap import DISCONNECT, DROP, OK, Programs

MESSAGES = int(os.environ.get("MESSAGES", "40000"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
NETWORKS = ("limit 10000", "delay 2ms 1ms limit 10000", "loss 1% limit 10000",
            "delay 1ms reorder 30% duplicate 2% loss 0.5% limit 10000")
SIZES = (1, 1, 2, 7, 60, 250, 1000, 1447, 1448, 1449, 4000, 17_000)

SIOCETHTOOL, ETHTOOL_SSG = 0x8946, 0x19

# By the first byte of a message, at each end.
SENT_DROPS, RECEIVED_DROPS, ENDS = 7, 11, 251


def framed(message: bytes) -> bytes:
    return struct.pack(">H", len(message)) + message


def arrives(message: bytes) -> bool:
    return message[0] % SENT_DROPS != 0 and message[0] % RECEIVED_DROPS != 0


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
            one = socket.create_connection(listener.getsockname(), timeout=60)
        other = listener.accept()[0]
        listener.close()
        for opened in (one, other):
            opened.settimeout(120)
        return one, other

    def delete(self) -> None:
        self.one.delete()
        self.other.delete()


def send(opened: socket.socket, data: bytes, rng: random.Random) -> None:
    at = 0
    try:
        while at < len(data):
            size = rng.choice((1, 30, 1448, 20_000, 200_000))
            opened.sendall(data[at:at + size])
            at += size
        opened.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other end says what arrived


def receive(opened: socket.socket, rng: random.Random) -> tuple[bytes, bool]:
    """What came, and whether it ended as it should."""
    parts = []
    try:
        while some := opened.recv(rng.choice((1, 100, 5000, 1 << 20))):
            parts.append(some)
    except OSError:
        return b"".join(parts), False
    return b"".join(parts), True


def exchange(pair: tuple[socket.socket, socket.socket], data: tuple[bytes, bytes],
             rng: random.Random) -> list[tuple[bytes, bool]]:
    """Both directions at once."""
    got: list[tuple[bytes, bool]] = [(b"", False)] * 2
    rngs = [random.Random(rng.random()) for _ in range(4)]

    def read(side: int) -> None:
        got[side] = receive(pair[side], rngs[2 + side])

    threads = [threading.Thread(target=send, args=(pair[side], data[side], rngs[side])) for side in (0, 1)]
    threads += [threading.Thread(target=read, args=(side,)) for side in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def messages_of(rng: random.Random, count: int) -> list[bytes]:
    made = []
    for _ in range(count):
        size = rng.choices(SIZES, (20, 20, 20, 20, 20, 10, 3, 1, 1, 1, 1, 0.3))[0]
        made.append(bytes((rng.randrange(ENDS),)) + bytes(size - 1))
    return made


def a_stream(network: Network, rng: random.Random, count: int) -> int:
    """Without a disconnection: all that should arrive does, and nothing else. How many messages."""
    pair = network.pair()
    tapped(pair[0], SENT_DROPS, False, rng)
    tapped(pair[1], RECEIVED_DROPS, False, rng)
    sent = [messages_of(rng, count), messages_of(rng, count)]
    got = exchange(pair, (b"".join(map(framed, sent[0])), b"".join(map(framed, sent[1]))), rng)
    for side in (0, 1):
        wanted = b"".join(framed(one) for one in sent[1 - side] if arrives(one))
        expect(got[side][1], f"side {side} ended badly after {len(got[side][0])} of {len(wanted)} bytes")
        expect(got[side][0] == wanted, f"side {side} got {len(got[side][0])} bytes, not {len(wanted)}")
    for opened in pair:
        opened.close()
    return 2 * count


def a_disconnection(network: Network, rng: random.Random, count: int) -> int:
    """One message ends it, sent or received: what arrived is a beginning of what was before it."""
    pair = network.pair()
    sender = rng.randrange(2)
    for opened in pair:
        opened.settimeout(15)  # the network may lose the RST
    tapped(pair[0], SENT_DROPS, sender == 0, rng)
    tapped(pair[1], RECEIVED_DROPS, sender == 1, rng)
    before = messages_of(rng, rng.randrange(count))
    data = b"".join(map(framed, before)) + framed(bytes((ENDS,)) + b"not this") + framed(b"nor this") * 50
    got = exchange(pair, (data, b""), rng)[1]
    wanted = b"".join(framed(one) for one in before if arrives(one))
    expect(not got[1], f"it ended as if it were whole: side {sender} ends it, {len(got[0])} of {len(wanted)} bytes")
    expect(wanted.startswith(got[0]), f"{len(got[0])} bytes that are no beginning of {len(wanted)}")
    for opened in pair:
        opened.close()
    return len(before)


def on(quality: str, linear: bool = False) -> None:
    rng = random.Random(f"{SEED} {quality} {linear}")
    network = Network(quality, linear)
    done = 0
    while done < MESSAGES // (len(NETWORKS) + 1):
        done += a_stream(network, rng, rng.randrange(200, 2000))
        for _ in range(3):
            done += a_disconnection(network, rng, 200)
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
    subprocess.run(["modprobe", "stap"], check=True)
    main()
