# SPDX-License-Identifier: GPL-2.0
"""What rules ask, as iptables takes it: everything that is supported, mostly as people write it, some of it odd."""

import random
from typing import Callable

from interest import DEVICES, Interest

# What the spare device is called, in turn: two that rules name, two that only a wildcard may mean.
SPARE_NAMES = ("new0", "in2", "other", "new00", "out1x")
# With the odd ones: nothing there, part of a name, longer than a name, everything.
NAMES = DEVICES * 3 + ("lo", "lo", "in+", "in+", "out+", "o+", "l+", "in0+", "nosuch", "in", "in0x",
                       "in0x+", "+", "out1+", "new0", "new0", "new+", "in2", "in2")
FLAGS = ("SYN", "ACK", "FIN", "RST", "PSH", "URG")
ICMP_TYPES = ("8", "0", "3", "3/1", "3/3", "11", "11/0", "13", "5/2", "any", "200", "255")
ICMPV6_TYPES = ("128", "129", "echo-request", "1", "1/0", "1/3", "2", "3/1", "4", "4/1", "135", "143/0", "200", "255")
PROTOCOLS = {4: ("tcp", "udp", "icmp", "udplite", "gre", "esp", "sctp", "253", "99"),
             # 59 follows nothing; the numbers of extension headers are met if one is the last.
             6: ("tcp", "udp", "icmpv6", "udplite", "mh", "esp", "sctp", "253", "99", "59", "44", "0")}
WEIGHTS = {4: (10, 8, 5, 1, 1, 1, 1, 1, 1), 6: (10, 8, 6, 1, 2, 1, 1, 1, 1, 1, 1, 1)}

LENGTHS = {4: (8, 15, 16, 21, 22, 23, 24, 25, 28, 29, 30, 31, 31, 32),
           6: (0, 1, 16, 31, 32, 33, 47, 63, 64, 65, 95, 96, 97, 112, 120, 126, 127, 127, 128)}
MASKS = {4: ("255.0.0.255", "255.255.0.1", "0.0.0.7", "0.255.0.0"),
         6: ("ffff::ffff", "ffff:ffff::7", "::7", "0:ffff::", "ffff:0:ffff:0:ffff:0:ffff:0", "::ffff:0:0:0:0")}
ODD = {4: ("0.0.0.0/0", "255.255.255.255", "224.0.0.1", "10.1.0.255"), 6: ("::/0", "::", "ff02::1", "ff00::/8")}


def network(rng: random.Random, interest: Interest) -> str:
    number = interest.family.number
    address = rng.choice(interest.addresses + list(interest.by_mac.values())[:1])
    kind = rng.random()
    if kind < 0.45:
        return address
    if kind < 0.88:
        return f"{address}/{rng.choice(LENGTHS[number])}"
    if kind < 0.97:
        return f"{address}/{rng.choice(MASKS[number])}"
    return rng.choice(ODD[number])


def maybe_not(rng: random.Random, chance: float = 0.15) -> str:
    return "! " if rng.random() < chance else ""


def port_range(rng: random.Random, interest: Interest) -> str:
    port = rng.choice(interest.ports)
    kind = rng.random()
    if kind < 0.55:
        return str(port)
    if kind < 0.65:
        return f"{port}:"
    if kind < 0.75:
        return f":{port}"
    return f"{max(0, port - rng.randrange(4))}:{min(65535, port + rng.choice((0, 1, 2, 100, 3000)))}"


def _tcp(rng: random.Random, interest: Interest) -> list[str]:
    parts = []
    if rng.random() < 0.6:
        parts.append(f"{maybe_not(rng)}--dport {port_range(rng, interest)}")
    if rng.random() < 0.3:
        parts.append(f"{maybe_not(rng)}--sport {port_range(rng, interest)}")
    if rng.random() < 0.25:
        mask = rng.sample(FLAGS, rng.randrange(1, 5))
        value = [flag for flag in mask if rng.random() < 0.4]
        parts.append(rng.choice((f"{maybe_not(rng)}--syn",
                                 f"{maybe_not(rng)}--tcp-flags {','.join(mask)} {','.join(value) or 'NONE'}")))
    if rng.random() < 0.15:
        parts.append(f"{maybe_not(rng, 0.3)}--tcp-option {rng.choice((1, 2, 3, 4, 8, 34))}")
    return parts


def _udp(rng: random.Random, interest: Interest) -> list[str]:
    return [part for part in (f"{maybe_not(rng)}--dport {port_range(rng, interest)}",
                              f"{maybe_not(rng)}--sport {port_range(rng, interest)}") if rng.random() < 0.5]


def _icmp(rng: random.Random, _: Interest) -> list[str]:
    return [f"{maybe_not(rng)}--icmp-type {rng.choice(ICMP_TYPES)}"] if rng.random() < 0.7 else []


def _icmpv6(rng: random.Random, _: Interest) -> list[str]:
    return [f"{maybe_not(rng)}--icmpv6-type {rng.choice(ICMPV6_TYPES)}"] if rng.random() < 0.7 else []


def _mh(rng: random.Random, _: Interest) -> list[str]:
    return [f"-m mh {maybe_not(rng)}--mh-type {rng.choice(('5', '0:5', '6:7', '1', '8', '6:255'))}"]


OF_PROTOCOL = {"tcp": _tcp, "udp": _udp, "icmp": _icmp, "icmpv6": _icmpv6, "mh": _mh}


# Extension headers

def _range(rng: random.Random, values: tuple[int, ...]) -> str:
    low = rng.choice(values)
    return str(low) if rng.random() < 0.5 else f"{low}:{max(low, rng.choice(values))}"


def _ipv6header(rng: random.Random) -> str:
    names = rng.sample(("hop", "dst", "route", "frag", "auth", "esp", "none", "prot"), rng.choice((1, 1, 1, 2, 3)))
    return f"-m ipv6header {maybe_not(rng)}--header {','.join(names)}{' --soft' if rng.random() < 0.6 else ''}"


def _frag(rng: random.Random) -> str:
    parts = ["-m frag"]
    if rng.random() < 0.4:
        parts.append(f"{maybe_not(rng)}--fragid {_range(rng, (0, 1, 2, 1000, 4294967295))}")
    if rng.random() < 0.1:
        parts.append(f"{maybe_not(rng)}--fraglen {rng.choice((0, 8))}")
    if rng.random() < 0.2:
        parts.append("--fragres")
    kind = rng.random()
    if kind < 0.3:
        parts.append("--fragfirst")
    elif kind < 0.5:
        parts.append("--fragmore")
    elif kind < 0.7:
        parts.append("--fraglast")
    return " ".join(parts)


def _options(rng: random.Random, name: str) -> str:
    flag = {"hbh": "hbh", "dst": "dst"}[name]
    parts = [f"-m {name}"]
    if rng.random() < 0.5:
        parts.append(f"{maybe_not(rng)}--{flag}-len {rng.choice((8, 8, 16, 24, 2048))}")
    if rng.random() < 0.6:
        options = [rng.choice(("5:2", "5", "1:2", "1", "4:1", "0", "201:16", "30:0", "30", "30:4", "222:0", "62"))
                   for _ in range(rng.choice((1, 1, 2, 3)))]
        parts.append(f"--{flag}-opts {','.join(options)}")
    return " ".join(parts)


def _rt(rng: random.Random, interest: Interest) -> str:
    parts = ["-m rt"]
    kind = rng.choice((None, 0, 0, 2, 4))
    if kind is not None:
        parts.append(f"{maybe_not(rng) if kind else ''}--rt-type {kind}")
    if rng.random() < 0.4:
        parts.append(f"{maybe_not(rng)}--rt-segsleft {_range(rng, (0, 1, 2, 255))}")
    if rng.random() < 0.3:
        parts.append(f"{maybe_not(rng)}--rt-len {rng.choice((8, 24, 40, 56))}")
    if kind == 0:
        if rng.random() < 0.2:
            parts.append("--rt-0-res")
        if rng.random() < 0.4:
            parts.append(f"--rt-0-addrs {','.join(rng.sample(interest.addresses, rng.choice((1, 1, 2))))}")
            if rng.random() < 0.6:
                parts.append("--rt-0-not-strict")
    return " ".join(parts)


def _ah(rng: random.Random) -> str:
    parts = ["-m ah"]
    if rng.random() < 0.6:
        parts.append(f"{maybe_not(rng)}--ahspi {_range(rng, (0, 1, 2, 256, 4294967295))}")
    if rng.random() < 0.3:
        parts.append(f"{maybe_not(rng)}--ahlen {rng.choice((12, 16, 20, 24))}")
    if rng.random() < 0.2:
        parts.append("--ahres")
    return " ".join(parts)


def _hl(rng: random.Random) -> str:
    return f"-m hl {rng.choice(('--hl-eq 77', '! --hl-eq 77', '--hl-eq 76', '--hl-lt 77', '--hl-gt 76', '--hl-gt 70'))}"


OF_HEADER: dict[str, Callable[[random.Random, Interest], str]] = {
    "ipv6header": lambda rng, _: _ipv6header(rng), "frag": lambda rng, _: _frag(rng),
    "hbh": lambda rng, _: _options(rng, "hbh"), "dst": lambda rng, _: _options(rng, "dst"), "rt": _rt,
    "ah": lambda rng, _: _ah(rng), "hl": lambda rng, _: _hl(rng), "eui64": lambda _, __: "-m eui64"}


def _extension(rng: random.Random, interest: Interest, chain: str) -> str:
    kinds = ["ipv6header", "ipv6header", "frag", "frag", "hbh", "dst", "rt", "ah", "hl"]
    # Elsewhere it is refused, as frames have no source there.
    if chain in ("PREROUTING", "INPUT", "FORWARD") or rng.random() < 0.01:
        kinds.append("eui64")
    return OF_HEADER[rng.choice(kinds)](rng, interest)


def conditions(rng: random.Random, interest: Interest, chain: str) -> str:
    """The part of a rule before -j, as iptables takes it in this chain."""
    parts = []
    if rng.random() < 0.4:
        parts.append(f"{maybe_not(rng)}-s {network(rng, interest)}")
    if rng.random() < 0.35:
        parts.append(f"{maybe_not(rng)}-d {network(rng, interest)}")
    if chain not in ("OUTPUT", "POSTROUTING") and rng.random() < 0.3:
        parts.append(f"{maybe_not(rng)}-i {rng.choice(NAMES + interest.more_devices * 6)}")
    if chain not in ("INPUT", "PREROUTING") and rng.random() < 0.2:
        parts.append(f"{maybe_not(rng)}-o {rng.choice(NAMES + interest.more_devices * 6)}")
    number = interest.family.number
    if number == 4 and rng.random() < 0.07:
        parts.append(f"{maybe_not(rng, 0.4)}-f")
    if rng.random() < 0.6:
        parts.append(_protocol(rng, interest))
    if number == 6 and rng.random() < 0.35:
        parts.append(_extensions(rng, interest, chain))
    # Most rules with many conditions never meet a packet.
    if len(parts) > 2 and rng.random() < 0.7:
        kept = sorted(rng.sample(range(len(parts)), 2))
        parts = [parts[number] for number in kept]
    return " ".join(parts)


def _protocol(rng: random.Random, interest: Interest) -> str:
    number = interest.family.number
    protocol = rng.choices(PROTOCOLS[number], WEIGHTS[number])[0]
    if rng.random() < 0.08:
        return f"! -p {protocol}"
    parts = [f"-p {protocol}"]
    if protocol in OF_PROTOCOL and (protocol != "mh" or rng.random() < 0.6):
        parts += OF_PROTOCOL[protocol](rng, interest)
        if rng.random() < 0.05 and protocol in ("tcp", "udp"):
            # The same match a second time.
            parts += [f"-m {protocol}", *OF_PROTOCOL[protocol](rng, interest)]
    return " ".join(parts)


def _extensions(rng: random.Random, interest: Interest, chain: str) -> str:
    """Several in one rule, sometimes, and the same one twice."""
    return " ".join(_extension(rng, interest, chain) for _ in range(rng.choice((1, 1, 1, 1, 1, 2, 2, 3))))
