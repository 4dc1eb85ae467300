# SPDX-License-Identifier: GPL-2.0
"""Tables by hand, through one socket: put in force, or refused, and then nothing has changed."""

import socket
import struct

from . import blob
from .blob import ENTRY, ERROR, FAMILY, STANDARD, plain
from .check import expect_equal

XT_TCP = struct.pack("=4H4B", 0, 0xFFFF, 0, 0xFFFF, 0, 0, 0, 0)
ICMP = b"icmp" if FAMILY.number == 4 else b"icmp6"
EMPTY = 3 * STANDARD + ERROR  # a table without rules
# In an entry
COUNTERS_AT = ENTRY - 16
COMEFROM_AT = len(FAMILY.ip_part()) + 8
NFCACHE_AT = len(FAMILY.ip_part())


class Attempts:
    def __init__(self, opened: socket.socket) -> None:
        self._opened = opened

    def reset(self) -> None:
        expect_equal(plain().commit(self._opened), "OK", "an empty table")

    def refused(self, table: blob.Table, error_name: str, what: str, longer: int = 0) -> None:
        """The request fails like this and the rules in force are what they were."""
        self.reset()
        before = blob.entries(self._opened)
        expect_equal(table.commit(self._opened, longer), error_name, what)
        expect_equal(blob.entries(self._opened), before, f"table after {what}")

    def accepted(self, table: blob.Table, what: str, longer: int = 0) -> None:
        self.reset()
        expect_equal(table.commit(self._opened, longer), "OK", what)
        expect_equal(blob.info(self._opened).entries, len(table.rules), f"entries after {what}")


def changed(**fields: object) -> blob.Table:
    table = plain()
    for name, value in fields.items():
        setattr(table, name, value)
    return table
