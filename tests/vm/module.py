#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The modules and the helper: loading, unloading, and what dying or interrupted parts leave."""

import glob
import json
import os
import signal
import subprocess
import tempfile
import time
from typing import Any, Callable

from lib import iptables as tables
from lib import system
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.iptables import IPTABLES, RESTORE, Counter, Counters, iptables, must, run, try_iptables
from lib.pair import CLIENT, Pair

HELPER = "bpfilter_umh"
# What users of the first bpfilter saw when its helper was gone.
NEVER = ("No child processes", "Broken pipe", "Protocol not available", "iptables who?")

_pairs: list[Pair] = []


def pair() -> Pair:
    if not _pairs:
        _pairs.append(Pair())
    return _pairs[0]


def no_pair() -> None:
    """Without namespaces of ours nothing holds the module."""
    while _pairs:
        _pairs.pop().close()


def loaded(module: str) -> bool:
    return os.path.isdir(f"/sys/module/{module}")


def helpers() -> list[int]:
    """The helper's processes, those that are ending not."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                pid, _, rest = file.read().partition(" (")
        except OSError:
            continue
        name, _, rest = rest.rpartition(") ")
        if name == HELPER and rest[0] not in "ZX":
            found.append(int(pid))
    return found


def helper() -> int:
    return wait_for(helpers, "a helper")[0]


def kill_helper() -> None:
    for pid in helpers():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def objects(kind: str) -> list[dict[str, Any]]:
    """Our programs or maps, by their names."""
    listing = json.loads(must("bpftool", "-j", kind, "show"))
    return [one for one in listing if str(one.get("name", "")).startswith("bf_")]


def unload() -> None:
    """Both modules go. Namespaces that were just deleted are destroyed in the background."""
    wait_for(lambda: run("modprobe", "-r", "bpfilter").status == 0, "the module to be removable", 60)
    if loaded("bpfilter_umh"):
        must("modprobe", "-r", "bpfilter_umh")


def load() -> None:
    must("modprobe", "bpfilter")


def fresh() -> None:
    """Loaded, with nothing in force in this namespace and none of our others there."""
    system.only_ours()
    no_pair()
    if not loaded("bpfilter"):
        load()
    tables.restore()


def nothing_left() -> None:
    expect(not loaded("bpfilter") and not loaded("bpfilter_umh"), "a module is still there")
    wait_for(lambda: not helpers(), "the helper to go")
    for kind in ("prog", "map"):
        wait_for(lambda: not objects(kind), f"our BPF {kind}s to go")  # pylint: disable=cell-var-from-loop
    for name in ("names", "matches", "targets"):
        for prefix in ("ip", "ip6"):
            expect(not os.path.exists(f"/proc/net/{prefix}_tables_{name}"), f"{prefix}_tables_{name} is still there")
    for line in must("ip", "link", "show").splitlines():
        expect("xdp" not in line, f"XDP is still there: {line}")


# Loading

@test
def helper_at_first_use() -> None:
    """Its process starts with the first request; its module is asked for if it is not there."""
    fresh()
    unload()
    nothing_left()
    load()
    expect(not helpers(), "the helper runs before it is needed")
    if loaded("bpfilter_umh"):
        must("modprobe", "-r", "bpfilter_umh")
    iptables("-L")
    expect(loaded("bpfilter_umh"), "bpfilter_umh is not loaded")
    expect_equal(len(helpers()), 1, "helpers")


@test
def iptables_loads_the_module() -> None:
    """By the alias, with nobody having asked for it."""
    fresh()
    unload()
    iptables("-L")
    expect(loaded("bpfilter"), "bpfilter is not loaded")
    unload()
    for alias in ("ip_tables", "iptable_filter", "ip6_tables", "ip6table_security"):
        must("modprobe", alias)
        expect(loaded("bpfilter") and not loaded("ip_tables") and not loaded("ip6_tables"),
               f"modprobe {alias} loaded another")
        unload()


@test
def real_modules() -> None:
    system.only_ours()
    for name in ("bpfilter", "bpfilter_umh"):
        text = must("modinfo", name)
        for field in ("description:", "license:        GPL", "version:"):
            expect_in(field, text, f"modinfo {name}")
    text = must("modinfo", "bpfilter")
    for parameter in ("xdp:", "deadline:"):
        expect_in(parameter, text, "parameters")


@test
def names_in_bpftool() -> None:
    fresh()
    tables.restore("-A INPUT -s 192.0.2.1 -j DROP", "-A FORWARD -j user", "-A OUTPUT -p udp", "-A user -j DROP")
    programs = {(one["name"], one["type"]) for one in objects("prog")}
    for name in ("bf_filter_in", "bf_filter_fwd", "bf_filter_out"):
        expect_in((name, "sched_cls"), programs, "programs")
    maps = {one["name"] for one in objects("map")}
    for name in ("bf_context", "bf_counters", "bf_base"):
        expect_in(name, maps, "maps")
    dump = must("bpftool", "prog", "dump", "xlated", "name", "bf_filter_in")
    expect_in("; -A INPUT -s 192.0.2.1/32 -j DROP", dump, "the rule beside its instructions")


# Unloading

@test
def refused_while_rules_are_in_force() -> None:
    fresh()
    iptables("-A INPUT -s 192.0.2.1 -j DROP")
    done = run("modprobe", "-r", "bpfilter")
    expect(done.status != 0, "the module went away under its rules")
    expect_in("in use", done.errors, "modprobe -r")
    expect_in("-s 192.0.2.1/32", iptables("-S INPUT"), "the rule")
    iptables("-F")
    unload()
    nothing_left()
    load()


@test
def refused_while_another_namespace_has_rules() -> None:
    fresh()
    with pair().server:
        iptables("-A INPUT -p udp -j DROP")
    expect(run("modprobe", "-r", "bpfilter").status != 0, "the module went away under a namespace's rules")
    expect_equal(pair().send(2), 0, "delivered")
    no_pair()
    unload()
    nothing_left()
    load()


@test
def empty_tables_do_not_hold_it() -> None:
    """A table with nothing but policies goes with the module."""
    fresh()
    with pair().server:
        iptables("-L")
    iptables("-L")
    unload()
    nothing_left()
    expect_equal(pair().send(2), 2, "delivered without the module")
    load()


@test
def again_and_again() -> None:
    fresh()
    for step in range(5):
        tables.restore("-A INPUT -i lo -s 192.0.2.1 -j DROP", "-A FORWARD -j user", "-A user -j DROP")
        iptables(f"-A INPUT -s 198.51.100.{step} -j DROP")
        tables.restore()
        unload()
        nothing_left()
        load()
    expect_equal(len(iptables("-S").splitlines()), 3, "a new table")


@test
def programs_of_replaced_tables_go() -> None:
    """Many changes leave no more programs and maps than one."""
    fresh()
    iptables("-A INPUT -s 192.0.2.1 -j DROP")
    before = {kind: len(objects(kind)) for kind in ("prog", "map")}
    for step in range(25):
        iptables(f"-R INPUT 1 -s 192.0.2.{step} -j DROP")
    for kind, count in before.items():
        wait_for(lambda: len(objects(kind)) <= count,  # pylint: disable=cell-var-from-loop
                 f"no more than {count} {kind}s")
    iptables("-F")


# What is refused

@test
def unsupported_rules() -> None:
    """The errno of an unknown extension, and a sentence that names it."""
    fresh()
    iptables("-A INPUT -s 192.0.2.1 -j DROP")
    before = tables.save()
    for rule, name in (("-m limit --limit 1/s -j DROP", "limit"), ("-j REJECT", "REJECT"),
                       ("-p tcp -m multiport --dports 1,2 -j DROP", "multiport"), ("-j LOG", "LOG")):
        old = system.kernel_log()
        done = try_iptables(f"-A INPUT {rule}")
        expect_equal(done.status, 1, f"status of {rule}: {done.errors.strip()}")
        expect_in("No chain/target/match by that name", done.errors, rule)
        expect(any("bpfilter" in line and name in line for line in system.kernel_log()[len(old):]),
               f"no sentence about {name} in the kernel log: {system.kernel_log()[len(old):]}")
        expect_equal(tables.save(), before, f"rules after {rule}")
    iptables("-F")


@test
def every_table_of_both_families() -> None:
    fresh()
    for command in (IPTABLES, "ip6tables-legacy"):
        for name in ("filter", "nat", "mangle", "raw", "security"):
            must(command, "-t", name, "-A", "OUTPUT", "-j", "ACCEPT")
            must(command, "-t", name, "-F")
    expect(not loaded("ip_tables") and not loaded("ip6_tables"), "one of the kernel's own has been loaded")
    unload()
    nothing_left()
    must("modprobe", "-r", "nf_nat")
    load()


@test
def works_beside_iptables_nft() -> None:
    """Its extensions are those of x_tables, of which ip_tables has some on 6.1."""
    fresh()
    for command, match in (("iptables-nft", "icmp --icmp-type 8"), ("ip6tables-nft", "icmpv6 --icmpv6-type 128"),
                           ("iptables-nft", "tcp --dport 80"), ("ip6tables-nft", "udp --dport 53")):
        must(command, "-A", "OUTPUT", "-p", *match.split(), "-j", "DROP")
    expect(loaded("bpfilter") and not loaded("ip_tables") and not loaded("ip6_tables"), "ip_tables has been loaded")
    must("ip", "link", "set", "lo", "up")
    iptables("-A INPUT -i lo -p icmp -j ACCEPT")
    for command, dropped in (("ping -4 -c 1 -W 2 127.0.0.1", "-4"), ("ping -6 -c 1 -W 2 ::1", "-6")):
        expect(run(*command.split()).status != 0, f"the rule of nft does not drop ping {dropped}")
    for command in ("iptables-nft", "ip6tables-nft"):
        must(command, "-F")
    expect_equal(run("ping", "-4", "-c", "1", "-W", "2", "127.0.0.1").status, 0, "ping without the rule")
    expect_equal(Counters().rules["INPUT"], [Counter(2, 168)], "our rule counts request and reply")
    iptables("-F")


@test
def uninstalled() -> None:
    """Without the file in modprobe.d, iptables is ip_tables' again; with it, ours."""
    fresh()
    unload()
    conf, put_aside = "/etc/modprobe.d/bpfilter.conf", "/etc/modprobe.d/bpfilter.aside"
    os.rename(conf, put_aside)
    try:
        must(IPTABLES, "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")
        must("ip6tables-legacy", "-L")
        expect(loaded("ip_tables") and loaded("ip6_tables") and not loaded("bpfilter"), "ip_tables is not back")
        must(IPTABLES, "-F")
        must("modprobe", "-r", "iptable_filter", "ip6table_filter")
        for module in ("ip_tables", "ip6_tables"):
            if loaded(module):
                must("modprobe", "-r", module)
    finally:
        os.rename(put_aside, conf)
    must("ip6tables-legacy", "-L")
    expect(loaded("bpfilter") and not loaded("ip6_tables"), "ours is not back")


@test
def ip_tables_is_there_first() -> None:
    fresh()
    unload()
    with tempfile.TemporaryDirectory() as no_config:
        must("modprobe", "-C", no_config, "iptable_filter")
        expect(loaded("ip_tables"), "ip_tables is not loaded")
        old = system.kernel_log()
        done = run("modprobe", "bpfilter")
        expect(done.status != 0, "bpfilter was loaded beside ip_tables")
        expect_in("Device or resource busy", done.errors, "modprobe bpfilter")
        expect(any("bpfilter: ip_tables is loaded" in line for line in system.kernel_log()[len(old):]),
               f"no message in the kernel log: {system.kernel_log()[len(old):]}")
        expect(not loaded("bpfilter") and not loaded("bpfilter_umh") and not helpers(), "something was left behind")
        must(IPTABLES, "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")
        must(IPTABLES, "-F")
        must("modprobe", "-C", no_config, "-r", "iptable_filter")
        if loaded("ip_tables"):
            must("modprobe", "-C", no_config, "-r", "ip_tables")
    load()
    iptables("-L")


# The helper dies

def in_force(count: int, total: int, what: str) -> int:
    """Datagrams are dropped and counted by the second rule of the server; the new total."""
    expect_equal(pair().send(count), 0, f"delivered {what}")
    return total + count


def counted(total: int, what: str) -> None:
    with pair().server:
        expect_equal(Counters().rules["INPUT"][-1], Counter(total, 28 * total), f"counter {what}")


@test
def helper_killed_while_idle() -> None:
    fresh()
    with pair().server:
        tables.restore(f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    total = in_force(3, 0, "before")
    for step in range(5):
        old = helper()
        kill_helper()
        total = in_force(3, total, f"just behind death {step}")
        wait_for(lambda: old not in helpers(), "the helper to be gone")  # pylint: disable=cell-var-from-loop
        total = in_force(3, total, f"after death {step}")
        counted(total, f"after death {step}")
        total = in_force(1, total, f"with the new helper {step}")
    with pair().server:
        iptables("-A FORWARD -s 192.0.2.77 -j DROP")
    counted(total, "after a change")
    with pair().server:
        iptables("-D INPUT 1")
    expect_equal(pair().send(2), 2, "delivered without the rule")


@test
def tables_of_all_namespaces_survive() -> None:
    fresh()
    other = Pair()
    with pair().server:
        tables.restore("-A INPUT -p udp -j user", "-A user -p udp", policies={"FORWARD": "DROP"})
    with other.server:
        tables.restore("-A INPUT -p udp -j DROP")
    iptables("-A FORWARD -s 192.0.2.1 -c 5 6 -j DROP")
    expect_equal((pair().send(2), other.send(2)), (2, 0), "delivered before")
    kill_helper()
    expect_equal((pair().send(2), other.send(2)), (2, 0), "delivered after")
    with pair().server:
        expect_equal(tables.save()[1:], [":INPUT ACCEPT [4:112]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]",
                                         ":user - [0:0]", "[4:112] -A INPUT -p udp -j user", "[4:112] -A user -p udp",
                                         "COMMIT"], "the first")
    with other.server:
        expect_equal(Counters().rules["INPUT"], [Counter(4, 112)], "the second")
    expect_equal(Counters().rules["FORWARD"], [Counter(5, 6)], "this one")
    other.close()
    iptables("-F")


def ruleset(number: int, size: int = 400) -> str:
    """A table that can be told from another by any of its rules, and that drops the client."""
    lines = [f"-A FORWARD -s 10.{number}.{n >> 8}.{n & 255} -p tcp --dport {n + 1} -j DROP" for n in range(size)]
    return tables.ruleset(*lines, f"-A INPUT -s {CLIENT} -j DROP")


def whole(number_before: int, number_after: int, size: int = 400) -> int:
    """The table in force is one of two, whole; which."""
    with pair().server:
        forward = [line for line in tables.save() if " -A FORWARD " in line]
    numbers = {int(line.split("-s 10.")[1].split(".")[0]) for line in forward}
    expect_equal(len(forward), size, "rules in force")
    expect(numbers in ({number_before}, {number_after}), f"a mixture of tables: {numbers}")
    return numbers.pop()


def restore_while(action: Callable[["subprocess.Popen[str]"], None], number: int) -> tables.Done:
    """Start a restore in the server's namespace, do something meanwhile, and let it end."""
    with pair().server:
        process = subprocess.Popen([RESTORE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
    assert process.stdin
    process.stdin.write(ruleset(number))
    process.stdin.flush()
    action(process)
    out, errors = process.communicate(timeout=300)
    return tables.Done(process.returncode, out, errors)


def time_of_a_restore() -> float:
    with pair().server:
        must(RESTORE, stdin=ruleset(1))
        start = time.monotonic()
        must(RESTORE, stdin=ruleset(0))
        return time.monotonic() - start


@test
def helper_killed_during_a_command() -> None:
    """At ten moments of a restore: it succeeds or says why, and the table is the old or the new."""
    fresh()
    usual = time_of_a_restore()
    now = 0
    for step in range(10):

        def kill(process: "subprocess.Popen[str]") -> None:
            assert process.stdin
            process.stdin.close()
            process.stdin = None
            time.sleep(usual * step / 9)  # the moment is the point  # pylint: disable=cell-var-from-loop
            kill_helper()

        done = restore_while(kill, step + 1)
        for words in NEVER:
            expect(words not in done.errors, f"step {step}: {done.errors.strip()}")
        expect_equal(pair().send(2), 0, f"delivered, step {step}")
        after = whole(now, step + 1)
        if done.status == 0:
            expect_equal(after, step + 1, f"the table after success, step {step}")
        now = after
        with pair().server:
            iptables("-L INPUT -n")


@test
def command_interrupted() -> None:
    """SIGINT and SIGKILL at moments of a restore: the table is the old or the new."""
    fresh()
    usual = time_of_a_restore()
    now = 0
    for step in range(10):

        def interrupt(process: "subprocess.Popen[str]") -> None:
            assert process.stdin
            process.stdin.close()
            process.stdin = None
            time.sleep(usual * step / 9)  # pylint: disable=cell-var-from-loop
            process.send_signal(signal.SIGINT if step % 2 else signal.SIGKILL)

        restore_while(interrupt, step + 1)
        expect_equal(pair().send(2), 0, f"delivered, step {step}")
        now = whole(now, step + 1)
        with pair().server:
            iptables(f"-A INPUT -s 192.0.2.{100 + step} -j DROP")
            iptables("-D INPUT 2")
    expect_equal(len(helpers()), 1, "helpers")


@test
def signals_do_not_end_the_helper() -> None:
    fresh()
    iptables("-L")
    pid = helper()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        os.kill(pid, number)
    iptables("-L")
    expect_equal(helpers(), [pid], "the helper")


@test
def hung_helper() -> None:
    """One that does not answer is replaced after the deadline; nobody waits for ever."""
    fresh()
    with pair().server:
        tables.restore("-A INPUT -p udp -j DROP")
    parameter = "/sys/module/bpfilter/parameters/deadline"
    with open(parameter, encoding="ascii") as file:
        usual = file.read()
    old = helper()
    try:
        with open(parameter, "w", encoding="ascii") as file:
            file.write("5")
        os.kill(old, signal.SIGSTOP)
        expect_equal(pair().send(2), 0, "delivered")
        start = time.monotonic()
        with pair().server:
            done = try_iptables("-L -n")
        for words in NEVER:
            expect(words not in done.errors, done.errors.strip())
        expect(time.monotonic() - start < 120, "the command waited for two minutes")
    finally:
        with open(parameter, "w", encoding="ascii") as file:
            file.write(usual)
        if old in helpers():
            os.kill(old, signal.SIGCONT)
    expect(old not in helpers(), "the hung helper is still there")
    with pair().server:
        expect_equal(Counters().rules["INPUT"], [Counter(2, 56)], "counters")


@test
def unloading_with_a_dead_helper() -> None:
    fresh()
    iptables("-L")
    kill_helper()
    unload()
    nothing_left()
    load()
    iptables("-L")


if __name__ == "__main__":
    main()
