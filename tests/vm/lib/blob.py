# SPDX-License-Identifier: GPL-2.0
"""The sockopts of ip_tables, spoken by hand: tables as bytes, and errnos as answers."""

import ctypes
import errno
import os
import socket
import struct
from dataclasses import dataclass, field

SET_REPLACE = GET_INFO = 64
SET_ADD_COUNTERS = GET_ENTRIES = 65
GET_REVISION_MATCH = 66
GET_REVISION_TARGET = 67

ACCEPT, DROP, QUEUE, RETURN = -2, -1, -4, -5
HOOKS = 5
FILTER_HOOKS = 0x0E
UNUSED = 0xFFFFFFFF

ENTRY = 112  # struct ipt_entry
HEADER = 32  # struct xt_entry_match, xt_entry_target
REPLACE = 96
INFO = 84
ENTRIES = 40
COUNTERS_INFO = 40
REVISION = 30

_libc = ctypes.CDLL(None, use_errno=True)


def _name(result: int) -> str:
    return "OK" if result == 0 else errno.errorcode[ctypes.get_errno()]


def get(opened: socket.socket, option: int, buffer: bytes, length: int | None = None,
        level: int = socket.SOL_IP) -> tuple[str, bytes]:
    """getsockopt with these bytes as buffer: "OK" or an errno's name, and what is there then."""
    space = ctypes.create_string_buffer(bytes(buffer), max(len(buffer), length or 0) + 64)
    size = ctypes.c_uint32(len(buffer) if length is None else length)
    result = _libc.getsockopt(opened.fileno(), level, option, space, ctypes.byref(size))
    return _name(result), space.raw[:size.value]


def get_at(opened: socket.socket, option: int, address: int, length: int) -> str:
    size = ctypes.c_uint32(length)
    return _name(_libc.getsockopt(opened.fileno(), socket.SOL_IP, option, ctypes.c_void_p(address),
                                  ctypes.byref(size)))


def put(opened: socket.socket, option: int, buffer: bytes, length: int | None = None) -> str:
    space = ctypes.create_string_buffer(bytes(buffer), max(len(buffer), length or 0) + 64)
    return _name(_libc.setsockopt(opened.fileno(), socket.SOL_IP, option, space,
                                  ctypes.c_uint32(len(buffer) if length is None else length)))


def raw_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


@dataclass
class Info:
    status: str
    name: str = ""
    valid_hooks: int = 0
    hook_entry: tuple[int, ...] = ()
    underflow: tuple[int, ...] = ()
    entries: int = 0
    size: int = 0


def info(opened: socket.socket, table: str = "filter") -> Info:
    status, data = get(opened, GET_INFO, table.encode().ljust(INFO, b"\0"))
    if status != "OK":
        return Info(status)
    name, *numbers = struct.unpack("=32s13I", data)
    return Info(status, name.split(b"\0")[0].decode(), numbers[0], tuple(numbers[1:6]),
                tuple(numbers[6:11]), numbers[11], numbers[12])


def entries(opened: socket.socket, size: int | None = None, table: str = "filter") -> tuple[str, bytes]:
    """The entries of a table as they stand."""
    if size is None:
        size = info(opened, table).size
    head = struct.pack("=32sI4x", table.encode(), size)
    status, data = get(opened, GET_ENTRIES, head, ENTRIES + size)
    return status, data[ENTRIES:]


def aligned(size: int) -> int:
    return (size + 7) & ~7


def match(name: bytes, payload: bytes, revision: int = 0, size: int | None = None) -> bytes:
    payload = payload.ljust(aligned(len(payload)), b"\0")
    return struct.pack("=H29sB", HEADER + len(payload) if size is None else size, name,
                       revision) + payload


target = match  # the same shape


def verdict(value: int) -> bytes:
    """A standard target."""
    return target(b"", struct.pack("=i4x", value))


def error(name: bytes = b"ERROR") -> bytes:
    return target(b"ERROR", name.ljust(30, b"\0"))


def entry(what: bytes, matches: bytes = b"", *, protocol: int = 0, flags: int = 0, inverted: int = 0,
          target_offset: int | None = None, next_offset: int | None = None, source: bytes = b"\0" * 8,
          counters: tuple[int, int] = (0, 0), comefrom: int = 0, nfcache: int = 0) -> bytearray:
    """`source`: address and mask."""
    behind = ENTRY + len(matches)
    return bytearray(
        source[:4] + b"\0" * 4 + source[4:] + b"\0" * 4 + b"\0" * 64
        + struct.pack("=HBB", protocol, flags, inverted)
        + struct.pack("=IHHIQQ", nfcache, behind if target_offset is None else target_offset,
                      behind + len(what) if next_offset is None else next_offset, comefrom, *counters)
        + matches + what)


@dataclass
class Table:
    """A filter table to be sent. Every field can be set wrong after build()."""
    rules: list[bytearray] = field(default_factory=list)
    hooks: dict[int, tuple[int, int]] = field(default_factory=dict)  # hook: index of entry, of policy
    name: bytes = b"filter"
    valid_hooks: int = FILTER_HOOKS
    num_entries: int | None = None
    size: int | None = None
    num_counters: int | None = None
    hook_entry: dict[int, int] = field(default_factory=dict)  # overrides, by hook
    underflow: dict[int, int] = field(default_factory=dict)
    counters_at: int | None = None  # address for the old counters

    def offset(self, index: int) -> int:
        return sum(map(len, self.rules[:index]))

    def blob(self) -> bytes:
        return b"".join(map(bytes, self.rules))

    def head(self, opened: socket.socket) -> bytes:
        """struct ipt_replace; the number of counters is what the kernel has, if not given."""
        entries_at, underflows = [0] * HOOKS, [0] * HOOKS
        for hook, (first, policy) in self.hooks.items():
            entries_at[hook] = self.hook_entry.get(hook, self.offset(first))
            underflows[hook] = self.underflow.get(hook, self.offset(policy))
        if self.num_counters is None:
            self.num_counters = info(opened).entries
        self.old = ctypes.create_string_buffer(b"\xaa" * (16 * (info(opened).entries + 4)))
        address = ctypes.addressof(self.old) if self.counters_at is None else self.counters_at
        return struct.pack("=32sIII5I5IIQ", self.name, self.valid_hooks,
                           len(self.rules) if self.num_entries is None else self.num_entries,
                           len(self.blob()) if self.size is None else self.size,
                           *entries_at, *underflows, self.num_counters, address)

    def commit(self, opened: socket.socket, longer: int = 0) -> str:
        data = self.head(opened) + self.blob()
        return put(opened, SET_REPLACE, data, len(data) + longer)


def plain(policies: tuple[int, int, int] = (ACCEPT, ACCEPT, ACCEPT)) -> Table:
    """Three built-in chains and nothing in them."""
    return Table([entry(verdict(one)) for one in policies] + [entry(error())],
                 {1: (0, 0), 2: (1, 1), 3: (2, 2)})


def with_input(*rules: bytearray, chains: dict[bytes, list[bytearray]] | None = None) -> Table:
    """These rules in INPUT, then the rest, then user chains (their foot is added)."""
    count = len(rules)
    table = Table([*rules, *(entry(verdict(ACCEPT)) for _ in range(3))],
                  {1: (0, count), 2: (count + 1, count + 1), 3: (count + 2, count + 2)})
    for name, body in (chains or {}).items():
        table.rules += [entry(error(name)), *body, entry(verdict(RETURN))]
    table.rules.append(entry(error()))
    return table


def nobody(function) -> list[str]:  # type: ignore[no-untyped-def]
    """What function returns (a list of words) as a user without rights, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        os.write(writing, " ".join(function()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        words = file.read().split()
    os.waitpid(child, 0)
    return words
