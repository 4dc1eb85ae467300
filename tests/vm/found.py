#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What those find who look for ip_tables before they use iptables, and what becomes of it when they load it.

    looks at                        such as
    /sys/module/iptable_nat         k3s, and modprobe itself
    modprobe ip_tables              docker:dind, Cilium, LTP; from a container, whose modprobe has no modprobe.d of ours
    ip link show ip_tables          docker:dind, whose modprobe this is: the kernel asks for it
    /proc/net/ip_tables_names       iptables-save, and who asks whether there are rules
    modules.dep                     LTP
"""

import os
import tempfile

from lib import system
from lib.check import expect, expect_equal, main, test
from lib.family import BOTH, TABLES
from lib.installed import MODULES, nothing_loaded, unload
from lib.iptables import must, run
from lib.module import loaded
from lib.netns import Namespace

NAMES = [name for family in BOTH for name in (f"{family.proc}_tables", *(f"{family.proc}table_{table}"
                                                                          for table in TABLES))]
STOCK = "kernel/net/ipv{}/netfilter/ip{}_tables.ko"


def shown() -> list[str]:
    return [name for name in NAMES if os.path.exists(f"/sys/module/{name}/initstate")]


def of_container(*words: str) -> tuple[int, str]:
    """As modprobe does there: with the machine's /lib/modules, and nothing of its /etc."""
    with tempfile.TemporaryDirectory() as empty:
        done = run("modprobe", "-C", empty, *words)
    return done.status, done.errors


@test
def names() -> None:
    """All, while it is there, and no longer."""
    system.only_ours()
    expect_equal(shown(), NAMES, "names in /sys/module")
    for name in NAMES:
        with open(f"/sys/module/{name}/initstate", encoding="ascii") as file:
            expect_equal(file.read(), "live\n", f"state of {name}")
    with nothing_loaded():
        expect_equal(shown(), [], "names without it")
    expect_equal(shown(), NAMES, "names when it is back")


@test
def modprobe_in_a_container() -> None:
    """Is told that it is there, by name for name, and nothing is loaded beside it."""
    system.only_ours()
    for name in NAMES:
        expect_equal(of_container(name), (0, ""), f"modprobe {name}")
        expect(not loaded(name), f"{name} is loaded")
    expect_equal(must("iptables-legacy", "-S").splitlines()[0], "-P INPUT ACCEPT", "iptables")


@test
def modules_put_in_by_hand() -> None:
    """As busybox's modprobe does, which does not ask /sys/module: they are told that they are there, before the kernel
    finds and says that there is such a name."""
    system.only_ours()
    for family in BOTH:
        module = STOCK.format(family.number, "" if family.number == 4 else "6")
        for _ in range(2):
            done = run("insmod", f"{MODULES}/{module}")
            expect(done.status == 1 and "File exists" in done.errors, f"insmod: {done}")
        status = run("busybox", "modprobe", f"{family.proc}_tables").status
        expect_equal(status, 0, f"busybox modprobe {family.proc}_tables")
        done = run("insmod", f"{MODULES}/kernel/net/ipv{family.number}/netfilter/{family.proc}table_filter.ko")
        expect(done.status == 1 and "Unknown symbol" in done.errors, f"insmod of a table's: {done}")
    said = [line for line in system.kernel_log() if "duplicate filename" in line]
    expect_equal(said, [], "what the kernel says of it")
    space = Namespace("found")
    with space:
        must("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT")
        with open("/proc/self/net/ip_tables_names", encoding="ascii") as file:
            expect_equal(file.read(), "filter\n", "/proc/net/ip_tables_names")
    space.delete()


@test
def kernel_is_asked() -> None:
    """By the name of a device that is none, as docker:dind does."""
    with nothing_loaded():
        run("ip", "link", "show", "ip_tables")
        expect(loaded("bpfilter") and not loaded("ip_tables"), "the kernel's modprobe has not loaded bpfilter")


@test
def ip_tables_when_it_is_gone() -> None:
    """Its modules can be loaded then, and bpfilter beside them cannot."""
    with nothing_loaded():
        for name in NAMES:
            expect_equal(of_container(name), (0, ""), f"modprobe {name}")
            expect(loaded(name), f"{name} is not loaded")
        must("iptables-legacy", "-S")
        expect(run("insmod", must("modinfo", "-n", "bpfilter").strip()).status != 0, "bpfilter is loaded beside them")
        expect_equal(of_container("iptable_nat"), (0, ""), "once more")
        unload()


@test
def files() -> None:
    """Those that are the kernel's are as they were, with either."""
    with open(f"{MODULES}/modules.dep", encoding="ascii") as file:
        expect(any(line.startswith(STOCK.format(4, "") + ":") for line in file), "ip_tables is not in modules.dep")
    with open("/proc/net/ip_tables_names", encoding="ascii") as file:
        before = file.read().split()
    must("iptables-legacy", "-t", "raw", "-S")
    with open("/proc/net/ip_tables_names", encoding="ascii") as file:
        expect_equal(sorted(set(before) | {"raw"}), sorted(file.read().split()), "tables")


if __name__ == "__main__":
    main()
