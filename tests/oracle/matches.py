# SPDX-License-Identifier: GPL-2.0
"""Matches: those that bpfilter has in BPF, and those that it calls.

Each has a generator here, whose values are near those of the packets (traffic.py, segments.py). What
depends on a clock or on chance is asked with what these cannot change: rates of one an hour, dates long
ago, probabilities of 0 and 1. Not here are connlimit, which counts
connections that are gone until some jiffy, and cluster, which changes what `pkttype` sees (docs/limits.md).
"""

import ipaddress
import random
from typing import Callable, NamedTuple

import conditions
from interest import Interest
from places import Place

# What these meet depends on what came before, since their rule was loaded: packets must come in the same order,
# and no table may be replaced meanwhile.
STATEFUL = ("-m limit", "-m hashlimit", "-m quota", "--mode nth", "-m recent", "--match-set seen")

# The first four bytes of ESP, the second of AH, as segments.py draws them.
SPIS = (0, 1, 255, 256, 65536, 0x1000000, 0xFFFFFFFF)


class Asked(NamedTuple):
    before: str  # that the kernel insists on: -p
    match: str


Make = Callable[[random.Random, Interest], Asked]


class Extension(NamedTuple):
    name: str
    make: Make
    fits: Callable[[Place], bool] = lambda _: True
    families: tuple[int, ...] = (4, 6)


def not_(rng: random.Random, chance: float = 0.25) -> str:
    return "! " if rng.random() < chance else ""


def _between(rng: random.Random, values: tuple[int, ...]) -> str:
    low, high = sorted((rng.choice(values), rng.choice(values)))
    return str(low) if rng.random() < 0.3 else f"{low}:{high}"


def _plain(*choices: str) -> Make:
    """N stands for a "!" before what is asked for, or not."""
    return lambda rng, _: Asked("", rng.choice(choices).replace("N ", not_(rng)))


def _of(protocol: str, *choices: str) -> Make:
    return lambda rng, _: Asked(f"-p {protocol}", rng.choice(choices).replace("N ", not_(rng)))


def _of_header(name: str, protocol: str = "") -> Make:
    """As other rules ask for it, beside a protocol or not."""
    def make(rng: random.Random, interest: Interest) -> Asked:
        asked = ""
        while "--" not in asked:
            asked = " ".join(conditions.OF_PROTOCOL[name](rng, interest)) if protocol else (
                conditions.OF_HEADER[name](rng, interest))
        return Asked(f"-p {protocol}" if protocol else "", asked if "-m " in asked else f"-m {name} {asked}")
    return make


def _either(*makes: Make) -> Make:
    return lambda rng, interest: rng.choice(makes)(rng, interest)


def port_list(rng: random.Random, interest: Interest, most: int) -> str:
    """Ports and ranges; one of a single port iptables takes for a mistake."""
    ports = []
    for _ in range(rng.randrange(1, most + 1)):
        port = min(65535, max(0, rng.choice(interest.ports) + rng.choice((-1, 0, 0, 1))))
        last = min(65535, port + rng.choice((0, 0, 0, 1, 7, 3000)))
        ports.append(str(port) if last == port else f"{port}:{last}")
    return ",".join(ports)


def _multiport(rng: random.Random, interest: Interest) -> Asked:
    protocol = rng.choice(("tcp", "tcp", "udp", "udp", "udplite", "sctp", "dccp"))
    which = rng.choice(("--sports", "--dports", "--dports", "--ports"))
    # A range takes two of the fifteen places.
    return Asked(f"-p {protocol}", f"-m multiport {not_(rng)}{which} {port_list(rng, interest, rng.choice((1, 3, 7)))}")


def _ported(protocol: str, *more: str) -> Make:
    """`more`: one of these too, and without ports often. None with a "!": of a packet that is broken these say yes,
    and drop it, and ip_tables counts their rule, but bpfilter does not."""
    def make(rng: random.Random, interest: Interest) -> Asked:
        asked = [which for which in ("sport", "dport") if rng.random() < (0.2 if more else 0.6)]
        if not asked and not more:
            asked = ["dport"]
        parts = [f"{not_(rng)}--{which} {port_list(rng, interest, 1)}" for which in asked]
        if more:
            parts.append(rng.choice(more))
        return Asked(f"-p {protocol}", f"-m {protocol} {' '.join(parts)}".strip())
    return make


def _spi(protocol: str) -> Make:
    return lambda rng, _: Asked(f"-p {protocol}", f"-m {protocol} {not_(rng)}--{protocol}spi {_between(rng, SPIS)}")


def _length(rng: random.Random, interest: Interest) -> Asked:
    header = interest.family.header
    lengths = tuple(header + more for more in (0, 8, 9, 20, 24, 28, 72, 508, 520, 1008, 1320))
    return Asked("", f"-m length {not_(rng)}--length {_between(rng, lengths)}")


def _iprange(rng: random.Random, interest: Interest) -> Asked:
    low, high = sorted(ipaddress.ip_address(rng.choice(interest.addresses)) for _ in range(2))
    return Asked("", f"-m iprange {not_(rng)}--{rng.choice(('src', 'dst'))}-range {low}-{high}")


def _hop_limit(rng: random.Random, interest: Interest) -> Asked:
    name = "ttl" if interest.family.number == 4 else "hl"
    kind = rng.choice(("-eq 77", "-eq 76", "-lt 77", "-gt 76", "-gt 70", "-lt 64"))
    return Asked("", f"-m {name} {not_(rng) if 'eq' in kind else ''}--{name}{kind}")


def _conntrack_more(rng: random.Random, interest: Interest) -> Asked:
    return Asked("", "-m conntrack " + rng.choice((
        f"{not_(rng)}--ctproto {rng.choice(('tcp', 'udp'))}",
        f"{not_(rng)}--ctstatus {rng.choice(('NONE', 'CONFIRMED', 'SEEN_REPLY'))}",
        f"{not_(rng)}--ctorigsrc {rng.choice(interest.addresses)}/{8 if interest.family.number == 4 else 32}",
        f"--ctdir {rng.choice(('ORIGINAL', 'REPLY'))}",
        f"--ctproto udp {not_(rng)}--ctorigdstport {port_list(rng, interest, 1)}")))


def _named(text: str) -> Make:
    """With a name of its own: NAME."""
    return lambda rng, _: Asked("", text.replace("NAME", f"n{rng.randrange(1 << 40):x}").replace("N ", not_(rng)))


def _recent(rng: random.Random, interest: Interest) -> Asked:
    """What one rule notes another one may ask for."""
    what = rng.choice(("--set", "--set", "--rcheck", "--update --hitcount 3", "--remove"))
    return Asked("", f"-m recent --name r{interest.family.number}{rng.randrange(3)} {not_(rng)}{what}")


def _limit(rng: random.Random, _: Interest) -> Asked:
    return Asked("", f"-m limit --limit 1/hour --limit-burst {rng.choice((1, 5, 20))}")


def _nth(rng: random.Random, _: Interest) -> Asked:
    every = rng.choice((2, 3, 7))
    return Asked("", f"-m statistic --mode nth {not_(rng)}--every {every} --packet {rng.randrange(every)}")


def _set(rng: random.Random, interest: Interest) -> Asked:
    return Asked("", f"-m set {not_(rng)}--match-set nets{interest.family.number} {rng.choice(('src', 'dst'))}")


def _quota(rng: random.Random, _: Interest) -> Asked:
    return Asked("", f"-m quota {not_(rng)}--quota {rng.choice((100, 2000, 20000))}")


def _policy(rng: random.Random, _: Interest) -> Asked:
    return Asked("", f"-m policy --dir in --pol {rng.choice(('none', 'ipsec'))}")


def _stateful(place: Place) -> bool:
    return place.stateful


def _tracked(place: Place) -> bool:
    return place.tracking


def _noted(place: Place) -> bool:
    """The kernel checks it, though it is in BPF: no table that has such is a 32-bit program's."""
    return place.tracking and not place.compiled


def _way_in(place: Place) -> bool:
    return place.way_in


def _way_out(place: Place) -> bool:
    return place.way_out


def _at_home(place: Place) -> bool:
    return place.way_in and place.chain != "FORWARD"


def _routed(place: Place) -> bool:
    return place.chain in ("INPUT", "FORWARD", "OUTPUT", "POSTROUTING")


def _early(place: Place) -> bool:
    return place.chain == "PREROUTING" and place.table in ("raw", "mangle")


COMPILED = (
    Extension("tcp", _of_header("tcp", "tcp")), Extension("udp", _of_header("udp", "udp")),
    Extension("icmp", _either(_of_header("icmp", "icmp"), _of("icmp", "-m icmp N --icmp-type 8")), families=(4,)),
    Extension("icmp6", _either(_of_header("icmpv6", "icmpv6"), _of("icmpv6", "-m icmpv6 N --icmpv6-type 128")),
              families=(6,)),
    Extension("mh", _either(_of_header("mh", "mh"), _of("mh", "-m mh N --mh-type 0:5")), families=(6,)),
    Extension("ipv6header", _of_header("ipv6header"), families=(6,)),
    Extension("frag", _of_header("frag"), families=(6,)),
    # The first of these asks for much, which is seldom there.
    Extension("hbh", _either(_of_header("hbh"), _plain("-m hbh", "-m hbh N --hbh-len 8")), families=(6,)),
    Extension("dst", _either(_of_header("dst"), _plain("-m dst", "-m dst N --dst-len 8")), families=(6,)),
    Extension("rt", _either(_of_header("rt"), _plain("-m rt N --rt-segsleft 0:1", "-m rt --rt-type 0")), families=(6,)),
    Extension("ah6", _either(_of_header("ah"), _plain("-m ah N --ahspi 0:2", "-m ah")), families=(6,)),
    Extension("eui64", _plain("-m eui64"), _way_in, (6,)),
    Extension("multiport", _multiport), Extension("length", _length), Extension("iprange", _iprange),
    Extension("ttl", _hop_limit, families=(4,)), Extension("hl", _hop_limit, families=(6,)),
    Extension("esp", _spi("esp")), Extension("ah", _spi("ah"), families=(4,)),
    Extension("sctp", _ported("sctp")), Extension("dccp", _ported("dccp")),
    Extension("pkttype", _plain(*(f"-m pkttype N --pkt-type {kind}" for kind in ("unicast", "broadcast", "multicast")))),
    Extension("cpu", _plain("-m cpu N --cpu 0", "-m cpu N --cpu 1")),
    Extension("ecn", _plain(*(f"-m ecn N --ecn-ip-ect {number}" for number in range(4)))),
    Extension("dscp", _plain(*(f"-m dscp N --dscp {number}" for number in (0, 4, 46, 63)))),
    Extension("tos", _plain(*(f"-m tos N --tos {tos}"
                              for tos in ("0x10", "0xb8/0xff", "0x00/0x10", "0x01/0x03", "0x0")))),
    Extension("mark", _plain(*(f"-m mark N --mark {mark}"
                               for mark in ("0", "1", "0x1/0x1", "0x0/0xf0", "0x10/0x30")))),
    Extension("state", _plain(*(f"-m conntrack N --ctstate {states}" for states in (
        "NEW", "INVALID", "ESTABLISHED,RELATED", "UNTRACKED", "NEW,INVALID", "DNAT", "NEW,DNAT", "SNAT"))), _noted),
)

CALLED = (
    Extension("conntrack", _conntrack_more, _tracked),
    Extension("connmark", _plain(*(f"-m connmark N --mark {mark}" for mark in ("0", "0x1/0x1", "0x10/0x30"))),
              _tracked),
    Extension("addrtype", _plain(*(f"-m addrtype N --{way}-type {kind}" for way in ("src", "dst")
                                   for kind in ("LOCAL", "UNICAST", "MULTICAST", "LOCAL,UNICAST")))),
    Extension("set", _set),
    Extension("limit", _limit, _stateful), Extension("nth", _nth, _stateful),
    Extension("random", _plain("-m statistic --mode random N --probability 1",
                               "-m statistic --mode random N --probability 0")),
    Extension("recent", _recent, _stateful),
    Extension("hashlimit", _named("-m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 2 --hashlimit-mode srcip "
                                  "--hashlimit-htable-expire 86400000 --hashlimit-name NAME"), _stateful),
    Extension("quota", _quota, _stateful),
    Extension("connbytes", _plain("-m connbytes N --connbytes 2: --connbytes-dir original --connbytes-mode packets",
                                  "-m connbytes --connbytes 0:90 --connbytes-dir both --connbytes-mode bytes"),
              _tracked),
    Extension("owner", _plain("-m owner N --uid-owner 0", "-m owner N --socket-exists"), _way_out),
    Extension("cgroup", _plain("-m cgroup N --cgroup 0"), _way_out),
    Extension("mac", _plain(*(f"-m mac N --mac-source 02:00:00:00:0{number}:02" for number in range(1, 5))), _way_in),
    Extension("u32", _plain("-m u32 N --u32 0>>24&0xf=5:15", "-m u32 N --u32 4&0xff=0:40")),
    # Nothing that is so short that what TCP draws at random may have it.
    Extension("string", _plain("-m string --algo bm N --string pppp",
                               "-m string --algo kmp --to 60 N --hex-string |00004d|")),
    Extension("tcpmss", _of("tcp --tcp-flags SYN,RST SYN", "-m tcpmss N --mss 1460", "-m tcpmss N --mss 1000:1459")),
    Extension("tcpecn", _of("tcp", "-m ecn N --ecn-tcp-cwr", "-m ecn N --ecn-tcp-ece",
                            "-m ecn N --ecn-tcp-cwr N --ecn-ip-ect 0")),
    Extension("chunks", _ported("sctp", "--chunk-types any DATA,INIT", "--chunk-types all DATA",
                                "--chunk-types only DATA,SACK")),
    Extension("types", _ported("dccp", "--dccp-types REQUEST,DATA", "--dccp-types REQUEST,ACK,INVALID", "--dccp-option 1")),
    Extension("time", _plain("-m time --datestart 2000-01-01", "-m time --datestop 2000-01-01")),
    Extension("realm", _plain("-m realm --realm 0", "-m realm ! --realm 0", "-m realm --realm 1/3"), _routed, (4,)),
    Extension("rpfilter", _plain("-m rpfilter", "-m rpfilter --invert", "-m rpfilter --loose"), _early),
    Extension("policy", _policy, _at_home),
    Extension("devgroup", _plain("-m devgroup N --src-group 0"), _way_in),
)


def fitting(interest: Interest, place: Place) -> list[Extension]:
    listed = COMPILED if place.compiled else COMPILED + CALLED
    return [one for one in listed if interest.family.number in one.families and one.fits(place)]


def one(rng: random.Random, interest: Interest, place: Place) -> Asked:
    return rng.choice(fitting(interest, place)).make(rng, interest)
