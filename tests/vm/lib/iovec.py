# SPDX-License-Identifier: GPL-2.0
"""System calls that take struct iovec, which python has not, and splice()."""

import ctypes
import mmap
import os
import socket
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)


class _Piece(ctypes.Structure):
    """struct iovec"""
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Message(ctypes.Structure):
    """struct mmsghdr, where an int and its padding are as long as a pointer"""
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("pieces", ctypes.POINTER(_Piece)),
                ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_ssize_t), ("done", ctypes.c_uint32)]


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), what)
    return result


def splice(source: int, to: int, size: int) -> int:
    moved: int = os.splice(source, to, size)  # type: ignore[attr-defined]
    return moved


def splice_memory(memory: mmap.mmap, size: int, to: socket.socket) -> None:
    """The pages themselves, through a pipe: whoever keeps them sees what is written there later."""
    reading, writing = os.pipe()
    place = (ctypes.c_char * size).from_buffer(memory)
    piece = _Piece(ctypes.addressof(place), size)
    try:
        _checked(_libc.vmsplice(writing, ctypes.byref(piece), ctypes.c_size_t(1), 0), "vmsplice")
        moved = splice(reading, to.fileno(), size)
        if moved != size:
            raise RuntimeError(f"splice moved {moved} of {size} bytes")
    finally:
        del place
        os.close(reading)
        os.close(writing)


class Messages:
    """As many as there are buffers, for sendmmsg() and recvmmsg()."""

    def __init__(self, *buffers: bytes) -> None:
        self._buffers = [ctypes.create_string_buffer(buffer, len(buffer)) for buffer in buffers]
        self._pieces = [_Piece(ctypes.addressof(buffer), len(buffer)) for buffer in self._buffers]
        self._made: Any = (_Message * len(buffers))()
        for message, piece in zip(self._made, self._pieces):
            message.pieces = ctypes.pointer(piece)
            message.count = 1

    def send(self, opened: socket.socket) -> list[int]:
        """The bytes of each that went."""
        count = _checked(_libc.sendmmsg(opened.fileno(), self._made, len(self._made), 0), "sendmmsg")
        return [message.done for message in self._made[:count]]

    def receive(self, opened: socket.socket) -> list[bytes]:
        """What is in each that came, without waiting."""
        count = _checked(_libc.recvmmsg(opened.fileno(), self._made, len(self._made), socket.MSG_DONTWAIT, None),
                         "recvmmsg")
        return [buffer.raw[:message.done] for buffer, message in zip(self._buffers, self._made[:count])]
