# SPDX-License-Identifier: GPL-2.0
"""bpfilter.ko with a helper that misbehaves as told: tests/kmod/fake_helper.c."""

import os
import re
import shutil
import signal
import subprocess
from typing import Iterator, NamedTuple

from . import options, system
from .check import Skip, wait_for

MODULE = "/usr/lib/bpfilter-tests/bpfilter_umh.ko"
DIRECTORY = "/run/fake_helper"
PARAMETERS = "/sys/module/bpfilter/parameters"


class Line(NamedTuple):
    """Of the helper's log: a request it read, or what an ioctl or a write gave."""
    what: str
    fields: dict[str, int]


def loaded(module: str) -> bool:
    return os.path.isdir(f"/sys/module/{module}")


def _uses(module: str) -> int:
    with open(f"/sys/module/{module}/refcnt", encoding="ascii") as file:
        return int(file.read())


def unpin() -> None:
    """Nothing in force that holds the module, whatever helper it has."""
    if not os.path.isdir(DIRECTORY):
        for arguments in ("-F", "-X"):
            subprocess.run(["iptables-legacy", arguments], check=True)
        return
    order("REPLACE unpinned")
    options.setsockopt(options.SET_REPLACE, options.replace_data(0, 4, 4, 632))


def remove(seconds: float = 60) -> None:
    """Both modules. Dying namespaces hold them for a while."""
    if loaded("bpfilter") and _uses("bpfilter"):
        unpin()
    for module in ("bpfilter", "bpfilter_umh"):
        if loaded(module):
            wait_for(lambda: subprocess.run(["rmmod", module], stderr=subprocess.DEVNULL).returncode == 0,  # pylint: disable=cell-var-from-loop
                     f"{module} to be removable", seconds)


def insert() -> None:
    subprocess.run(["insmod", MODULE], check=True)
    subprocess.run(["modprobe", "bpfilter"], check=True)


def fresh() -> None:
    """Loaded anew, the helper well-behaved, not started yet and with an empty log."""
    system.only_ours()
    if not os.path.exists(MODULE):
        raise Skip(f"{MODULE} is not there: tests/kmod/build makes it")
    remove()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    os.makedirs(DIRECTORY)
    insert()


def order(*lines: str) -> None:
    """From now on. A helper that reads meanwhile sees the old orders or the new."""
    with open(f"{DIRECTORY}/new", "w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in lines)
    os.rename(f"{DIRECTORY}/new", f"{DIRECTORY}/orders")


def log(what: str | None = None) -> list[Line]:
    return [line for line in _log() if what in (None, line.what)]


def _log() -> Iterator[Line]:
    try:
        with open(f"{DIRECTORY}/log", encoding="ascii") as file:
            for text in file:
                yield Line(text.split()[0], {key: int(value) for key, value in
                                             re.findall(r"(\w+)=(-?\d+)", text)})
    except FileNotFoundError:
        return


def forget() -> None:
    with open(f"{DIRECTORY}/log", "w", encoding="ascii"):
        pass


def last(what: str) -> dict[str, int]:
    return log(what)[-1].fields


def wait_for_line(what: str, count: int = 1) -> dict[str, int]:
    wait_for(lambda: len(log(what)) >= count, f"{count} {what} in the helper's log")
    return log(what)[count - 1].fields


def pid() -> int:
    """Of the last helper that read something."""
    return [line for line in log() if "pid" in line.fields][-1].fields["pid"]


def kill() -> None:
    os.kill(pid(), signal.SIGKILL)


def parameter(name: str, value: object) -> None:
    with open(f"{PARAMETERS}/{name}", "w", encoding="ascii") as file:
        file.write(str(value))
