# SPDX-License-Identifier: GPL-2.0
"""A table taken to pieces, which can be changed and put together again, for callers of either word size."""

import struct
from dataclasses import dataclass, field

import whole
from lib import blob
from lib.compat import V4 as COMPAT_4
from lib.compat import V6 as COMPAT_6
from lib.compat import Layout
from lib.family import Family

HEADER = 32  # struct xt_entry_match, xt_entry_target

# What the kernel has of each match, before it is aligned: callers of 32 bits align to 4.
SIZES = {b"tcp": 12, b"udp": 10, b"udplite": 10, b"icmp": 4, b"icmp6": 4, b"mh": 3, b"hl": 2, b"ipv6header": 3,
         b"frag": 16, b"hbh": 40, b"dst": 40, b"rt": 280, b"eui64": 4, b"multiport": 48, b"length": 6, b"pkttype": 8,
         b"cpu": 8, b"ecn": 4, b"esp": 12, b"sctp": 292, b"dccp": 16, b"ttl": 2, b"dscp": 2, b"tos": 3, b"mark": 12,
         b"iprange": 68, b"comment": 256, b"MARK": 8}


def layout(family: Family, bits: int) -> Layout:
    return Layout(COMPAT_6 if family.number == 6 else COMPAT_4, bits)


@dataclass
class Part:
    """A match or a target."""
    name: bytes
    payload: bytes
    revision: int = 0

    @classmethod
    def parse(cls, data: bytes, offset: int) -> "Part":
        size, name, revision = struct.unpack_from("=H29sB", data, offset)
        return cls(name.rstrip(b"\0"), data[offset + HEADER:offset + size], revision)

    def render(self, form: Layout) -> bytes:
        size = SIZES.get(self.name, len(self.payload))
        if self.name == b"ah" and form.family is COMPAT_4:
            size = 12  # that of IPv6 asks for more
        return form.extension(self.name, self.payload[:size], self.revision)


@dataclass
class Entry:
    ip: bytearray  # struct ipt_ip, ip6t_ip6
    nfcache: int
    comefrom: int
    counters: tuple[int, int]
    matches: list[Part]
    target: Part
    slack: int = 0  # bytes behind the target
    jump: int | None = None  # the number of the entry it jumps to
    away: int = 0  # how far from its beginning

    @property
    def verdict(self) -> int | None:
        """Of a standard target that is no jump."""
        if self.target.name or self.jump is not None:
            return None
        value: int = struct.unpack_from("=i", self.target.payload)[0]
        return value

    def render(self, form: Layout, offsets: list[int]) -> bytes:
        matches = b"".join(match.render(form) for match in self.matches)
        if self.target.name:
            target = self.target.render(form)
        else:
            verdict = self.verdict if self.jump is None else offsets[self.jump] + self.away
            target = form.extension(b"", struct.pack("=i", verdict), self.target.revision)
        target += b"\0" * self.slack
        behind = form.entry + len(matches)
        head = bytes(self.ip) + struct.pack("=IHHI", self.nfcache, behind, behind + len(target), self.comefrom)
        return head.ljust(form.counters, b"\0") + struct.pack("=QQ", *self.counters) + matches + target


@dataclass
class Table:
    family: Family
    info: blob.Info
    entries: list[Entry] = field(default_factory=list)
    hooks: dict[int, int] = field(default_factory=dict)  # hook: number of its first entry
    policies: dict[int, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, family: Family, info: blob.Info, data: bytes) -> "Table":
        self = cls(family, info)
        offsets = whole.offsets(data, family)
        numbers = {offset: number for number, offset in enumerate(offsets)}
        ip_size = len(family.ip_part())
        for offset in offsets:
            nfcache, target, following, comefrom = struct.unpack_from("=IHHI", data, offset + ip_size)
            entry = Entry(bytearray(data[offset:offset + ip_size]), nfcache, comefrom, (0, 0), [],
                          Part.parse(data, offset + target))
            at = offset + family.entry
            while at < offset + target:
                entry.matches.append(Part.parse(data, at))
                at += struct.unpack_from("=H", data, at)[0]
            if not entry.target.name:
                verdict = struct.unpack_from("=i", entry.target.payload)[0]
                entry.jump = numbers[verdict] if verdict >= 0 else None
            self.entries.append(entry)
        for hook in range(blob.HOOKS):
            if info.valid_hooks >> hook & 1:
                self.hooks[hook] = numbers[info.hook_entry[hook]]
                self.policies[hook] = numbers[info.underflow[hook]]
        return self

    def rules(self) -> list[Entry]:
        """All but policies, heads and feet of chains, and the last entry: without a foot a chain leads into the next."""
        policies = set(self.policies.values())
        return [entry for number, entry in enumerate(self.entries[:-1])
                if not entry.target.name and number not in policies and not self.entries[number + 1].target.name]

    def render(self, bits: int = 64) -> tuple[blob.Info, bytes]:
        """What `blob.info` would say of it, and its bytes."""
        form = layout(self.family, bits)
        offsets = [0]
        for entry in self.entries:
            offsets.append(offsets[-1] + len(entry.render(form, [0] * len(self.entries))))
        data = b"".join(entry.render(form, offsets) for entry in self.entries)

        def places(numbers: dict[int, int]) -> tuple[int, ...]:
            return tuple(offsets[numbers[hook]] if hook in numbers else 0 for hook in range(blob.HOOKS))

        return blob.Info("OK", self.info.name, self.info.valid_hooks, places(self.hooks), places(self.policies),
                         len(self.entries), len(data)), data
