#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: which sockets can be tapped, how, and what inherits a tap."""

import contextlib
import os
import socket
import subprocess
from typing import Callable, Iterator

from lib import bpf, cgroup, tap
from lib.check import Skip, expect, expect_equal, main, test
from lib.iovec import splice
from lib.memory import no_memory
from lib.tap import DROP, OK, ULP, Programs, load
from lib.tcp import connect, connection, error_of, listening, prefixed, readable, receive, wait_for_data

TCP_REPAIR, AF_SMC, MPTCP = 19, 43, 262


def program() -> int:
    return bpf.load(bpf.constant(OK))


def drops_d(opened: socket.socket) -> None:
    tap.tap_all(opened, bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}))


@test
def attaching() -> None:
    for family in (4, 6):
        for attach in (tap.tap, tap.tap_natively):
            with connection(family) as (one, other):
                fd = program()
                attach(one, Programs(-1, fd, -1, fd))
                one.sendall(b"there")
                expect_equal(receive(other, 5), b"there", "what was sent")
                other.sendall(b"and back")
                expect_equal(receive(one, 8), b"and back", "what was received")
                sent, received = tap.info(one)
                expect_equal((sent.messages, sent.bytes, sent.dropped), (1, 5, 0), "sent")
                expect_equal((received.messages, received.bytes, received.dropped), (1, 8, 0), "received")
                os.close(fd)


@test
def attaching_errors() -> None:
    fd = program()
    with connection() as (one, other):
        expect_equal(error_of(lambda: tap.tap(one, Programs(9999))), "EBADF", "no descriptor")
        with open("/dev/null", "rb") as null:
            expect_equal(error_of(lambda: tap.tap(one, Programs(null.fileno()))), "EINVAL", "no program")
        other_type = bpf.load(bpf.constant(0), kind=bpf.CGROUP_SKB)
        expect_equal(error_of(lambda: tap.tap(one, Programs(other_type))), "EINVAL", "another type")
        os.close(other_type)
        for value in (ULP[:15], ULP, ULP + bytes(12), ULP + bytes(20), b"x" * 32):
            expect_equal(error_of(lambda: one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, value)), "EINVAL", str(value))
        unknown = b"nosuch".ljust(16, b"\0")
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, unknown)), "ENOENT", "unknown")
        # None of these has touched it.
        expect_equal(error_of(lambda: tap.info(one)), "EOPNOTSUPP", "untapped")
        tap.tap(one, Programs(fd))
        expect_equal(error_of(lambda: tap.tap(one, Programs(fd))), "EEXIST", "twice")
        tap.tap_natively(other, Programs(recv_verdict=fd))
        again = tap.params(Programs(fd))
        expect_equal(error_of(lambda: other.setsockopt(tap.SOL_STAP, tap.PROGRAMS, again)), "EEXIST", "twice")
        expect_equal(error_of(lambda: one.setsockopt(tap.SOL_STAP, 99, again)), "ENOPROTOOPT", "another option")
    os.close(fd)


# Address family, type, protocol; then the errors of TCP_ULP and of STAP_SO_ULP.
OTHERS = {
    "AF_UNIX": (socket.AF_UNIX, socket.SOCK_STREAM, 0, "EOPNOTSUPP", "EOPNOTSUPP"),
    "UDP": (socket.AF_INET, socket.SOCK_DGRAM, 0, "ENOPROTOOPT", "ENOPROTOOPT"),
    "UDP, IPv6": (socket.AF_INET6, socket.SOCK_DGRAM, 0, "ENOPROTOOPT", "ENOPROTOOPT"),
    "MPTCP": (socket.AF_INET, socket.SOCK_STREAM, MPTCP, "ENOPROTOOPT", "ENOPROTOOPT"),
    "MPTCP, IPv6": (socket.AF_INET6, socket.SOCK_STREAM, MPTCP, "ENOPROTOOPT", "ENOPROTOOPT"),
}


def both_ways(opened: socket.socket, fd: int) -> tuple[str, str]:
    value = ULP + tap.params(Programs(-1, fd, -1, fd))
    return (error_of(lambda: opened.setsockopt(socket.SOL_TCP, tap.TCP_ULP, b"stap")),
            error_of(lambda: opened.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, value)))


@test
def sockets_of_other_kinds() -> None:
    fd = program()
    for name, (family, kind, protocol, *errors) in OTHERS.items():
        with socket.socket(family, kind, protocol) as opened:
            expect_equal(both_ways(opened, fd), tuple(errors), name)
    os.close(fd)


@test
def mptcp() -> None:
    """In every state, though it is TCP underneath; and it goes on."""
    fd = program()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP) as one:
            one.connect(listener.getsockname())
            with listener.accept()[0] as other:
                for opened in (listener, one, other):
                    expect_equal(both_ways(opened, fd), ("ENOPROTOOPT",) * 2, str(opened))
                one.sendall(b"there")
                expect_equal(receive(other, 5), b"there", "still works")
    os.close(fd)


@test
def smc() -> None:
    """It has a socket of TCP for itself, to which options go."""
    fd = program()
    try:
        opened = socket.socket(AF_SMC, socket.SOCK_STREAM)
    except OSError as error:
        raise Skip(f"this kernel has no SMC: {error}") from error
    with opened:
        expect_equal(both_ways(opened, fd), ("EOPNOTSUPP",) * 2, "SMC")
    os.close(fd)


@test
def in_repair_or_in_a_sockmap() -> None:
    """Refused, and as they were; and the other way round."""
    fd = program()
    with connection() as (one, other):
        one.setsockopt(socket.SOL_TCP, TCP_REPAIR, 1)
        expect_equal(both_ways(one, fd), ("EOPNOTSUPP",) * 2, "in repair")
        one.setsockopt(socket.SOL_TCP, TCP_REPAIR, 0)
        tap.tap(one, Programs(-1, fd))
        sockmap = bpf.sockmap_of(other.fileno())
        expect_equal(error_of(lambda: tap.tap(other, Programs(-1, fd))), "EOPNOTSUPP", "in a sockmap")
        one.sendall(b"there")
        expect_equal(receive(other, 5), b"there", "still works")
        os.close(sockmap)
    with connection() as (one, other):
        tap.tap(one, Programs(-1, fd))
        expect(error_of(lambda: bpf.sockmap_of(one.fileno())) != "OK", "a tapped one came into a sockmap")
    os.close(fd)


def other_ulps() -> Iterator[Callable[[socket.socket], None]]:
    yield lambda opened: opened.setsockopt(socket.SOL_TCP, tap.TCP_ULP, b"tls")
    yield lambda opened: opened.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, b"tls".ljust(16, b"\0"))


@test
def where_there_is_another_protocol() -> None:
    """By its name STAP_SO_ULP knows each."""
    subprocess.run(["modprobe", "tls"], check=True)
    fd = program()
    for attach in other_ulps():
        with connection() as (one, other):
            attach(one)
            expect_equal(one.getsockopt(socket.SOL_IP, tap.STAP_SO_ULP, 80), b"tls".ljust(16, b"\0"), "its name")
            expect_equal(both_ways(one, fd), ("EEXIST",) * 2, "tls is there")
            tap.tap(other, Programs(-1, fd))
            expect_equal(error_of(lambda: attach(other)), "EEXIST", "stap is there")
    os.close(fd)


@test
def inheriting() -> None:
    """A listener's children are tapped, also in what has come before they are accepted."""
    for family in (4, 6):
        with listening(family) as listener:
            drops_d(listener)
            with socket.socket(listener.family) as one:
                one.connect(listener.getsockname()[:2])
                one.sendall(prefixed(b"a") + prefixed(b"drop") + prefixed(b"b"))
                with listener.accept()[0] as child:
                    child.settimeout(20)
                    expect_equal(receive(child, 6), prefixed(b"a") + prefixed(b"b"), "through a child")
                    child.sendall(prefixed(b"drop") + prefixed(b"c"))
                    expect_equal(receive(one, 3), prefixed(b"c"), "back")
            with socket.socket(listener.family) as gone:
                gone.connect(listener.getsockname()[:2])
                gone.sendall(b"never accepted")


@test
def before_connect() -> None:
    with listening() as listener, socket.socket() as one:
        drops_d(one)
        with connect(listener, one)[1] as other:
            one.sendall(prefixed(b"drop") + prefixed(b"x"))
            expect_equal(receive(other, 3), prefixed(b"x"), "sent")
            other.sendall(prefixed(b"drop") + prefixed(b"y"))
            expect_equal(receive(one, 3), prefixed(b"y"), "received")


@test
def what_was_there_before() -> None:
    """What has come but was not read when the tap is attached is judged."""
    with connection() as (one, other):
        data = prefixed(b"a") + prefixed(b"drop") + prefixed(b"b")
        one.sendall(data)
        wait_for_data(other, len(data))
        drops_d(other)
        expect_equal(receive(other, 6), prefixed(b"a") + prefixed(b"b"), "received")


@test
def a_child_without_memory() -> None:
    """Nobody may read or write what could not be tapped."""
    constant = program()
    with listening() as listener:
        tap.tap(listener, Programs(-1, constant, -1, constant))
        with no_memory(), socket.socket() as client, socket.create_connection(listener.getsockname()) as peer:
            expect_equal(error_of(lambda: tap.tap(client, Programs(-1, constant, -1, constant))), "ENOMEM", "to tap")
            peer.sendall(b"hello")
            child = listener.accept()[0]
            expect_equal([error_of(one) for one in (
                lambda: child.recv(5), lambda: child.send(b"x"), lambda: tap.info(child),
                lambda: splice(child.fileno(), os.pipe()[1], 5))], ["ECONNABORTED"] * 4, "what it can do")
            expect(readable(child, 20), "nobody learns of it")
            child.close()
            peer.settimeout(20)
            expect_equal(error_of(lambda: peer.recv(5)), "ECONNRESET", "the other side")
        with socket.create_connection(listener.getsockname()) as peer, listener.accept()[0] as child:
            peer.sendall(b"again")
            expect_equal(receive(child, 5), b"again", "the next one")
    os.close(constant)


@test
def options_that_programs_set() -> None:
    """bpf_setsockopt() of an option of TCP's: a program of a control group does that at every setsockopt()."""
    def attempt() -> str:
        with connection() as (one, _), contextlib.closing(os.fdopen(program(), "rb")) as verdict:
            tap.tap_natively(one, Programs(-1, verdict.fileno()))
            said = error_of(lambda: one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
            return f"{said} {one.getsockopt(socket.SOL_TCP, socket.TCP_KEEPCNT)}"

    with cgroup.child() as group, bpf.on_cgroup(bpf.sets_keepcnt(7), bpf.SETSOCKOPT, group.path):
        expect_equal(group.run(attempt), "OK 7", "of a tapped socket")


if __name__ == "__main__":
    load()
    main()
