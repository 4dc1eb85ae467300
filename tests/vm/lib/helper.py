# SPDX-License-Identifier: GPL-2.0
"""The helper's processes, as anybody on the machine sees them."""

import contextlib
import glob
import os
import signal
from typing import NamedTuple

from .check import expect_equal, wait_for

NAME = "bpfilter_umh"


class _Process(NamedTuple):
    pid: int
    state: str


def _of_this_name() -> list[_Process]:
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                pid, _, rest = file.read().partition(" (")
        except OSError:
            continue
        name, _, rest = rest.rpartition(") ")
        if name == NAME:
            found.append(_Process(int(pid), rest[0]))
    return found


def all_alive() -> list[int]:
    """Those that are ending not."""
    return [one.pid for one in _of_this_name() if one.state not in "ZX"]


def one() -> int:
    """There is one, or it is about to come; never two."""
    found = wait_for(all_alive, "a helper")
    expect_equal(len(found), 1, "helpers")
    return int(found[0])


def kill(number: int = signal.SIGKILL) -> None:
    for pid in all_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _has_stopped(pid: int) -> bool:
    """All of its threads have."""
    states = set()
    for path in glob.glob(f"/proc/{pid}/task/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            states.add(file.read().rpartition(") ")[2][0])
    return states == {"T"}


def stop() -> int:
    """It does nothing any more, not even die, until it is killed or told to go on."""
    pid = one()
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: _has_stopped(pid), "the helper to stand still")
    return pid


def wait_gone() -> None:
    wait_for(lambda: not all_alive(), "the helper to go")
