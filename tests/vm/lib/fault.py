# SPDX-License-Identifier: GPL-2.0
"""Memory whose first use waits until it is told to go on: who copies from it, or to it, stands still there."""

import ctypes
import fcntl
import mmap
import os
import socket
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_USERFAULTFD = 323  # x86_64
_API, _REGISTER, _ZEROPAGE, _COPY, _MISSING = 0xC018AA3F, 0xC020AA00, 0xC020AA04, 0xC028AA03, 1
_ATTACH_FILTER = 26
SIZE = mmap.PAGESIZE


class Fault:
    """A page that is not there yet."""

    def __init__(self) -> None:
        self._fd = _libc.syscall(_USERFAULTFD, os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "userfaultfd")
        fcntl.ioctl(self._fd, _API, struct.pack("=QQQ", 0xAA, 0, 0))
        self.address: int = _libc.mmap(None, SIZE, mmap.PROT_READ | mmap.PROT_WRITE,
                                       mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        fcntl.ioctl(self._fd, _REGISTER, struct.pack("=QQQQ", self.address, SIZE, _MISSING, 0))

    def is_met(self) -> bool:
        """Somebody waits for it."""
        try:
            return bool(os.read(self._fd, 32))
        except BlockingIOError:
            return False

    def go_on(self) -> None:
        """It is there, and full of zeros."""
        fcntl.ioctl(self._fd, _ZEROPAGE, bytearray(struct.pack("=QQQq", self.address, SIZE, 0, 0)))
        os.close(self._fd)

    def go_on_with(self, data: bytes) -> None:
        """It is there, and begins with these."""
        page = ctypes.create_string_buffer(data, SIZE)
        fcntl.ioctl(self._fd, _COPY, bytearray(struct.pack("=QQQQq", self.address, ctypes.addressof(page), SIZE, 0, 0)))
        os.close(self._fd)


def set_option(fd: int, level: int, name: int, value: int) -> None:
    """setsockopt(), which in Python keeps all other threads waiting too."""
    number = ctypes.c_int(value)
    if _libc.setsockopt(fd, level, name, ctypes.byref(number), ctypes.sizeof(number)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def set_from(fd: int, level: int, name: int, fault: Fault) -> int:
    """setsockopt() of a number that is in the page; 0, or an errno."""
    return ctypes.get_errno() if _libc.setsockopt(fd, level, name, ctypes.c_void_p(fault.address), 4) else 0


def set_filter(fd: int, fault: Fault) -> int:
    """SO_ATTACH_FILTER of what is in the page, which it reads with the socket locked; 0, or an errno: zeros are no
    program."""
    program = ctypes.create_string_buffer(struct.pack("=H6xQ", 1, fault.address), 16)
    return ctypes.get_errno() if _libc.setsockopt(fd, socket.SOL_SOCKET, _ATTACH_FILTER, program, len(program)) else 0


def send(fd: int, fault: Fault, size: int) -> int:
    """send() of the page; how many bytes were taken."""
    return int(_libc.send(fd, ctypes.c_void_p(fault.address), size, 0))
