# SPDX-License-Identifier: GPL-2.0
"""io_uring, as little of it as sends: one request at a time."""

import ctypes
import mmap
import os
import struct
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_SETUP, _ENTER = 425, 426
_GETEVENTS = 1
_OFF_CQ_RING, _OFF_SQES = 0x8000000, 0x10000000
_ENTRIES = 8

SEND, SEND_ZC = 26, 47
REPORT_USAGE = 8  # of SEND_ZC
MORE, NOTIFICATION = 2, 8  # flags of what comes back
COPIED = 1 << 31


class Completion(NamedTuple):
    data: int
    result: int
    flags: int


class Ring:
    def __init__(self) -> None:
        params = ctypes.create_string_buffer(120)
        self._fd = _libc.syscall(_SETUP, _ENTRIES, params)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "io_uring_setup")
        raw = bytes(params)
        entries, completions = struct.unpack_from("=2I", raw)
        self._sq, self._cq = struct.unpack_from("=8I", raw, 40), struct.unpack_from("=8I", raw, 80)
        self._submitted = mmap.mmap(self._fd, self._sq[6] + 4 * entries, offset=0)
        self._completed = mmap.mmap(self._fd, self._cq[5] + 16 * completions, offset=_OFF_CQ_RING)
        self._requests = mmap.mmap(self._fd, 64 * entries, offset=_OFF_SQES)
        self._kept: list[object] = []

    def _get(self, ring: mmap.mmap, at: int) -> int:
        value: int = struct.unpack_from("=I", ring, at)[0]
        return value

    def send(self, opcode: int, fd: int, data: bytes, *, priority: int = 0, flags: int = 0, tag: int = 1) -> None:
        buffer = ctypes.create_string_buffer(data, len(data))
        self._kept.append(buffer)
        tail = self._get(self._submitted, self._sq[1])
        slot = tail & self._get(self._submitted, self._sq[2])
        self._requests[64 * slot:64 * slot + 64] = struct.pack(
            "=BBHiQQIIQ24x", opcode, 0, priority, fd, 0, ctypes.addressof(buffer), len(data), flags, tag)
        struct.pack_into("=I", self._submitted, self._sq[6] + 4 * slot, slot)
        struct.pack_into("=I", self._submitted, self._sq[1], tail + 1)
        if _libc.syscall(_ENTER, self._fd, 1, 0, 0, None, 0) != 1:
            raise OSError(ctypes.get_errno(), "io_uring_enter")

    def wait(self) -> Completion:
        """The next that is completed."""
        head = self._get(self._completed, self._cq[0])
        if head == self._get(self._completed, self._cq[1]):
            if _libc.syscall(_ENTER, self._fd, 0, 1, _GETEVENTS, None, 0) < 0:
                raise OSError(ctypes.get_errno(), "io_uring_enter")
        slot = head & self._get(self._completed, self._cq[2])
        data, result, flags = struct.unpack_from("=QiI", self._completed, self._cq[5] + 16 * slot)
        struct.pack_into("=I", self._completed, self._cq[0], head + 1)
        return Completion(data, result, flags)

    def close(self) -> None:
        for ring in (self._submitted, self._completed, self._requests):
            ring.close()
        os.close(self._fd)
