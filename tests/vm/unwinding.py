#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One thing that the modules ask the kernel for is refused: all that was had before is given back.

Each test names a function of the kernel that fails, and which of its calls; that it was made is seen.
"""

import errno
import os
import socket

from lib import family, helper, module, options, system, tap
from lib import iptables as tables
from lib.calls import EBUSY, ENOMEM, failing
from lib.check import Skip, expect, expect_equal, expect_in, main, test, wait_for
from lib.iptables import Counters, iptables, must, run, track
from lib.netns import Namespace
from lib.tcp import connection

def prepare() -> None:
    """What the modules need is there, they are not."""
    module.fresh()
    module.unload()
    if module.loaded("stap"):
        tap.unload()
    for name in ("x_tables", "ip6t_hbh", "ip6t_ah", "nf_nat"):
        must("modprobe", name)


# Loading bpfilter

def does_not_load(symbol: str, nth: int = 1, error: int = ENOMEM, says: str = "Cannot allocate memory") -> None:
    """It says why; nothing is left; it loads the next time, and works."""
    prepare()
    with failing(symbol, nth, error=error):
        done = run("modprobe", "bpfilter")
    expect(done.status != 0 and says in done.errors, f"modprobe, {symbol}: {done.status}, {done.errors.strip()}")
    module.nothing_left()
    for kernels_own in ("ip_tables", "ip6_tables"):  # they find that all has been given back
        must("modprobe", "-C", "/dev/null", kernels_own)
        must("modprobe", "-C", "/dev/null", "-r", kernels_own)
    module.load()
    tables.restore("-A INPUT -s 192.0.2.1 -j DROP")
    tables.restore(family=family.V6)
    expect_equal(len(iptables("-S").splitlines()), 4, "rules")
    iptables("-F")


@test
def no_skb_for_the_first_quirk() -> None:
    does_not_load("__alloc_skb", error=0)


@test
def no_skb_for_the_second_quirk() -> None:
    does_not_load("__alloc_skb", 2, error=0)


@test
def no_workqueue() -> None:
    does_not_load("alloc_workqueue", error=0)


@test
def no_namespaces() -> None:
    does_not_load("register_pernet_subsys")


@test
def no_news_of_devices() -> None:
    does_not_load("register_netdevice_notifier")


@test
def no_news_of_addresses() -> None:
    does_not_load("register_inetaddr_notifier")


@test
def no_news_of_modules() -> None:
    does_not_load("register_module_notifier")


@test
def no_targets() -> None:
    does_not_load("xt_register_targets")


@test
def no_matches() -> None:
    """On kernels where icmp and icmp6 are ip_tables'."""
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 4):
        raise Skip("xt_tcpudp has icmp and icmp6 on this kernel")
    does_not_load("xt_register_matches")


@test
def no_socket_options_of_ipv4() -> None:
    does_not_load("nf_register_sockopt", says="Cannot allocate memory")


@test
def no_socket_options_of_ipv6() -> None:
    does_not_load("nf_register_sockopt", 2)


@test
def no_files() -> None:
    does_not_load("register_pernet_subsys", 2)


# A helper

def get_info(table: str, one: family.Family = family.V4) -> str:
    """OK, or its errno."""
    answer = options.getsockopt(options.GET_INFO, options.name(table).ljust(84, b"\0"), socket.AddressFamily(one.af))[0]
    return errno.errorcode[answer] if answer else "OK"


def helper_does_not_start(symbol: str, error: int) -> None:
    """Who asked is told; soon after, one starts."""
    module.fresh()
    module.unload()
    module.load()
    with failing(symbol, error=error):
        expect_equal(get_info("filter"), "ENOMEM", "GET_INFO")
    wait_for(lambda: get_info("filter") == "OK", "GET_INFO to work")
    module.unload()
    module.nothing_left()
    module.load()


@test
def no_file_for_its_image() -> None:
    helper_does_not_start("shmem_file_setup", ENOMEM)


@test
def no_pipe() -> None:
    helper_does_not_start("anon_inode_getfile", ENOMEM)


@test
def no_process() -> None:
    helper_does_not_start("call_usermodehelper_setup", 0)


# A table's first contents

def table_is_not_made(symbol: str, nth: int, table: str, one: family.Family) -> None:
    """The caller is told; no hook is left; the next one gets its table."""
    module.fresh()
    must("modprobe", "nf_nat")
    iptables("-L")
    helper.one()
    space = Namespace("fresh", ipv6=True)
    try:
        with space:
            before = {kind: len(module.objects(kind)) for kind in ("prog", "map")}
            with failing(symbol, nth):
                expect_equal(get_info(table, one), "ENOMEM", "GET_INFO")
            with open(f"/proc/net/{one.proc}_tables_names", encoding="ascii") as file:
                expect_equal(file.read(), "", "tables")
            for kind, count in before.items():
                wait_for(lambda: len(module.objects(kind)) <= count,  # pylint: disable=cell-var-from-loop
                         f"no more than {count} {kind}s")
            must("ip", "link", "set", "lo", "up")
            track()
            ping = ("ping", "-c", "1", "-W", "9", "127.0.0.1" if one.number == 4 else "::1")
            must(*ping)
            iptables(f"-t {table} -A OUTPUT -o lo -j ACCEPT", one)
            must(*ping)
            expect(Counters(table=table, family=one).rules["OUTPUT"][0].packets, "the new table does not count")
    finally:
        space.delete()


@test
def first_hook_of_filter() -> None:
    table_is_not_made("nf_register_net_hook", 1, "filter", family.V4)


@test
def last_hook_of_filter() -> None:
    table_is_not_made("nf_register_net_hook", 3, "filter", family.V6)


@test
def first_hook_of_nat() -> None:
    table_is_not_made("nf_nat_ipv4_register_fn", 1, "nat", family.V4)


@test
def last_hook_of_nat() -> None:
    table_is_not_made("nf_nat_ipv6_register_fn", 4, "nat", family.V6)


# A namespace

def namespace_is_not_made(symbol: str, nth: int, error: int) -> None:
    module.fresh()
    iptables("-L")
    with failing(symbol, nth, error=error):
        done = run("ip", "netns", "add", "refused")
    expect(done.status != 0, "the namespace was made")
    expect_in("Cannot allocate memory", done.errors, "the reason")
    run("ip", "netns", "delete", "refused")
    must("ip", "netns", "add", "granted")
    for one in family.BOTH:
        for name in ("names", "matches", "targets"):
            must("ip", "netns", "exec", "granted", "cat", f"/proc/net/{one.proc}_tables_{name}")
    must("ip", "netns", "exec", "granted", family.V6.iptables, "-S")
    must("ip", "netns", "delete", "granted")


@test
def files_of_the_first_family() -> None:
    namespace_is_not_made("xt_proto_init", 1, ENOMEM)


@test
def files_of_the_second_family() -> None:
    namespace_is_not_made("xt_proto_init", 2, ENOMEM)


@test
def names_of_the_first_family() -> None:
    namespace_is_not_made("proc_create_net_single", 1, 0)


@test
def names_of_the_second_family() -> None:
    namespace_is_not_made("proc_create_net_single", 2, 0)


# Loading stap

def stap_does_not_load(symbol: str, nth: int, error: int, says: str) -> None:
    prepare()
    with failing(symbol, nth, error=error, caller="stap"):
        done = run("modprobe", "stap", "so_ulp=0")
    expect(done.status != 0 and says in done.errors, f"modprobe, {symbol}: {done.status}, {done.errors.strip()}")
    expect(not module.loaded("stap"), "it is there")
    must("modprobe", "stap", "so_ulp=0")
    with connection() as (one, other):
        tap.tap(one, tap.Programs())
        other.sendall(b"x")
        expect_equal(one.recv(2), b"x", "through a tap")
    tap.unload()


@test
def stap_without_a_workqueue() -> None:
    stap_does_not_load("alloc_workqueue", 1, 0, "Cannot allocate memory")


@test
def stap_without_views() -> None:
    """For the second processor, so that the first one's is given back."""
    stap_does_not_load("__alloc_skb", 2, 0, "Cannot allocate memory")


@test
def stap_without_its_name() -> None:
    stap_does_not_load("tcp_register_ulp", 1, EBUSY, "Device or resource busy")


@test
def stap_without_its_option() -> None:
    stap_does_not_load("nf_register_sockopt", 1, ENOMEM, "Cannot allocate memory")


if __name__ == "__main__":
    system.load()
    main()
