#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What users want too much of, with namespaces of their own, harms nobody else.

Beside each attack an administrator goes on with his work, every command of which succeeds; there is
somebody with a lot of memory, who keeps it; and the helper that was there is there afterwards. How
long the longest command took, and what the helper had at most, is said, not asked.

    BPFILTER_ATTACKS=large    as many and as much as took the machine down once, not a part of it
"""

import os
import subprocess
import time
from typing import Callable

from lib import attack, blob, calls, cgroup, helper, module, system
from lib.attack import Attackers, Say
from lib.check import expect, expect_equal, main, test, wait_for
from lib.family import HOOKS_OF, V4, V6
from lib.iptables import Done, run
from lib.netns import CLONE_NEWNET, unshare
from lib.process import Child

LARGE = os.environ.get("BPFILTER_ATTACKS") == "large"
COMMANDS = 40 if LARGE else 10  # of the administrator, at least, in one attack
UID = 20000


def size(usual: int, large: int) -> int:
    """What a bad day of a small emulated machine can do, and what was reported."""
    return large if LARGE else usual


# Who must not suffer

class Administrator:
    """He adds a rule, looks, and takes it out again."""

    commands = (("-A", "INPUT", "-s", "192.0.2.77", "-j", "ACCEPT"), ("-n", "-L", "INPUT"),
                ("-D", "INPUT", "-s", "192.0.2.77", "-j", "ACCEPT"))

    def __init__(self) -> None:
        self.times: list[float] = []
        self.failures: list[str] = []

    def work(self) -> None:
        for command in self.commands:
            start = time.monotonic()
            done: Done = run(V4.iptables, *command)
            self.times.append(time.monotonic() - start)
            if done.status:
                self.failures.append(f"{' '.join(command)}: {done.errors.strip()}")


def meminfo(name: str) -> int:
    """In MiB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{name}:")) // 1024


def holder() -> Child:
    """A process that has a quarter of the machine's memory."""
    def hold() -> str:
        memory = bytearray(meminfo("MemTotal") // 4 << 20)
        memory[::4096] = b"x" * len(memory[::4096])
        while True:
            time.sleep(3600)

    return Child(hold)


class Peak:
    """What the helper has at most, from now on."""

    def __init__(self) -> None:
        self.pid = helper.one()
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # begins anew

    def mebibytes(self) -> int:
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) // 1024


def judged(what: str, attackers: Attackers, enough: int, peak_max: int = 0) -> dict[str, int]:
    """Administrates beside them until they have said so many words; what they said. The helper needs
    no more than so many MiB, if there is a number."""
    administrator = Administrator()
    administrator.work()
    alone, administrator.times = max(administrator.times), []
    ours = system.name() == system.OURS
    peak = Peak() if ours else None
    bystander = holder()
    least = meminfo("MemAvailable")
    deadline = time.monotonic() + 1200
    try:
        while attackers.count() < enough or len(administrator.times) < COMMANDS:
            administrator.work()
            least = min(least, meminfo("MemAvailable"))
            expect(time.monotonic() < deadline, f"the attack comes to nothing: {attackers.words()}")
        words = attackers.words()
    finally:
        attackers.end()
        bystander.kill()  # who says if it was not there any more
    print(f"# {what}: {len(administrator.times)} commands, the longest took {max(administrator.times):.2f} s "
          f"({alone:.2f} s before); available at least {least} MiB; theirs: {words}"
          + (f"; the helper's peak: {peak.mebibytes()} MiB" if peak else ""), flush=True)
    expect_equal(administrator.failures, [], "the administrator's commands that failed")
    if peak:
        expect_equal(helper.one(), peak.pid, "the helper")
        expect(not peak_max or peak.mebibytes() <= peak_max, f"the helper had more than {peak_max} MiB")
    return words


def only(words: dict[str, int], *allowed: str) -> None:
    other = {word: count for word, count in words.items() if word not in allowed}
    expect_equal(other, {}, f"what they were told besides {', '.join(allowed)}")


# The attacks

def again_and_again(payload: attack.Payload) -> Callable[[Say], None]:
    def attack_(say: Say) -> None:
        opened = blob.raw_socket(payload.family)
        old = 4
        while True:
            status = payload.put(opened, old)
            old = payload.count if status == "OK" else old
            say(status)

    return attack_


def tables(say: Say) -> None:
    """All there are, of both families, in one namespace."""
    for family in (V4, V6):
        with blob.raw_socket(family) as opened:
            for table in HOOKS_OF:
                say(blob.info(opened, table).status)


def ip(lines: list[str]) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)


def devices(count: int) -> Callable[[Say], None]:
    """A rule for each of many devices, replaced again and again."""
    def attack_(say: Say) -> None:
        ip([line for number in range(count)
            for line in (f"link add d{number} type dummy", f"link set d{number} up")])
        rule = [blob.entry(blob.verdict(blob.DROP), family=V4) for _ in range(count)]
        for number, one in enumerate(rule):
            name = f"d{number}".encode() + b"\0"
            one[16:16 + len(name)] = name
            one[48:48 + len(name)] = b"\xff" * len(name)
        table = blob.of_table("filter", {1: rule}, family=V4)
        with blob.raw_socket(V4) as opened:
            while True:
                table.num_counters = None
                say(table.commit(opened))

    return attack_


def addresses(count: int) -> Callable[[Say], None]:
    """Many of them, and one that comes and goes."""
    def attack_(say: Say) -> None:
        ip(["link set lo up"] + [f"addr add 10.1.{number >> 8}.{number & 255}/32 dev lo" for number in range(count)])
        with blob.raw_socket(V4) as opened:
            rule = blob.entry(blob.verdict(blob.DROP), protocol=17, family=V4)
            rule[16:19] = b"lo\0"
            rule[48:51] = b"\xff" * 3
            say(blob.of_table("filter", {1: [rule]}, family=V4).commit(opened))
        while True:
            ip(["addr add 10.2.0.1/32 dev lo", "addr del 10.2.0.1/32 dev lo"] * 50)
            say("OK")

    return attack_


@test
def large_tables_of_many() -> None:
    """Users replace large tables over and over, each in namespaces of his own."""
    payload = attack.plain(size(5000, 20000))
    count = size(8, 20)
    attackers = Attackers()
    for number in range(count):
        attackers.start(UID + number % 3, again_and_again(payload))
    only(judged(f"{count} tables of {payload.count} rules", attackers, count), "OK", "ENOMEM")


@test
def a_table_of_many_matches() -> None:
    """Tables that are legal, and need a lot of memory to be looked at; in a group that has little."""
    payload = attack.many_matches(size(200, 590), 800)
    with cgroup.limited(160 << 20) as group:
        attackers = Attackers()
        for _ in range(size(1, 3)):
            attackers.start(UID, again_and_again(payload), group.join)
        mebibytes = len(payload) >> 20
        words = judged(f"tables of {mebibytes} MiB", attackers, size(2, 6), peak_max=4 * mebibytes + 48)
    only(words, "OK", "ENOMEM")


def as_many_as_may_be(payload: attack.Payload, most: int) -> Callable[[Say], None]:
    """A table in one namespace after the other, all of which stay."""
    def attack_(say: Say) -> None:
        stay: list[int] = []
        status = "OK"
        while status == "OK" and len(stay) < most:
            unshare(CLONE_NEWNET)
            stay.append(os.open("/proc/self/ns/net", os.O_RDONLY))
            with blob.raw_socket(payload.family) as opened:
                status = payload.put(opened, 4)
            say(status)

    return attack_


@test
def what_a_user_keeps() -> None:
    """Programs and maps are on no account of his: so much of them, and no more, until they go."""
    system.only_ours()
    payload = attack.plain(size(2000, 20000))
    limit = size(6, 0)
    administrator = Administrator()
    administrator.work()
    before = len(module.objects("prog"))
    with module.parameter("user_memory", limit):
        for _ in range(2):  # the second time it is as at first
            available = meminfo("MemAvailable")
            attackers, other = Attackers(), Attackers()
            attackers.start(UID, as_many_as_may_be(payload, 100))
            try:
                wait_for(lambda: "ENOMEM" in attackers.words(), "a table that is one too many", 900)
                words = attackers.words()
                available -= meminfo("MemAvailable")
                other.start(UID + 1, as_many_as_may_be(payload, 1))
                wait_for(other.count, "another user's answer", 300)
                administrator.work()
            finally:
                attackers.end()
                other.end()
            print(f"# {limit} MiB, tables of {payload.count} entries: {words}; they take {available} MiB", flush=True)
            only(words, "OK", "ENOMEM")
            expect(words.get("OK", 0) >= 2, f"what he was told: {words}")
            expect_equal(other.words(), {"OK": 1}, "what another user was told")
            expect_equal(administrator.failures, [], "the administrator's commands that failed")
            wait_for(lambda: len(module.objects("prog")) <= before, "his programs to go", 120)


def watching(say: Say) -> None:
    """A table, rules of which a device may decide: it is looked at once a second."""
    rule = blob.entry(blob.verdict(blob.DROP), family=V4)
    rule[16:19] = b"d0\0"
    rule[48:51] = b"\xff" * 3
    while True:
        unshare(CLONE_NEWNET)
        stay.append(os.open("/proc/self/ns/net", os.O_RDONLY))
        with blob.raw_socket(V4) as opened:
            say(blob.of_table("filter", {1: [rule]}, family=V4).commit(opened))
        if len(stay) == WATCHED:
            return


stay: list[int] = []  # namespaces
WATCHED = size(70, 1000)


@test
def a_table_that_finds_no_room() -> None:
    """What it will take is asked for before it is made: the helper has no more than it needs to look at it, and what
    it keeps of larger ones, not the 44 MiB of records."""
    system.only_ours()
    payload = attack.many_matches(100, 800)
    mebibytes = len(payload) >> 20
    with module.parameter("user_memory", 2 * mebibytes):
        attackers = Attackers()
        attackers.start(UID, again_and_again(payload))
        words = judged(f"tables of {mebibytes} MiB, {2 * mebibytes} allowed", attackers, 3, peak_max=4 * mebibytes + 48)
    only(words, "ENOMEM")


@test
def what_small_tables_take() -> None:
    """Counters of a table without rules take two pages, which are on his account."""
    system.only_ours()
    payload = attack.plain(1)
    attackers = Attackers()
    with module.parameter("user_memory", 1), module.parameter("form", "data"):
        attackers.start(UID, as_many_as_may_be(payload, 1000))
        try:
            wait_for(lambda: "ENOMEM" in attackers.words(), "a table that is one too many", 300)
            words = attackers.words()
        finally:
            attackers.end()
    print(f"# 1 MiB, tables of {payload.count} entries: {words}", flush=True)
    expect(10 <= words["OK"] <= (1 << 20) // (2 * 4096), f"{words['OK']} tables of two pages or more in 1 MiB")


def one_more(payload: attack.Payload) -> dict[str, int]:
    """What he is told of a table in a namespace that goes then."""
    attackers = Attackers()
    attackers.start(UID, as_many_as_may_be(payload, 1))
    try:
        wait_for(attackers.count, "an answer", 120)
        return attackers.words()
    finally:
        attackers.end()


@test
def what_dead_helpers_leave() -> None:
    """An arena belongs to the tables in it as soon as its helper is dead, and that to their user."""
    system.only_ours()
    payload = attack.plain(1)
    attackers = Attackers()
    with module.parameter("user_memory", 8), module.parameter("form", "data"):
        try:
            while "ENOMEM" not in attackers.words():
                count = attackers.count()
                expect(count < 16, f"as many tables as one likes, each in an arena of its own: {attackers.words()}")
                attackers.start(UID, as_many_as_may_be(payload, 1))
                wait_for(lambda: attackers.count() > count, "an answer", 120)  # pylint: disable=cell-var-from-loop
                pid = helper.one()
                helper.kill()
                wait_for(lambda: pid not in helper.all_alive(), "the helper to go", 60)  # pylint: disable=cell-var-from-loop
                helper.one()
            words = attackers.words()
        finally:
            attackers.end()
        print(f"# 8 MiB, a table for each helper: {words}", flush=True)
        expect(words.get("OK", 0) >= 2, f"what he was told: {words}")
        wait_for(lambda: one_more(payload) == {"OK": 1}, "what he had to be his again", 300)


@test
def tables_that_are_watched() -> None:
    """Others have their turn while all of them are looked at; and some may go meanwhile."""
    system.only_ours()
    attackers = Attackers()
    attackers.start(UID, watching)
    wait_for(lambda: attackers.count() >= WATCHED, f"{WATCHED} tables: {attackers.words()}", 600)
    try:
        only(attackers.words(), "OK")
        administrator = Administrator()
        with calls.held("__cond_resched") as wait:
            wait()
            administrator.work()
            attackers.end()
    finally:
        attackers.end()
    expect_equal(administrator.failures, [], "the administrator's commands that failed")
    print(f"# {WATCHED} tables: the longest command took {max(administrator.times):.2f} s", flush=True)


@test
def many_tables() -> None:
    """More tables than a process may have descriptors, none of them with any rule."""
    count = size(52, 120)
    attackers = Attackers()
    for number in range(count):
        attackers.start(UID + number % 2, tables)
    only(judged(f"{count} namespaces with ten tables each", attackers, 10 * count), "OK", "ENOMEM")


@test
def many_devices() -> None:
    """Each with a rule that could be decided at XDP."""
    count = size(60, 1060)
    attackers = Attackers()
    attackers.start(UID, devices(count))
    only(judged(f"{count} devices with a rule each", attackers, 3), "OK")


@test
def addresses_that_change() -> None:
    count = size(400, 4000)
    attackers = Attackers()
    attackers.start(UID, addresses(count))
    only(judged(f"{count} addresses and one that comes and goes", attackers, size(10, 100)), "OK")


@test
def many_chains() -> None:
    """What the verifier needs long for is refused before anybody loses patience."""
    payload = attack.chains(*size_of_chains())
    attackers = Attackers()
    attackers.start(UID, again_and_again(payload))
    only(judged(f"table {payload.table} with {payload.count} entries in chains", attackers, 1), "OK", "ENOMEM")


def size_of_chains() -> tuple[str, int]:
    return ("mangle", 4000) if LARGE else ("filter", 800)


@test
def all_at_once() -> None:
    plain, many = attack.plain(size(2000, 20000)), attack.many_matches(size(20, 590), 800)
    chains = attack.chains(*size_of_chains())
    with cgroup.limited(160 << 20) as group:
        attackers = Attackers()
        for number in range(size(4, 20)):
            attackers.start(UID + number % 3, again_and_again(plain))
        attackers.start(UID + 3, again_and_again(many), group.join)
        for number in range(size(10, 60)):
            attackers.start(UID + 4, tables)
        attackers.start(UID + 5, devices(size(30, 1060)))
        attackers.start(UID + 6, addresses(size(200, 4000)))
        attackers.start(UID + 7, again_and_again(chains))
        only(judged("all at once", attackers, size(110, 700)), "OK", "ENOMEM")


if __name__ == "__main__":
    main()
