# SPDX-License-Identifier: GPL-2.0
"""What the router's own sockets say to each other, and to the world, through the rules.

Nothing here waits for a timer: a connection that does not come about at once is given up, and
one that does is ended by a reset.
"""

import errno
import random
import socket
import struct
from typing import Callable, NamedTuple

from interest import Interest
from lib.family import Family

IP_FREEBIND, IPV6_FREEBIND = 15, 78
TCP_STATES = {1: "established", 2: "no answer", 7: "refused"}
LINGER = struct.pack("=ii", 1, 0)  # close by a reset


class Flow(NamedTuple):
    protocol: int  # socket.SOCK_STREAM, SOCK_DGRAM
    source: str
    destination: str
    sport: int
    dport: int
    served: bool  # somebody listens
    size: int

    def __str__(self) -> str:
        return (f"{'tcp' if self.protocol == socket.SOCK_STREAM else 'udp'} {self.source} {self.sport} -> "
                f"{self.destination} {self.dport}, {self.size} bytes")


def draw(rng: random.Random, interest: Interest, count: int) -> list[Flow]:
    own = interest.routers + interest.loopback
    flows = []
    for number in range(count):
        # Loopback speaks to loopback. Addresses and ports are those of rules, as far as they can be bound.
        source = rng.choice(own)
        if source in interest.loopback:
            destination = rng.choice(interest.loopback)
        else:
            destination = rng.choice(interest.local + interest.routers * 2 + interest.remote)
        # Each port of a source once: none waits for another to be forgotten.
        flows.append(Flow(rng.choice((socket.SOCK_STREAM, socket.SOCK_DGRAM)), source, destination, 20000 + number,
                          rng.choice([port for port in interest.ports if port] or [53]), rng.random() < 0.7,
                          rng.choice((0, 1, 100, 700, 1300))))
    return flows


def _open(family: Family, kind: int, address: str, port: int) -> socket.socket:
    opened = socket.socket(family.af, kind | socket.SOCK_NONBLOCK)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family.number == 6:
        opened.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        opened.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    opened.bind((address, port))
    return opened


def _try(call: Callable[[], int]) -> str:
    """A length, or an errno's name."""
    try:
        return str(call())
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def _local(interest: Interest, flow: Flow) -> bool:
    return flow.destination not in interest.remote


Settle = Callable[[], None]


def _datagrams(interest: Interest, flow: Flow, settle: Settle) -> str:
    """There and back: what each call said."""
    client = _open(interest.family, flow.protocol, flow.source, flow.sport)
    server = None
    if flow.served and _local(interest, flow):
        server = _open(interest.family, flow.protocol, flow.destination, flow.dport)
    said = [_try(lambda: client.connect_ex((flow.destination, flow.dport)))]
    said.append(_try(lambda: client.send(b"f" * flow.size)))
    settle()
    if server:
        serving = server
        said.append(_try(lambda: len(serving.recv(65536))))
        said.append(_try(lambda: serving.sendto(b"b" * flow.size, (flow.source, flow.sport))))
        settle()
        serving.close()
    said.append(_try(lambda: len(client.recv(65536))))
    client.close()
    return " ".join(said)


def _connection(interest: Interest, flow: Flow, settle: Settle) -> str:
    client = _open(interest.family, flow.protocol, flow.source, flow.sport)
    server = None
    if flow.served and _local(interest, flow):
        server = _open(interest.family, flow.protocol, flow.destination, flow.dport)
        server.listen()
    result = client.connect_ex((flow.destination, flow.dport))
    settle()
    state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    said = [errno.errorcode.get(result, "OK"), TCP_STATES.get(state, f"state {state}")]
    accepted = None
    if server:
        try:
            accepted = server.accept()[0]
            accepted.setblocking(False)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            said.append("accepted")
        except BlockingIOError:
            said.append("nobody")
    if state == 1 and accepted:
        serving = accepted
        said.append(_try(lambda: client.send(b"f" * flow.size)))
        settle()
        said.append(_try(lambda: len(serving.recv(65536))))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    client.close()
    settle()
    for opened in (accepted, server):
        if opened:
            opened.close()
    settle()
    return " ".join(said)


def play(interest: Interest, flows: list[Flow], settle: Settle) -> list[str]:
    """In the router's namespace; what the sockets said, flow by flow."""
    lines = []
    for flow in flows:
        how = _connection if flow.protocol == socket.SOCK_STREAM else _datagrams
        lines.append(f"flow {flow}: {how(interest, flow, settle)}")
    return lines
