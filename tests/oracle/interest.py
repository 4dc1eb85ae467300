# SPDX-License-Identifier: GPL-2.0
"""What the rules and packets of one ruleset are about: addresses, networks, ports."""

import ipaddress
import random
from dataclasses import dataclass, field

from aim import Aim
from lib.family import V4, Family, chains_of
from lib.packet import mac
from lib.router import LINKS
from places import Place

DEVICES = ("in0", "in1", "out0", "out1")
NETWORKS = (1, 2, 3, 4)
LOCAL_NETWORK = 9


@dataclass
class Interest:
    """What the rules and packets of one ruleset are about."""
    family: Family = V4
    remote: list[str] = field(default_factory=list)  # behind a link
    local: list[str] = field(default_factory=list)
    loopback: list[str] = field(default_factory=list)
    routers: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)  # broadcast, multicast
    by_mac: dict[str, str] = field(default_factory=dict)  # addresses made of those of the links' other ends
    ports: list[int] = field(default_factory=list)
    queue: bool = False  # rules may say -j QUEUE
    tracking: bool = False  # the router knows connections
    compiled: bool = False  # rules ask for nothing that is called
    stateful: bool = False  # they may ask for what counts
    even: bool = False  # packets of one protocol are as many as of another
    dealt: dict[Place, list[str]] = field(default_factory=dict)  # the probes of each chain, if there is nothing else
    aims: list[Aim] = field(default_factory=list)  # what the rules ask for
    more_devices: tuple[str, ...] = ()  # that the router has

    @property
    def addresses(self) -> list[str]:
        return self.remote + self.local + self.routers[:1] + self.loopback

    def place(self, table: str, chain: str) -> Place:
        """A chain of a person's may be met by packets of two hooks, whose order nobody promises."""
        return Place(table, chain, self.tracking, self.compiled, self.stateful and chain in chains_of(table))

    @classmethod
    def draw(cls, rng: random.Random, family: Family) -> "Interest":
        self = cls(family)
        self.remote = [self._somewhere(rng, network) for network in NETWORKS * 2]
        self.local = [self._somewhere(rng, LOCAL_NETWORK) for _ in range(3)]
        self.routers = [family.address(f"10.{network}.0.1") for network in NETWORKS]
        rng.shuffle(self.routers)
        if family is V4:
            self.loopback = ["127.0.0.1", f"127.0.0.{rng.randrange(2, 9)}"]
            self.groups = ["10.1.0.255", "10.2.0.255", "255.255.255.255", "224.0.0.1"]
        else:
            self.loopback = ["::1"]
            self.groups = ["ff02::1", "ff05::7", "ff0e::1", "::"]
            self.by_mac = {link.inner: _by_mac(link.outer_mac) for link in LINKS.values()}
        self.stateful = rng.random() < 0.4
        self.ports = [rng.choice((0, 1, 22, 53, 80, 443, 1023, 1024, 32768, 65534, 65535))
                      for _ in range(3)] + [rng.randrange(65536) for _ in range(2)]
        return self

    def _somewhere(self, rng: random.Random, network: int) -> str:
        if self.family is V4 or rng.random() < 0.4:
            return self.family.address(f"10.{network}.{rng.choice((0, 1, 7, 8, 200))}.{rng.randrange(3, 255)}")
        groups = [rng.choice((0, 0, 1, 0x8000, 0xFFFF, rng.randrange(0x10000))) for _ in range(5)]
        return str(ipaddress.IPv6Address(f"fd00:{network}:{':'.join(f'{group:x}' for group in groups)}:7f"))


def _by_mac(address: str) -> str:
    first, *rest = mac(address)
    return str(ipaddress.IPv6Address(bytes((0xFD, 0)) + b"\0" * 6
                                     + bytes((first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]))))


def near(rng: random.Random, address: str, spread: int = 2) -> str:
    value = ipaddress.ip_address(address)
    width = value.max_prefixlen
    number = int(value) + rng.randint(-spread, spread)
    if width == 128 and rng.random() < 0.2:
        number ^= 1 << rng.randrange(96)  # the routes are by the first 32 bits, or by the first 112
    return str(type(value)(number & ((1 << width) - 1)))
