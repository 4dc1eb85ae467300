# SPDX-License-Identifier: GPL-2.0
"""The other end of a TCP connection, each segment of it made by hand: overlaps, urgent marks, and no byte more than
the window allows. It is behind a device of type tap, which is not waited for, in a namespace of its own: packets from
there have memory that TCP puts together."""

import fcntl
import os
import select
import socket
import struct
import subprocess

from . import packet
from .check import Failure, wait_for
from .netns import Namespace
from .packet import ACK, PSH, RST, SYN, URG
from .tcp import LIMIT

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x2, 0x1000
HERE, THERE = "10.9.0.1", "10.9.0.2"  # ours are the sockets here; the peer is there
_HERE, _THERE = "02:00:00:00:00:01", "02:00:00:00:00:02"
_FIRST = 0xFFFF_F000  # the sequence number of its SYN: they begin anew soon
_MASK = 0xFFFF_FFFF


def _ahead(one: int, other: int) -> int:
    """How far one sequence number is behind another, if it is."""
    return (one - other + 0x8000_0000 & _MASK) - 0x8000_0000


class Peer:
    """Offsets are in the stream that it sends: byte 0 is the first."""

    def __init__(self, listener: socket.socket, device: int, port: int, mss: int) -> None:
        self._device, self._ports = device, (port, listener.getsockname()[1])
        self._number = 0  # what we acknowledge
        self._edge = 0  # behind the last byte that may be sent
        self.acknowledged = 0
        self.sent = 0
        self.reset = False
        self._write(_FIRST, SYN, options=struct.pack("!BBH", 2, 4, mss))
        wait_for(lambda: self._listen()._number, "SYN and ACK")
        self.send(b"")

    def _write(self, sequence: int, flags: int, data: bytes = b"", urgent: int = 0, options: bytes = b"") -> None:
        head = struct.pack("!HHIIBBHHH", *self._ports, sequence & _MASK, self._number, 5 + len(options) // 4 << 4,
                           flags, 0xFFFF, 0, urgent)
        whole = packet.ipv4(THERE, HERE, packet.TCP, head + options + data)
        os.write(self._device, packet.ethernet(packet.mac(_HERE), packet.mac(_THERE), whole))

    def _listen(self) -> "Peer":
        """Takes all that has come; itself."""
        while select.select([self._device], [], [], 0)[0]:
            came = os.read(self._device, 65536)[packet.ETH_HEADER:]
            if came[0] >> 4 != 4 or came[9] != packet.TCP:
                continue
            head = came[(came[0] & 15) * 4:]
            port, number, acknowledged, flags, window = struct.unpack("!2xHIIxBH", head[:16])
            if port != self._ports[0]:
                continue
            if flags & RST:
                self.reset = True
            elif flags & SYN:
                self._number = number + 1 & _MASK
                self._edge = window
            else:
                self.acknowledged = max(self.acknowledged, _ahead(acknowledged, _FIRST + 1))
                self._edge = max(self._edge, _ahead(acknowledged + window, _FIRST + 1))
        return self

    def window(self) -> int:
        """So many bytes more may be sent."""
        self._listen()
        return self._edge - self.sent

    def send(self, data: bytes, at: int | None = None, urgent: int | None = None) -> None:
        """A segment. `at`: not behind what was sent; `urgent`: the index in it of the byte that is marked."""
        if at is None:
            at = self.sent
        flags = ACK | (PSH if data else 0) | (URG if urgent is not None else 0)
        self._write(_FIRST + 1 + at, flags, data, 0 if urgent is None else urgent + 1)
        self.sent = max(self.sent, at + len(data))

    def arrived(self) -> None:
        """All that was sent is in the socket's queue, and the tap has been told."""
        wait_for(lambda: self._listen().acknowledged >= self.sent, "an acknowledgement")

    def stream(self, data: bytes, size: int) -> None:
        """As a sender does who is not in a hurry: segments of so many bytes, if the window has room for them."""
        for begin in range(0, len(data), size):
            some = data[begin:begin + size]
            wait_for(lambda: self.reset or self.window() >= len(some), f"a window of {len(some)} bytes "
                     f"behind {self.sent}")
            if self.reset:
                raise Failure(f"the connection ended behind {self.sent} bytes")
            self.send(some)


class Wire:
    """The device, and the namespace at its end."""

    def __init__(self) -> None:
        self.space = Namespace("wire")
        subprocess.run(["modprobe", "tun"], check=True)
        with self.space:
            self._device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(self._device, _TUNSETIFF, struct.pack("16sH14x", b"wire", _IFF_TAP | _IFF_NO_PI))
            self.space.ip([f"link set wire address {_HERE} up", f"address add {HERE}/24 dev wire",
                           f"neighbour add {THERE} lladdr {_THERE} dev wire"])
        self._port = 1024

    def connect(self, buffer: int = 0, mss: int = 1460) -> tuple[Peer, socket.socket]:
        """`buffer`: SO_RCVBUF, from the beginning."""
        with self.space, socket.socket() as listener:
            if buffer:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            listener.bind((HERE, 0))
            listener.listen()
            self._port += 1
            peer = Peer(listener, self._device, self._port, mss)
            opened = listener.accept()[0]
        opened.settimeout(LIMIT)
        # Nobody here acknowledges a FIN: it would be sent again for minutes, and keep the module.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        return peer, opened

    def close(self) -> None:
        os.close(self._device)
        self.space.delete()
