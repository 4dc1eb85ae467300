# SPDX-License-Identifier: GPL-2.0
"""The match and the target `hostile` of tests/kmod/xt_hostile, and what they say of themselves."""

import os
import struct
import subprocess

from . import blob, fake
from .check import Skip, expect_equal

MODULE = "/usr/lib/bpfilter-tests/xt_hostile.ko"
PARAMETERS = "/sys/module/xt_hostile/parameters"
SIZE, SHOWN = 35, 17  # bytes of a payload, and of those that a listing shows

PLAIN, OTHER, HOTDROP, STEAL, MOVE, LONGER, SHORTER, SEND, LEAVE_WORD, FIND_WORD, HOTDROP_TOO = range(11)
DROP, ACCEPT, QUEUE = 0, 1, 3
BYPASS = 0x8000  # of NF_QUEUE: accept if nobody is there


def load() -> None:
    """Anew, if it is not in use."""
    if not os.path.exists(MODULE):
        raise Skip(f"{MODULE} is not there: tests/kmod/build makes it")
    if fake.loaded("xt_hostile"):
        subprocess.run(["rmmod", "xt_hostile"], check=True)
    subprocess.run(["modprobe", "x_tables"], check=True)
    subprocess.run(["insmod", MODULE], check=True)


def get(name: str) -> int:
    with open(f"{PARAMETERS}/{name}", encoding="ascii") as file:
        return int(file.read())


def put(name: str, value: int) -> None:
    with open(f"{PARAMETERS}/{name}", "w", encoding="ascii") as file:
        file.write(str(value))


def uses() -> int:
    with open("/sys/module/xt_hostile/refcnt", encoding="ascii") as file:
        return int(file.read())


def live(count: int, what: str) -> None:
    """So many instances are there, each with a hold on the module, and none was treated badly."""
    expect_equal((get("live"), uses(), get("wrong")), (count, count, 0), f"instances, uses and wrongs: {what}")


def payload(act: int = PLAIN, verdict: int = ACCEPT, error: int = 0) -> bytes:
    return struct.pack("=IIII", error, act, verdict, 0xAAAAAAAA).ljust(SIZE, b"\xbb")


def match(act: int = PLAIN, error: int = 0) -> bytes:
    return blob.match(b"hostile", payload(act, error=error))


def target(act: int = PLAIN, verdict: int = ACCEPT, error: int = 0) -> bytes:
    return blob.target(b"hostile", payload(act, verdict, error))


def shown(data: bytes, hooks: int) -> bytes:
    """A payload as a listing has it: its check wrote the hooks."""
    return (data[:12] + struct.pack("=I", hooks) + data[16:SHOWN]).ljust(blob.aligned(SIZE), b"\0")
