#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""iptables' own tests (scripts/fetch iptables): a test for each file of rules and family.

What ip_tables makes of them is asked first, in the same guest, before bpfilter is loaded. It must do as the files have
it, or they are not understood; and bpfilter must do as it does: accept, list, delete and refuse, with the same errors.
So nothing is left to ask with --stock. LONG=1 in the environment tries one rule after the other.
"""

import os

from lib import system
from lib.check import Skip, expect, main, test
from lib.conformance import Answers, ask, differences, wrong
from lib.family import Family
from lib.stock import ip_tables_instead
from lib.t_files import File, read_all

FILES = "/usr/lib/bpfilter-tests/iptables"
TOGETHER = not os.environ.get("LONG")
SHOWN = 5

# What the files do not know of the kernel, or of the family. bpfilter is not asked to know better.
KNOWN = {
    "libipt_CLUSTERIP": "kernels after 6.1 do not have it",
    "libxt_SECMARK": "asks for SELinux",
    "libxt_connlimit6": "the file has IPv4's prefix",
    "libxt_recent": "6.12 takes a number that was too high before",
    "libxt_recent6": "the file has IPv4's mask",
}

_of_ip_tables: dict[str, Answers] = {}


def name_of(file: File, family: Family) -> str:
    return file.name + ("6" if family.number == 6 and len(file.families) > 1 else "")


def asked_ip_tables(files: list[File]) -> dict[str, Answers]:
    if not _of_ip_tables:
        with ip_tables_instead():
            for file in files:
                for family in file.families:
                    _of_ip_tables[name_of(file, family)] = ask(file, family, TOGETHER)
    return _of_ip_tables


def shown(found: list[str]) -> str:
    return f"{len(found)} differences: " + "; ".join(found[:SHOWN])


def conforms(file: File, family: Family) -> None:
    name = name_of(file, family)
    there = asked_ip_tables(_files)[name]
    unlike = wrong(file, there)
    why = KNOWN.get(name, KNOWN.get(file.name))
    if unlike and why:
        print(f"# {name}, ip_tables: {why}: {shown(unlike)}", flush=True)
    expect(why or not unlike, f"ip_tables: {shown(unlike)}")
    found = differences(ask(file, family, TOGETHER), there)
    expect(not found, shown(found))


def of(file: File, family: Family) -> None:
    def one() -> None:
        conforms(file, family)
    one.__name__ = name_of(file, family)
    test(one)


def no_files() -> None:
    raise Skip(f"{FILES} is not in this guest")


def nothing_to_ask() -> None:
    raise Skip("ip_tables is asked where bpfilter is, without --stock")


_files = read_all(FILES) if os.path.isdir(FILES) and system.name() == system.OURS else []
for _file in _files:
    for _family in _file.families:
        of(_file, _family)
if not _files:
    test(no_files if system.name() == system.OURS else nothing_to_ask)


if __name__ == "__main__":
    main()
