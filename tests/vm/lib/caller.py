# SPDX-License-Identifier: GPL-2.0
"""Callers of the fake helper (fake.py) and of its one table, which never changes."""

import ctypes
import os
import signal
import socket
import struct
from typing import Callable

from . import fake, options
from .check import expect, expect_equal, wait_for
from .options import GET_ENTRIES, GET_INFO, SET_ADD_COUNTERS, SET_REPLACE, getsockopt, name, setsockopt

SIZE = 632  # of the table
DROPPING = 66  # entries of a table that drops everything
REPLACE = 96  # bytes of struct ipt_replace

_COUNTER = struct.Struct("=QQ")
_FILL = b"\xaa" * _COUNTER.size
UNTOUCHED = (0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa)
OLD_COUNTERS = [(i + 1, 100 * (i + 1)) for i in range(4)]
NO_COUNTERS = [(0, 0)] * 4


def get_info(table: str = "filter", family: socket.AddressFamily = socket.AF_INET) -> int:
    return getsockopt(GET_INFO, name(table).ljust(84, b"\0"), family)[0]


def get_entries(size: int = SIZE) -> tuple[int, bytes]:
    error, data = getsockopt(GET_ENTRIES, (name("filter") + struct.pack("=II", size, 0)).ljust(40 + size, b"\0"))
    return error, data[40:]


def listing() -> int:
    return get_entries()[0]


def replace_data(counters: int, num_counters: int, entries: int = 4, size: int = SIZE) -> bytes:
    return options.replace_data(counters, num_counters, entries, size)


def replace(entries: int = 4, num_counters: int = 4, size: int = SIZE) -> tuple[int, list[tuple[int, int]]]:
    """The errno, and the counters, with one more behind them that nobody may touch."""
    counters = ctypes.create_string_buffer(_FILL * (num_counters + 1), len(_FILL) * (num_counters + 1))
    error = setsockopt(SET_REPLACE, replace_data(ctypes.addressof(counters), num_counters, entries, size))
    return error, [(packets, size) for packets, size in _COUNTER.iter_unpack(counters.raw)]


def add_counters() -> int:
    return setsockopt(SET_ADD_COUNTERS, name("filter") + struct.pack("=II", 4, 0) + bytes(64))


def tables() -> str:
    """What is in force in this namespace."""
    with open("/proc/net/ip_tables_names", encoding="ascii") as file:
        return file.read()


def fate(seconds: float = 20) -> str:
    """What happens to a datagram at the hooks of this namespace: "passes", "dropped" or "lost"."""
    kind = (socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(*kind) as receiver, socket.socket(*kind) as sender:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(seconds)
        try:
            sender.sendto(b"x", receiver.getsockname())
        except PermissionError:
            return "dropped"
        try:
            return "passes" if receiver.recv(2) == b"x" else "another"
        except TimeoutError:
            return "lost"


def passes() -> bool:
    """Or else it is dropped."""
    what = fate()
    expect(what in ("passes", "dropped"), f"a datagram is {what}")
    return what == "passes"


class Child:
    """A process that makes one request; it can be killed."""

    def __init__(self, function: Callable[[], int]):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os._exit(function())
            finally:
                os._exit(255)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def is_over(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait_for_request(self) -> None:
        """Until it is asleep in the module, its request queued."""
        def where() -> str:
            with open(f"/proc/{self.pid}/wchan", encoding="ascii") as file:
                return file.read()
        wait_for(lambda: where().startswith("bpfilter_"), "a request to be queued")

    def result(self) -> int:
        """The function's, negative when it was killed."""
        wait_for(self.is_over, "a request to end", 120)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def works() -> None:
    """With a good helper, in the end, everything is as if nothing had been."""
    fake.order()
    wait_for(lambda: get_info() == 0, "GET_INFO to work")
    expect_equal(get_entries(), (0, b"e" * SIZE), "entries")
