#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Many network namespaces, short-lived ones, and ones whose owners want too much: nobody else suffers.

What the machine has is counted before and after: namespaces, BPF programs and maps, the
helper's descriptors, memory.
"""

import contextlib
import ctypes
import errno
import fcntl
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import time
from collections import Counter
from multiprocessing.connection import Connection
from typing import Any, Callable

from lib import blob, bpf, cgroup, helper, iptables, system
from lib.blob import ACCEPT, DROP, entry, match, verdict
from lib.check import Skip, expect, expect_equal, main, test, wait_for
from lib.family import BOTH, V4, Family
from lib.iptables import must
from lib.netns import CLONE_NEWNET, CLONE_NEWUSER, Namespace, unshare
from lib.packet import UDP
from lib.process import said_by_child

fork = multiprocessing.get_context("fork")
SPACES = 200
WORKERS = 4
PACKETS = 5
# 10,000 take minutes where a grace period takes long: LONG=1 in the environment has them.
REFUSED = 10000 if os.environ.get("LONG") else 300
REFUSED_KIB = REFUSED * 430 // 1024 // 2
LOCAL = {4: "127.0.0.1", 6: "::1"}
XT_UDP = struct.pack("=4HB3x", 0, 65535, 9, 9, 0)


def loopback_up() -> None:
    """As `ip link set lo up`, without a process."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        fcntl.ioctl(opened, 0x8914, struct.pack("16sH14x", b"lo", 0x1))  # SIOCSIFFLAGS, IFF_UP


def rules_of(family: Family, number: int) -> str:
    """Rules in two tables, with a user chain; the first of INPUT counts what fill() sends."""
    lines = ["-A INPUT -i lo -p udp --dport 9", "-A INPUT -i lo -p udp -j user", "-A user -p tcp --dport 1:9 -j DROP",
             f"-A INPUT -s 192.0.2.{number % 250} -j DROP"]
    return family.text(iptables.ruleset(*lines) + iptables.ruleset("-A OUTPUT -p tcp --syn", table="mangle"))


def fill(number: int) -> None:
    """In a new namespace: rules of both families, a little traffic, and a look at the counters."""
    for family in BOTH:
        with blob.raw_socket(family) as opened:
            if number % 20 == 0:
                os.environ["XTABLES_LOCKFILE"] = f"/run/xtables.lock.{os.getpid()}"
                must(family.restore, stdin=rules_of(family, number))
            else:
                asked = match(b"udp", XT_UDP)
                table = blob.of_table("filter", {1: [entry(verdict(ACCEPT), asked, protocol=UDP, family=family)]},
                                      family=family)
                expect_equal(table.commit(opened), "OK", "filter")
                expect_equal(blob.of_table("raw", {3: [entry(verdict(DROP), protocol=6, family=family)]},
                                           family=family).commit(opened), "OK", "raw")
            with socket.socket(family.af, socket.SOCK_DGRAM) as sender:
                for _ in range(PACKETS):
                    with contextlib.suppress(ConnectionRefusedError):
                        sender.sendto(b"", (LOCAL[family.number], 9))
            # On a busy machine what was sent through lo may arrive a little later.
            wait_for(lambda: blob.counters(blob.entries(opened)[1], family)[0][0] >= PACKETS, "packets", 60)
            counted = blob.counters(blob.entries(opened)[1], family)[0]
            expect_equal(counted, (PACKETS, PACKETS * (family.header + 8)), f"IPv{family.number} counter")


def work(first: int, step: int, until: int, pipe: Connection) -> None:
    try:
        for number in range(first, until, step):
            unshare(CLONE_NEWNET)  # the one before goes
            loopback_up()
            fill(number)
        pipe.send("")
    except BaseException as error:  # the parent must hear of it
        pipe.send(f"{type(error).__name__}: {error}")


def come_and_go(count: int) -> None:
    """That many namespaces, a few at a time. One processor for each worker in turn."""
    workers = []
    for number in range(WORKERS):
        mine, other = fork.Pipe()
        process = fork.Process(target=work, args=(number, WORKERS, count, other), daemon=True)
        process.start()
        other.close()
        workers.append((process, mine))
    said = [pipe.recv() for _, pipe in workers]
    for process, _ in workers:
        process.join()
    expect_equal(said, [""] * WORKERS, "what the workers said")


# What the machine has

def all_gone(but: int) -> None:
    """All programs and maps of ours but those that were there before, of other namespaces; however long
    that takes, as long as it goes on."""
    begun = time.monotonic()
    left = most = bpf.named("bf_")
    while len(left) > but:
        wait_for(lambda: len(bpf.named("bf_")) < len(left), f"some of these to go: {dict(Counter(left))}", 120)  # pylint: disable=cell-var-from-loop
        left = bpf.named("bf_")
    print(f"# {len(most) - but} programs and maps were gone after {time.monotonic() - begun:.1f} s", flush=True)


def meminfo(name: str) -> int:
    """In KiB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{name}:"))


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def available() -> int:
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")
    return meminfo("MemAvailable")


def alive() -> int:
    """Network namespaces that are not destroyed yet: each has its end of a link that ends here."""
    with open("/proc/self/net/dev", encoding="ascii") as file:
        return sum(line.strip().startswith("there") for line in file)


@test
def two_hundred_come_and_go() -> None:
    """Nothing of them stays. An eighth of a namespace is the tolerance for the helper: 20 KiB each."""
    home = Namespace("home")
    others = len(bpf.named("bf_"))
    with home:
        come_and_go(5 * WORKERS)  # what is made once, and what caches keep
        pid = next(iter(helper.all_alive()), None)
        if system.name() == system.OURS:
            expect(pid, "no helper")
        all_gone(others)
        files = len(os.listdir(f"/proc/{pid}/fd")) if pid else 0
        rss = resident(pid) if pid else 0
        memory = available()
        come_and_go(SPACES)
        all_gone(others)
        if pid:
            expect_equal(helper.all_alive(), [pid], "the helper's pid")
            wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= files, f"{files} descriptors of the helper", 120)
            expect(resident(pid) < rss + 20 * SPACES, f"the helper has {resident(pid)} KiB, {rss} before")
        # Said, not asked: what the kernel itself keeps (chunks of per-CPU memory, caches) differs by version.
        print(f"# memory: {memory} KiB available before, {available()} KiB after", flush=True)
    home.delete()


def has_a_namespace() -> bool:
    """There may be some thousands; they are made faster than they go."""
    try:
        unshare(CLONE_NEWNET)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


def be_refused(count: int) -> None:
    """In so many namespaces, one after the other, with nothing else in them."""
    def ask() -> str:
        for _ in range(count):
            wait_for(has_a_namespace, "room for another namespace", 120)
            with blob.raw_socket() as opened:
                expect_equal(blob.info(opened, "nosuch").status, "ENOENT", "GET_INFO")
        return ""

    said_by_child(ask)


@test
def who_was_refused_is_forgotten() -> None:
    """The helper knew nothing of them but that they were there: a word for each would be 430 bytes."""
    system.only_ours()
    be_refused(50)
    pids = helper.all_alive()
    before, begun = sum(map(resident, pids)), time.monotonic()
    be_refused(REFUSED)
    asked = time.monotonic() - begun
    expect_equal(helper.all_alive(), pids, "the helper")
    # It is told of the end of each by and by.
    wait_for(lambda: sum(map(resident, pids)) < before + REFUSED_KIB, f"{REFUSED_KIB} KiB more than {before}", 900)
    print(f"# {REFUSED} namespaces in {asked:.1f} s, forgotten {time.monotonic() - begun - asked:.1f} s later: "
          f"{before} KiB before, {sum(map(resident, pids))} behind", flush=True)


@test
def they_are_destroyed() -> None:
    """The other end of a link goes with its device, and that with its namespace."""
    home = Namespace("home")
    with home:
        count = 12
        children = []
        for number in range(count):
            go, ready = os.pipe(), os.pipe()
            child = os.fork()
            if child == 0:
                unshare(CLONE_NEWNET)
                os.write(ready[1], b"x")
                os.read(go[0], 1)
                loopback_up()
                fill(number)
                os._exit(0)
            os.read(ready[0], 1)
            subprocess.run(["ip", "link", "add", f"there{number}", "type", "veth", "peer", "name", "here", "netns",
                            str(child)], check=True)
            children.append((child, go[1]))
            for fd in (go[0], *ready):
                os.close(fd)
        expect_equal(alive(), count, "links")
        for child, go_fd in children:
            os.write(go_fd, b"x")
            os.close(go_fd)
        for child, _ in children:
            expect_equal(os.waitpid(child, 0)[1], 0, "status")
        wait_for(lambda: alive() == 0, "all namespaces to be destroyed", 120)
    home.delete()


def large(family: Family, rules: int) -> blob.Table:
    """Rules that are all different; each asks for addresses, a protocol and ports."""
    made = []
    width = 4 if family.number == 4 else 16
    for number in range(rules):
        ports = struct.pack("=4HB3x", 0, 65535, number % 65000, number % 65000 + number % 7, number % 2)
        source = family.packed(f"10.{number >> 12 & 255}.{number >> 4 & 255}.{number & 15}") + b"\xff" * width
        made.append(entry(verdict(DROP), match(b"udp", ports), protocol=UDP, source=source, family=family))
    return blob.of_table("filter", {1: made}, family=family)


def small(family: Family = V4) -> str:
    """The result of a change that takes no time by itself, in the namespace we are in."""
    with blob.raw_socket(family) as opened:
        rules = [entry(verdict(DROP), protocol=6, family=family)]
        return blob.of_table("filter", {1: rules}, family=family).commit(opened)


def shared_number() -> Any:
    """With forked processes; what its type is called differs between versions of Python."""
    return fork.Value("i", 0)


HUGE = 20_000 if "debug" not in os.uname().release else 4_000  # which verifies ten times as long


@test
def a_huge_table_holds_up_nobody_else() -> None:
    """While one namespace replaces huge tables, one after the other, small changes in another are
    made meanwhile: at least one of thirty begins and ends within a single huge one. Only order counts."""
    one, two = Namespace("huge"), Namespace("small")
    with one:
        raw = blob.raw_socket()
        data = large(V4, HUGE)
        data.num_counters = 4
        first = data.head(raw) + data.blob()
        data.num_counters = len(data.rules)
        again = data.head(raw) + data.blob()
    done, failed, busy = shared_number(), shared_number(), shared_number()
    stop = fork.Event()

    def replace_for_ever() -> None:
        with one:
            blob.info(raw)  # the table is there from now on
            payload = first
            while not stop.is_set() and not failed.value:
                busy.value = 1
                failed.value = blob.put(raw, blob.SET_REPLACE, payload) != "OK"
                busy.value = 0
                payload = again
                done.value += 1

    if system.name() == system.OURS:  # to verify it may take longer than usual on a busy machine
        with open("/sys/module/bpfilter/parameters/deadline", "w", encoding="ascii") as file:
            file.write("600")
    process = fork.Process(target=replace_for_ever, daemon=True)
    process.start()
    within = False
    with two:
        for _ in range(30):
            wait_for(lambda: bool(busy.value or failed.value), "a huge change to begin", 300)
            before = done.value
            expect_equal(small(), "OK", "a small change")
            within = done.value == before and bool(busy.value)
            if within or failed.value:
                break
    stop.set()
    process.join()
    expect(not failed.value, "a huge change failed")
    expect(within, "every small change waited for a huge one")
    raw.close()
    one.delete()
    two.delete()


@test
def a_namespace_dies_during_a_request() -> None:
    """The process is killed while its request is under way, and its namespace with it."""
    table = large(V4, HUGE)
    table.num_counters = 4
    entries = table.blob()
    for _ in range(3):
        busy = shared_number()
        child = os.fork()
        if child == 0:
            unshare(CLONE_NEWNET)
            with blob.raw_socket() as opened:
                data = table.head(opened) + entries
                busy.value = 1
                while True:  # there is hardly a moment without a request
                    blob.put(opened, blob.SET_REPLACE, data)
        wait_for(lambda: bool(busy.value), "the request to be under way", 120)
        os.kill(child, signal.SIGKILL)
        expect_equal(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), -signal.SIGKILL, "status")
    space = Namespace("after")
    with space:
        for family in BOTH:
            expect_equal(small(family), "OK", "a change elsewhere")
    space.delete()


# Owners of their own

def as_owner(function: Callable[[], str]) -> str:
    """What function returns as root of a user namespace that belongs to nobody."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # or /proc/self is not its own
            unshare(CLONE_NEWUSER)
            for name, text in (("setgroups", "deny"), ("uid_map", "0 65534 1"), ("gid_map", "0 65534 1")):
                with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                    file.write(text)
            unshare(CLONE_NEWNET)
            text = function()
        except BaseException as error:  # the parent must hear of it
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    os.waitpid(child, 0)
    if "unshare" in text and "not permitted" in text:
        raise Skip("users may not make user namespaces here")
    return text


@test
def owner_may_do_everything() -> None:
    """All five tables of both families, by the root of a user namespace."""
    def everything() -> str:
        words = []
        for family in BOTH:
            with blob.raw_socket(family) as opened:
                for name in ("raw", "mangle", "nat", "filter", "security"):
                    words.append(blob.of_table(name, policy=DROP, family=family).commit(opened))
        loopback_up()
        for family in BOTH:
            with socket.socket(family.af, socket.SOCK_DGRAM) as sender:
                try:
                    sender.sendto(b"", (LOCAL[family.number], 9))
                    words.append("sent")
                except PermissionError:
                    words.append("dropped")
        return " ".join(words)

    expect_equal(as_owner(everything), " ".join(["OK"] * 10 + ["dropped"] * 2), "answers")


@test
def who_has_no_memory_gets_no_table() -> None:
    """A request is on the account of who makes it: ENOMEM, or the end of that process. Others go on."""
    space, other = Namespace("poor"), Namespace("other")
    with space:
        opened = blob.raw_socket()
        rules = 250_000
        table = blob.of_table("filter")
        step = len(table.rules[0])
        blob_ = bytes(entry(verdict(ACCEPT), protocol=200)) * rules + table.blob()
        head = bytearray(table.head(opened))
        struct.pack_into("=2I", head, 36, rules + len(table.rules), len(blob_))
        entries = struct.unpack_from("=5I", head, 44)
        later = [one + rules * step for one in entries]
        struct.pack_into("=5I", head, 44, *entries[:2], *later[2:4], entries[4])
        struct.pack_into("=5I", head, 64, entries[0], *later[1:4], entries[4])
        payload = bytes(head) + blob_
    with cgroup.limited(16 << 20) as group:
        child = os.fork()
        if child == 0:
            with space:
                group.join()
                # Its own memory is on the old account, but for what it touches from now on.
                os._exit({"ENOMEM": 1, "OK": 0}.get(blob.put(opened, blob.SET_REPLACE, payload), 2))
        with other:
            for family in BOTH:
                expect_equal(small(family), "OK", "a change elsewhere meanwhile")
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    expect(status in (1, -signal.SIGKILL), f"status {status}: 0 is OK, 1 is ENOMEM, 2 something else")
    with space:
        expect_equal(blob.info(opened).entries, 4, "entries in force")
        expect_equal(small(), "OK", "a small change by the same owner")
    with other:
        expect_equal(small(), "OK", "a change elsewhere")
    opened.close()
    space.delete()
    other.delete()


if __name__ == "__main__":
    main()
