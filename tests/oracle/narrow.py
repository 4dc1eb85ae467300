# SPDX-License-Identifier: GPL-2.0
"""Callers of 32 bits: a table written by one, read by both, added to by one.

The ip_tables of Debian's 6.12 does not know them (CONFIG_NETFILTER_XTABLES_COMPAT), nor does bpfilter there.
"""

import hashlib
import os
import struct

from lib import blob, compat, replace
from lib.family import Family
from parts import Table, layout


def is_known() -> bool:
    return not os.uname().release.startswith("6.12.")


def _say(answer: compat.Answer) -> str:
    return f"{answer.status}, {len(answer.data)} bytes, {hashlib.sha256(answer.data).hexdigest()[:16]}"


def _listed(caller: compat.Caller, size: int, name: str) -> str:
    """The entries without their counters (their sum comes with what 64 bits read) and the kernel's notes."""
    head = caller.entries_head(size, name.encode())
    answer = caller.ask(False, compat.ENTRIES, head, len(head) + size)
    data = bytearray(answer.data[len(head):])
    at = 0
    while at < len(data):
        form = caller.layout
        data[at + form.counters:at + form.entry] = b"\0" * 16
        struct.pack_into("=I", data, at + form.family.conditional + 8, 0)
        at += struct.unpack_from("=H", data, at + form.family.conditional + 6)[0]
    return _say(answer._replace(data=bytes(data)))


def write(family: Family, name: str) -> tuple[list[str], int]:
    """Read the table with 64 bits, write the same with 32; what was answered, and its size then."""
    with blob.raw_socket(family) as opened:
        info = blob.info(opened, name)
        status, data = blob.entries(opened, info.size, name)
    wanted, narrow = Table.parse(family, info, data).render(32)
    head = replace.encode(name.encode(), info.valid_hooks, wanted.entries, len(narrow), info.entries, compat.COUNTERS,
                          wanted.hook_entry, wanted.underflow, 32)
    caller = compat.Caller(layout(family, 32))
    written = caller.ask(True, compat.REPLACE, head + narrow, counters=16 * info.entries)
    caller.socket.close()
    lines = [f"narrow {name}: {status}, {info.size} bytes become {len(narrow)}",
             f"written narrow: {_say(written._replace(data=written.counters))}"]
    return lines + read(family, name, len(narrow)), len(narrow)


def read(family: Family, name: str, size: int) -> list[str]:
    caller = compat.Caller(layout(family, 32))
    info = caller.ask(False, compat.INFO, name.encode().ljust(84, b"\0"))
    lines = [f"narrow info: {_say(info)}", f"narrow entries: {_listed(caller, size, name)}",
             f"narrow entries, wrong size: {_listed(caller, size + 8, name)}"]
    caller.socket.close()
    return lines


def add(family: Family, name: str, numbers: list[int]) -> str:
    """`numbers`: to be added, in turn, to the counters of all entries."""
    with blob.raw_socket(family) as opened:
        entries = blob.info(opened, name).entries
    caller = compat.Caller(layout(family, 32))
    counters = [numbers[index % len(numbers)] for index in range(2 * entries)]
    status = caller.add_counters(counters, name=name.encode())
    caller.socket.close()
    return f"narrow counters added: {status}"
