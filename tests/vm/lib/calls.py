# SPDX-License-Identifier: GPL-2.0
"""Calls of functions of the kernel that fail, or take their time: tests/kmod/fail_call; and what else
is seldom so: tests/kmod/fill_files, hold_rtnl."""

import contextlib
import os
from typing import Callable, Iterator

from .check import Skip, expect_equal, wait_for
from .iptables import must

_DIRECTORY = "/usr/lib/bpfilter-tests"
_PARAMETERS = "/sys/module/fail_call/parameters"
ENOMEM, EBUSY = -12, -16


def _exists(symbol: str) -> bool:
    with open("/proc/kallsyms", encoding="ascii") as file:
        return any(line.split()[2] == symbol for line in file)


@contextlib.contextmanager
def _inserted(module: str, *parameters: str) -> Iterator[None]:
    path = f"{_DIRECTORY}/{module}.ko"
    if not os.path.exists(path):
        raise Skip(f"{path} is not there: tests/kmod/build makes it")
    must("insmod", path, *parameters)
    try:
        yield
    finally:
        must("rmmod", module)


@contextlib.contextmanager
def _probed(symbol: str, nth: int, caller: str, *parameters: str) -> Iterator[None]:
    if not _exists("kprobe_int3_handler"):
        raise Skip("this kernel has no kprobes")
    with _inserted("fail_call", f"symbol={symbol}", f"nth={nth}", f"caller={caller}", *parameters):
        yield


def _hits() -> int:
    with open(f"{_PARAMETERS}/hits", encoding="ascii") as file:
        return int(file.read())


@contextlib.contextmanager
def failing(symbol: str, nth: int = 1, *, error: int = ENOMEM, caller: str = "bpfilter") -> Iterator[None]:
    """The nth call by that module fails, and there is one."""
    with _probed(symbol, nth, caller, f"error={error}"):
        yield
        expect_equal(_hits(), 1, f"calls of {symbol} that failed")


@contextlib.contextmanager
def held(symbol: str, nth: int = 1, *, caller: str = "bpfilter") -> Iterator[Callable[[], None]]:
    """The nth call by that module waits until this ends. What it gives waits for it."""
    with _probed(symbol, nth, caller, "hold=1"):
        yield lambda: expect_equal(wait_for(_hits, f"a call of {symbol}"), 1, "calls")
        with open(f"{_PARAMETERS}/hold", "w", encoding="ascii") as file:
            file.write("0")


def descriptors_in_use() -> contextlib.AbstractContextManager[None]:
    """0 to 2, of all kworkers."""
    return _inserted("fill_files")


def rtnl_held() -> contextlib.AbstractContextManager[None]:
    """Nobody changes or looks at devices."""
    return _inserted("hold_rtnl")
