# SPDX-License-Identifier: GPL-2.0
"""Control groups of the memory controller."""

import contextlib
import os
import subprocess
import time
from typing import Callable, Iterator

from .check import Failure, Skip
from .process import said_by_child

ROOT = "/sys/fs/cgroup"


class Group:
    def __init__(self, path: str) -> None:
        self.path = path
        self.procs = f"{path}/cgroup.procs"

    def join(self) -> None:
        with open(self.procs, "w", encoding="ascii") as file:
            file.write(str(os.getpid()))

    def stat(self, name: str) -> int:
        """Bytes, a line of memory.stat."""
        with open(f"{self.path}/memory.stat", encoding="ascii") as file:
            return int(dict(line.split() for line in file)[name])

    def run(self, function: Callable[[], str]) -> str:
        """What the function says in a process of this group."""
        def joined() -> str:
            self.join()
            return function()

        return said_by_child(joined)


def _remove(path: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            os.rmdir(path)
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"the cgroup is not empty: {error}") from error
            time.sleep(0.01)


def mount() -> None:
    """Where everybody has them."""
    if not os.path.exists(f"{ROOT}/cgroup.controllers"):
        done = subprocess.run(["mount", "-t", "cgroup2", "none", ROOT], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Skip(f"no cgroup2: {done.stderr.strip()}")


@contextlib.contextmanager
def child(parent: str = ROOT) -> Iterator[Group]:
    """A new one, until it is empty."""
    mount()
    path = f"{parent}/bpfilter-{os.getpid()}"
    os.mkdir(path)
    try:
        yield Group(path)
    finally:
        _remove(path)


@contextlib.contextmanager
def limited(size: int) -> Iterator[Group]:
    """A memory cgroup of so many bytes."""
    mount()
    with open(f"{ROOT}/cgroup.controllers", encoding="ascii") as file:
        if "memory" not in file.read().split():
            raise Skip("this kernel has no memory controller")
    with open(f"{ROOT}/cgroup.subtree_control", "w", encoding="ascii") as file:
        file.write("+memory")
    with child() as group:
        with open(f"{group.path}/memory.max", "w", encoding="ascii") as file:
            file.write(str(size))
        yield group
