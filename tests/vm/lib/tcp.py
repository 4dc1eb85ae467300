# SPDX-License-Identifier: GPL-2.0
"""Connections through loopback, and what can be learned of one of their ends."""

import array
import contextlib
import ctypes
import errno
import fcntl
import select
import socket
import struct
from typing import Callable, Iterator

from .check import wait_for

LOOPBACK = {4: (socket.AF_INET, "127.0.0.1"), 6: (socket.AF_INET6, "::1")}
LIMIT = 60  # seconds after which nothing comes any more
_libc = ctypes.CDLL(None, use_errno=True)
_SIOCINQ, _SIOCOUTQ, _SIOCOUTQNSD = 0x541B, 0x5411, 0x894B


@contextlib.contextmanager
def listening(family: int = 4) -> Iterator[socket.socket]:
    af, address = LOOPBACK[family]
    with socket.socket(af) as listener:
        listener.bind((address, 0))
        listener.listen()
        yield listener


def connect(listener: socket.socket, one: socket.socket | None = None) -> tuple[socket.socket, socket.socket]:
    """The two ends of a new connection, `one` of which there may be already."""
    one = one or socket.socket(listener.family)
    one.settimeout(LIMIT)
    one.connect(listener.getsockname()[:2])
    other = listener.accept()[0]
    other.settimeout(LIMIT)
    return one, other


@contextlib.contextmanager
def connection(family: int = 4) -> Iterator[tuple[socket.socket, socket.socket]]:
    with listening(family) as listener:
        one, other = connect(listener)
    with one, other:
        yield one, other


def disconnect(opened: socket.socket) -> None:
    """connect() to AF_UNSPEC."""
    if _libc.connect(opened.fileno(), struct.pack("=H14x", socket.AF_UNSPEC), 16):
        raise OSError(ctypes.get_errno(), "disconnect")


@contextlib.contextmanager
def setting(path: str, value: str) -> Iterator[None]:
    """One of the kernel's: what is written behind the first byte of its file is ignored."""
    with open(path, encoding="ascii") as file:
        before = file.read()
    with open(path, "w", encoding="ascii") as file:
        file.write(value)
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(before)


def fast_open() -> contextlib.AbstractContextManager[None]:
    """Data with the SYN: by both sides, of any listener that wants it, and without cookies."""
    return setting("/proc/sys/net/ipv4/tcp_fastopen", "1543")


def name_of(error: OSError) -> str:
    name = errno.errorcode.get(error.errno or 0, str(error))
    return {"ENOTSUP": "EOPNOTSUPP"}.get(name, name)


def error_of(function: Callable[[], object]) -> str:
    """The name of the errno that it fails with, or OK."""
    try:
        function()
    except OSError as error:
        return name_of(error)
    return "OK"


def receive(opened: socket.socket, size: int) -> bytes:
    """So many bytes, or up to the end."""
    data = b""
    while len(data) < size:
        some = opened.recv(size - len(data))
        if not some:
            break
        data += some
    return data


def ending(opened: socket.socket) -> tuple[bytes, str]:
    """What comes up to the end, and which error that is, or OK."""
    data = b""
    try:
        while some := opened.recv(1 << 20):
            data += some
    except OSError as error:
        return data, name_of(error)
    return data, "OK"


def _ioctl(opened: socket.socket, number: int) -> int:
    value = array.array("i", [0])
    fcntl.ioctl(opened, number, value)
    return value[0]


def unread(opened: socket.socket) -> int:
    """Bytes that can be read."""
    return _ioctl(opened, _SIOCINQ)


def unacknowledged(opened: socket.socket) -> int:
    """Bytes that TCP has from us and that have not arrived, for all it knows."""
    return _ioctl(opened, _SIOCOUTQ)


def kept_back(opened: socket.socket) -> int:
    """Bytes that TCP has not even sent."""
    return _ioctl(opened, _SIOCOUTQNSD)


def arrived(opened: socket.socket) -> None:
    """Waits until what was sent is with the other end, which has been told."""
    wait_for(lambda: not unacknowledged(opened), "what was sent to arrive")


def wait_for_data(opened: socket.socket, size: int) -> None:
    wait_for(lambda: unread(opened) >= size, f"{size} bytes")


def readable(opened: socket.socket, seconds: float = 0) -> bool:
    return bool(select.select([opened], [], [], seconds)[0])


def writable(opened: socket.socket, seconds: float = 0) -> bool:
    return bool(select.select([], [opened], [], seconds)[1])


def prefixed(text: bytes) -> bytes:
    """A message of lib.bpf.prefixed()."""
    return struct.pack(">H", len(text)) + text
