# SPDX-License-Identifier: GPL-2.0
"""The routers of the oracle: quiet, with or without connection tracking, on every processor.

Beside what a router of the tests is, one of these knows of each IPv4 frame whether the stack
ever saw it. A frame that was put on a device and that no packet socket of the device sees was
dropped at XDP: nothing else comes before them. With ip_tables all are seen.
"""

import os
import socket
import threading
from collections import Counter
from typing import Iterable

import traffic
from lib import blob, iptables, mark, packet
from lib.family import V4
from lib.netns import sysctl
from lib.router import SO_RCVBUFFORCE, SPARE, TTL, Link, Router

# Nothing may expire in the middle of something, on one system earlier than on the other. A
# first fragment that waits in vain must not answer during the next ruleset.
DAY = 86400
FRAGMENT_TIMES = ("net/ipv4/ipfrag_time", "net/ipv6/ip6frag_time")
FRAGMENT_SPACES = ("net/ipv4/ipfrag_high_thresh", "net/ipv6/ip6frag_high_thresh",
                   "net/netfilter/nf_conntrack_frag6_high_thresh")
ETH_P_ALL = 3

# What rules ask for, and what they add to.
SETS = """create nets4 hash:net
create nets6 hash:net family inet6
create seen4 hash:ip
create seen6 hash:ip family inet6
add nets4 10.1.0.0/16
add nets4 10.2.0.0/17
add nets4 10.9.7.0/24
add nets6 fd00:1::/32
add nets6 fd00:2:8000::/33
add nets6 fd00::10.9.0.0/112
"""

# Before a router keeps us on one of them.
PROCESSORS = sorted(os.sched_getaffinity(0))


def stay_on(processor: int) -> None:
    """This thread. Queues are in order on one processor only."""
    os.sched_setaffinity(0, {processor})


def process_at_once() -> None:
    """What a packet leads to, answers included, is done before the next one is sent from the same processor: soft
    interrupts that took too long go on in a thread, which now comes before everybody else."""
    for process in filter(str.isdigit, os.listdir("/proc")):
        with open(f"/proc/{process}/comm", encoding="ascii", errors="replace") as file:
            if file.read().startswith("ksoftirqd/"):
                os.sched_setscheduler(int(process), os.SCHED_FIFO, os.sched_param(1))


def track() -> None:
    """Switch connection tracking on, in the namespace we are in; nothing of it expires."""
    iptables.track()
    for name in os.listdir("/proc/sys/net/netfilter"):
        if "timeout" in name and not name.endswith("_log_invalid"):
            sysctl(f"net/netfilter/{name}", DAY)


class Tap:
    """Sees every IPv4 packet of a device that the stack sees, and on lo what was given to it."""

    def __init__(self, device: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        # Only a socket for everything is shown what is sent, and what a bridge takes away.
        self._socket.bind((device, ETH_P_ALL))

    def drain(self) -> tuple[list[int], list[int]]:
        """The ids of the injected packets that went in and that came out since the last call."""
        sent: list[int] = []
        received: list[int] = []
        while True:
            try:
                data, address = self._socket.recvfrom(packet.ETH_HEADER + 20)
            except BlockingIOError:
                return sent, received
            except OSError:
                continue  # the device was down for a while
            ip_packet = data[packet.ETH_HEADER:]
            if address[1] == packet.ETH_P_IP and packet.ttl_of(ip_packet) in (TTL, TTL - 1):
                (sent if address[2] == mark.PACKET_OUTGOING else received).append(packet.ident_of(ip_packet))

    def close(self) -> None:
        self._socket.close()


class Machine(Router):
    """A router of the oracle's."""

    def __init__(self, tracking: bool) -> None:
        self.tracking = tracking
        self.used: set[str] = set()
        self._taps: dict[str, Tap] = {}
        self._given: Counter[tuple[str, int]] = Counter()
        super().__init__()
        with self:
            self._taps["lo"] = Tap("lo")
            if tracking:
                track()
            for name in FRAGMENT_TIMES:
                sysctl(name, DAY)
            sysctl("net/ipv6/auto_flowlabels", 0)  # of what the machine itself sends: they are random
            for name in FRAGMENT_SPACES:
                sysctl(name, 64 << 20, missing_ok=True)
            iptables.must("ipset", "restore", stdin=SETS)

    def _open(self, name: str, link: Link) -> None:
        super()._open(name, link)
        with self.router:
            self._taps[name] = Tap(link.inner)

    def vanish(self) -> None:
        self._taps.pop(SPARE).close()
        super().vanish()

    def forget(self) -> None:
        """All connections."""
        if self.tracking:
            with self:
                iptables.run("conntrack", "-F")
                iptables.run("conntrack", "-F", "-f", "ipv6")

    def ready(self) -> None:
        """Return when all that was asked of this namespace's tables has been done, devices included:
        an answer comes behind all work that was there before the question."""
        with self, blob.raw_socket(V4) as opened:
            status = blob.info(opened).status
        if status != "OK":
            raise RuntimeError(f"table filter: {status}")

    # Traffic

    def put(self, one: traffic.Packet) -> None:
        """A packet on a link, from a side that is not the router."""
        if packet.version_of(one.data) == 4:
            self._given[one.origin, packet.ident_of(one.data)] += 1
        self.inject_packet(one)

    def inject_packet(self, one: traffic.Packet) -> None:
        self.inject(one.origin, one.data, one.mac)

    def put_at_once(self, packets: list[traffic.Packet]) -> None:
        """A part from each processor, at the same time; return when all have been put."""
        parts = [packets[number::len(PROCESSORS)] for number in range(len(PROCESSORS))]

        def work(processor: int, part: list[traffic.Packet]) -> None:
            stay_on(processor)
            for one in part:
                self.put(one)

        threads = [threading.Thread(target=work, args=both) for both in zip(PROCESSORS, parts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def settle_on(self, processors: Iterable[int]) -> None:
        for processor in processors:
            stay_on(processor)
            self.settle()

    def unseen(self) -> int:
        """How many IPv4 packets were dropped before the stack, of those put since the last call."""
        given = self._given
        seen: Counter[tuple[str, int]] = Counter()
        for device, tap in self._taps.items():
            sent, received = tap.drain()
            if device == "lo":
                given.update((device, ident) for ident in sent)
            seen.update((device, ident) for ident in received)
        self._given = Counter()
        return (given - seen).total()
