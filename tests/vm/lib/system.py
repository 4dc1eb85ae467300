# SPDX-License-Identifier: GPL-2.0
"""Which implementation answers iptables: ours, or the kernel's own ip_tables.

Everything in tests/vm but xdp, module and the demo must pass with both: a test that the
original fails is a wrong test. tests/vm/run says which one by BPFILTER_SYSTEM.
"""

import contextlib
import glob
import os
import subprocess

from .check import Skip

STOCK = "ip_tables"
OURS = "bpfilter"
FORMS = ("auto", "code", "data")


def name() -> str:
    return os.environ.get("BPFILTER_SYSTEM", OURS)


def only_ours() -> None:
    """Skip unless bpfilter is under test."""
    if name() != OURS:
        raise Skip("about bpfilter alone; ip_tables is under test")


class KernelLog:
    """The messages of the kernel from now on."""

    def __init__(self, whence: int = os.SEEK_END) -> None:
        self._opened = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._opened, 0, whence)

    def __enter__(self) -> "KernelLog":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._opened)

    def read(self) -> list[str]:
        """Those that were not read yet."""
        lines: list[str] = []
        while True:
            try:
                record = os.read(self._opened, 8192).decode(errors="replace")
            except BlockingIOError:
                return lines
            except BrokenPipeError:
                continue  # overwritten meanwhile
            lines.append(record.split(";", 1)[-1].split("\n")[0])


def kernel_log() -> list[str]:
    """The messages of the kernel so far."""
    with KernelLog(os.SEEK_SET) as log:
        return log.read()


def open_files(pid: int) -> set[str]:
    """What a process has open; a descriptor that is closed meanwhile is left out."""
    files = set()
    directory = f"/proc/{pid}/fd"
    for fd in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            files.add(os.readlink(f"{directory}/{fd}"))
    return files


def users() -> dict[str, int]:
    """Of each module with matches or targets, and of what those hold by name, how many use it. Modules on which
    others are built gain users when another one is loaded."""
    found = {}
    for path in glob.glob("/sys/module/*/refcnt"):
        name = path.split("/")[3]
        if name.startswith(("xt_", "ipt_", "ip6t_")) or name in ("nf_conntrack_ftp", "nf_log_syslog"):
            with open(path, encoding="ascii") as file:
                found[name] = int(file.read())
    return found


def form() -> str:
    """What tables become."""
    return os.environ.get("BPFILTER_FORM", FORMS[0])


def _options() -> dict[str, str]:
    """For every time that modprobe loads bpfilter."""
    chosen = {} if form() == FORMS[0] else {"form": form()}
    if "debug" in os.uname().release:
        chosen["deadline"] = "600"  # a kernel that checks everything verifies thousands of rules at its leisure
    return chosen


def load() -> None:
    """Load what is under test; the other one must not be there."""
    if name() == OURS:
        with open("/etc/modprobe.d/bpfilter-tests.conf", "w", encoding="ascii") as file:
            file.writelines(f"options bpfilter {name}={value}\n" for name, value in _options().items())
        subprocess.run(["modprobe", "bpfilter"], check=True)
        if not os.path.isdir("/sys/module/bpfilter"):
            raise RuntimeError("modprobe bpfilter succeeded, but the module is not there")
        return
    if os.path.isdir("/sys/module/bpfilter"):
        raise RuntimeError("ip_tables is to be tested, but bpfilter is loaded")
    # Built in, on some kernels. The alias of an installed bpfilter must not come into play.
    for family in ("ip", "ip6"):
        if not os.path.isdir(f"/sys/module/{family}_tables") and not os.path.exists(f"/proc/net/{family}_tables_names"):
            subprocess.run(["modprobe", "--ignore-install", f"{family}table_filter"], check=True)
    if os.path.isdir("/sys/module/bpfilter"):
        raise RuntimeError("modprobe iptable_filter loaded bpfilter: boot without the modules")
