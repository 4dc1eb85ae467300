#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Whatever a REPLACE with instances needs and does not get: it says so, and the old ones are in force.

Each thing that can fail in its caller, or in the helper meanwhile, fails once (lib/faults.py).
"""

import ctypes
import errno
import socket

from lib import blob, deaths, fake, faults, hostile, options
from lib.blob import entry
from lib.caller import works
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.faults import Call, libc
from lib.hostile import match, target

ANSWERS = ("OK", "ENOMEM", "EFAULT")


def data_of(*rules: bytearray) -> bytes:
    with blob.raw_socket() as opened:
        table = blob.with_input(*rules)
        table.counters_at, table.num_counters = 0, 4
        return table.head(opened) + table.blob()


def begin() -> tuple[bytes, bytes]:
    """A table with two instances is in force; that, and one with five."""
    faults.need()
    fake.fresh()
    hostile.load()
    works()
    fake.order("REPLACE check")
    old = data_of(entry(target(), match()))
    new = data_of(entry(target(), match() + match()), entry(target(), match()))
    expect_equal(options.setsockopt(options.SET_REPLACE, old), 0, "the old table")
    hostile.live(2, "the old table")
    return old, new


def end() -> None:
    fake.order()
    expect_equal(options.setsockopt(options.SET_REPLACE, data_of()), 0, "a table without instances")
    hostile.live(0, "at the end")


@test
def caller() -> None:
    old, new = begin()
    with blob.raw_socket() as opened:
        memory = ctypes.create_string_buffer(new, len(new))
        call = Call(libc.setsockopt, opened.fileno(), socket.SOL_IP, options.SET_REPLACE, memory,
                    ctypes.c_uint32(len(new)))
        count = 0
        for fault in faults.walk(faults.of_this_task(call), "REPLACE with instances", "bpfilter"):
            expect_in(fault.answer, ANSWERS, str(fault))
            hostile.live(5 if fault.answer == "OK" else 2, str(fault))
            expect_equal(options.setsockopt(options.SET_REPLACE, old), 0, f"the old table behind {fault}")
            hostile.live(2, f"the old table behind {fault}")
            count += fault.answer != "OK"
    expect(count > 5, f"only {count} things could fail")
    end()


def idle() -> int:
    """The helper's pid, when it waits for a request."""
    pid = fake.pid()

    def asleep() -> bool:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            return file.read().startswith("0 0x0 ")  # to read from the pipe
    wait_for(asleep, "the helper to have nothing to do")
    return pid


@test
def helper() -> None:
    """Of its descriptors it makes sure of nothing: what it has not got it passes on. It may die of it."""
    old, new = begin()

    def call() -> str:
        error = options.setsockopt(options.SET_REPLACE, new)
        return errno.errorcode[error] if error else "OK"
    nth, count = 1, 0
    while fault := faults.one(faults.of_another_task(idle(), call), nth):
        within = "bpfilter" in fault.modules
        expect_in(fault.answer, (*ANSWERS, "EIO", "EBADMSG", *(() if within else ("EBADF", "EINVAL"))), str(fault))
        hostile.live(5 if fault.answer == "OK" else 2, str(fault))
        expect_equal(options.setsockopt(options.SET_REPLACE, old), 0, f"the old table behind {fault}")
        hostile.live(2, f"the old table behind {fault}")
        for death in deaths.judge(0):  # one of what failed, which is all right
            expect(death.endswith((deaths.EXITED, deaths.BY_THE_MODULE)), f"{death}, behind {fault}")
        nth += 1
        count += within
    print(f"# helper: {nth - 1} failures, {count} of them seen in bpfilter", flush=True)
    expect(count, "nothing could fail in the module")
    end()


if __name__ == "__main__":
    main(at_end=fake.back)
