# SPDX-License-Identifier: GPL-2.0
"""Network namespaces, entered without a process of their own."""

import atexit
import ctypes
import itertools
import os
import subprocess
from typing import Iterable

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


_QUIET = {"addr_gen_mode": 1, "accept_dad": 0, "dad_transmits": 0, "autoconf": 0, "accept_ra": 0,
          "router_solicitations": 0, "accept_redirects": 0}


class Namespace:
    """A network namespace with a name. `with namespace:` acts in it; that nests."""

    def __init__(self, role: str, ipv6: bool = False):
        """`ipv6`: as quiet as can be, with no address of its own making. Otherwise there is none."""
        self.name = f"{role}-{os.getpid()}-{next(_numbers)}"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        atexit.register(self.delete)
        self._fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        self._back: list[int] = []
        with self:
            for scope in ("all", "default"):
                settings = _QUIET if ipv6 else {"disable_ipv6": 1}
                for setting, value in settings.items():
                    sysctl(f"net/ipv6/conf/{scope}/{setting}", value, missing_ok=True)

    def __enter__(self) -> "Namespace":
        self._back.append(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        _check(_libc.setns(self._fd, CLONE_NEWNET), "setns")
        return self

    def __exit__(self, *_: object) -> None:
        back = self._back.pop()
        _check(_libc.setns(back, CLONE_NEWNET), "setns")
        os.close(back)

    def ip(self, lines: Iterable[str]) -> None:
        """Run ip commands in here, one a line, as one process."""
        with self:
            ip(lines)

    def delete(self) -> None:
        """Take its name away and our own hold on it; the kernel destroys it soon."""
        atexit.unregister(self.delete)
        os.close(self._fd)
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


def ip(lines: Iterable[str]) -> None:
    text = "\n".join(lines) + "\n"
    done = subprocess.run(["ip", "-batch", "-"], input=text, text=True, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip: {done.stderr.strip()} in: {text}")


def tags_in_frames(*devices: str) -> None:
    """What these devices send has its VLAN tags in the frame: for a veth only then may the other end have XDP."""
    for device in devices:
        subprocess.run(["ethtool", "-K", device, "tx-vlan-hw-insert", "off", "tx-vlan-stag-hw-insert", "off"],
                       check=True, capture_output=True)


def sysctl(path: str, value: object, missing_ok: bool = False) -> None:
    """Set /proc/sys/PATH, where net/ is that of the namespace we are in."""
    try:
        with open(f"/proc/sys/{path}", "w", encoding="ascii") as file:
            file.write(str(value))
    except FileNotFoundError:
        if not missing_ok:
            raise
