# SPDX-License-Identifier: GPL-2.0
"""Marks: frames that say "everything sent before me on this link has been dealt with".

Queues are first in, first out (on one processor), so a test that has sent its packets
passes a mark behind them and knows, without sleeping, that they have been decided.
"""

import itertools
import select
import socket
import struct
import time

from .check import Failure

ETHERTYPE = 0x88B5  # local experimental
PACKET_OUTGOING = 4

_numbers = itertools.count(1)


def open_on(device: str) -> socket.socket:
    """An end of a link, in the current namespace."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
    opened.bind((device, ETHERTYPE))
    return opened


def _send(sender: socket.socket, number: int) -> None:
    payload = struct.pack("=Q", number).ljust(46, b"\0")
    sender.send(b"\xff" * 6 + b"\2\0\0\0\xff\xff" + struct.pack("!H", ETHERTYPE) + payload)


def _arrived(receiver: socket.socket, number: int, seconds: float) -> bool:
    while select.select([receiver], [], [], seconds)[0]:
        data, address = receiver.recvfrom(64)
        if address[2] != PACKET_OUTGOING and struct.unpack_from("=Q", data, 14)[0] == number:
            return True
    return False


def through(sender: socket.socket, receiver: socket.socket) -> None:
    """Send a mark and wait until it comes out at the other end."""
    number = next(_numbers)
    _send(sender, number)
    if not _arrived(receiver, number, 30):
        raise Failure("a mark frame was lost: a link is not in order")


def wait_for_link(one: socket.socket, other: socket.socket) -> None:
    """A new link drops frames until the kernel has noticed its carrier: wait for both ways."""
    deadline = time.monotonic() + 30
    for sender, receiver in ((one, other), (other, one)):
        while True:
            number = next(_numbers)
            _send(sender, number)
            if _arrived(receiver, number, 0.01):
                break
            if time.monotonic() > deadline:
                raise Failure("a link did not come up")
