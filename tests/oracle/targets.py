# SPDX-License-Identifier: GPL-2.0
"""Targets: MARK, which is in BPF, and those that are called; and for each what a rule behind it sees of that."""

import random
from typing import Callable, NamedTuple

from interest import Interest
from places import ON_WAY_OUT, Place


class Aimed(NamedTuple):
    before: str  # that the kernel insists on: -p, -o
    target: str
    seen: str = ""  # asks for what it did


Make = Callable[[random.Random, Interest, Place], Aimed]


class Target(NamedTuple):
    name: str
    make: Make
    fits: Callable[[Place], bool] = lambda _: True
    families: tuple[int, ...] = (4, 6)
    ends: bool = False  # a packet's way through the table, for which only a probe may ask
    rough: bool = False  # little is left to ask of a packet behind it: few may meet it


MARKS = ("0x1/0x1", "0x0/0xff", "0x10/0x30", "0x31")
SYN = "-p tcp --tcp-flags SYN,RST SYN"


def _fixed(target: str, seen: str = "", before: str = "") -> Make:
    return lambda rng, interest, place: Aimed(before, target, seen)


def _any(*choices: Aimed) -> Make:
    return lambda rng, interest, place: rng.choice(choices)


def _mark(rng: random.Random, _: Interest, __: Place) -> Aimed:
    mark, bits = rng.choice(MARKS), rng.randrange(64)
    return rng.choice((Aimed("", f"MARK --set-xmark {mark}", f"-m mark --mark {mark}"),
                       Aimed("", f"MARK --set-mark {mark}", "-m mark --mark 0x1/0x1"),
                       Aimed("", f"MARK --or-mark {bits}", f"-m mark --mark {bits}/{bits}"),
                       Aimed("", f"MARK --xor-mark {bits}", "-m mark --mark 0x10/0x10"),
                       Aimed("", f"MARK --and-mark {bits}", f"-m mark --mark 0/{0xFFFF ^ bits}")))


def _connmark(rng: random.Random, _: Interest, __: Place) -> Aimed:
    mark = rng.choice(MARKS)
    return rng.choice((Aimed("", f"CONNMARK --set-xmark {mark}", f"-m connmark --mark {mark}"),
                       Aimed("", "CONNMARK --save-mark", "-m connmark --mark 0x1/0x1"),
                       Aimed("", "CONNMARK --restore-mark --nfmask 0x3f --ctmask 0x3f", "-m mark --mark 0x1/0x1")))


def _hop_limit(rng: random.Random, interest: Interest, place: Place) -> Aimed:
    """Packets are known again by theirs: one that is routed must be greater then, and the router's own stay as
    they are."""
    name, option = ("TTL", "ttl") if interest.family.number == 4 else ("HL", "hl")
    value = 77 if place.chain in ("PREROUTING", "FORWARD") else rng.choice((76, 77))
    return Aimed(f"-m {option} --{option}-gt 70", f"{name} --{option}-set {value}", f"-m {option} --{option}-eq {value}")


def _set(_: random.Random, interest: Interest, place: Place) -> Aimed:
    seen = f"seen{interest.family.number} src"
    return Aimed("", f"SET --add-set {seen}", f"-m set --match-set {seen}" if place.stateful else "")


def _reject(rng: random.Random, interest: Interest, place: Place) -> Aimed:
    """No resets where connections are tracked: one that meets a new destination in nat's OUTPUT is a WARNING of the
    kernel's (xt_dnat_target_v2), with ip_tables as with us."""
    kinds = {4: ("icmp-port-unreachable", "icmp-admin-prohibited", "icmp-host-unreachable"),
             6: ("icmp6-port-unreachable", "icmp6-adm-prohibited", "icmp6-no-route")}
    if rng.random() < 0.3 and not place.tracking:
        return Aimed("-p tcp", "REJECT --reject-with tcp-reset")
    return Aimed("", f"REJECT --reject-with {rng.choice(kinds[interest.family.number])}")


def _with_port(interest: Interest, address: str, port: int) -> str:
    return f"{address}:{port}" if interest.family.number == 4 else f"[{address}]:{port}"


def _new_destination(rng: random.Random, interest: Interest, _: Place) -> Aimed:
    to = rng.choice(interest.remote + interest.local)
    if rng.random() < 0.5:
        return Aimed("", f"DNAT --to-destination {to}")
    port = rng.choice([port for port in interest.ports if port] or [53])
    return Aimed(f"-p {rng.choice(('tcp', 'udp'))}", f"DNAT --to-destination {_with_port(interest, to, port)}")


def _new_source(rng: random.Random, interest: Interest, _: Place) -> Aimed:
    """Ports of connections that become alike are changed at random: nobody here may see them again."""
    return Aimed("! -o lo", f"SNAT --to-source {rng.choice(interest.routers)}")


def _redirect(rng: random.Random, interest: Interest, _: Place) -> Aimed:
    return Aimed(f"-p {rng.choice(('tcp', 'udp'))}", f"REDIRECT --to-ports {max(1, rng.choice(interest.ports))}")


def _netmap(rng: random.Random, interest: Interest, _: Place) -> Aimed:
    return Aimed("", f"NETMAP --to {interest.family.address(f'10.{rng.choice((2, 4, 9))}.0.0/16')}")


def _tracked(place: Place) -> bool:
    return place.tracking


def _raw(place: Place) -> bool:
    return place.tracking and place.table == "raw"


def _mangle(place: Place) -> bool:
    return place.table == "mangle"


def _leaving(place: Place) -> bool:
    return place.table == "mangle" and place.chain in ("FORWARD", *ON_WAY_OUT)


def _filter(place: Place) -> bool:
    return place.table == "filter" and place.chain in ("INPUT", "FORWARD", "OUTPUT")


def _to_others(place: Place) -> bool:
    return place.tracking and place.table == "nat" and place.chain in ("PREROUTING", "OUTPUT")


def _from_others(place: Place) -> bool:
    return place.tracking and place.table == "nat" and place.chain == "POSTROUTING"


COMPILED = (Target("MARK", _mark),)

CALLED = (
    Target("LOG", _any(Aimed("", "LOG"), Aimed("", "LOG --log-prefix x --log-level 7 --log-uid"))),
    Target("NFLOG", _fixed("NFLOG --nflog-group 3 --nflog-prefix x")),
    Target("CONNMARK", _connmark, _tracked),
    Target("SET", _set),
    Target("CT", _fixed("CT --notrack", "-m conntrack --ctstate UNTRACKED"), _raw, rough=True),
    Target("TCPMSS", _fixed("TCPMSS --set-mss 1000", f"{SYN} -m tcpmss --mss 1000", SYN), _leaving),
    Target("TTL", _hop_limit, _mangle, (4,)), Target("HL", _hop_limit, _mangle, (6,)),
    Target("DSCP", _any(*(Aimed("", f"DSCP --set-dscp {dscp}", f"-m dscp --dscp {dscp}") for dscp in (0, 4, 46))),
           _mangle),
    Target("TOS", _any(*(Aimed("", f"TOS --set-tos {tos}", f"-m tos --tos {tos}")
                         for tos in ("0x10/0xff", "0x02/0x03", "0xb8/0xfc"))), _mangle),
    Target("ECN", _fixed("ECN --ecn-tcp-remove", "-p tcp -m ecn --ecn-tcp-ece", "-p tcp"), _mangle, (4,)),
    Target("TCPOPTSTRIP", _fixed("TCPOPTSTRIP --strip-options 2,3,4", "-p tcp --tcp-option 2", "-p tcp"), _mangle),
    Target("CHECKSUM", _fixed("CHECKSUM --checksum-fill"), _mangle),
    Target("CLASSIFY", _fixed("CLASSIFY --set-class 1:2"), _leaving),
    Target("HMARK", _fixed("HMARK --hmark-tuple src,dst --hmark-mod 4 --hmark-rnd 1 --hmark-offset 16",
                           "-m mark --mark 0x10/0x11"), _mangle),
    Target("REJECT", _reject, _filter, ends=True),
    Target("NFQUEUE", _fixed("NFQUEUE --queue-num 7 --queue-bypass"), ends=True),
    Target("DNAT", _new_destination, _to_others, ends=True), Target("REDIRECT", _redirect, _to_others, ends=True),
    Target("NETMAP", _netmap, _to_others, ends=True),
    Target("SNAT", _new_source, _from_others, ends=True), Target("MASQUERADE", _fixed("MASQUERADE", before="! -o lo"), _from_others, ends=True),
)


def fitting(interest: Interest, place: Place) -> list[Target]:
    listed = COMPILED if place.compiled else COMPILED + CALLED
    return [one for one in listed if interest.family.number in one.families and one.fits(place)]


def one(rng: random.Random, interest: Interest, place: Place) -> str:
    """Behind which a packet goes on, and that may stand in any rule."""
    listed = [one for one in fitting(interest, place) if not one.ends]
    while (made := rng.choice(listed).make(rng, interest, place)).before:
        pass
    return f"-j {made.target}"
