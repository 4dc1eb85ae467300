# SPDX-License-Identifier: GPL-2.0
"""bpfilter.ko with a helper that misbehaves as told: tests/kmod/fake_helper.

The helper writes its log while callers already have their answers. So the log is never read as
it happens to be: wait_for_line() waits for a line, log() for the helper to have dealt with all
it was asked before, and remains() for there to be no helper that could write any more.
"""

import errno
import os
import re
import shutil
import signal
import subprocess
from typing import NamedTuple

from . import helper, options, system
from .check import Failure, Skip, wait_for
from .netns import sysctl

MODULE = "/usr/lib/bpfilter-tests/bpfilter_umh.ko"
DIRECTORY = "/run/fake_helper"
PARAMETERS = "/sys/module/bpfilter/parameters"

_forgotten = 0  # lines of the log


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


def _rmmod(module: str) -> bool:
    return subprocess.run(["rmmod", module], stderr=subprocess.DEVNULL, check=False).returncode == 0


def remove(seconds: float = 60) -> None:
    """Both modules. Dying namespaces hold them for a while."""
    if loaded("bpfilter") and _uses("bpfilter"):
        unpin()
    for module in ("bpfilter", "bpfilter_umh"):
        if loaded(module):
            wait_for(lambda: _rmmod(module), f"{module} to be removable", seconds)  # pylint: disable=cell-var-from-loop


def insert() -> None:
    subprocess.run(["insmod", MODULE], check=True)
    subprocess.run(["modprobe", "bpfilter"], check=True)


def fresh() -> None:
    """Loaded anew, the helper well-behaved, not started yet and with an empty log."""
    global _forgotten
    system.only_ours()
    if not os.path.exists(MODULE):
        raise Skip(f"{MODULE} is not there: tests/kmod/build makes it")
    remove()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    os.makedirs(DIRECTORY)
    _forgotten = 0
    # Memory that is not there (tests/kmod/fake_helper/absent.c), without a capability that helpers do not have.
    sysctl("vm/unprivileged_userfaultfd", 1)
    insert()


def back() -> None:
    """To the real helper, for the suites behind this one."""
    if system.name() == system.OURS:
        remove()
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        system.load()


def order(*lines: str) -> None:
    """From now on. A helper that reads meanwhile sees the old orders or the new."""
    with open(f"{DIRECTORY}/new", "w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in lines)
    os.rename(f"{DIRECTORY}/new", f"{DIRECTORY}/orders")


def _lines() -> list[Line]:
    """As the log is now, of which the last may be half."""
    try:
        with open(f"{DIRECTORY}/log", encoding="ascii") as file:
            texts = [text for text in file if text.endswith("\n")]
    except FileNotFoundError:
        return []
    return [Line(text.split()[0], {key: int(value) for key, value in re.findall(r"(\w+)=(-?\d+)", text)})
            for text in texts]


def _since(what: str | None) -> list[Line]:
    """Without a name: all but DEVICES, which come when they like."""
    return [line for line in _lines()[_forgotten:] if line.what == what or (what is None and line.what != "DEVICES")]


def count(what: str) -> int:
    """So many of these lines so far, of all since the module was loaded. For a helper that is at work."""
    return sum(line.what == what for line in _lines())


def fence() -> None:
    """What was asked before has been dealt with, by a helper that does one thing after the other."""
    answer = options.getsockopt(options.GET_INFO, options.name("fence").ljust(84, b"\0"))[0]
    if answer != errno.EXDEV:
        raise Failure(f"the helper does not answer: {errno.errorcode.get(answer, answer)}")


def log(what: str | None = None) -> list[Line]:
    """Of all that was asked before and answered. Not for a helper that hangs."""
    fence()
    return _since(what)


def remains(what: str | None = None) -> list[Line]:
    """Of helpers that are all dead, or are about to be."""
    helper.wait_gone()
    return _since(what)


def forget() -> None:
    """The lines of all that was asked before: the first is from now on the next."""
    global _forgotten
    fence()
    _forgotten = len(_lines())


def wait_for_line(what: str, count: int = 1) -> dict[str, int]:
    """The first of these lines that is not forgotten, or the second, and so on."""
    wait_for(lambda: len(_since(what)) >= count, f"{count} {what} in the helper's log")
    return _since(what)[count - 1].fields


def pid() -> int:
    """Of the helper that answers. Not for one that hangs: its lines tell."""
    fence()
    return helper.one()


def kill(which: int | None = None) -> None:
    os.kill(pid() if which is None else which, signal.SIGKILL)


def parameter(name: str, value: object) -> None:
    with open(f"{PARAMETERS}/{name}", "w", encoding="ascii") as file:
        file.write(str(value))
