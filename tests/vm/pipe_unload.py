#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""bpfilter.ko goes, whatever its helper does; or does not come, if it cannot have all it needs."""

import ctypes
import errno
import os
import subprocess

from lib import deaths, fake, helper, system
from lib.caller import Child, get_info, listing, replace, works
from lib.check import expect, expect_equal, main, test, wait_for
from lib.options import GET_INFO, getsockopt, name

PIDFD_GETFD = 438
STOCK = ("modprobe", "-C", "/dev/null")  # without the aliases that make ip6_tables bpfilter

_libc = ctypes.CDLL(None, use_errno=True)


def rmmod() -> int:
    return subprocess.run(["rmmod", "bpfilter"], stderr=subprocess.DEVNULL, check=False).returncode


@test
def unloading_again_and_again() -> None:
    """With a helper that has just answered, that stands still, or that is dying: it is gone with the
    module. bpfilter_umh stays, which is not what this is about and would take half of the time."""
    fake.fresh()
    for step in range(12):
        moment = ("answered", "stopped", "killed")[step % 3]
        expect_equal(get_info(), 0, f"GET_INFO, {moment}, step {step}")
        pid = fake.pid()
        if moment == "stopped":
            expect_equal(helper.stop(), pid, "the helper")
        elif moment == "killed":
            fake.kill(pid)
        wait_for(lambda: rmmod() == 0, "bpfilter to be removable")
        expect(not os.path.exists(f"/proc/{pid}"), f"the helper is still there, {moment}, step {step}")
        expect_equal(helper.all_alive(), [], f"helpers, {moment}, step {step}")
        for death in deaths.judge(0):  # of a successor that was about to begin
            expect(moment == "killed" and death.endswith(deaths.BY_THE_MODULE), death)
        subprocess.run(["modprobe", "bpfilter"], check=True)


@test
def unloading_a_hung_helper() -> None:
    fake.fresh()
    fake.order("GET_ENTRIES hang")
    child = Child(listing)
    hung = fake.wait_for_line("GET_ENTRIES")["pid"]
    expect(rmmod() != 0, "removed with a caller inside")
    child.kill()
    child.result()
    fake.remove()
    expect(not os.path.exists(f"/proc/{hung}"), "the helper is still there")


@test
def unloading_is_refused_under_rules() -> None:
    fake.fresh()
    works()
    for _ in range(3):
        expect_equal(replace()[0], 0, "replace")
        expect(rmmod() != 0, "removed")
        fake.order("REPLACE unpinned")
        expect_equal(replace()[0], 0, "replace without rules")
        fake.order()
    fake.order("REPLACE unpinned")
    expect_equal(replace()[0], 0, "replace without rules")
    expect_equal(rmmod(), 0, "rmmod without rules")


@test
def unloading_with_a_stolen_pipe() -> None:
    """Somebody else holds the helper's pipe: the module waits for that to end."""
    fake.fresh()
    works()
    pid = fake.pid()
    handle = os.pidfd_open(pid)
    pipe = _libc.syscall(PIDFD_GETFD, handle, 0, 0)
    expect(pipe >= 0, f"pidfd_getfd: errno {ctypes.get_errno()}")
    with subprocess.Popen(["rmmod", "bpfilter"]) as removal:
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the helper to be killed")
        expect_equal(os.read(pipe, 4096), b"", "end of file")
        expect(removal.poll() is None, "the module is gone while its file is open")
        os.close(pipe)
        expect_equal(removal.wait(20), 0, "rmmod")
    os.close(handle)


@test
def loading_beside_ip6_tables() -> None:
    """Its socket options are taken; those of IPv4, had already, are given back."""
    fake.fresh()
    fake.remove()
    subprocess.run([*STOCK, "ip6_tables"], check=True)
    old = system.kernel_log()
    done = subprocess.run(["modprobe", "bpfilter"], capture_output=True, text=True, check=False)
    expect(done.returncode != 0 and "Device or resource busy" in done.stderr, f"modprobe: {done.stderr}")
    expect(any("bpfilter: ip6_tables is loaded" in line for line in system.kernel_log()[len(old):]),
           "nothing in the kernel log")
    subprocess.run([*STOCK, "-r", "ip6_tables"], check=True)
    expect_equal(getsockopt(GET_INFO, name("filter").ljust(84, b"\0"))[0], errno.ENOPROTOOPT, "GET_INFO of nobody")
    fake.remove()
    fake.insert()
    works()


if __name__ == "__main__":
    main(at_end=fake.back)
