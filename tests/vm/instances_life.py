#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""How long the kernel's own matches and targets live: as long as their rules, and no longer."""

import os
import signal

from lib import helper, iptables, packet, system
from lib.check import Skip, expect, expect_equal, main, test, wait_for
from lib.family import current
from lib.iptables import iptables as run
from lib.iptables import must, save
from lib.netns import Namespace
from lib.packet import MF, SYN, TCP, UDP, fragment_header, tcp, udp
from lib.router import TTL
from lib.scene import Scene
from lib.system import users

FAMILY = current()
scene = Scene()
router, wire, rules, counts, clean = scene.router, scene.wire, scene.rules, scene.counts, scene.clean
HERE, THERE = "10.1.0.7", "10.2.0.7"
SET_FAMILY = "inet6" if FAMILY.number == 6 else "inet"

# One of everything that holds something, by table. None is a built-in of ip_tables.
RULES = {
    "raw": ("-A PREROUTING -p udp --dport 99 -j CT --notrack", "-A PREROUTING -p tcp --dport 21 -j CT --helper ftp"),
    "mangle": ("-A FORWARD -j TEE --gateway 10.4.0.2", "-A FORWARD -p tcp --syn -j TCPMSS --clamp-mss-to-pmtu",
               "-A PREROUTING -m connmark --mark 1 -j CONNMARK --save-mark"),
    "nat": ("-A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 80", "-A POSTROUTING -o out0 -j MASQUERADE"),
    "filter": ("-A INPUT -m limit --limit 3/sec -j LOG --log-prefix life", "-A INPUT -j REJECT",
               "-A INPUT -m recent --name life --set", "-A FORWARD -m conntrack --ctstate NEW -j NFLOG --nflog-group 5",
               "-A FORWARD -m hashlimit --hashlimit-upto 5/sec --hashlimit-name life --hashlimit-mode srcip",
               "-A FORWARD -m set --match-set life src -j SET --add-set life dst",
               "-A OUTPUT -m owner --uid-owner 0 -m comment --comment life -j NFQUEUE --queue-num 5"),
}
# Of these rules; bpfilter may do without the modules of others.
CALLED = ("xt_limit", "ip6t_REJECT" if FAMILY.number == 6 else "ipt_REJECT", "xt_hashlimit", "xt_recent", "xt_set")


def all_rules() -> None:
    for table, lines in RULES.items():
        iptables.restore(*lines, table=table)


def no_rules() -> None:
    for table in RULES:
        iptables.restore(table=table)


def create(name: str) -> None:
    must("ipset", "create", name, "hash:ip", "family", SET_FAMILY)


def destroy(name: str) -> None:
    must("ipset", "destroy", name)


def loaded() -> dict[str, int]:
    """Users of the modules when all that the rules need have been loaded, and the rules are gone."""
    with router:
        create("life")
        iptables.run("modprobe", "nf_conntrack_ftp")
        all_rules()
        no_rules()
        destroy("life")
        found = users()
    if not found:
        raise Skip("this kernel has no modules")
    return found


@test
@clean
def modules_are_used_by_rules() -> None:
    """By all of them, in any order of going: flushed, replaced by others, deleted one by one."""
    before = loaded()
    with router:
        create("life")
        for way in ("-F", "restore", "-D"):
            all_rules()
            during = users()
            for name in CALLED:
                expect(during[name] > before[name], f"{name} has no user more while a rule asks for it")
            for table, lines in RULES.items():
                if way == "-F":
                    run(f"-t {table} -F")
                elif way == "restore":
                    iptables.restore(table=table)
                for line in lines if way == "-D" else ():
                    run(f"-t {table} -D{line[2:]}")
            if way == "-F":
                destroy("life")
                expect_equal(users(), before, "users afterwards")
                create("life")
        destroy("life")
        expect_equal(users(), before, "users in the end")


@test
@clean
def what_is_refused_holds_nothing() -> None:
    """An error in the last rule: all that was made for the others is gone again."""
    before = loaded()
    with router:
        create("life")
        for table in ("raw", "filter"):
            wrong = {"raw": "-A PREROUTING -p tcp -j CT --helper wrong", "filter": "-A INPUT -m nfacct --nfacct-name no"}
            text = FAMILY.text(iptables.ruleset(*RULES[table], wrong[table], table=table))
            for _ in range(3):
                expect_equal(iptables.run(iptables.RESTORE, stdin=text).status, 1, f"{table} with an error")
        destroy("life")
        expect(not os.path.exists("/proc/self/net/xt_recent/life"), "a list of recent is there")
        after = users()
        expect_equal({name: after[name] for name in before}, before, "users")


@test
@clean
def namespace_ends() -> None:
    """With all rules in force, and nobody to delete them."""
    before = loaded()
    for _ in range(3):
        space = Namespace("life", ipv6=True)
        with space:
            create("life")
            all_rules()
        space.delete()
    wait_for(lambda: users() == before, "the users of the namespaces to go", 60)


@test
@clean
def set_is_free_when_its_rule_is_gone() -> None:
    """When iptables -D is back nothing holds the set any more: a hundred times."""
    with router:
        for number in range(100):
            create(f"life{number}")
            rule = f"INPUT -p tcp -m set --match-set life{number} src -j DROP"
            run(f"-A {rule}")
            run(f"-D {rule}")
            destroy(f"life{number}")


@test
@clean
def set_stays_while_it_is_asked_for() -> None:
    """By any of two rules, in two tables."""
    with router:
        create("life")
        run("-A INPUT -m set --match-set life src")
        run("-t mangle -A INPUT -m set --match-set life src")
        for what in ("-D INPUT 1", "-t mangle -D INPUT 1"):
            done = iptables.run("ipset", "destroy", "life")
            expect_equal(done.status, 1, f"destroyed before {what}: status")
            run(what)
        destroy("life")


# What rules switch on

def known(port: int) -> bool:
    """Whether there is a connection to this port."""
    listing = iptables.run("conntrack", "-L", "-f", f"ipv{FAMILY.number}", "-p", "udp", "--dport", str(port))
    return f"dport={port}" in listing.output


def tracked(port: int) -> bool:
    """Whether a datagram to this port is seen by connection tracking."""
    wire.send("in0", [packet.ip(HERE, THERE, UDP, udp(1024, port), ttl=TTL)])
    with router:
        return known(port)


@test
@clean
def tracking_is_on_while_it_is_asked_for() -> None:
    """From the first rule on that needs it, to the last; tables that are only there need nothing."""
    port = 7000
    with router:
        for table in ("raw", "mangle", "nat", "filter", "security"):
            run(f"-t {table} -L -n")
            iptables.restore("-A OUTPUT -p udp", table=table)
    expect(not tracked(port), "connections are tracked without a rule about them")
    for table, line in (("filter", "FORWARD -m conntrack --ctstate NEW"), ("filter", "FORWARD -m state --state NEW"),
                        ("mangle", "FORWARD -j CONNMARK --save-mark"), ("nat", "PREROUTING -p tcp -j REDIRECT"),
                        ("nat", "POSTROUTING -p tcp -j MASQUERADE"), ("raw", "OUTPUT -j CT --zone 7")):
        rules(f"-A {line}", table=table)
        expect(tracked(port + 1), f"not tracked: {line}")
        rules(f"-A {line}", f"-A {line}", table=table)
        with router:
            run(f"-t {table} -D {line}")
        expect(tracked(port + 2), f"not tracked by the second of two: {line}")
        with router:
            run(f"-t {table} -D {line}")
        expect(not tracked(port + 3), f"tracked without a rule: {line}")
        port += 3


def pieces() -> list[bytes]:
    data = udp(1024, 53, b"x" * 24)
    if FAMILY.number == 6:
        ends = (FAMILY.address(HERE), FAMILY.address(THERE))
        return [packet.ipv6(*ends, UDP, data[16 * at:16 * at + 16], headers=[fragment_header(2 * at, at == 0, 9)],
                            ttl=TTL) for at in range(2)]
    return [packet.ip(HERE, THERE, UDP, data[16 * at:16 * at + 16], fragment=(MF, 2)[at], ident=9, ttl=TTL)
            for at in range(2)]


@test
@clean
def defragmentation_goes_with_it() -> None:
    later = "-m frag --fraglast" if FAMILY.number == 6 else "-f"
    for with_rule, expected in ((False, 1), (True, 0), (False, 1)):
        rules(f"-A FORWARD {later}", *(["-A FORWARD -m conntrack --ctstate NEW"] if with_rule else []))
        wire.send("in0", pieces())
        expect_equal(counts("FORWARD")[0], expected, f"later fragments, {'with' if with_rule else 'without'} tracking")


# The helper

def texts() -> list[str]:
    with router:
        return [line for line in save(table="", options="") if line.startswith(("*", "-A"))]


@test
@clean
def rules_go_on_without_the_helper() -> None:
    """It is killed: what is called goes on deciding, remembering and sending; and then it is there again."""
    system.only_ours()
    rules("-A PREROUTING -p udp --dport 8080 -j REDIRECT --to-ports 80", table="nat")
    rules("-A FORWARD -p udp --dport 53 -m limit --limit 1/hour --limit-burst 5 -j ACCEPT", "-A FORWARD -p udp -j DROP",
          "-A FORWARD -p tcp -j REJECT --reject-with tcp-reset")
    before = texts()
    datagram = packet.ip(HERE, THERE, UDP, udp(1024, 53), ttl=TTL)
    for number in range(3):
        wire.send("in0", [datagram])
        old = helper.one()
        helper.kill(signal.SIGKILL)
        wire.send("in0", [datagram])
        wait_for(lambda: old not in helper.all_alive(), "it to go")  # pylint: disable=cell-var-from-loop
        wire.send("in0", [datagram, packet.ip(HERE, THERE, TCP, tcp(1024, 80, SYN), ttl=TTL)])
        expect_equal(wire.one("in0").flags, packet.RST | packet.ACK, f"the answer after death {number}")
    expect_equal(len(wire.seen("out0")), 5, "delivered of nine")
    expect_equal(counts("FORWARD"), [5, 4, 3], "packets")
    expect_equal(texts(), before, "the rules")
    with router:
        run("-A FORWARD -p udp")
    wire.send("in0", [datagram] * 7)
    expect_equal(len(wire.seen("out0")), 5, "delivered after a replace")


if __name__ == "__main__":
    main()
