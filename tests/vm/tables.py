#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The five tables of both families: what they are at first, and the order in which packets meet them."""

import struct

from lib import blob, iptables, packet
from lib.blob import ACCEPT, DROP, UNUSED, entry, match, verdict
from lib.check import expect_equal, expect_in, main, test
from lib.family import BOTH, CHAINS, HOOKS_OF, TABLES, V4, V6, Family
from lib.iptables import Counters, must, track
from lib.netns import Namespace
from lib.packet import UDP, udp
from lib.router import OF_HOOK, TTL, Router

PRE, IN, FORWARD, OUT, POST = range(5)
# Who is called when, in each hook. nat's source side comes last, its other side before filter.
ORDER = {PRE: ("raw", "mangle", "nat"), IN: ("mangle", "filter", "security", "nat"),
         FORWARD: ("mangle", "filter", "security"), OUT: ("raw", "mangle", "nat", "filter", "security"),
         POST: ("mangle", "nat")}
PRIORITY = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
# Hooks on the way of a packet, by the name that lib/router.py has for the way.
WAYS = {"INPUT": (PRE, IN), "FORWARD": (PRE, FORWARD, POST), "OUTPUT": (OUT, POST)}


def port_of(hook: int, table: str) -> int:
    return 1000 + 10 * hook + TABLES.index(table)


def names(family: Family) -> list[str]:
    with open(f"/proc/self/net/{family.proc}_tables_names", encoding="ascii") as file:
        return file.read().split()


def fresh(name: str = "fresh") -> Namespace:
    return Namespace(name, ipv6=True)


# Without traffic

@test
def first_contents() -> None:
    """One rule for each hook, which accepts; and the end. Offsets of other hooks are -1."""
    space = fresh()
    with space:
        for family in BOTH:
            with blob.raw_socket(family) as opened:
                for name, hooks in HOOKS_OF.items():
                    step = family.standard()
                    offsets = tuple(hooks.index(hook) * step if hook in hooks else UNUSED for hook in range(5))
                    size = len(hooks) * step + family.error()
                    expect_equal(blob.info(opened, name),
                                 blob.Info("OK", name, sum(1 << hook for hook in hooks), offsets, offsets,
                                           len(hooks) + 1, size), f"IPv{family.number} {name}: info")
                    first = [entry(verdict(ACCEPT), comefrom=1 << hook, family=family) for hook in hooks]
                    expect_equal(blob.entries(opened, size, name)[1].hex(),
                                 b"".join([*first, entry(blob.error(), family=family)]).hex(),
                                 f"IPv{family.number} {name}: entries")
    space.delete()


@test
def names_most_recent_first() -> None:
    """A table exists from its first use on, in its own namespace and family."""
    space, other = fresh(), fresh("other")
    for order in (("nat", "raw", "filter", "security", "mangle"), TABLES):
        family = V6 if order is TABLES else V4
        with space:
            seen: list[str] = []
            for name in order:
                expect_equal(names(family), seen, f"IPv{family.number} names before {name}")
                iptables.iptables(f"-t {name} -S", family)
                seen = [name, *seen]
            expect_equal(names(family), seen, f"IPv{family.number} names")
            iptables.iptables(f"-t {order[0]} -S", family)
            expect_equal(names(family), seen, "names after another use")
            expect_equal([line[1:] for line in must(family.save).splitlines() if line.startswith("*")], seen, "save")
            if family is V4:
                expect_equal(names(V6), [], "names of the other family")
        with other:
            expect_equal(names(family), [], "names in another namespace")
    space.delete()
    other.delete()


@test
def entries_make_a_table_too() -> None:
    """Asked for its entries with the right size, a table that was not there before answers."""
    space = fresh()
    with space:
        for family in BOTH:
            with blob.raw_socket(family) as opened:
                size = 2 * family.standard() + family.error()
                expect_equal(blob.entries(opened, size, "raw")[0], "OK", f"IPv{family.number} entries of raw")
                expect_equal(names(family), ["raw"], f"IPv{family.number} names")
    space.delete()


@test
def no_other_tables() -> None:
    space = fresh()
    with space:
        for family in BOTH:
            for name in ("broute", "rawpost", "Filter", "filte"):
                done = iptables.try_iptables(f"-t {name} -S", family)
                expect_equal(done.status, 3, f"status for {name}")
                expect_in("Table does not exist", done.errors, "message")
            expect_equal(names(family), [], "names")
    space.delete()


def all_tables(family: Family) -> str:
    """Something of its own in every chain of every table."""
    text = []
    for name, hooks in HOOKS_OF.items():
        policy = "ACCEPT" if name == "nat" else "DROP"
        text += [f"*{name}", *(f":{CHAINS[hook]} {policy if hook == hooks[-1] else 'ACCEPT'} [{hook + 1}:{hook + 7}]"
                               for hook in hooks), ":user - [0:0]"]
        for hook in hooks:
            source = family.host(f"192.0.2.{port_of(hook, name) - 1000}")
            text += [f"[{hook}:{TABLES.index(name)}] -A {CHAINS[hook]} -s {source} -j user",
                     f"[0:0] -A {CHAINS[hook]} -p udp -m udp --dport {port_of(hook, name)} -j ACCEPT"]
        text += ["[5:6] -A user -p tcp -j RETURN", "COMMIT"]
    return "\n".join(text) + "\n"


def by_table(lines: list[str]) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("*"):
            name = line[1:]
        tables.setdefault(name, []).append(line)
    return tables


@test
def save_and_restore_all_at_once() -> None:
    space, other = fresh(), fresh("other")
    with space:
        for family in BOTH:
            text = all_tables(family)
            must(family.restore, "-c", stdin=text)
            saved = iptables.save(table="", family=family)
            expect_equal(by_table(saved), by_table(text.splitlines()), f"IPv{family.number} saved")
            with other:
                must(family.restore, "-c", stdin="\n".join(saved) + "\n")
                expect_equal(by_table(iptables.save(table="", family=family)), by_table(saved),
                             f"IPv{family.number} restored elsewhere")
        for family in BOTH:
            expect_equal(by_table(iptables.save(table="", family=family)), by_table(all_tables(family).splitlines()),
                         f"IPv{family.number}, after the other family's")
            iptables.iptables("-t mangle -F", family)
            expect_equal({name: len(lines) for name, lines in by_table(iptables.save(table="", family=family)).items()},
                         {"raw": 10, "mangle": 8, "nat": 16, "filter": 13, "security": 13}, "lines after -t mangle -F")
        with other:
            expect_equal(len(by_table(iptables.save(table="", family=V4))["mangle"]), 19, "lines in the other")
    space.delete()
    other.delete()


@test
def hooks_of_other_tables_are_refused() -> None:
    """A table that is right for one name is not for another with other hooks."""
    space = fresh()
    with space:
        for family in BOTH:
            with blob.raw_socket(family) as opened:
                for name in TABLES:
                    for other in TABLES:
                        table = blob.of_table(other, family=family)
                        table.name = name.encode()
                        table.num_counters = len(HOOKS_OF[name]) + 1
                        expected = "OK" if HOOKS_OF[name] == HOOKS_OF[other] else "EINVAL"
                        expect_equal(table.commit(opened), expected,
                                     f"IPv{family.number} {name}, of the shape of {other}")
    space.delete()


# With traffic

router = Router(mute=True)

XT_UDP = struct.Struct("=4HB3x")


def to_port(port: int, value: int, family: Family) -> bytearray:
    """-p udp --dport PORT -j VERDICT, which in nat iptables would not let us say."""
    asked = match(b"udp", XT_UDP.pack(0, 65535, port, port, 0))
    return entry(verdict(value), asked, protocol=UDP, family=family)


def commit(family: Family, table: blob.Table) -> None:
    table.num_counters = None
    with router, blob.raw_socket(family) as opened:
        expect_equal(table.commit(opened), "OK", f"IPv{family.number} {table.name.decode()}")


def reset() -> None:
    for family in BOTH:
        for name in TABLES:
            commit(family, blob.of_table(name, family=family))


def counted(family: Family, name: str) -> list[tuple[int, int]]:
    with router, blob.raw_socket(family) as opened:
        return blob.counters(blob.entries(opened, None, name)[1], family)


def send(family: Family, way: str, ports: list[int]) -> list[bool]:
    """Datagrams without data. One port on one way is one connection."""
    source, destination = OF_HOOK[way]
    own = 7 + list(WAYS).index(way)
    return router.through(way, [
        packet.ip(f"{source}.0.2", f"{destination}.0.2", UDP, udp(own, port), family, ident=number, ttl=TTL)
        for number, port in enumerate(ports, 1)])


def size(family: Family) -> int:
    return family.header + 8


def drop_by_place() -> None:
    """Each table drops, in each hook, what is sent to the port of this place, and counts the rest."""
    for family in BOTH:
        for name, hooks in HOOKS_OF.items():
            commit(family, blob.of_table(name, {hook: [to_port(port_of(hook, name), DROP, family),
                                                       to_port(2000, ACCEPT, family)] for hook in hooks},
                                         family=family))


def expected_counts(way: str, nat: bool) -> dict[tuple[str, int], tuple[int, int, int]]:
    """Of the three rules (to its port, to 2000, policy) of each place on the way, one packet for
    every place's port and one for 2000."""
    places = [(hook, name) for hook in WAYS[way] for name in ORDER[hook]]
    alive = {port_of(hook, name) for hook, name in places}
    counts = {}
    for hook, name in places:
        if name == "nat" and not nat:
            counts[name, hook] = (0, 0, 0)
            continue
        alive.discard(port_of(hook, name))
        counts[name, hook] = (1, 1, len(alive))
    return counts


def check_way(family: Family, way: str, nat: bool) -> None:
    places = [(hook, name) for hook in WAYS[way] for name in ORDER[hook]]
    before = {name: counted(family, name) for name in TABLES}
    delivered = send(family, way, [*(port_of(hook, name) for hook, name in places), 2000])
    expect_equal(delivered, [name == "nat" and not nat for _, name in places] + [True],
                 f"IPv{family.number} {way}: delivered")
    expected = expected_counts(way, nat)
    for name, hooks in HOOKS_OF.items():
        now = counted(family, name)
        for index, hook in enumerate(hooks):
            change = tuple(now[3 * index + rule][0] - before[name][3 * index + rule][0] for rule in range(3))
            length = tuple(now[3 * index + rule][1] - before[name][3 * index + rule][1] for rule in range(3))
            wanted = expected.get((name, hook), (0, 0, 0))
            expect_equal(change, wanted, f"IPv{family.number} {way}: packets at {name} {CHAINS[hook]}")
            expect_equal(length, tuple(size(family) * count for count in wanted),
                         f"IPv{family.number} {way}: bytes at {name} {CHAINS[hook]}")


@test
def way_through_the_tables_untracked() -> None:
    """raw, mangle, filter, security, in each hook those that are there. nat sees nothing."""
    drop_by_place()
    for family in BOTH:
        for way in WAYS:
            check_way(family, way, nat=False)
    reset()


@test
def policy_of_nat_untracked() -> None:
    policies(("nat",), drops=False)


def policies(names_: tuple[str, ...], drops: bool) -> None:
    """A policy of DROP in one place on the way: nothing behind it sees the packet."""
    for family in BOTH:
        for way, hooks in WAYS.items():
            for place, (hook, name) in enumerate((hook, name) for hook in hooks for name in ORDER[hook]):
                if name not in names_:
                    continue
                table = blob.of_table(name, family=family)
                at = table.hooks[hook][1]
                table.rules[at] = entry(verdict(DROP), family=family)
                commit(family, table)
                # A connection of its own each time: nat asks once for each.
                expect_equal(send(family, way, [3000 + place, 4000 + place]), [not drops] * 2,
                             f"IPv{family.number} {way}, {name} {CHAINS[hook]} DROP: delivered")
                expect_equal(counted(family, name)[at], (2, 2 * size(family)) if drops else (0, 0),
                             f"IPv{family.number} {way}: policy of {name} {CHAINS[hook]}")
                commit(family, blob.of_table(name, family=family))


@test
def way_through_the_tables_tracked() -> None:
    """With connection tracking nat takes its place: before filter, or behind everything."""
    with router:
        track()
    drop_by_place()
    for family in BOTH:
        for way in WAYS:
            check_way(family, way, nat=True)
    reset()


@test
def policies_tracked() -> None:
    policies(TABLES, drops=True)


@test
def nat_sees_new_connections() -> None:
    """The first packet of each, once in each hook, whatever happens to the table meanwhile."""
    for family in BOTH:
        table = blob.of_table("nat", {hook: [udp_jump(family)] for hook in HOOKS_OF["nat"]}, family=family)
        fall_through(table)
        commit(family, table)
        expect_equal(send(family, "FORWARD", [5001] * 5 + [5002] * 3), [True] * 8, "delivered")
        expect_equal(send(family, "INPUT", [5001] * 4), [True] * 4, "delivered")
        expect_equal(send(family, "OUTPUT", [5003] * 2), [True] * 2, "delivered")
        counts = {hook: counted(family, "nat")[2 * index][0] for index, hook in enumerate(HOOKS_OF["nat"])}
        expect_equal(counts, {PRE: 3, IN: 1, OUT: 1, POST: 3}, f"IPv{family.number} connections")
        policies_ = {hook: counted(family, "nat")[2 * index + 1][0] for index, hook in enumerate(HOOKS_OF["nat"])}
        expect_equal(policies_, {PRE: 3, IN: 1, OUT: 1, POST: 3}, f"IPv{family.number} policies")
        commit(family, table)
        expect_equal(send(family, "FORWARD", [5001, 5002, 5004]), [True] * 3, "delivered")
        expect_equal(counted(family, "nat")[0], (1, size(family)), f"IPv{family.number}: only the new one")
    reset()


def udp_jump(family: Family) -> bytearray:
    return entry(verdict(1), protocol=UDP, family=family)


def fall_through(table: blob.Table) -> None:
    """Jumps of udp_jump() lead to the next rule, as a rule without target does."""
    for index, rule in enumerate(table.rules):
        if struct.unpack_from("=i", rule, len(rule) - 8)[0] == 1:
            struct.pack_into("=i", rule, len(rule) - 8, table.offset(index + 1))


@test
def families_are_separate() -> None:
    for family in BOTH:
        other = V6 if family is V4 else V4
        for name in TABLES:
            commit(family, blob.of_table(name, policy=DROP, family=family))
        for way in WAYS:
            expect_equal(send(other, way, [6001]), [True], f"IPv{other.number} {way}: delivered")
            expect_equal(send(family, way, [6001]), [False], f"IPv{family.number} {way}: delivered")
        reset()


@test
def exact_priorities() -> None:
    """Chains of nft one step ahead drop what the table must not see, one step behind what it must."""
    places = [(OUT, name, PRIORITY.get(name, -100)) for name in ORDER[OUT]]
    places += [(PRE, name, PRIORITY.get(name, -100)) for name in ORDER[PRE]]
    places += [(IN, "mangle", -150), (IN, "filter", 0), (IN, "security", 50), (IN, "nat", 100), (FORWARD, "filter", 0),
               (FORWARD, "security", 50), (FORWARD, "mangle", -150), (POST, "mangle", -150), (POST, "nat", 100)]
    for family in BOTH:
        script = [f"add table {family.proc} steps"]
        rules: dict[str, list[str]] = {name: [] for name in TABLES}
        for number, (hook, name, priority) in enumerate(places):
            for step, port in ((-1, 7000 + number), (1, 7100 + number)):
                chain = f"c{port}"
                script += [f"add chain {family.proc} steps {chain} {{ type filter hook {CHAINS[hook].lower()} "
                           f"priority {priority + step}; }}",
                           f"add rule {family.proc} steps {chain} udp dport {port} drop"]
                rules[name].append(f"-A {CHAINS[hook]} -p udp --dport {port}")
        text = "".join(iptables.ruleset(*lines, table=name) for name, lines in rules.items())
        with router:
            must("nft", "-f", "-", stdin="\n".join(script) + "\n")
            must(family.restore, stdin=text)
        for way, hooks in WAYS.items():
            ports = [port for number, place in enumerate(places) if place[0] in hooks
                     for port in (7000 + number, 7100 + number)]
            expect_equal(send(family, way, ports), [False] * len(ports), f"IPv{family.number} {way}: delivered")
            with router:
                seen = {name: Counters(table=name, family=family) for name in TABLES}
                must(family.restore, stdin=text)
            for number, (hook, name, _) in enumerate(places):
                if hook in hooks:
                    texts = seen[name].texts[CHAINS[hook]]
                    found = {text.split("--dport ")[1]: counter for text, counter
                             in zip(texts, seen[name].rules[CHAINS[hook]])}
                    expect_equal((found[str(7000 + number)].packets, found[str(7100 + number)].packets), (0, 1),
                                 f"IPv{family.number} {way}: {name} {CHAINS[hook]}, ahead and behind")
        with router:
            must("nft", "delete", "table", family.proc, "steps")
    reset()


if __name__ == "__main__":
    main()
