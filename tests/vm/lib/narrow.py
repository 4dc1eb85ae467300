# SPDX-License-Identifier: GPL-2.0
"""Tests of 32-bit callers, beside 64-bit ones, in a namespace of their own."""

import shutil
import subprocess
from typing import Callable

from . import compat, system
from .check import expect_equal, test
from .compat import V4, V6, Caller, Family, Layout, Table
from .netns import CLONE_NEWNET, unshare


def begin() -> None:
    if system.name() == system.STOCK:
        subprocess.run(["modprobe", "-q", "--ignore-install", "ip6table_filter"], check=False)
    unshare(CLONE_NEWNET)


class Callers:
    """A 32-bit and a 64-bit caller of one family, and a table without rules."""

    def __init__(self, family: Family):
        self.family = family
        self.narrow, self.wide = Caller(Layout(family, 32)), Caller(Layout(family, 64))
        self.reset()

    def reset(self) -> None:
        expect_equal(self.wide.replace(Table()).status, "OK", "an empty table")

    def listing(self, table: str = "filter") -> list[str]:
        name = self.family.iptables
        command = shutil.which(f"{name}-legacy") or name
        done = subprocess.run([command, "-t", table, "-S"], capture_output=True, text=True, check=True)
        return [line for line in done.stdout.splitlines() if not line.startswith("-P")]


KNOWN = compat.is_known()


def both(function: Callable[[Callers], None], known: bool = True) -> None:
    """A test for each family, where 32-bit callers have a layout of their own."""
    for family in (V4, V6) if KNOWN == known else ():
        def run(family: Family = family) -> None:
            function(Callers(family))
        run.__name__ = f"{function.__name__}_{family.iptables}"
        test(run)


def refused(callers: Callers, table: Table, expected: str, what: str, **changes: object) -> None:
    before = callers.wide.entries()
    expect_equal(callers.narrow.replace(table, **changes).status, expected, what)  # type: ignore[arg-type]
    expect_equal(callers.wide.entries(), before, f"the table after {what}")
