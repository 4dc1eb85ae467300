#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What becomes of the results of programs: include/bpfilter/context.h."""

import errno
import socket
import subprocess

from lib import fake
from lib.caller import fate, get_info, replace, works
from lib.check import expect_equal, main, test
from lib.netns import Namespace, sysctl


@test
def results() -> None:
    """DROP and ACCEPT, and QUEUE, with nobody at the queue. All else drops, whatever netfilter calls by that number."""
    fake.fresh()
    works()
    space = Namespace("results")
    space.ip(["link set lo up"])
    with space:
        known = {0: "dropped", 1: "passes", 3: "lost"}
        others = (2, 4, 5, 6, 255, 1 << 8 | 1, 1 << 16 | 1, 1 << 16 | 3, 1 << 31 | 1, -1, -errno.EPERM)
        for number in (*known, *others):
            fake.order(f"REPLACE verdict {number}")
            expect_equal(replace()[0], 0, f"a table with result {number}")
            # Lost is what does not come: that is waited for in vain.
            expect_equal(fate(1 if number == 3 else 20), known.get(number, "dropped"), f"result {number}")
    space.delete()


@test
def rerouting() -> None:
    """A packet that gets a mark at OUTPUT goes where its new route leads, if the hook is said to reroute."""
    fake.fresh()
    mark = 7
    for action, devices in (("mark", ["d0", "d0"]), ("mark_and_reroute", ["d1", "d1"])):
        fake.order(f"GET_INFO {action} {mark}")
        space = Namespace("routes")
        space.ip(["link add d0 type dummy", "link add d1 type dummy", "link set d0 up", "link set d1 up",
                  "address add 10.0.0.1/24 dev d0", "route add 192.0.2.0/24 dev d0",
                  "route add 192.0.2.0/24 dev d1 table 100", f"rule add fwmark {mark} lookup 100"])
        with space:
            sysctl("net/ipv6/conf/all/disable_ipv6", 0)
            sysctl("net/ipv6/conf/d0/disable_ipv6", 0)
            sysctl("net/ipv6/conf/d1/disable_ipv6", 0)
        space.ip(["address add fd00::1/64 dev d0 nodad", "route add 2001:db8::/64 dev d0",
                  "route add 2001:db8::/64 dev d1 table 100"])
        with space:
            subprocess.run(["ip", "-6", "rule", "add", "fwmark", str(mark), "lookup", "100"], check=True)
            left = [leaves_by(socket.AF_INET, "192.0.2.9"), leaves_by(socket.AF_INET6, "2001:db8::9")]
        expect_equal(left, devices, action)
        space.delete()


def leaves_by(family: socket.AddressFamily, address: str) -> str:
    """The device through which datagrams leave, once a table is in force."""
    expect_equal(get_info(family=family), 0, "GET_INFO")
    before = {device: sent_by(device) for device in ("d0", "d1")}
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for _ in range(100):
            sender.sendto(b"x", (address, 9))
    return max(before, key=lambda device: sent_by(device) - before[device])


def sent_by(device: str) -> int:
    with open("/proc/self/net/dev", encoding="ascii") as file:
        for line in file:
            name_, _, numbers = line.partition(":")
            if name_.strip() == device:
                return int(numbers.split()[9])
    raise RuntimeError(f"no device {device}")


if __name__ == "__main__":
    main(at_end=fake.back)
