#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""bpfilter-check: what it says of rule sets, and that the machine's rules are left alone."""

import contextlib
import fcntl
import os
import tempfile
from typing import Iterable, Iterator

from lib import system
from lib import iptables as tables
from lib.check import expect, expect_equal, expect_in, main, test
from lib.installed import MODULES, OURS, aside, nothing_loaded, remove, unload
from lib.iptables import Done, must, run
from lib.module import loaded
from lib.netns import sysctl

ACCEPTED, REFUSED, NOT_TRIED, BY_IP_TABLES = range(4)
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs")

# What a host has that is no router: every rule is one that any iptables takes.
HOST = """\
# the first line of the file
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -i lo -j ACCEPT
COMMIT
*filter
:INPUT DROP [3:180]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:services - [0:0]
-A INPUT -i lo -j ACCEPT
[5:300] -A INPUT -p tcp -m tcp --dport 22 -j services
-A services {source} -j ACCEPT
-A services -j RETURN
COMMIT
"""
HOST_4, HOST_6 = HOST.format(source="-s 192.0.2.0/24"), HOST.format(source="-s 2001:db8::/32")

# Lines that are wrong each in its way, and between them some that are not. The kernel has neither
# `string` nor `AUDIT`: their modules are put aside.
STRANGE = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:log - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp -m udp --dport 53 -m string --string "-m nosuch" --algo bm -j log
-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT
-A log -j AUDIT --type drop
-A log -m string --string x --algo bm -j AUDIT --type drop
-A log -m nosuch --option -j DROP
-A log -p udp -m tcp --dport 1 -j DROP
-A log -s nowhere.invalid -j DROP
-A log -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -j ACCEPT
-A PREROUTING -j AUDIT --type drop
COMMIT
*nosuch
:INPUT ACCEPT [0:0]
-A INPUT -j ACCEPT
COMMIT
"""
REFUSED_OF_STRANGE = {
    7: "No chain/target/match by that name: match string",
    9: "No chain/target/match by that name: target AUDIT",
    10: "No chain/target/match by that name: match string, target AUDIT",
    11: "Couldn't load match `nosuch'",
    12: "Invalid argument",
    13: "`nowhere.invalid' not found",
    19: "No chain/target/match by that name: target AUDIT",
    21: "table 'nosuch'",
}


def check(text: str, *options: str, by: Iterable[str] = ()) -> Done:
    return run(*by, "bpfilter-check", *options, "-", stdin=text)


def expect_accepted(done: Done, rules: int) -> None:
    expect_equal(done, Done(ACCEPTED, f"standard input: bpfilter takes all of it, {rules} rules\n", ""), "all of it")


def expect_refused(done: Done, places: dict[int, str], text: str) -> None:
    """Exactly these lines, each with its reason and its text."""
    lines = text.splitlines()
    *said, last = done.output.splitlines()
    expect_equal(len(said), 2 * len(places), f"lines of {done.output}")
    for place, (number, why) in zip(zip(said[::2], said[1::2]), places.items()):
        expect(place[0].startswith(f"standard input:{number}: "), f"line {number}: {place[0]}")
        expect_in(why, place[0], f"reason of line {number}")
        expect_equal(place[1], f"    {lines[number - 1]}", f"text of line {number}")
    expect_equal(done.status, REFUSED, f"status after {last}")


def loaded_ours() -> None:
    system.only_ours()
    if not loaded("bpfilter"):
        unload()
        must("modprobe", "bpfilter")


@contextlib.contextmanager
def without_extensions() -> Iterator[None]:
    """Nobody can use `string` and `AUDIT`, in no test before this one either."""
    loaded_ours()
    modules = ("xt_string", "xt_AUDIT")
    for module in filter(loaded, modules):
        remove(module)
    with aside(*(f"{MODULES}/kernel/net/netfilter/{module}.ko" for module in modules)):
        yield


@test
def accepted() -> None:
    loaded_ours()
    expect_accepted(check(HOST_4), 5)
    expect_accepted(check(HOST_6, "-6"), 5)


@test
def every_refused_line() -> None:
    """Each with its reason, in the order of the file; what is not listed is taken."""
    with without_extensions():
        done = check(STRANGE)
        expect_refused(check(STRANGE, "-6"), REFUSED_OF_STRANGE, STRANGE)
    expect_refused(done, REFUSED_OF_STRANGE, STRANGE)
    expect_equal(done.output.splitlines()[-1], "standard input: bpfilter refuses 7 of 12 rules", "the sum")
    refused = set(REFUSED_OF_STRANGE) | set(range(21, 25))
    rest = "\n".join(line for number, line in enumerate(STRANGE.splitlines(), 1) if number not in refused) + "\n"
    expect_accepted(check(rest), 4)


@test
def ipv6() -> None:
    """An address of the other family is no address."""
    loaded_ours()
    expect_refused(check(HOST_4, "-6"), {14: "`192.0.2.0' not found"}, HOST_4)
    expect_refused(check(HOST_6), {14: "`2001:db8::' not found"}, HOST_6)


@test
def refused_as_a_whole() -> None:
    """Rules that are right one by one, and lines that belong to no rule."""
    loaded_ours()
    loop = tables.ruleset("-A INPUT -j a", "-A a -j b", "-A b -j a")
    last = loop.splitlines().index("-A b -j a") + 1
    expect_refused(check(loop), {last: "with the rules before it: Too many levels of symbolic links"}, loop)
    cut = "".join(HOST_4.splitlines(keepends=True)[:-1])
    done = check(cut)
    expect_equal(done.status, REFUSED, "status without a COMMIT")
    expect_in("as a whole: COMMIT expected", done.output, "without a COMMIT")
    wrong = HOST_4.replace("-A services -j RETURN", "-A services -j RETURN\nwhat is this?")
    expect_equal(check(wrong).status, REFUSED, "status with a line that is none")


@test
def from_a_file() -> None:
    loaded_ours()
    with tempfile.NamedTemporaryFile("w", suffix=".v4") as file:
        file.write(HOST_4)
        file.flush()
        done = run("bpfilter-check", file.name)
        expect_equal(done, Done(ACCEPTED, f"{file.name}: bpfilter takes all of it, 5 rules\n", ""), "a file")


@test
def machine_is_left_alone() -> None:
    """Its rules, its counters and its lock; what is tried is gone."""
    loaded_ours()
    rules = "*filter\n:INPUT ACCEPT [7:700]\n[1:10] -A INPUT -s 192.0.2.7 -j DROP\nCOMMIT\n"
    must("iptables-legacy-restore", "-c", stdin=rules)
    before = [tables.save(table="filter"), must("ip", "netns", "list"), must("ip", "-o", "link")]
    with open("/run/xtables.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever wants it now waits for ever
        expect_accepted(check(HOST_4, by=("timeout", "120")), 5)
    expect_equal(check(HOST_4 + "*nosuch\nCOMMIT\n").status, REFUSED, "status")
    expect_equal([tables.save(table="filter"), must("ip", "netns", "list"), must("ip", "-o", "link")], before,
                 "the machine")
    expect_equal([name for name in os.listdir("/tmp") if name.startswith("bpfilter-check")], [], "left in /tmp")
    unload()
    must("modprobe", "bpfilter")


@test
def unprivileged() -> None:
    """In a user namespace: the same answers."""
    loaded_ours()
    expect_accepted(check(HOST_4, by=NOBODY), 5)
    with without_extensions():
        expect_refused(check(STRANGE, by=NOBODY), REFUSED_OF_STRANGE, STRANGE)
    with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as setting:
        usual = setting.read()
    sysctl("user/max_user_namespaces", 0)
    try:
        done = check(HOST_4, by=NOBODY)
    finally:
        sysctl("user/max_user_namespaces", usual)
    expect_equal((done.status, done.output), (NOT_TRIED, ""), "without user namespaces")
    expect_in("try as root", done.errors, "what to do")


@test
def ip_tables_answers() -> None:
    """It is said, and never taken for an answer of bpfilter's."""
    with nothing_loaded():
        must("modprobe", "--ignore-install", "ip_tables")
        must("modprobe", "--ignore-install", "ip6_tables")
        must("modprobe", "--ignore-install", "iptable_filter")
        done = check(HOST_4)
        expect_equal((done.status, done.output), (BY_IP_TABLES, "standard input: ip_tables takes all of it, 5 rules\n"),
                     "answer")
        expect_in("what bpfilter would say is not known", done.errors, "the note")
        done = check(HOST_4.replace("-i lo", "-m nosuch"))
        expect_equal(done.status, REFUSED, "status of what is refused")
        expect_in("what bpfilter would say is not known", done.errors, "the note")
        expect(not loaded("bpfilter"), "bpfilter has been loaded")


@test
def nobody_has_loaded_it() -> None:
    """Root loads bpfilter and says so; others cannot, and nothing answers."""
    with nothing_loaded():
        done = check(HOST_4, by=NOBODY)
        expect_equal((done.status, done.output), (NOT_TRIED, ""), "as nobody")
        expect_in("modprobe bpfilter", done.errors, "what to do")
        done = check(HOST_4)
        expect_equal((done.status, done.output), (ACCEPTED, "standard input: bpfilter takes all of it, 5 rules\n"),
                     "as root")
        expect_in("modprobe -r bpfilter", done.errors, "what it has done")
        expect(loaded("bpfilter") and not loaded("ip_tables"), "bpfilter is not loaded")
    with nothing_loaded(), aside(f"{OURS}/bpfilter.ko"):
        done = check(HOST_4)
        expect_equal((done.status, done.output), (NOT_TRIED, ""), "where it cannot be loaded")
        expect_in("Module bpfilter not found", done.errors, "why")
        expect(not loaded("ip_tables"), "ip_tables has been loaded")


@test
def nothing_to_try() -> None:
    loaded_ours()
    done = run("bpfilter-check", "/nonexistent")
    expect_equal(done, Done(NOT_TRIED, "", "bpfilter-check: /nonexistent: No such file or directory\n"), "no file")
    for text in ("", "# nothing\n", "table ip filter { }\n"):
        done = check(text)
        expect_equal((done.status, done.output), (NOT_TRIED, ""), f"answer to {text!r}")
        expect_in("no tables in there", done.errors, "what is wrong")
    with aside("/usr/sbin/iptables-legacy-restore"):
        done = check(HOST_4)
        expect_equal((done.status, done.output), (NOT_TRIED, ""), "without iptables")
        expect_in("apt-get install iptables", done.errors, "what to do")


if __name__ == "__main__":
    main()
