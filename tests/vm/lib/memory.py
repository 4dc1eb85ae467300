# SPDX-License-Identifier: GPL-2.0
"""A kernel in which no tap gets memory (tests/kmod/no_memory)."""

import contextlib
import os
import subprocess
from typing import Iterator

from .check import Skip

_MODULE = "/usr/lib/bpfilter-tests/no_memory.ko"


@contextlib.contextmanager
def no_memory() -> Iterator[None]:
    if not os.path.exists(_MODULE):
        raise Skip(f"{_MODULE} is not there: tests/kmod/build makes it")
    subprocess.run(["insmod", _MODULE], check=True)
    try:
        yield
    finally:
        subprocess.run(["rmmod", "no_memory"], check=True)
