#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Targets that send, log or hand over packets: REJECT, TEE, LOG, NFQUEUE."""

import contextlib
import errno
import os
import socket
from typing import Iterator

from lib import iptables, packet, system
from lib.check import Skip, expect, expect_equal, expect_in, main, test, test4, wait_for
from lib.family import current
from lib.iptables import Counters
from lib.netns import sysctl
from lib.nfqueue import ACCEPT, DROP, Listener
from lib.packet import ACK, ICMP, ICMPV6, RST, SYN, TCP, UDP, tcp, udp
from lib.router import TTL
from lib.scene import Scene
from lib.wire import Seen, read, sums_are_right

FAMILY = current()
scene = Scene()
router, wire, rules, counts, clean = scene.router, scene.wire, scene.rules, scene.counts, scene.clean
HERE, THERE, LOCAL = "10.1.0.7", "10.2.0.7", "10.9.0.7"
ICMP_OF_FAMILY = ICMPV6 if FAMILY.number == 6 else ICMP
# All that there are, but for tcp-reset, with type and code of the answer.
ANSWERS = {
    4: {"icmp-net-unreachable": (3, 0), "icmp-host-unreachable": (3, 1), "icmp-proto-unreachable": (3, 2),
        "icmp-port-unreachable": (3, 3), "icmp-net-prohibited": (3, 9), "icmp-host-prohibited": (3, 10),
        "icmp-admin-prohibited": (3, 13)},
    6: {"icmp6-no-route": (1, 0), "icmp6-adm-prohibited": (1, 1), "icmp6-addr-unreachable": (1, 3),
        "icmp6-port-unreachable": (1, 4), "icmp6-policy-fail": (1, 5), "icmp6-reject-route": (1, 6)},
}[FAMILY.number]
PORT_UNREACHABLE = next(name for name in ANSWERS if "port" in name)


def syn(to: str, flags: int = SYN, dport: int = 80) -> bytes:
    return packet.ip(HERE, to, TCP, tcp(1024, dport, flags), ident=7, ttl=TTL)


def datagram(to: str, dport: int = 53, ident: int = 7) -> bytes:
    return packet.ip(HERE, to, UDP, udp(1024, dport), ident=ident, ttl=TTL)


def delivered() -> list[tuple[str, int]]:
    """Where which packets went."""
    return router.fates()


# REJECT

@test
@clean
def every_type() -> None:
    """The answer goes back, and quotes what it is about; the packet goes nowhere."""
    for hook, to in (("INPUT", LOCAL), ("FORWARD", THERE)):
        for name, kind in ANSWERS.items():
            rules(f"-A {hook} -p udp -j REJECT --reject-with {name}", f"-A {hook} -p udp")
            wire.send("in0", [datagram(to)])
            seen = wire.one("in0")
            what = f"{hook} {name}"
            expect_equal((seen.destination, seen.protocol, seen.kind),
                         (FAMILY.address(HERE), ICMP_OF_FAMILY, kind), what)
            expect(sums_are_right(seen), f"{what}: a checksum is wrong: {seen.whole.hex()}")
            about = seen.quoted
            expect_equal((about.source, about.destination, about.ports, packet.ident_of(about.whole)),
                         (FAMILY.address(HERE), FAMILY.address(to), (1024, 53), 7), f"{what}: what is quoted")
            expect_equal((counts(hook), delivered()), ([1, 0], []), f"{what}: counters and deliveries")


def check_reset(seen: Seen, of: bytes, flags: int, number: int, what: str) -> None:
    about = read(of)
    expect_equal((seen.source, seen.destination, seen.protocol, seen.ports, seen.flags),
                 (about.destination, about.source, TCP, about.ports[::-1], flags), what)
    expect_equal(seen.acknowledged if flags & ACK else int.from_bytes(seen.body[4:8], "big"), number, f"{what}: number")
    expect(sums_are_right(seen), f"{what}: a checksum is wrong: {seen.whole.hex()}")


@test
@clean
def tcp_reset() -> None:
    """A SYN is acknowledged by it; an acknowledgement gives it its number. A RST gets no answer."""
    for hook, to in (("INPUT", LOCAL), ("FORWARD", THERE)):
        rules(f"-A {hook} -p tcp -j REJECT --reject-with tcp-reset", f"-A {hook} -p tcp")
        for flags, answer, number in ((SYN, RST | ACK, 2), (ACK, RST, 0)):
            wire.send("in0", [syn(to, flags)])
            check_reset(wire.one("in0"), syn(to, flags), answer, number, f"{hook}, flags {flags}")
        wire.send("in0", [syn(to, RST)])
        expect_equal(wire.seen("in0"), [], f"{hook}: answers to a RST")
        expect_equal((counts(hook), delivered()), ([3, 0], []), f"{hook}: counters and deliveries")


@test
@clean
def what_gets_no_answer() -> None:
    """It is rejected all the same: a wrong checksum, and an error."""
    rules("-A FORWARD -p tcp -j REJECT --reject-with tcp-reset", "-A FORWARD -j REJECT")
    bad = bytearray(syn(THERE))
    bad[-3] ^= 1  # within the checksum
    error = packet.icmp(1, 4, datagram(HERE)) if FAMILY.number == 6 else packet.icmp(3, 3, datagram(HERE))
    wire.send("in0", [bytes(bad), packet.ip(HERE, THERE, ICMP_OF_FAMILY, error, ttl=TTL)])
    expect_equal((wire.seen("in0"), counts("FORWARD"), delivered()), ([], [1, 1], []), "answers, counters, deliveries")


@test4
@clean
def later_fragments_get_no_answer() -> None:
    rules("-A FORWARD -j REJECT")
    wire.send("in0", [packet.ip(HERE, THERE, UDP, b"x" * 8, fragment=5, ttl=TTL)])
    expect_equal((wire.seen("in0"), counts("FORWARD")), ([], [1]), "answers, counter")


@test
@clean
def to_a_program() -> None:
    """OUTPUT: the packet is not sent, and its socket learns why."""
    rules(f"-A OUTPUT -p udp --dport 53 -j REJECT --reject-with {PORT_UNREACHABLE}",
          "-A OUTPUT -p tcp --dport 80 -j REJECT --reject-with tcp-reset")
    with router:
        opened = socket.socket(FAMILY.af, socket.SOCK_DGRAM)
        opened.connect((FAMILY.address(THERE), 53))
        with contextlib.suppress(PermissionError):
            opened.send(b"x")
        wait_for(lambda: opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED, "the error")
        opened.close()
        opened = socket.socket(FAMILY.af, socket.SOCK_STREAM)
        opened.settimeout(20)
        expect_equal(opened.connect_ex((FAMILY.address(THERE), 80)), errno.ECONNREFUSED, "connect")
        opened.close()
    router.settle()
    expect_equal((wire.seen("out0"), counts("OUTPUT")), ([], [1, 1]), "sent, counters")


# Packets sent from within

@test
@clean
def answer_meets_rules() -> None:
    """A RST goes through OUTPUT, with chains of its own, while the packet it answers is in the midst of INPUT's."""
    rules("-A INPUT -j in1", "-A INPUT", "-A in1 -j in2", "-A in1",
          "-A in2 -p tcp --dport 80 -j REJECT --reject-with tcp-reset", "-A in2 -p tcp --dport 81",
          "-A OUTPUT -j out1", "-A OUTPUT", "-A out1 -j out2", "-A out1 -p tcp --sport 80",
          "-A out2 -p tcp --tcp-flags RST RST", "-A out2 -p tcp -s 10.9.0.7 -j RETURN", "-A out2")
    wire.send("in0", [syn(LOCAL)])
    check_reset(wire.one("in0"), syn(LOCAL), RST | ACK, 2, "the answer")
    expect_equal({chain: counts(chain) for chain in ("INPUT", "in1", "in2", "OUTPUT", "out1", "out2")},
                 {"INPUT": [1, 0], "in1": [1, 0], "in2": [1, 0], "OUTPUT": [1, 1], "out1": [1, 1], "out2": [1, 1, 0]},
                 "packets")


@test
@clean
def answer_can_be_dropped() -> None:
    rules("-A FORWARD -p udp -j REJECT", f"-A OUTPUT -p {'icmpv6' if FAMILY.number == 6 else 'icmp'} -j DROP")
    wire.send("in0", [datagram(THERE)])
    expect_equal((wire.seen("in0"), counts("FORWARD"), counts("OUTPUT")), ([], [1], [1]), "answers, counters")


@test
@clean
def tee() -> None:
    """A copy goes to a neighbour; the packet goes on behind the rule, in its chain and those that called it."""
    rules("-A FORWARD -j one", "-A FORWARD", "-A one -j two", "-A one",
          "-A two -p udp -j TEE --gateway 10.4.0.2", "-A two",
          "-A OUTPUT -j out1", "-A OUTPUT", "-A out1", "-A out1 -j RETURN")
    wire.send("in0", [datagram(THERE)])
    expect_equal([[(seen.destination, seen.ports) for seen in wire.seen(inner)] for inner in ("out0", "out1")],
                 [[(FAMILY.address(THERE), (1024, 53))]] * 2, "by device")
    expect_equal({chain: counts(chain) for chain in ("FORWARD", "one", "two", "OUTPUT", "out1")},
                 {"FORWARD": [1, 1], "one": [1, 1], "two": [1, 1], "OUTPUT": [1, 1], "out1": [1, 1]}, "packets")


@test
@clean
def copies_come_back() -> None:
    """Those for the router itself come through loopback and meet the rules again, with a hop less each. Where no rule
    asked for hops they would do so for ever, with ip_tables as well."""
    hops = "-m ttl --ttl-gt" if FAMILY.number == 4 else "-m hl --hl-gt"
    rules(*(f"-A {hook} -p udp {rest}" for hook in ("PREROUTING", "INPUT")
            for rest in (f"{hops} {TTL - 5} -j TEE --gateway 10.9.0.1", "")), table="mangle")
    wire.send("in0", [datagram(LOCAL)])
    wait_for(lambda: counts("INPUT", "mangle")[1] >= 63, "the last copies")
    router.settle()
    # Each packet becomes two more with a hop less, five times.
    expect_equal([counts(hook, "mangle") for hook in ("PREROUTING", "INPUT")], [[31, 63]] * 2, "copied, all")


@test
@clean
def three_deep() -> None:
    """TEE in INPUT, whose copy is rejected in OUTPUT, whose answer meets OUTPUT again; and all of them return."""
    rules("-A INPUT -j in1", "-A INPUT", "-A in1 -j in2", "-A in1",
          "-A in2 -p tcp --dport 80 -j TEE --gateway 10.4.0.2", "-A in2 -p tcp --dport 80",
          "-A OUTPUT -j out1", "-A OUTPUT", "-A out1 -j out2", "-A out1",
          "-A out2 -p tcp --dport 80 -j REJECT --reject-with tcp-reset", "-A out2 -j out3", "-A out2",
          "-A out3 -p tcp --sport 80 --tcp-flags RST RST")
    wire.send("in0", [syn(LOCAL)] * 2)
    resets = [seen for seen in wire.seen("in0") if seen.protocol == TCP]
    # The other answers are the router's own, which has no such port; and those meet OUTPUT as well.
    expect_equal({chain: counts(chain) for chain in ("INPUT", "in1", "in2", "OUTPUT", "out1", "out2", "out3")},
                 {"INPUT": [2, 2], "in1": [2, 2], "in2": [2, 2], "OUTPUT": [6, 4], "out1": [6, 4], "out2": [2, 4, 4],
                  "out3": [4]}, "packets")
    expect_equal(len(resets), 4, "answers")
    for seen in resets:
        check_reset(seen, syn(LOCAL), RST | ACK, 2, "an answer")
    expect_equal(wire.seen("out1"), [], "copies that left")


# LOG

@contextlib.contextmanager
def logging_in_namespaces(value: int) -> Iterator[None]:
    sysctl("net/netfilter/nf_log_all_netns", value)
    try:
        yield
    finally:
        sysctl("net/netfilter/nf_log_all_netns", 0)


def logged(prefix: str) -> list[str]:
    return [line[line.index(prefix):].rstrip() for line in system.kernel_log() if prefix in line]


def sizes() -> tuple[str, str]:
    """How the log names what the two families have in their headers."""
    if FAMILY.number == 6:
        return "LEN=48 TC=0", "HOPLIMIT=76 FLOWLBL=7"
    return "LEN=28 TOS=0x00 PREC=0x00", "TTL=76 ID=7"


def long(address: str) -> str:
    if FAMILY.number == 4:
        return address
    text = socket.inet_pton(socket.AF_INET6, FAMILY.address(address)).hex()
    return ":".join(text[at:at + 4] for at in range(0, 32, 4))


@test
@clean
def log_line() -> None:
    """The exact text; and the packet goes on."""
    with logging_in_namespaces(1):
        rules(f'-A FORWARD -p udp -j LOG --log-prefix probe{os.getpid()}-line: --log-level info', "-A FORWARD -p udp")
        wire.send("in0", [datagram(THERE)])
        first, second = sizes()
        kind = "86:dd" if FAMILY.number == 6 else "08:00"
        expect_equal(wait_for(lambda: logged(f"probe{os.getpid()}-line:"), "the line"),
                     [f"probe{os.getpid()}-line:IN=in0 OUT=out0 MAC=02:00:00:00:01:01:02:00:00:00:01:02:{kind} "
                      f"SRC={long(HERE)} DST={long(THERE)} {first} {second} PROTO=UDP SPT=1024 DPT=53 LEN=8"], "lines")
    expect_equal(counts("FORWARD"), [1, 1], "packets")


@test
@clean
def log_options() -> None:
    """Each packet that the conditions let through, and no other; what else can be asked for is there."""
    name = f"probe{os.getpid()}-options:"
    with logging_in_namespaces(1):
        rules(f"-A FORWARD -p tcp --dport 80 -m limit --limit 1/hour --limit-burst 2 -j LOG --log-prefix {name} "
              "--log-tcp-sequence --log-tcp-options --log-uid")
        wire.send("in0", [syn(THERE, dport=81), *[syn(THERE)] * 4])
        lines = wait_for(lambda: logged(name), "lines")
        expect_equal(len(lines), 2, "lines")
        for line in lines:
            expect_in("SPT=1024 DPT=80 SEQ=1 ACK=0 WINDOW=1024 RES=0x00 SYN URGP=0", line, "a line")
    expect_equal(counts("FORWARD"), [2], "packets")


@test
@clean
def log_of_namespaces_is_off() -> None:
    """As ip_tables: a namespace that is not the first writes nothing, unless the machine wants it."""
    name = f"probe{os.getpid()}-off:"
    rules(f"-A FORWARD -p udp -j LOG --log-prefix {name}")
    wire.send("in0", [datagram(THERE)])
    with logging_in_namespaces(1):
        wire.send("in0", [datagram(THERE)])
        wait_for(lambda: logged(name), "the second packet's line")
    expect_equal((len(logged(name)), counts("FORWARD")), (1, [2]), "lines, packets")


# NFQUEUE

@contextlib.contextmanager
def listeners(*numbers: int) -> Iterator[list[Listener]]:
    with contextlib.ExitStack() as stack:
        if iptables.run("modprobe", "nfnetlink_queue").status:
            raise Skip("this kernel has no nfnetlink_queue")
        with router:
            opened = [stack.enter_context(Listener(number)) for number in numbers]
        yield opened


@test
@clean
def nfqueue() -> None:
    """To the queue of that number; and on as its listener says, behind the table."""
    with listeners(5, 0) as (five, zero):
        rules("-A FORWARD -p udp -j NFQUEUE --queue-num 5", "-A FORWARD -p udp")
        for verdict, expected in ((ACCEPT, [("out0", 7)]), (DROP, [])):
            wire.send("in0", [datagram(THERE)])
            expect_equal(delivered(), [], "it did not wait")
            one = five.next()
            expect_equal(one.data[-8:], datagram(THERE)[-8:], "what is queued")
            five.judge(one, verdict)
            # The verdict was carried out when the system call returned.
            router.settle()
            expect_equal(delivered(), expected, f"delivered, verdict {verdict}")
        expect(not zero.waits(), "queue 0 has a packet")
        expect_equal(counts("FORWARD"), [2, 0], "packets")


@test
@clean
def nfqueue_without_listener() -> None:
    """Dropped; or, with --queue-bypass, accepted."""
    for option, expected in (("", []), ("--queue-bypass", [("out0", 7)])):
        rules(f"-A FORWARD -p udp -j NFQUEUE --queue-num 6 {option}", "-A FORWARD -p udp")
        wire.send("in0", [datagram(THERE)])
        expect_equal((delivered(), counts("FORWARD")), (expected, [1, 0]), f"deliveries and counters {option}")


@test
@clean
def nfqueue_balance() -> None:
    """A connection has one queue of several, whichever: all packets of it are in the same, and every queue has some."""
    with listeners(10, 11) as opened:
        rules("-A FORWARD -p udp -j NFQUEUE --queue-balance 10:11")
        sources = [f"10.1.{number}.7" for number in range(1, 33)]
        packets = [packet.ip(source, THERE, UDP, udp(1024, 53), ttl=TTL) for source in sources]
        wire.send("in0", packets * 2)
        seen: list[list[bytes]] = []
        for one in opened:
            seen.append([])
            while one.waits():
                waiting = one.next()
                seen[-1].append(waiting.data[12:16] if FAMILY.number == 4 else waiting.data[8:24])
                one.judge(waiting, DROP)
        expect_equal(sorted(seen[0] + seen[1]), sorted([FAMILY.packed(source) for source in sources] * 2), "all")
        expect(seen[0] and seen[1], "a queue has got nothing of 32 connections")
        expect(not set(seen[0]) & set(seen[1]), "packets of a connection are in both queues")


if __name__ == "__main__":
    main()
