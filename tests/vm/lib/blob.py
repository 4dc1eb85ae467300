# SPDX-License-Identifier: GPL-2.0
"""The sockopts of ip_tables, spoken by hand: tables as bytes, and errnos as answers.

Of the family under test, if none is named; a socket is of one anyway.
"""

import ctypes
import errno
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Callable

from . import replace
from .family import HOOKS_OF, Family, current

FAMILY = current()

SET_REPLACE = GET_INFO = 64
SET_ADD_COUNTERS = GET_ENTRIES = 65
GET_REVISION_MATCH = FAMILY.revision_match
GET_REVISION_TARGET = FAMILY.revision_target

ACCEPT, DROP, QUEUE, RETURN = -2, -1, -4, -5
HOOKS = 5
FILTER_HOOKS = 0x0E
UNUSED = 0xFFFFFFFF

ENTRY = FAMILY.entry
STANDARD = FAMILY.standard()  # a rule without matches and with a standard target
ERROR = FAMILY.error()  # the head of a chain
HEADER = 32  # struct xt_entry_match, xt_entry_target
REPLACE = 96
INFO = 84
ENTRIES = 40
COUNTERS_INFO = 40
REVISION = 30

_libc = ctypes.CDLL(None, use_errno=True)


def _name(result: int) -> str:
    return "OK" if result == 0 else errno.errorcode[ctypes.get_errno()]


def _level(opened: socket.socket) -> int:
    return socket.IPPROTO_IPV6 if opened.family == socket.AF_INET6 else socket.SOL_IP


def get(opened: socket.socket, option: int, buffer: bytes, length: int | None = None,
        level: int | None = None) -> tuple[str, bytes]:
    """getsockopt with these bytes as buffer: "OK" or an errno's name, and what is there then."""
    space = ctypes.create_string_buffer(bytes(buffer), max(len(buffer), length or 0) + 64)
    size = ctypes.c_uint32(len(buffer) if length is None else length)
    level = _level(opened) if level is None else level
    result = _libc.getsockopt(opened.fileno(), level, option, space, ctypes.byref(size))
    return _name(result), space.raw[:size.value]


def get_at(opened: socket.socket, option: int, address: int, length: int) -> str:
    size = ctypes.c_uint32(length)
    return _name(_libc.getsockopt(opened.fileno(), _level(opened), option, ctypes.c_void_p(address),
                                  ctypes.byref(size)))


def put(opened: socket.socket, option: int, buffer: bytes, length: int | None = None) -> str:
    space = ctypes.create_string_buffer(bytes(buffer), max(len(buffer), length or 0) + 64)
    return _name(_libc.setsockopt(opened.fileno(), _level(opened), option, space,
                                  ctypes.c_uint32(len(buffer) if length is None else length)))


def raw_socket(family: Family = FAMILY) -> socket.socket:
    return socket.socket(family.af, socket.SOCK_RAW, socket.IPPROTO_RAW)


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
          target_offset: int | None = None, next_offset: int | None = None, source: bytes = b"",
          counters: tuple[int, int] = (0, 0), comefrom: int = 0, nfcache: int = 0,
          family: Family = FAMILY) -> bytearray:
    """`source`: address and mask."""
    behind = family.entry + len(matches)
    asked = family.ip_part(protocol, flags, inverted, source)
    return bytearray(
        asked + struct.pack("=IHHI", nfcache, behind if target_offset is None else target_offset,
                      behind + len(what) if next_offset is None else next_offset, comefrom)
        + b"\0" * (family.entry - 16 - 12 - len(asked)) + struct.pack("=QQ", *counters) + matches + what)


@dataclass
class Table:
    """A table to be sent. Every field can be set wrong before commit()."""
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
        name = self.name.decode() if self.name.decode() in HOOKS_OF else "filter"
        there = info(opened, name).entries
        if self.num_counters is None:
            self.num_counters = there
        self.old = ctypes.create_string_buffer(b"\xaa" * (16 * (there + 4)))
        address = ctypes.addressof(self.old) if self.counters_at is None else self.counters_at
        return replace.encode(self.name, self.valid_hooks,
                              len(self.rules) if self.num_entries is None else self.num_entries,
                              len(self.blob()) if self.size is None else self.size,
                              self.num_counters, address, entries_at, underflows)

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


def of_table(name: str, rules: dict[int, list[bytearray]] | None = None, policy: int = ACCEPT,
             family: Family = FAMILY) -> Table:
    """Any of the five tables, with these rules in the chains of these hooks."""
    rules = rules or {}
    table = Table(name=name.encode(), valid_hooks=sum(1 << hook for hook in HOOKS_OF[name]))
    for hook in HOOKS_OF[name]:
        first = len(table.rules)
        table.rules += [*rules.get(hook, []), entry(verdict(policy), family=family)]
        table.hooks[hook] = first, len(table.rules) - 1
    table.rules.append(entry(error(), family=family))
    return table


def counters(data: bytes, family: Family = FAMILY) -> list[tuple[int, int]]:
    """Packets and bytes of every entry in what GET_ENTRIES returned."""
    found: list[tuple[int, int]] = []
    offset = 0
    while offset < len(data):
        packets, size = struct.unpack_from("=QQ", data, offset + family.entry - 16)
        found.append((packets, size))
        offset += next_offset(data, offset, family)
    return found


def next_offset(data: bytes, offset: int, family: Family = FAMILY) -> int:
    """Size of the entry there."""
    size: int = struct.unpack_from("=H", data, offset + len(family.ip_part()) + 6)[0]
    return size


def nobody(function: Callable[[], list[str]]) -> list[str]:
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
