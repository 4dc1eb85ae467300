#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The command iptables, and what it prints; iptables-save and iptables-restore are in iptables_restore.py.

For IPv6 those whose way through the socket options or through our tables is another.
"""

import fcntl
import os
import subprocess
import time

from lib import iptables as tables
from lib.check import expect, expect_equal, expect_in, main, test, test4, wait_for
from lib.family import current
from lib.iptables import IPTABLES, RESTORE, Counter, Counters, iptables, must, rules, run, try_iptables
from lib.netns import CLONE_NEWNET, unshare
from lib.system import open_files

unshare(CLONE_NEWNET)
FAMILY = current()


def empty(*lines: str) -> None:
    tables.restore(*lines)


def refused(arguments: str, status: int, message: str) -> None:
    before = tables.save()
    done = try_iptables(arguments)
    expect_equal(done.status, status, f"status of iptables {arguments} ({done.errors.strip()})")
    expect_in(message, done.errors, f"iptables {arguments}")
    expect_equal(tables.save(), before, f"rules after iptables {arguments}")


# Listing

@test
def list_empty() -> None:
    empty()
    head = "target     prot opt source               destination         "
    expect_equal(iptables("-L").splitlines(),
                 ["Chain INPUT (policy ACCEPT)", head, "", "Chain FORWARD (policy ACCEPT)", head, "",
                  "Chain OUTPUT (policy ACCEPT)", head], "iptables -L")


@test4
def list_formats() -> None:
    empty("-A INPUT -s 192.0.2.1 -i lo -j DROP", "-A INPUT -p tcp -d 198.51.100.0/24 --dport 22 -j ACCEPT",
          "-A INPUT -j user", "-A user -g other", "-A other")
    listing = iptables("-L INPUT -n -v -x").splitlines()
    expect_equal(listing[0], "Chain INPUT (policy ACCEPT 0 packets, 0 bytes)", "head")
    expect_equal(listing[2].split(), ["0", "0", "DROP", listing[2].split()[3], "--", "lo", "*",
                                      "192.0.2.1", "0.0.0.0/0"], "-v")
    expect_in("tcp dpt:22", listing[3], "match")
    numbered = iptables("-L INPUT -n --line-numbers").splitlines()
    expect_equal([line.split()[0] for line in numbered[2:]], ["1", "2", "3"], "--line-numbers")
    expect_in("[goto] ", iptables("-L user"), "goto")
    expect_in("Chain user (1 references)", iptables("-L user"), "references")
    expect_equal(len(iptables("-L INPUT 2 -n").splitlines()), 1, "one rule only")


@test4
def list_specification() -> None:
    empty("-A INPUT ! -s 192.0.2.1 -i eth+ -p udp ! --sport 1:9 -f -j user", "-A user -j RETURN")
    expect_equal(iptables("-S").splitlines(),
                 ["-P INPUT ACCEPT", "-P FORWARD ACCEPT", "-P OUTPUT ACCEPT", "-N user",
                  "-A INPUT ! -s 192.0.2.1/32 -i eth+ -p udp -f -m udp ! --sport 1:9 -j user",
                  "-A user -j RETURN"], "-S")
    expect_equal(iptables("-S user").splitlines(), ["-N user", "-A user -j RETURN"], "-S user")
    expect_equal(iptables("-S INPUT 1").splitlines(),
                 ["-A INPUT ! -s 192.0.2.1/32 -i eth+ -p udp -f -m udp ! --sport 1:9 -j user"], "-S INPUT 1")


EVERYTHING = [
    "-s 192.0.2.1/32 -j DROP", "! -s 192.0.2.0/24 -j DROP", "-d 198.51.100.128/25 -j ACCEPT",
    "-s 192.0.2.0/255.0.255.0 -j DROP", "-i eth0 -j DROP", "! -i eth+ -j DROP", "-i + -j ACCEPT",
    "-p tcp -j ACCEPT", "! -p udp -j ACCEPT", "-p 200 -j DROP",
    "-p tcp -m tcp --sport 1:1023 ! --dport 80 --tcp-flags FIN,SYN,RST,ACK SYN -j DROP",
    "-p tcp -m tcp ! --tcp-flags FIN,PSH,URG NONE -j DROP", "-p tcp -m tcp --tcp-option 2 -j DROP",
    "-p tcp -m tcp ! --tcp-option 8 -j DROP", "-p udp -m udp ! --sport 53 --dport 1024:65535 -j RETURN",
    "-p tcp -m tcp -j DROP", "-p udp -m udp", "-j ACCEPT", "-j DROP", "-j RETURN", "-j user", "-g user", "",
]
EVERYTHING += [
    "-f -j DROP", "! -f -j DROP", "-p icmp -m icmp --icmp-type 8 -j ACCEPT",
    "-p icmp -m icmp --icmp-type 3/1 -j ACCEPT", "-p icmp -m icmp ! --icmp-type 11/0 -j ACCEPT",
    "-p icmp -m icmp --icmp-type any -j ACCEPT",
] if FAMILY.number == 4 else [
    "-s 2001:db8::/32 -d 2001:db8:0:1::/65 -j DROP", "-s ::/ffff::ffff -j DROP", "-d ff02::1/128 -j ACCEPT",
    "-p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT", "-p ipv6-icmp -m icmp6 ! --icmpv6-type 1/3 -j ACCEPT",
    "-m ipv6header --header hop-by-hop,ipv6-frag --soft -j DROP", "-m ipv6header ! --header ah -j DROP",
    "-m frag --fragid 1:20 --fragres --fragfirst -j DROP", "-m frag ! --fragid 7 --fraglast -j DROP",
    "-m hbh --hbh-len 8 --hbh-opts 5:2,1 -j DROP", "-m dst ! --dst-len 16 -j DROP",
    "-m rt --rt-type 2 ! --rt-segsleft 1:3 --rt-len 24 -j DROP",
    "-m rt --rt-type 0 --rt-0-res --rt-0-addrs 2001:db8::1,2001:db8::2 --rt-0-not-strict -j DROP",
    "-m ah --ahspi 1:500 ! --ahlen 24 --ahres -j DROP", "-m eui64 -j DROP", "-m hl --hl-eq 5 -j DROP",
    "-m hl ! --hl-eq 255 -j DROP", "-m hl --hl-lt 3", "-p mobility-header -m mh --mh-type 5 -j DROP",
    "-p mobility-header -m mh ! --mh-type 1:4 -j DROP",
]


@test
def round_trip_of_every_rule() -> None:
    """What is saved is what was given, for everything that can be asked."""
    given = [FAMILY.text(rule.replace("-i + ", "") if rule.startswith("-i +") else rule) for rule in EVERYTHING]
    empty(*(f"-A INPUT {rule}" for rule in EVERYTHING), "-A user -j RETURN")
    for seen, wanted in zip(rules("INPUT"), given, strict=True):
        expect_equal(seen, wanted, "-S INPUT")
    first = tables.save()
    must(RESTORE, stdin="\n".join(first) + "\n")
    expect_equal(tables.save(), first, "saved, restored, saved")


# Rules

@test
def append_and_insert() -> None:
    empty()
    for arguments in ("-A INPUT -s 192.0.2.2 -j DROP", "-I INPUT -s 192.0.2.1 -j DROP",
                      "-I INPUT 2 -s 192.0.2.9 -j DROP", "-A INPUT -s 192.0.2.3 -j DROP",
                      "-I INPUT 5 -s 192.0.2.4 -j DROP"):
        iptables(arguments)
    expect_equal([rule.split()[1] for rule in rules("INPUT")],
                 [FAMILY.host(f"192.0.2.{host}") for host in (1, 9, 2, 3, 4)], "order")
    refused("-I INPUT 7 -j DROP", 1, "Index of insertion too big")


@test4
def append_several_addresses() -> None:
    empty()
    iptables("-A FORWARD -s 192.0.2.1,192.0.2.2 -d 198.51.100.1,198.51.100.2 -j DROP")
    expect_equal(len(rules("FORWARD")), 4, "rules")


@test
def delete() -> None:
    empty(*(f"-A INPUT -s 192.0.2.{host} -j DROP" for host in range(1, 6)))
    iptables("-D INPUT 2")
    iptables("-D INPUT -s 192.0.2.4 -j DROP")
    expect_equal([rule.split()[1] for rule in rules("INPUT")],
                 [FAMILY.host(f"192.0.2.{host}") for host in (1, 3, 5)], "left")
    refused("-D INPUT 4", 1, "Index of deletion too big")
    refused("-D INPUT -s 192.0.2.4 -j DROP", 1, "Bad rule")
    refused("-D INPUT -s 192.0.2.5 -j ACCEPT", 1, "Bad rule")
    refused("-D nosuch 1", 1, "No chain/target/match by that name")


@test4
def delete_compares_matches() -> None:
    empty("-A INPUT -p tcp --dport 80 -j DROP", "-A INPUT -p tcp --dport 81 -j DROP",
          "-A INPUT -p icmp --icmp-type 8 -j DROP")
    iptables("-D INPUT -p tcp --dport 81 -j DROP")
    refused("-D INPUT -p tcp --dport 82 -j DROP", 1, "Bad rule")
    iptables("-D INPUT -p icmp --icmp-type 8 -j DROP")
    expect_equal(rules("INPUT"), ["-p tcp -m tcp --dport 80 -j DROP"], "left")


@test
def replace() -> None:
    empty(*(f"-A INPUT -s 192.0.2.{host} -j DROP" for host in range(1, 4)))
    iptables("-R INPUT 2 -p tcp --dport 22 -j ACCEPT")
    expect_equal(rules("INPUT")[1], "-p tcp -m tcp --dport 22 -j ACCEPT", "rule 2")
    refused("-R INPUT 4 -j DROP", 1, "Index of replacement too big")


@test4
def check() -> None:
    empty("-A INPUT -s 192.0.2.1 -p tcp --dport 22 -j DROP")
    iptables("-C INPUT -s 192.0.2.1 -p tcp --dport 22 -j DROP")
    refused("-C INPUT -s 192.0.2.1 -p tcp --dport 23 -j DROP", 1, "Bad rule")
    refused("-C FORWARD -s 192.0.2.1 -p tcp --dport 22 -j DROP", 1, "Bad rule")


@test4
def flush() -> None:
    empty("-A INPUT -j DROP", "-A FORWARD -j user", "-A user -j DROP")
    iptables("-F INPUT")
    expect_equal((rules("INPUT"), len(rules("FORWARD"))), ([], 1), "after -F INPUT")
    iptables("-F")
    expect_equal((rules("FORWARD"), rules("user")), ([], []), "after -F")
    expect_in("-N user", iptables("-S"), "chains stay")
    refused("-F nosuch", 1, "No chain/target/match by that name")


# Chains

@test4
def new_chain() -> None:
    empty()
    iptables("-N one")
    expect_in("-N one", iptables("-S"), "-S")
    refused("-N one", 1, "Chain already exists")
    refused("-N INPUT", 1, "Chain already exists")
    longest = "x" * 28
    iptables(f"-N {longest}")
    iptables(f"-A {longest} -j DROP")
    expect_in(f"-N {longest}", iptables("-S"), "-S")
    refused(f"-N {'x' * 29}", 2, "too long")


@test4
def delete_chain() -> None:
    empty("-A FORWARD -j one", "-A one -j two", "-A two -j DROP", "-A three")
    refused("-X one", 1, "Too many links")
    iptables("-F FORWARD")
    refused("-X one", 1, "Directory not empty")
    refused("-X nosuch", 1, "No chain/target/match by that name")
    iptables("-F")
    iptables("-X two")
    iptables("-X")
    expect_equal(iptables("-S").count("-N"), 0, "chains")


@test
def rename_chain() -> None:
    empty("-A FORWARD -j one", "-A one -s 192.0.2.1 -j two", "-A two -j DROP")
    iptables("-E one eleven")
    expect_equal(rules("FORWARD"), ["-j eleven"], "the jump follows")
    expect_equal(rules("eleven"), [FAMILY.text("-s 192.0.2.1/32 -j two")], "rules")
    refused("-E eleven two", 1, "File exists")
    refused("-E nosuch any", 1, "No chain/target/match by that name")
    iptables("-E eleven zz")  # behind the other in the order of names
    expect_equal(rules("FORWARD"), ["-j zz"], "the jump follows again")


@test4
def policies() -> None:
    empty()
    iptables("-P FORWARD DROP")
    expect_in("-P FORWARD DROP", iptables("-S FORWARD"), "-S")
    iptables("-P FORWARD ACCEPT")
    expect_in("-P FORWARD ACCEPT", iptables("-S FORWARD"), "-S")
    iptables("-N user")
    refused("-P user DROP", 1, "Bad built-in chain name")
    refused("-P INPUT REJECT", 1, "Bad policy name")


@test4
def loops() -> None:
    empty("-A one -j two", "-A two -j one", "-A self -j self")  # nothing leads there: accepted
    refused("-A INPUT -j one", 1, "Too many levels of symbolic links")
    refused("-A INPUT -g self", 1, "Too many levels of symbolic links")
    iptables("-D two 1")
    iptables("-A INPUT -j one")


# Counters; those that traffic makes are in counters.py

@test
def set_counters() -> None:
    empty()
    iptables("-A INPUT -s 192.0.2.1 -c 7 700 -j DROP")
    iptables("-I INPUT -s 192.0.2.2 -c 18446744073709551615 5 -j DROP")
    expect_equal(Counters().rules["INPUT"], [Counter(2 ** 64 - 1, 5), Counter(7, 700)], "counters")
    iptables("-R INPUT 2 -s 192.0.2.1 -c 8 800 -j DROP")
    iptables("-A INPUT -s 192.0.2.3 -j DROP")
    expect_equal(Counters().rules["INPUT"], [Counter(2 ** 64 - 1, 5), Counter(8, 800), Counter(0, 0)],
                 "counters kept while rules change")
    iptables("-P INPUT ACCEPT -c 3 4")
    expect_equal(Counters().policy["INPUT"], Counter(3, 4), "policy")


@test
def zero_counters() -> None:
    empty()
    for host in range(1, 4):
        iptables(f"-A INPUT -s 192.0.2.{host} -c {host} {host} -j DROP")
    iptables("-A FORWARD -c 9 9 -j DROP")
    iptables("-Z INPUT 2")
    expect_equal(Counters().rules["INPUT"], [Counter(1, 1), Counter(0, 0), Counter(3, 3)], "-Z INPUT 2")
    iptables("-Z INPUT")
    expect_equal(Counters().rules["INPUT"], [Counter(0, 0)] * 3, "-Z INPUT")
    expect_equal(Counters().rules["FORWARD"], [Counter(9, 9)], "the other chain")
    listing = must(IPTABLES, "-L", "FORWARD", "-Z", "-v", "-n", "-x")
    expect_equal(listing.splitlines()[2].split()[:2], ["9", "9"], "-L -Z shows them a last time")
    expect_equal(Counters().rules["FORWARD"], [Counter(0, 0)], "-L -Z")
    refused("-Z INPUT 9", 1, "Index of counter too big")


# Errors

@test4
def what_the_command_refuses() -> None:
    empty()
    refused("-A INPUT -o eth0", 2, "Can't use -o with INPUT")
    refused("-A OUTPUT -i eth0", 2, "Can't use -i with OUTPUT")
    refused("-A INPUT -j nosuchtarget", 2, "Couldn't load target")
    refused("-A INPUT -m nosuchmatch", 2, "Couldn't load match")
    refused("-A INPUT -p tcp --dport 70000 -j DROP", 2, "70000")
    refused("-A nosuch -j DROP", 1, "No chain/target/match by that name")
    refused("-L nosuch", 1, "No chain/target/match by that name")


@test
def what_the_kernel_refuses() -> None:
    empty("-A INPUT -s 192.0.2.1 -j DROP")
    refused("-A INPUT -p udp -m tcp --dport 1 -j DROP", 1, "Invalid argument")
    refused("-A INPUT -m tcp --dport 1 -j DROP", 1, "Invalid argument")
    refused("-A INPUT ! -p tcp -m tcp --dport 1 -j DROP", 1, "Invalid argument")
    icmp = "-m icmp --icmp-type 8" if FAMILY.number == 4 else "-m icmp6 --icmpv6-type 128"
    refused(f"-A INPUT {icmp} -j DROP", 1, "Invalid argument")
    if FAMILY.number == 6:
        refused("-A OUTPUT -m eui64 -j DROP", 1, "Invalid argument")
        refused("-A INPUT -m mh --mh-type 5 -j DROP", 1, "Invalid argument")


@test
def unknown_table() -> None:
    done = try_iptables("-t nosuch -L")
    expect_equal(done.status, 3, "status")
    expect_in("Table does not exist", done.errors, "message")


# Several at a time

@test4
def lock_is_waited_for() -> None:
    empty()
    with open("/run/xtables.lock", "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run(IPTABLES, "-w", "1", "-A", "INPUT", "-j", "DROP")
        expect_equal(done.status, 4, "status without the lock")
        expect_in("lock", done.errors, "message")
        with subprocess.Popen([IPTABLES, "-w", "60", "-A", "INPUT", "-j", "DROP"]) as waiting:
            wait_for(lambda: "/run/xtables.lock" in open_files(waiting.pid), "iptables to ask for the lock")
            expect_equal(waiting.poll(), None, "still waiting")
            fcntl.flock(lock, fcntl.LOCK_UN)
            expect_equal(waiting.wait(), 0, "status with the lock")
    expect_equal(rules("INPUT"), ["-j DROP"], "rules")


@test4
def many_at_once() -> None:
    """Twenty commands in parallel, none lost."""
    empty()
    start = time.monotonic()
    running = [subprocess.Popen([IPTABLES, "-w", "-A", "INPUT", "-s", f"192.0.2.{host}", "-j", "DROP"])
               for host in range(20)]
    expect_equal([one.wait() for one in running], [0] * 20, "status")
    expect_equal(sorted(rules("INPUT")), sorted(f"-s 192.0.2.{host}/32 -j DROP" for host in range(20)), "rules")
    expect(time.monotonic() - start < 300, "twenty commands took five minutes")


@test4
def many_at_once_without_the_lock() -> None:
    """What the lock does not cover (another mount namespace) the EAGAIN logic must."""
    empty()
    running = []
    for host in range(10):
        environment = {**os.environ, "XTABLES_LOCKFILE": f"/run/xtables.lock.{host}"}
        running.append(subprocess.Popen([IPTABLES, "-w", "-A", "INPUT", "-s", f"192.0.2.{host}", "-j", "DROP"],
                                        env=environment, stderr=subprocess.DEVNULL))
    status = [one.wait() for one in running]
    # 4: somebody else was faster. 1: so it was, but between the rule and its counters.
    expect(set(status) <= {0, 1, 4}, f"status {status}")
    seen = {int(rule.split(".")[3].split("/")[0]) for rule in rules("INPUT")}
    expect({host for host in range(10) if status[host] == 0} <= seen, f"rules of {seen}, status {status}")
    expect(all(status[host] in (0, 1) for host in seen), f"rules of {seen}, status {status}")
    expect(seen, "nobody came through")
    for host in range(10):
        os.unlink(f"/run/xtables.lock.{host}")


if __name__ == "__main__":
    main()
