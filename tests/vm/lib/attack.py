# SPDX-License-Identifier: GPL-2.0
"""Users who want too much: each in a user and network namespace of his own, until they are ended."""

import ctypes
import os
import resource
import signal
import socket
import struct
import time
from typing import Callable

from . import blob, replace
from .family import HOOKS_OF, V4, V6, Family
from .netns import CLONE_NEWNET, CLONE_NEWUSER, unshare

Say = Callable[[str], None]


_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_DUMPABLE = 4


def become_root_of_a_namespace(uid: int) -> None:
    """As that user, who is nobody outside of it. What he executes is root there, too."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # or the maps are not his to write
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    for name, text in (("uid_map", f"0 {uid} 1"), ("setgroups", "deny"), ("gid_map", f"0 {uid} 1")):
        opened = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(opened, text.encode())
        os.close(opened)


class Attackers:
    """Processes, each of which runs a function for as long as it can, which says words of what came of it."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._said = b""
        self._group = 0

    def start(self, uid: int, attack: Callable[[Say], None], prepare: Callable[[], None] = lambda: None) -> None:
        """`prepare` is done as root. In its own session: who is killed takes his children along."""
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, self._group)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
                prepare()
                become_root_of_a_namespace(uid)
                attack(lambda word: void(os.write(self._writer, f"{word}\n".encode())))
                while True:
                    time.sleep(3600)  # it has what it wants
            except BaseException as error:  # the parent must hear of it
                os.write(self._writer, f"failed:{type(error).__name__}:{error}\n".replace(" ", "_").encode())
            finally:
                os._exit(1)
        self._group = self._group or pid
        os.setpgid(pid, self._group)

    def words(self) -> dict[str, int]:
        """How often each was said so far."""
        try:
            while part := os.read(self._reader, 1 << 16):
                self._said += part
        except BlockingIOError:
            pass
        found: dict[str, int] = {}
        for word in self._said.decode().split():
            found[word] = found.get(word, 0) + 1
        return found

    def count(self) -> int:
        return sum(self.words().values())

    def end(self) -> None:
        if self._group:
            os.killpg(self._group, signal.SIGKILL)
        while self._group:
            try:
                os.waitpid(-self._group, 0)
            except ChildProcessError:
                self._group = 0


def void(_: object) -> None:
    pass


# Tables as bytes, made once: nothing here may be slower than what is attacked.

class Payload:
    """A whole SET_REPLACE, but for the number of counters."""

    def __init__(self, table: str, entries: bytes, count: int, hook_entry: list[int], underflow: list[int],
                 family: Family) -> None:
        self.family = family
        self.table = table
        self.count = count
        self._entries = entries
        self._hooks = hook_entry, underflow

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, opened: socket.socket, old: int) -> str:
        """`old`: how many entries the table has now. The old counters are nobody's concern."""
        head = replace.encode(self.table.encode(), sum(1 << hook for hook in HOOKS_OF[self.table]), self.count,
                              len(self._entries), old, 0, *self._hooks)
        return blob.put(opened, blob.SET_REPLACE, head + self._entries)


def _of_hooks(table: str, rules: bytes, count: int, hooks: tuple[int, ...], tail: bytes, tail_count: int,
              family: Family) -> Payload:
    """These rules in each of these hooks, and a policy in all."""
    policy = bytes(blob.entry(blob.verdict(blob.ACCEPT), family=family))
    entries, number = b"", 0
    begin, end = [0] * 5, [0] * 5
    for hook in HOOKS_OF[table]:
        begin[hook] = len(entries)
        if hook in hooks:
            entries += rules
            number += count
        end[hook] = len(entries)
        entries += policy
        number += 1
    entries += tail + bytes(blob.entry(blob.error(), family=family))
    return Payload(table, entries, number + tail_count + 1, begin, end, family)


def plain(count: int) -> Payload:
    """Rules that each drop another address."""
    one = bytes(blob.entry(blob.verdict(blob.DROP), source=b"\x0a\0\0\0" + b"\xff" * 4, family=V4))
    rules = bytearray(one * count)
    for number in range(count):
        struct.pack_into(">H", rules, number * len(one) + 1, number & 0xFFFF)
    return _of_hooks("filter", bytes(rules), count, (1,), b"", 0, V4)


def many_matches(rules: int, matches: int) -> Payload:
    """Rules of IPv6 that ask for the same header again and again."""
    hbh = struct.pack("=IBB16HB", 8, 3, 0, *([0x0102] * 16), 16)
    one = bytes(blob.entry(blob.verdict(blob.DROP), blob.match(b"hbh", hbh) * matches, family=V6))
    return _of_hooks("filter", one * rules, rules, (1,), b"", 0, V6)


def chains(table: str, each: int) -> Payload:
    """So many chains for each hook of the table, all of which are jumped to, and do nothing."""
    hooks = HOOKS_OF[table]
    head, foot = bytes(blob.entry(blob.error(b"c"))), bytes(blob.entry(blob.verdict(blob.RETURN)))
    jump = bytes(blob.entry(blob.verdict(0)))
    first = len(hooks) * (each + 1) * len(jump)
    size = len(head) + len(foot)
    tail = bytearray()
    for number in range(each * len(hooks)):
        tail += blob.entry(blob.error(b"c%d" % number)) + foot
    payload = _of_hooks(table, jump * each, each, hooks, bytes(tail), 2 * each * len(hooks), V4)
    entries = bytearray(payload._entries)
    for place, hook in enumerate(hooks):
        for number in range(each):
            at = (place * (each + 1) + number + 1) * len(jump) - 8
            struct.pack_into("=i", entries, at, first + (place * each + number) * size + len(head))
    payload._entries = bytes(entries)
    return payload
