# SPDX-License-Identifier: GPL-2.0
"""Tables in four layouts, of IPv4 and IPv6 and of 32-bit and 64-bit callers, and the callers.

The 32-bit caller is another process, tests/compat/sockopt32.c, once per call.
"""

import ctypes
import errno
import os
import socket
import struct
import subprocess
from dataclasses import dataclass, field
from typing import NamedTuple

from . import replace
from .check import Skip

PROGRAM = "/usr/lib/bpfilter-tests/sockopt32"
BUFFER, COUNTERS = 0x10000000, 0x20000000  # addresses in it

HAS_FAILED = 1 << 31

REPLACE = INFO = 64
ADD_COUNTERS = ENTRIES = 65

_libc = ctypes.CDLL(None, use_errno=True)


class Family(NamedTuple):
    family: int
    level: int
    conditional: int  # sizeof(struct ipt_ip), sizeof(struct ip6t_ip6)
    protocol: int  # offset
    flags: int  # offset; 1 means -p is there, for IPv6
    iptables: str


V4 = Family(socket.AF_INET, 0, 84, 80, 0, "iptables")
V6 = Family(socket.AF_INET6, 41, 136, 128, 131, "ip6tables")


@dataclass(frozen=True)
class Layout:
    family: Family
    bits: int

    @property
    def alignment(self) -> int:
        return self.bits // 8

    def align(self, size: int) -> int:
        return (size + self.alignment - 1) & -self.alignment

    @property
    def counters(self) -> int:
        return self.align(self.family.conditional + 12)

    @property
    def entry(self) -> int:
        return self.counters + 16

    @property
    def replace(self) -> int:
        return 88 + self.alignment

    @property
    def head(self) -> int:
        """Of GET_ENTRIES and of ADD_COUNTERS."""
        return self.align(36)

    def extension(self, name: bytes, payload: bytes, revision: int = 0) -> bytes:
        payload = payload.ljust(self.align(len(payload)), b"\0")
        return struct.pack("=H29sB", 32 + len(payload), name, revision) + payload


ACCEPT, DROP, RETURN = -2, -1, -5
XT_TCP = struct.pack("=4H4B", 0, 0xFFFF, 80, 443, 0, 0, 0, 0)
XT_UDP = struct.pack("=4HB", 53, 53, 0, 0xFFFF, 0).ljust(10, b"\0")


@dataclass
class Rule:
    """`to`: a verdict or an offset, a chain, or the name and payload of any target."""
    to: int | str | tuple[bytes, bytes] = ACCEPT
    matches: tuple[tuple[bytes, bytes], ...] = ()
    protocol: int = 0
    slack: int = 0  # bytes behind the target

    def render(self, layout: Layout, chains: dict[str, int]) -> bytes:
        matches = b"".join(layout.extension(*match) for match in self.matches)
        if isinstance(self.to, tuple):
            target = layout.extension(*self.to)
        else:
            verdict = chains.get(self.to, 0) if isinstance(self.to, str) else self.to
            target = layout.extension(b"", struct.pack("=i", verdict))
        target += b"\0" * self.slack
        data = bytearray(layout.entry)
        struct.pack_into("=H", data, layout.family.protocol, self.protocol)
        if self.protocol and layout.family.flags:
            data[layout.family.flags] = 1
        behind = layout.entry + len(matches)
        struct.pack_into("=HH", data, layout.family.conditional + 4, behind, behind + len(target))
        return bytes(data) + matches + target


def tcp(to: int | str = ACCEPT, times: int = 1) -> Rule:
    return Rule(to, ((b"tcp", XT_TCP),) * times, 6)


def udp(to: int | str = ACCEPT) -> Rule:
    return Rule(to, ((b"udp", XT_UDP),), 17)


def error(name: str) -> Rule:
    return Rule((b"ERROR", name.encode().ljust(30, b"\0")))


class Rendered(NamedTuple):
    entries: bytes
    offsets: list[int]
    hook_entry: list[int]
    underflow: list[int]


@dataclass
class Table:
    """A filter table: rules of the built-in chains, and of user chains (their foot is added)."""
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    chains: dict[str, list[Rule]] = field(default_factory=dict)
    policy: int = ACCEPT

    def all(self) -> tuple[list[Rule], dict[str, int], list[tuple[int, int]]]:
        """Every rule; the first of each user chain; entry and policy of the hooks."""
        every: list[Rule] = []
        hooks = []
        first = {}
        for chain in ("INPUT", "FORWARD", "OUTPUT"):
            rules = self.rules.get(chain, [])
            hooks.append((len(every), len(every) + len(rules)))
            every += [*rules, Rule(self.policy)]
        for name, rules in self.chains.items():
            first[name] = len(every) + 1
            every += [error(name), *rules, Rule(RETURN)]
        return every + [error("ERROR")], first, hooks

    def render(self, layout: Layout) -> Rendered:
        every, first, hooks = self.all()
        offsets = [0]
        for rule in every:
            offsets.append(offsets[-1] + len(rule.render(layout, {})))
        targets = {name: offsets[index] for name, index in first.items()}
        return Rendered(b"".join(rule.render(layout, targets) for rule in every), offsets,
                        [0] + [offsets[entry] for entry, _ in hooks] + [0],
                        [0] + [offsets[policy] for _, policy in hooks] + [0])


def is_known() -> bool:
    """Whether this kernel's ip_tables knows 32-bit callers (CONFIG_NETFILTER_XTABLES_COMPAT); it is loaded, or we are."""
    with open("/proc/kallsyms", encoding="ascii") as symbols:
        return any(line.split()[2] == "xt_compat_match_offset" for line in symbols)


def only_known() -> None:
    if not is_known():
        raise Skip("this kernel has no layout for 32-bit callers")


def words(data: bytes) -> list[int]:
    return list(struct.unpack(f"={len(data) // 8}Q", data))


class Answer(NamedTuple):
    status: str  # "OK" or an errno's name
    data: bytes = b""
    counters: bytes = b""
    injected: bool = False  # something was made to fail


class Caller:
    """Speaks to one family in one layout."""

    def __init__(self, layout: Layout, bits: int = 0):
        """`bits`: of the process, if that speaks with the layout of another one."""
        self.layout = layout
        self.bits = bits or layout.bits
        self.socket = socket.socket(layout.family.family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.nth = 0  # thing that can fail in a call of a 32-bit process, and is to (faults.py)

    def ask(self, put: bool, option: int, data: bytes, length: int | None = None, counters: int = 0,
            address: int = 0) -> Answer:
        length = len(data) if length is None else length
        call = self._ask32 if self.bits == 32 else self._ask64
        return call(put, option, data, length, counters, address)

    def _ask32(self, put: bool, option: int, data: bytes, length: int, counters: int, address: int) -> Answer:
        question = struct.pack("=8I", self.socket.fileno(), put | self.nth << 1, self.layout.family.level, option,
                               address, length, len(data), counters)
        if not os.path.exists(PROGRAM):
            raise Skip(f"{PROGRAM} is not there: tests/compat/build makes it")
        try:
            done = subprocess.run([PROGRAM], input=question + data, stdout=subprocess.PIPE, check=True,
                                  pass_fds=[self.socket.fileno()])
        except OSError as why:
            if why.errno == errno.ENOEXEC:
                raise Skip("this kernel runs no 32-bit programs") from None
            raise
        result, length = struct.unpack_from("=iI", done.stdout)
        injected, length = bool(length & HAS_FAILED), length & ~HAS_FAILED
        return Answer(errno.errorcode[-result] if result else "OK", done.stdout[8:8 + length],
                      done.stdout[8 + length:], injected)

    def _ask64(self, put: bool, option: int, data: bytes, length: int, counters: int, address: int) -> Answer:
        space = ctypes.create_string_buffer(data, max(len(data), length) + 64)
        at = ctypes.c_void_p(address or ctypes.addressof(space))
        size = ctypes.c_uint32(length)
        level, fd = self.layout.family.level, self.socket.fileno()
        result = (_libc.setsockopt(fd, level, option, at, size) if put else
                  _libc.getsockopt(fd, level, option, at, ctypes.byref(size)))
        status = "OK" if result == 0 else errno.errorcode[ctypes.get_errno()]
        return Answer(status, b"" if put or result else space.raw[:size.value])

    def info(self, name: bytes = b"filter") -> tuple[int, list[int], list[int], int, int]:
        """valid_hooks, hook_entry, underflow, num_entries, size."""
        answer = self.ask(False, INFO, name.ljust(84, b"\0"))
        if answer.status == "ENOPROTOOPT":
            raise Skip(f"nobody answers for {self.layout.family.iptables}")
        if answer.status != "OK":
            raise RuntimeError(f"GET_INFO: {answer.status}")
        numbers = struct.unpack_from("=13I", answer.data, 32)
        return numbers[0], list(numbers[1:6]), list(numbers[6:11]), numbers[11], numbers[12]

    def entries_head(self, size: int, name: bytes = b"filter") -> bytes:
        return struct.pack("=32sI", name, size).ljust(self.layout.head, b"\0")

    def entries(self, size: int | None = None) -> Answer:
        size = self.info()[4] if size is None else size
        answer = self.ask(False, ENTRIES, self.entries_head(size), self.layout.head + size)
        return answer._replace(data=answer.data[self.layout.head:])

    def listed(self) -> bytes:
        """The entries without what the kernel notes in them: `comefrom` is zero."""
        answer = self.entries()
        if answer.status != "OK":
            raise RuntimeError(f"GET_ENTRIES: {answer.status}")
        data = bytearray(answer.data)
        at = 0
        while at < len(data):
            struct.pack_into("=I", data, at + self.layout.family.conditional + 8, 0)
            at += struct.unpack_from("=H", data, at + self.layout.family.conditional + 6)[0]
        return bytes(data)

    def replace(self, table: Table, counters_at: int = COUNTERS, *, name: bytes = b"filter", hooks: int = 0x0E,
                data: bytes | None = None, num_entries: int | None = None, size: int | None = None,
                hook_entry: list[int] | None = None, underflow: list[int] | None = None,
                num_counters: int | None = None, length: int | None = None) -> Answer:
        """What is None is as the table has it; `data` are the entries, `length` is of all."""
        rendered = table.render(self.layout)
        data = rendered.entries if data is None else data
        current = self.info()[3]

        def or_else(value: int | None, usual: int) -> int:
            return usual if value is None else value

        head = replace.encode(name, hooks, or_else(num_entries, len(rendered.offsets) - 1), or_else(size, len(data)),
                              or_else(num_counters, current), counters_at, hook_entry or rendered.hook_entry,
                              underflow or rendered.underflow, self.layout.bits)
        return self.ask(True, REPLACE, head + data, length, 16 * (current + 1))

    def add_counters(self, counters: list[int], count: int | None = None, name: bytes = b"filter",
                     length: int | None = None) -> str:
        count = len(counters) // 2 if count is None else count
        data = self.entries_head(count, name) + struct.pack(f"={len(counters)}Q", *counters)
        return self.ask(True, ADD_COUNTERS, data, length).status
