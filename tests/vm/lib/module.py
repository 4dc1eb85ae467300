# SPDX-License-Identifier: GPL-2.0
"""The modules, coming and going, and what they leave."""

import contextlib
import json
import os
from typing import Any, Iterator

from . import helper, system
from . import iptables as tables
from .check import expect, wait_for
from .iptables import must, run
from .pair import Pair

_pairs: list[Pair] = []


def pair() -> Pair:
    if not _pairs:
        _pairs.append(Pair())
    return _pairs[0]


def no_pair() -> None:
    """Without namespaces of ours nothing holds the module."""
    while _pairs:
        _pairs.pop().close()


def loaded(module: str) -> bool:
    """Itself: bpfilter shows the names of ip_tables, without users."""
    return os.path.exists(f"/sys/module/{module}/refcnt")


def objects(kind: str) -> list[dict[str, Any]]:
    """Our programs or maps, by their names."""
    listing = json.loads(must("bpftool", "-j", kind, "show"))
    return [one for one in listing if str(one.get("name", "")).startswith("bf_")]


def unload() -> None:
    """Both modules go. Namespaces that were just deleted are destroyed in the background."""
    wait_for(lambda: run("modprobe", "-r", "bpfilter").status == 0, "the module to be removable", 60)
    if loaded("bpfilter_umh"):
        must("modprobe", "-r", "bpfilter_umh")


def load(*parameters: str) -> None:
    must("modprobe", "bpfilter", *parameters)


@contextlib.contextmanager
def parameter(name: str, value: object) -> Iterator[None]:
    """It has this value for a while."""
    path = f"/sys/module/bpfilter/parameters/{name}"
    with open(path, encoding="ascii") as file:
        before = file.read()
    with open(path, "w", encoding="ascii") as file:
        file.write(f"{value}\n")
    try:
        yield
    finally:
        with open(path, "w", encoding="ascii") as file:
            file.write(before)


def fresh() -> None:
    """Loaded, with nothing in force in this namespace and none of our others there."""
    system.only_ours()
    no_pair()
    if not loaded("bpfilter"):
        load()
    tables.restore()


def nothing_left() -> None:
    expect(not loaded("bpfilter") and not loaded("bpfilter_umh"), "a module is still there")
    helper.wait_gone()
    for kind in ("prog", "map"):
        wait_for(lambda: not objects(kind), f"our BPF {kind}s to go")  # pylint: disable=cell-var-from-loop
    for name in ("names", "matches", "targets"):
        for prefix in ("ip", "ip6"):
            expect(not os.path.exists(f"/proc/net/{prefix}_tables_{name}"), f"{prefix}_tables_{name} is still there")
    for line in must("ip", "link", "show").splitlines():
        expect("xdp" not in line, f"XDP is still there: {line}")
