# SPDX-License-Identifier: GPL-2.0
"""IPv4 and IPv6 as the tests see them: names of commands, numbers of sockopts, addresses.

Tests write addresses as those of IPv4, "10.1.0.2" or "10.1.0.0/16"; in IPv6 the same four
bytes stand at the end of fd00::/96. tests/vm/run says which family a suite is run for by
BPFILTER_FAMILY; some tests are of both at once and name one themselves.
"""

import ipaddress
import os
import re
import shutil
import socket
import struct
from dataclasses import dataclass

_PREFIX = 96
_BASE = int(ipaddress.IPv6Address("fd00::"))
_ADDRESS = re.compile(r"(?<![\d.:])\d{1,3}(?:\.\d{1,3}){3}(?:/[\d.]+)?")


def _command(*names: str) -> str:
    """The first that there is. Debian's plain names may be the nf_tables variant."""
    return next((found for name in names if (found := shutil.which(name))), names[-1])


@dataclass(frozen=True)
class Family:
    number: int  # 4 or 6
    af: int
    iptables: str
    save: str
    restore: str
    proc: str  # the files in /proc/net begin with this
    # Sockopts: level, options (those that differ), and sizes of structures.
    level: int
    revision_match: int
    revision_target: int
    entry: int  # struct ipt_entry, ip6t_entry
    goto: int  # the flag of a rule
    # Packets
    header: int
    icmp: int

    def address(self, text: str) -> str:
        """An address of this family, with what is behind its slash."""
        if self.number == 4:
            return text
        address, slash, mask = text.partition("/")
        whole = ipaddress.IPv6Address(_BASE | int(ipaddress.IPv4Address(address)))
        if "." in mask:
            mask = str(ipaddress.IPv6Address((1 << 128) - (1 << 32) | int(ipaddress.IPv4Address(mask))))
        elif mask:
            mask = str(int(mask) + _PREFIX)
        return f"{whole}{slash}{mask}"

    def text(self, text: str) -> str:
        """Rules, commands or listings, with their IPv4 addresses made this family's."""
        return text if self.number == 4 else _ADDRESS.sub(lambda found: self.address(found[0]), text)

    def packed(self, text: str) -> bytes:
        return socket.inet_pton(self.af, self.address(text))

    def host(self, text: str) -> str:
        """An address as iptables prints one of a single host."""
        return f"{self.address(text)}/{32 if self.number == 4 else 128}"

    def standard(self) -> int:
        """Size of a rule without matches and with a standard target."""
        return self.entry + 40

    def error(self) -> int:
        """Size of the head of a chain, and of the last entry."""
        return self.entry + 64

    def ip_part(self, protocol: int = 0, flags: int = 0, inverted: int = 0, source: bytes = b"") -> bytes:
        """struct ipt_ip, ip6t_ip6; `source`: address and mask."""
        width = 4 if self.number == 4 else 16
        source = source or b"\0" * (2 * width)
        addresses = source[:width] + b"\0" * width + source[width:] + b"\0" * width
        if self.number == 4:
            return addresses + b"\0" * 64 + struct.pack("=HBB", protocol, flags, inverted)
        # The kernel looks at the protocol if flags have bit 0.
        return addresses + b"\0" * 64 + struct.pack("=HBBB3x", protocol, 0, flags | bool(protocol), inverted)


V4 = Family(4, socket.AF_INET, _command("iptables-legacy", "iptables"),
            _command("iptables-legacy-save", "iptables-save"),
            _command("iptables-legacy-restore", "iptables-restore"), "ip", socket.SOL_IP, 66, 67, 112, 2, 20, 1)
V6 = Family(6, socket.AF_INET6, _command("ip6tables-legacy", "ip6tables"),
            _command("ip6tables-legacy-save", "ip6tables-save"),
            _command("ip6tables-legacy-restore", "ip6tables-restore"), "ip6", socket.IPPROTO_IPV6, 68, 69, 168, 4, 40,
            58)
BOTH = (V4, V6)


def of(number: int) -> Family:
    return V6 if number == 6 else V4


def current() -> Family:
    return of(int(os.environ.get("BPFILTER_FAMILY", "4")))


# The five tables: their built-in chains, by the number of the hook.
CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
HOOKS_OF = {"raw": (0, 3), "mangle": (0, 1, 2, 3, 4), "nat": (0, 1, 3, 4), "filter": (1, 2, 3), "security": (1, 2, 3)}
TABLES = tuple(HOOKS_OF)


def chains_of(table: str) -> tuple[str, ...]:
    return tuple(CHAINS[hook] for hook in HOOKS_OF[table])
