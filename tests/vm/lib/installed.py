# SPDX-License-Identifier: GPL-2.0
"""Machines where bpfilter is not loaded, or not there; modules are put aside for that."""

import contextlib
import os
from typing import Iterator

from . import system
from .check import wait_for
from .family import chains_of
from .iptables import must, run
from .module import loaded

MODULES = f"/lib/modules/{os.uname().release}"
OURS = f"{MODULES}/updates"
TABLES = ("filter", "mangle", "nat", "raw", "security")


def remove(module: str) -> None:
    """Namespaces that have just ended hold it for a while."""
    wait_for(lambda: run("modprobe", "-r", module).status == 0, f"{module} to be removable", 60)


def names(prefix: str) -> list[str]:
    """The tables that there are."""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{prefix}_tables_names", encoding="ascii") as file:
        return file.read().split()
    return []


def empty(table: str) -> str:
    return "\n".join([f"*{table}", *(f":{chain} ACCEPT [0:0]" for chain in chains_of(table)), "COMMIT", ""])


def unload() -> None:
    """Neither bpfilter nor ip_tables, and no rule."""
    for prefix in ("ip", "ip6"):
        must(f"{prefix}tables-legacy-restore", stdin="".join(map(empty, names(prefix))))
        for module in (*(f"{prefix}table_{table}" for table in TABLES), f"{prefix}_tables"):
            if loaded(module):
                remove(module)
    if loaded("bpfilter"):
        remove("bpfilter")
    if loaded("bpfilter_umh"):
        must("modprobe", "-r", "bpfilter_umh")


@contextlib.contextmanager
def nothing_loaded() -> Iterator[None]:
    system.only_ours()
    unload()
    try:
        yield
    finally:
        unload()
        must("modprobe", "bpfilter")


@contextlib.contextmanager
def aside(*files: str) -> Iterator[None]:
    """Those modules are not installed."""
    for file in files:
        os.rename(file, f"{file}.aside")
    must("depmod")
    try:
        yield
    finally:
        for file in files:
            os.rename(f"{file}.aside", file)
        must("depmod")
