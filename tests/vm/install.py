#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What is installed, where it does not fit: iptables must have its rules all the same.

modprobe.d/bpfilter.conf is for all kernels of a machine, the modules for one.
tests/scripts/boot.py boots such machines; here the modules are put aside or spoilt.
"""

import contextlib
import fcntl
import os
import re
import subprocess
from typing import Iterator

from lib import system
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.installed import MODULES, OURS, TABLES, aside, nothing_loaded, unload
from lib.iptables import must, run
from lib.module import loaded

RULES = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"
FAMILIES = ("iptables-legacy", "ip6tables-legacy")
FELL_BACK = f"bpfilter: cannot be loaded on {os.uname().release}, so iptables gets ip_tables"


@contextlib.contextmanager
def of_another_kernel(file: str) -> Iterator[None]:
    """The module is there, and the kernel refuses it."""
    with open(file, "rb") as opened:
        image = opened.read()
    # Of the version it looks at symbols' checksums instead; of the rest, at the text.
    spoilt = re.sub(rb"(vermagic=\S+ SM)P", rb"\1Q", image)
    expect(spoilt != image and len(spoilt) == len(image), "no vermagic in the module")
    with open(file, "wb") as opened:
        opened.write(spoilt)
    try:
        yield
    finally:
        with open(file, "wb") as opened:
            opened.write(image)


def log_of(action: str, *command: str, stdin: str = "") -> list[str]:
    """The lines of the kernel log about us that a command leads to, which must succeed in silence."""
    before = len(system.kernel_log())
    output = must(*command, stdin=stdin)
    expect_equal(output, "", f"output of {action}")
    return [line for line in system.kernel_log()[before:] if "bpfilter" in line]


def expect_firewall(families: tuple[str, ...] = FAMILIES) -> None:
    for command in families:
        rules = must(command, "-S").splitlines()
        expect_in("-P INPUT DROP", rules, command)
        expect_in("-A INPUT -i lo -j ACCEPT", rules, command)


def expect_fallback(reason: str) -> None:
    """Rules that are restored at boot are ip_tables', and the log says it once, and why."""
    log = log_of("restore", "iptables-legacy-restore", stdin=RULES)
    log += log_of("restore", "ip6tables-legacy-restore", stdin=RULES)
    expect(loaded("iptable_filter") and loaded("ip6table_filter") and not loaded("bpfilter"),
           "the rules are not those of ip_tables")
    expect_firewall()
    said = [line for line in log if FELL_BACK in line]
    expect_equal(len(said), 1, f"sentences in the log: {log}")
    expect_in(reason, said[0], "the sentence")


@test
def another_kernel() -> None:
    """Without our modules: all tables of both families, those that the kernel itself asks for too."""
    with nothing_loaded(), aside(*(f"{OURS}/{name}.ko" for name in ("bpfilter", "bpfilter_umh", "stap"))):
        expect_fallback("Module bpfilter not found")
        for table in TABLES:
            for command, prefix in zip(FAMILIES, ("ip", "ip6")):
                must(command, "-t", table, "-L")
                expect(loaded(f"{prefix}table_{table}"), f"{prefix}table_{table} is not loaded")


@test
def refused() -> None:
    with nothing_loaded(), of_another_kernel(f"{OURS}/bpfilter.ko"):
        expect_fallback("could not insert 'bpfilter'")


@test
def helper_missing() -> None:
    """bpfilter can be loaded, but nobody would answer."""
    with nothing_loaded(), aside(f"{OURS}/bpfilter_umh.ko"):
        expect_fallback("Module bpfilter_umh not found")


@test
def helper_refused() -> None:
    with nothing_loaded(), of_another_kernel(f"{OURS}/bpfilter_umh.ko"):
        expect_fallback("could not insert 'bpfilter_umh'")


@test
def script_missing() -> None:
    """Half an installation: the lines of modprobe.d are enough."""
    with nothing_loaded(), aside("/usr/libexec/bpfilter-modprobe"):
        for command in FAMILIES:
            expect_equal(run(f"{command}-restore", stdin=RULES).status, 0, f"status of {command}-restore")
        expect(loaded("iptable_filter") and not loaded("bpfilter"), "the rules are not those of ip_tables")
        expect_firewall()


@test
def in_use() -> None:
    """bpfilter has rules; its helper's module has gone, or our script: ip_tables stays out all the same."""
    with nothing_loaded():
        must("iptables-legacy-restore", stdin=RULES)
        must("modprobe", "-r", "bpfilter_umh")
        for missing in (f"{OURS}/bpfilter_umh.ko", "/usr/libexec/bpfilter-modprobe"):
            with aside(missing):
                for module in ("ip_tables", "ip6table_nat"):
                    expect_equal(run("modprobe", module).status, 0, f"status of modprobe {module}")
            expect(loaded("bpfilter") and not loaded("ip_tables") and not loaded("ip6_tables"),
                   f"without {missing}: ip_tables is loaded")
            expect_firewall(("iptables-legacy",))


@test
def one_at_a_time() -> None:
    with nothing_loaded():
        with open("/usr/libexec/bpfilter-modprobe", "rb") as script:
            fcntl.flock(script, fcntl.LOCK_EX)
            asking = subprocess.Popen(["modprobe", "ip_tables"])
            wait_for(lambda: run("pgrep", "-x", "flock").status == 0, "it to wait for the lock")
            expect(not loaded("bpfilter"), "somebody did not wait")
        expect_equal(asking.wait(), 0, "status")
        expect(loaded("bpfilter"), "bpfilter is not loaded")


@test
def at_the_same_time() -> None:
    """Many who ask at once get the same, whichever that is."""
    with nothing_loaded(), aside(f"{OURS}/bpfilter_umh.ko"):
        modules = [f"{prefix}table_{table}" for table in TABLES for prefix in ("ip", "ip6")]
        asking = [subprocess.Popen(["modprobe", module]) for module in modules]
        expect_equal([one.wait() for one in asking], [0] * len(asking), "statuses")
        expect(all(map(loaded, modules)) and not loaded("bpfilter"), "some got another")


@test
def nothing_fits() -> None:
    """Neither bpfilter nor ip_tables can be had: an error in the end, not a loop."""
    stock = [f"{MODULES}/kernel/net/{family}/netfilter/{name}.ko"
             for family, name in (("ipv4", "ip_tables"), ("ipv6", "ip6_tables"))]
    with nothing_loaded(), aside(f"{OURS}/bpfilter.ko", *stock):
        for module in ("ip_tables", "iptable_filter", "ip6table_nat"):
            done = subprocess.run(["modprobe", module], capture_output=True, text=True, timeout=60)
            expect(done.returncode != 0, f"modprobe {module} succeeded")
        for command in FAMILIES:
            done = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=60)
            expect_equal(done.returncode, 3, f"{command}: {done.stderr}")
            expect_in("(do you need to insmod?)", done.stderr, command)


@test
def who_came_first_stays() -> None:
    """Rules in ip_tables, of another table each time, after bpfilter has become loadable."""
    with nothing_loaded():
        with aside(f"{OURS}/bpfilter.ko"):
            must("iptables-legacy-restore", stdin=RULES)
        log = log_of("nat", "iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-j", "ACCEPT")
        log += log_of("restore", "ip6tables-legacy-restore", stdin=RULES)
        expect(loaded("iptable_nat") and loaded("ip6table_filter") and not loaded("bpfilter"), "not ip_tables'")
        expect_firewall()
        expect_equal(log, [], "kernel log")
        must("iptables-legacy", "-t", "nat", "-F")


def said_of_nft() -> list[str]:
    """What loading bpfilter says about iptables-nft."""
    unload()
    log = [line for line in log_of("modprobe", "modprobe", "bpfilter") if "-nft" in line]
    unload()
    return log


@test
def rules_of_iptables_nft() -> None:
    """They never come to bpfilter, and who loads it then is told."""
    with nothing_loaded():
        must("nft", "flush", "ruleset")
        expect_equal(said_of_nft(), [], "log without any rules")
        must("nft", "add table ip filter; add chain ip filter input { type filter hook input priority 0; };"
             "add table inet nat; add chain inet nat INPUT { type filter hook input priority 0; };"
             "add table ip firewall; add chain ip firewall INPUT { type filter hook input priority 0; };"
             "add table ip mangle; add chain ip mangle INPUT { type filter hook output priority 0; }")
        expect_equal(said_of_nft(), [], "log with tables that nft has, but not from iptables")
        for rule, prefix in (("-A OUTPUT -d 192.0.2.1 -j DROP", "ip"), ("-t mangle -A POSTROUTING -j ACCEPT", "ip"),
                             ("-t raw -A PREROUTING -j ACCEPT", "ip6"), ("-A FORWARD -j DROP", "ip6")):
            must("nft", "flush", "ruleset")
            must(f"{prefix}tables-nft", *rule.split())
            log = said_of_nft()
            expect_equal(len(log), 1, f"sentences with {prefix}tables-nft {rule}")
            expect_in(f"update-alternatives --set {prefix}tables /usr/sbin/{prefix}tables-legacy", log[0], "sentence")
        must("nft", "flush", "ruleset")


@test
def options_are_passed_on() -> None:
    with nothing_loaded(), aside(f"{OURS}/bpfilter.ko"):
        must("modprobe", "iptable_filter", "forward=0")
        expect_in("-P FORWARD DROP", must("iptables-legacy", "-S").splitlines(), "policies")
    with nothing_loaded():
        must("modprobe", "iptable_filter", "forward=0")
        expect(loaded("bpfilter") and not loaded("ip_tables"), "not bpfilter")


if __name__ == "__main__":
    main()
