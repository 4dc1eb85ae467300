#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What bpfilter.ko makes of the first answer of a helper, and of one that gives none or is not there.

In this and the other suites of the pipe the helper is tests/kmod/fake_helper, and every test
begins with the module loaded anew.
"""

import errno
import os
import subprocess

from lib import deaths, fake, system
from lib.calls import descriptors_in_use, held
from lib.caller import (OLD_COUNTERS, SIZE, UNTOUCHED, Child, add_counters, get_entries, get_info, listing, replace,
                        tables, works)
from lib.check import expect, expect_equal, main, test

MAJOR, MINOR = 2, 1  # of include/bpfilter/pipe.h


@test
def well_behaved() -> None:
    fake.fresh()
    works()
    expect_equal(fake.log()[0].what, "INIT", "the first request")
    expect_equal([line.fields for line in fake.log("COMMIT")], [{"errno": 0}], "commits")
    expect_equal(tables(), "filter\n", "tables")
    expect_equal(replace(), (0, OLD_COUNTERS + [UNTOUCHED]), "replace")
    expect_equal(add_counters(), 0, "add_counters")
    ids = [line.fields["id"] for line in fake.log() if "id" in line.fields]
    expect_equal(len(set(ids)), len(ids), "unique ids")
    expect(0 not in ids, "an id is 0")


@test
def init_refused() -> None:
    """Of another major version, with an error, or with an answer that is none."""
    for what in (f"major {MAJOR + 1}", f"major {MAJOR - 1}", f"error {errno.EPROTO}", "malformed 0", "empty"):
        fake.fresh()
        fake.order(f"INIT {what}")
        deaths.expect(1, deaths.BY_THE_MODULE)
        old = system.kernel_log()
        expect_equal(get_info(), errno.EIO, f"after INIT {what}")
        expect_equal(get_info(), errno.EIO, f"again after INIT {what}")
        expect_equal([line.what for line in fake.remains() if "pid" in line.fields], ["INIT"], "requests")
        expect(any("does not speak version" in line for line in system.kernel_log()[len(old):]),
               f"nothing in the kernel log: {system.kernel_log()[len(old):]}")
        works()


@test
def minor_versions() -> None:
    """One that is older or newer by them is as good: it is given everything that callers ask."""
    for minor in (0, MINOR + 1, 1 << 31, -1):
        fake.fresh()
        fake.order(f"INIT minor {minor}")
        expect_equal(get_info(), 0, f"GET_INFO, minor {minor}")
        expect_equal(get_entries(), (0, b"e" * SIZE), f"entries, minor {minor}")
        expect_equal(replace()[0], 0, f"replace, minor {minor}")
        expect_equal(len(fake.log("INIT")), 1, "helpers started")


@test
def init_crash() -> None:
    fake.fresh()
    fake.order("INIT crash")
    expect_equal(get_info(), errno.EIO, "GET_INFO")
    expect_equal(len(fake.remains("INIT")), 3, "helpers started")
    works()


@test
def init_hang() -> None:
    fake.fresh()
    fake.parameter("deadline", 1)
    fake.order("INIT hang")
    deaths.expect(1, deaths.BY_THE_MODULE)
    expect_equal(get_info(), errno.EIO, "GET_INFO")
    expect_equal(len(fake.remains("INIT")), 1, "helpers started")
    fake.parameter("deadline", 60)
    works()


@test
def no_helper() -> None:
    """No bpfilter_umh.ko: what iptables prints about ENOENT is right."""
    fake.fresh()
    fake.remove()
    conf = "/etc/modprobe.d/no-helper.conf"
    path = subprocess.run(["modinfo", "-n", "bpfilter"], check=True, capture_output=True, text=True).stdout.strip()
    with open(conf, "w", encoding="ascii") as file:
        file.write("install bpfilter_umh /bin/false\n")
    try:
        subprocess.run(["insmod", path], check=True)
        for _ in range(3):
            expect_equal(get_info(), errno.ENOENT, "GET_INFO")
        expect_equal(listing(), errno.ENOENT, "GET_ENTRIES")
        subprocess.run(["insmod", fake.MODULE], check=True)
        works()
    finally:
        os.unlink(conf)


@test
def settings_that_change_while_it_starts() -> None:
    """It hears of them: at INIT, or behind it."""
    for mode, number in (("off", 0), ("generic", 2)):  # enum bpfilter_xdp_mode
        fake.fresh()
        with held("anon_inode_getfile") as wait_until_it_is:
            child = Child(get_info)
            wait_until_it_is()
            fake.parameter("xdp", mode)
        expect_equal(child.result(), 0, "GET_INFO")
        told = [line.fields["xdp"] for line in fake.log("MODE")]
        expect_equal((told[0], len(fake.log("SETTINGS"))), (number, 0), "the mode at INIT, and notices behind it")


@test
def descriptors_of_kworkers_in_use() -> None:
    """Those that are in use in the table of which a helper's is a copy: it gets its own all the same."""
    fake.fresh()
    with descriptors_in_use():
        expect_equal(get_info(), 0, "GET_INFO")
        own = [os.readlink(f"/proc/{fake.pid()}/fd/{number}") for number in range(3)]
        expect_equal(own, ["anon_inode:[bpfilter]", "/dev/kmsg", "/dev/kmsg"], "the helper's descriptors")
        expect_equal(len(fake.log("INIT")), 1, "helpers started")


@test
def a_helper_that_aborts_is_seen() -> None:
    """By the tests, of which any fails in which that was not ordered: lib/deaths.py."""
    fake.fresh()
    works()
    fake.order("GET_ENTRIES abort")
    expect_equal(listing(), errno.EIO, "GET_ENTRIES")
    expect_equal(deaths.judge(0), ["a helper died that nobody told to: SIGABRT"] * 2, "what is said of it")
    fake.order("GET_ENTRIES exit")
    expect_equal(listing(), errno.EIO, "GET_ENTRIES")
    works()
    expect_equal(deaths.judge(0), ["a helper died that nobody told to: exited"] * 2, "what is said of it")
    deaths.expect(1, deaths.EXITED)
    expect_equal(deaths.judge(0), ["no helper died that was expected to: exited"], "what is said of none")
    works()


if __name__ == "__main__":
    main(at_end=fake.back)
