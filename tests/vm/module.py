#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The modules: loading, unloading, what is refused, and whom they get along with."""

import os
import tempfile

from lib import bpf, helper, system
from lib import iptables as tables
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.early import wait_xdp
from lib.iptables import IPTABLES, Counter, Counters, iptables, must, run
from lib.module import fresh, load, loaded, no_pair, nothing_left, objects, pair, unload


# Loading

@test
def helper_at_first_use() -> None:
    """Its process starts with the first request; its module is asked for if it is not there."""
    fresh()
    unload()
    nothing_left()
    load()
    expect(not helper.all_alive(), "the helper runs before it is needed")
    if loaded("bpfilter_umh"):
        must("modprobe", "-r", "bpfilter_umh")
    iptables("-L")
    expect(loaded("bpfilter_umh"), "bpfilter_umh is not loaded")
    expect_equal(len(helper.all_alive()), 1, "helpers")


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
    for parameter in ("xdp:", "xdp_rate:", "deadline:"):
        expect_in(parameter, text, "parameters")


@test
def parameters_at_load() -> None:
    """`modprobe bpfilter xdp=…`: the mode is in force from the first rule on; what is none does not load."""
    fresh()
    mode = "/sys/module/bpfilter/parameters/xdp"
    for value, seen in (("off", "none"), ("generic", "generic")):
        unload()
        load(f"xdp={value}", "deadline=77")
        with open(mode, encoding="ascii") as file:
            expect_equal(file.read(), f"{value}\n", "the parameter")
        with open("/sys/module/bpfilter/parameters/deadline", encoding="ascii") as file:
            expect_equal(file.read(), "77\n", "the deadline")
        with pair().server:
            tables.restore("-A INPUT -i s0 -s 198.51.100.1 -j DROP")
            iptables("-L")  # answered behind what the restore has left to do
        wait_xdp(pair().server, "s0", seen)
        no_pair()
    unload()
    for wrong in ("xdp=yes", "deadline=0", "deadline=3601"):
        expect(run("modprobe", "bpfilter", wrong).status != 0 and not loaded("bpfilter"), f"{wrong} was taken")
    nothing_left()
    load()


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
    expect_equal(len(bpf.named("bf_")), len(objects("prog")) + len(objects("map")), "both, as other tests count them")
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
    for module in os.listdir("/sys/module/nf_nat/holders"):  # of extensions that other suites have used
        must("modprobe", "-r", module)
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
        expect(not loaded("bpfilter") and not loaded("bpfilter_umh") and not helper.all_alive(), "something was left behind")
        must(IPTABLES, "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")
        must(IPTABLES, "-F")
        must("modprobe", "-C", no_config, "-r", "iptable_filter")
        if loaded("ip_tables"):
            must("modprobe", "-C", no_config, "-r", "ip_tables")
    load()
    iptables("-L")


if __name__ == "__main__":
    main()
