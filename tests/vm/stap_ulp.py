#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: SO_ULP at SOL_SOCKET, and that it takes no more than stap.ko."""

import contextlib
import os
import socket
import struct
import subprocess
import tempfile
from typing import Callable, Iterator

from lib import bpf, cgroup, tap
from lib.check import Skip, expect, expect_equal, main, test, wait_for
from lib.system import kernel_log
from lib.tap import DROP, OK, ULP, Programs, Rule, delimiter, load, unload
from lib.tcp import connection, error_of, receive

PARAMETER = "/sys/module/stap/parameters/so_ulp"
LINES = delimiter(b"\n", 4096)
SO_ZEROCOPY, MPTCP = 60, 262
TLS = b"tls".ljust(16, b"\0")
NOTHING = ULP + tap.params(Programs())


def get_is_known() -> bool:
    """It is from the first tap on, but in a kernel without bpf_probe_read_kernel (the debug kernel, lockdown)."""
    with socket.socket() as one:
        tap.tap(one, Programs())
    return not any("getsockopt() does not know SO_ULP" in line for line in kernel_log())


def set_ulp(opened: socket.socket, value: bytes, name: int = tap.SO_ULP) -> str:
    return error_of(lambda: opened.setsockopt(socket.SOL_SOCKET, name, value))


def got_ulp(opened: socket.socket, size: int = 80) -> bytes:
    return opened.getsockopt(socket.SOL_SOCKET, tap.SO_ULP, size)


def links() -> list[str]:
    shown = subprocess.run(["bpftool", "link"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in shown.splitlines() if ": cgroup " in line]


def parameter() -> str:
    with open(PARAMETER, encoding="ascii") as file:
        return file.read().strip()


def set_parameter(value: str) -> None:
    with open(PARAMETER, "w", encoding="ascii") as file:
        file.write(value)


# The option

def ways() -> Iterator[tuple[int, bytes]]:
    """Its name, the RFC's number; programs, a policy: what is sent and begins with n does not arrive."""
    programs = ULP + tap.params(Programs(send_verdict=bpf.load(bpf.by_byte(0, {ord("n"): DROP}))))
    yield tap.SO_ULP, programs
    yield SO_ZEROCOPY, programs
    yield tap.SO_ULP, ULP + tap.policy((LINES, OK, [Rule(b"n", DROP)]), tap.NOT_TAPPED)


@test
def setting() -> None:
    for family in (4, 6):
        for name, value in ways():
            with connection(family) as (one, other):
                expect_equal(set_ulp(one, value, name), "OK", "the first time")
                expect_equal(set_ulp(one, value, name), "EEXIST", "again")
                one.sendall(b"n\n")
                one.sendall(b"yes\n")
                expect_equal(receive(other, 4), b"yes\n", "what came")
                sent = tap.info(one)[0]
                expect_equal((sent.messages, sent.dropped), (1, 1), "counted")


@test
def getting() -> None:
    """The same as natively: the name, and the numbers if it is stap. In words of 8 bytes."""
    if not get_is_known():
        raise Skip("SO_ULP can't be got: no program may read the memory of this kernel")
    for family in (4, 6):
        for name, value in ways():
            with connection(family) as (one, other):
                expect_equal(got_ulp(one), bytes(16), "before")
                expect_equal(set_ulp(one, value, name), "OK", "set")
                one.sendall(b"n\n")
                one.sendall(b"yes\n")
                expect_equal(receive(other, 4), b"yes\n", "what came")
                natively = one.getsockopt(socket.SOL_IP, tap.STAP_SO_ULP, 80)
                expect_equal(len(natively), 80, "size of the answer")
                for room in (8, 16, 24, 79, 80, 81, 1000):
                    expect_equal(got_ulp(one, room), natively[:min(room // 8 * 8, 80)], f"room for {room} bytes")


@test
def no_room_for_an_answer() -> None:
    """Not even for a word: the kernel says that it does not know the option, as of old, not that all is well."""
    with connection() as (one, _):
        expect_equal(set_ulp(one, NOTHING), "OK", "set")
        for room in (1, 4, 7):
            expect_equal(error_of(lambda: got_ulp(one, room)), "ENOPROTOOPT", f"room for {room} bytes")  # pylint: disable=cell-var-from-loop


@test
def other_protocols() -> None:
    subprocess.run(["modprobe", "tls"], check=True)
    with connection() as (one, _):
        expect_equal(set_ulp(one, TLS), "OK", "tls")
        expect_equal(one.getsockopt(socket.SOL_IP, tap.STAP_SO_ULP, 80), TLS, "natively")
        if get_is_known():
            expect_equal(got_ulp(one), TLS, "get")


@test
def errors() -> None:
    with socket.socket() as one:
        expect_equal(set_ulp(one, b"no".ljust(16, b"\0")), "ENOENT", "none of that name")
        expect_equal(set_ulp(one, b"x" * 16), "EINVAL", "not terminated")
        expect_equal(set_ulp(one, b"stap"), "EINVAL", "short")
    none = "ENOPROTOOPT"
    for family, kind, protocol, error in ((socket.AF_INET, socket.SOCK_DGRAM, 0, none),
                                          (socket.AF_UNIX, socket.SOCK_STREAM, 0, none),
                                          (socket.AF_INET, socket.SOCK_STREAM, MPTCP, "EOPNOTSUPP")):
        with socket.socket(family, kind, protocol) as one:
            answers = set_ulp(one, NOTHING), error_of(lambda: got_ulp(one))  # pylint: disable=cell-var-from-loop
            expect_equal(answers, (error, none), f"set and get of {family.name}, {kind.name}, {protocol}")


@test
def zerocopy_is_still_that() -> None:
    """60 with a value of an int is SO_ZEROCOPY, however much room it is given."""
    with socket.socket() as one:
        for value, size in ((1, 4), (0, 4), (1, 16), (0, 64), (1, 5000)):
            one.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, struct.pack("=i", value).ljust(size, b"\0"))
            expect_equal(one.getsockopt(socket.SOL_SOCKET, SO_ZEROCOPY), value, f"SO_ZEROCOPY by {size} bytes")
        expect_equal(one.getsockopt(socket.SOL_TCP, tap.TCP_ULP, 16), b"", "no ULP")


# Where it is in force

@test
def it_can_be_left_off() -> None:
    set_parameter("N")
    expect_equal(links(), [], "links")
    with socket.socket() as one:
        expect_equal(set_ulp(one, NOTHING), "ENOPROTOOPT", "set")
        expect_equal(error_of(lambda: got_ulp(one)), "ENOPROTOOPT", "get")
        expect_equal(error_of(lambda: tap.tap(one, Programs())), "OK", "natively")
    set_parameter("Y")
    with socket.socket() as one:
        expect_equal(set_ulp(one, NOTHING), "OK", "set again")


@test
def it_goes_with_the_module() -> None:
    unload()
    wait_for(lambda: not links(), "links that are gone")
    load("so_ulp=0")
    expect_equal(links(), [], "links if it is off")
    get_is_known()
    expect_equal(links(), [], "links if it is off, with a tap")
    unload()
    load()


TAPS: tuple[Callable[[socket.socket], None], ...] = (
    lambda one: tap.tap(one, Programs()), lambda one: tap.tap_natively(one, Programs()),
    lambda one: one.setsockopt(socket.SOL_SOCKET, tap.SO_ULP, TLS))


@test
def getting_is_not_there_before_there_is_a_tap() -> None:
    """Or another protocol, by SO_ULP: who does without any does not pay for it."""
    subprocess.run(["modprobe", "tls"], check=True)
    for attach in TAPS:
        unload()
        wait_for(lambda: not links(), "links that are gone")
        load()
        with connection() as (one, other):
            expect_equal(len(links()), 1, "links")
            expect_equal(error_of(lambda: got_ulp(other)), "ENOPROTOOPT", "before")  # pylint: disable=cell-var-from-loop
            set_parameter("N")
            set_parameter("Y")
            expect_equal(len(links()), 1, "links after it was off")
            attach(one)
            seen = len(links())
            known = get_is_known()
            expect_equal(seen, 2 if known else 1, "links then")
            expect_equal(error_of(lambda: got_ulp(other)), "OK" if known else "ENOPROTOOPT", "then")  # pylint: disable=cell-var-from-loop
            set_parameter("N")
            expect_equal(links(), [], "links if it is off")
            set_parameter("Y")
            expect_equal(len(links()), 2 if known else 1, "links when it is on again")


def set_there(group: cgroup.Group) -> str:
    def attempt() -> str:
        with socket.socket() as one:
            said = set_ulp(one, NOTHING)
            if said == "OK" and get_is_known():
                said = got_ulp(one, 16).rstrip(b"\0").decode()
            return said

    return group.run(attempt)


@test
def in_a_child_group() -> None:
    """It is at the root, so it is everywhere; but a program of a child group may hide it there."""
    seen = "stap" if get_is_known() else "OK"
    with cgroup.child() as group:
        expect_equal(set_there(group), seen, "in a child group")
        with cgroup.child(group.path) as inner:
            with bpf.on_cgroup(bpf.constant(0), bpf.SETSOCKOPT, group.path):
                expect_equal([set_there(group), set_there(inner)], ["EPERM"] * 2, "under a program that allows none")
                with socket.socket() as one:
                    expect_equal(set_ulp(one, NOTHING), "OK", "outside")
            expect_equal(set_there(inner), seen, "in a grandchild, with that program gone")


@test
def kept_out_of_the_root() -> None:
    """By somebody's program there that tolerates none beside it. Later it may be turned on."""
    unload()
    cgroup.mount()
    with bpf.on_cgroup(bpf.constant(1), bpf.SETSOCKOPT, cgroup.ROOT):
        before = len(kernel_log())
        load()
        expect_equal(parameter(), "N", "the parameter")
        wait_for(lambda: any("no SO_ULP at SOL_SOCKET" in line for line in kernel_log()[before:]), "the log to say so")
        with socket.socket() as one:
            expect_equal(set_ulp(one, NOTHING), "ENOPROTOOPT", "set")
            expect_equal(error_of(lambda: tap.tap(one, Programs())), "OK", "natively")
        expect_equal(error_of(lambda: set_parameter("Y")), "EPERM", "to turn it on")
    set_parameter("Y")
    with socket.socket() as one:
        expect_equal(set_ulp(one, NOTHING), "OK", "set")


@contextlib.contextmanager
def unmounted() -> Iterator[None]:
    """No control groups in the file system."""
    cgroup.mount()
    subprocess.run(["umount", cgroup.ROOT], check=True)
    try:
        yield
    finally:
        cgroup.mount()


@test
def without_control_groups_in_sight() -> None:
    unload()
    with unmounted():
        load()
        with open("/proc/self/mounts", encoding="ascii") as file:
            expect("cgroup2" not in file.read(), "it mounted them")
        with socket.socket() as one:
            expect_equal(set_ulp(one, NOTHING), "OK", "set")


@test
def their_options_stay() -> None:
    """Those of the mount that is there."""
    unload()
    with unmounted():
        subprocess.run(["mount", "-t", "cgroup2", "-o", "nsdelegate", "none", cgroup.ROOT], check=True)
        load()
        with open("/proc/self/mounts", encoding="ascii") as file:
            mine = [line for line in file if f" {cgroup.ROOT} cgroup2 " in line]
        subprocess.run(["umount", cgroup.ROOT], check=True)
    expect("nsdelegate" in mine[0], f"options: {mine}")


# What else is loaded for it

@contextlib.contextmanager
def neither() -> Iterator[None]:
    """With neither stap.ko nor bpfilter.ko."""
    unload()
    subprocess.run(["modprobe", "-r", "bpfilter"], check=True)
    try:
        yield
    finally:
        unload()
        subprocess.run(["modprobe", "bpfilter"], check=True)
        load()


@contextlib.contextmanager
def stock() -> Iterator[None]:
    """ip_tables in its place, whatever /etc/modprobe.d says of it."""
    with tempfile.TemporaryDirectory() as no_config:
        modprobe = ["modprobe", "-C", no_config]
        subprocess.run([*modprobe, "iptable_filter"], check=True)
        try:
            yield
        finally:
            subprocess.run([*modprobe, "-r", "iptable_filter"], check=True)
            subprocess.run([*modprobe, "-r", "ip_tables"], check=False)


def loaded(name: str) -> bool:
    return os.path.isdir(f"/sys/module/{name}")


@test
def loading_leaves_iptables_alone() -> None:
    """bpfilter.ko is not needed for it, so it is not loaded, and ip_tables finds its place free."""
    with neither():
        load()
        expect(not loaded("bpfilter"), "bpfilter.ko was loaded")
        with connection() as (one, other):
            value = next(ways())[1]
            expect_equal(set_ulp(one, value), "OK", "SO_ULP")
            one.sendall(b"no")
            one.sendall(b"yes")
            expect_equal(receive(other, 3), b"yes", "what came")
        with stock():
            subprocess.run(["iptables-legacy", "-A", "INPUT", "-p", "255", "-j", "DROP"], check=True)
            rules = subprocess.run(["iptables-legacy", "-S", "INPUT"], stdout=subprocess.PIPE, text=True, check=True)
            subprocess.run(["iptables-legacy", "-F"], check=True)
            expect("-j DROP" in rules.stdout, f"ip_tables' rules: {rules.stdout}")
            expect(not loaded("bpfilter"), "bpfilter.ko was loaded")


@test
def a_policy_loads_what_makes_it() -> None:
    """That is bpfilter.ko, if its place is free."""
    with neither():
        load()
        with stock(), connection() as (one, _):
            expect_equal(error_of(lambda: tap.tap_by_policy(one, (LINES, OK, []), tap.NOT_TAPPED)), "ENOENT",
                         "where ip_tables is")
        with connection() as (one, other):
            expect_equal(set_ulp(one, ULP + tap.policy((LINES, OK, [Rule(b"n", DROP)]), tap.NOT_TAPPED)), "OK",
                         "where it is not")
            one.sendall(b"n\nyes\n")
            expect_equal(receive(other, 4), b"yes\n", "what came")
            expect(loaded("bpfilter"), "bpfilter.ko is not there")


if __name__ == "__main__":
    load()
    main()
