# SPDX-License-Identifier: GPL-2.0
"""Control groups of the memory controller."""

import contextlib
import os
import subprocess
import time
from typing import Callable, Iterator

from .check import Failure, Skip

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
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                self.join()
                said = function()
            except BaseException as error:  # pylint: disable=broad-exception-caught
                said = repr(error)
            os.write(writer, said.encode())
            os._exit(0)
        os.close(writer)
        with open(reader, encoding="utf-8") as file:
            said = file.read()
        os.waitpid(pid, 0)
        return said


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


@contextlib.contextmanager
def limited(size: int) -> Iterator[Group]:
    """A memory cgroup of so many bytes."""
    if not os.path.exists(f"{ROOT}/cgroup.controllers"):
        done = subprocess.run(["mount", "-t", "cgroup2", "none", ROOT], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Skip(f"no cgroup2: {done.stderr.strip()}")
    with open(f"{ROOT}/cgroup.controllers", encoding="ascii") as file:
        if "memory" not in file.read().split():
            raise Skip("this kernel has no memory controller")
    with open(f"{ROOT}/cgroup.subtree_control", "w", encoding="ascii") as file:
        file.write("+memory")
    path = f"{ROOT}/bpfilter-{os.getpid()}"
    os.mkdir(path)
    with open(f"{path}/memory.max", "w", encoding="ascii") as file:
        file.write(str(size))
    try:
        yield Group(path)
    finally:
        _remove(path)
