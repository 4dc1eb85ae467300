#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Whatever a request needs and does not get: it says so, the old rules stay, and the next one succeeds.

Each thing that can fail in a call fails once (lib/faults.py): no memory, or no page of the caller's.
"""

import contextlib
import ctypes
import errno
import os
import socket
import struct
from typing import Callable, Iterator

from lib import blob, compat, deaths, fake, faults, module, options, system
from lib import iptables as tables
from lib.blob import DROP, entry, match, verdict
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.family import BOTH, Family
from lib.faults import Call, Fault, libc
from lib.iptables import must
from lib.netns import CLONE_NEWNET, Namespace
from lib.packet import UDP
from lib.replace import encode

SAID = ("ENOMEM", "EFAULT")
LEVEL = {4: socket.SOL_IP, 6: socket.IPPROTO_IPV6}
LOCAL = {4: "127.0.0.1", 6: "::1"}


def prepare() -> None:
    system.only_ours()
    faults.need()


@contextlib.contextmanager
def space() -> Iterator[None]:
    """A network namespace with its loopback up. When it is gone, so are the programs and maps that were made for it."""
    before = objects()
    made = Namespace("failures", ipv6=True)
    with made:
        must("ip", "link", "set", "lo", "up")
        yield
    made.delete()
    wait_for(lambda: objects() <= before, f"no more than {before} programs and maps of ours", 60)


def objects() -> int:
    return len(module.objects("prog")) + len(module.objects("map"))


def port_rule(port: int, family: Family) -> bytearray:
    asked = match(b"udp", struct.pack("=4HB3x", 0, 65535, port, port, 0))
    return entry(verdict(DROP), asked, protocol=UDP, family=family)


def dropping(port: int, family: Family) -> blob.Table:
    """A table whose OUTPUT drops datagrams to a port."""
    return blob.of_table("filter", {3: [port_rule(port, family)]}, family=family)


def drops(port: int, family: Family) -> bool:
    with socket.socket(family.af, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(b"", (LOCAL[family.number], port))
        except PermissionError:
            return True
        except ConnectionRefusedError:
            pass
        return False


def in_force(ports: tuple[int, ...], family: Family) -> int:
    """Which of these ports is the one that is dropped."""
    found = [port for port in ports if drops(port, family)]
    expect_equal(len(found), 1, "ports that are dropped")
    return found[0]


Memory = ctypes.Array[ctypes.c_char]


def get_call(opened: socket.socket, family: Family, option: int, data: bytes) -> tuple[Call, Memory]:
    """And where the answer will be."""
    space_ = ctypes.create_string_buffer(data, len(data))
    size = ctypes.c_uint32(len(data))
    return Call(libc.getsockopt, opened.fileno(), LEVEL[family.number], option, space_, ctypes.byref(size)), space_


def put_call(opened: socket.socket, family: Family, option: int, data: bytes) -> Call:
    memory = ctypes.create_string_buffer(data, len(data))
    return Call(libc.setsockopt, opened.fileno(), LEVEL[family.number], option, memory, ctypes.c_uint32(len(data)))


def each(call: Callable[[], str], what: str) -> Iterator[Fault]:
    """Of the caller's own; each is said."""
    count = 0
    for fault in faults.walk(faults.of_this_task(call), what, "bpfilter"):
        expect_in(fault.answer, ("OK", *SAID), str(fault))
        yield fault
        count += 1
    expect(count, f"{what}: nothing could fail")


# Callers

@test
def info_and_entries() -> None:
    prepare()
    for family in BOTH:
        with space(), blob.raw_socket(family) as opened:
            expect_equal(dropping(9, family).commit(opened), "OK", "a table")
            before, saved = blob.entries(opened), tables.save(family=family)
            call, answer = get_call(opened, family, blob.GET_INFO, b"filter".ljust(blob.INFO, b"\0"))
            size = blob.info(opened).size
            for _ in each(call, f"GET_INFO, IPv{family.number}"):
                expect_equal(blob.info(opened).size, size, "size")
            call, answer = get_call(opened, family, blob.GET_ENTRIES,
                                    struct.pack("=32sI4x", b"filter", size) + bytes(size))
            for fault in each(call, f"GET_ENTRIES, IPv{family.number}"):
                if fault.answer == "OK":
                    expect_equal(answer.raw[blob.ENTRIES:], before[1], "entries")
            expect_equal(blob.entries(opened), before, "entries")
            expect_equal(tables.save(family=family), saved, "iptables-save")


@test
def revision() -> None:
    """Of what is there, and of what is to be loaded; that that can't be is no such match."""
    prepare()
    for family in BOTH:
        with blob.raw_socket(family) as opened:
            for name, revision_ in ((b"tcp", 0), (b"string", 1)):
                call, _ = get_call(opened, family, family.revision_match, struct.pack("=29sB", name, revision_))
                what = f"GET_REVISION of {name.decode()}, IPv{family.number}"
                for fault in faults.walk(faults.of_this_task(call), what, "bpfilter"):
                    expect_in(fault.answer, ("OK", "ENOENT", *SAID), str(fault))
                    if module.loaded("xt_string"):
                        must("modprobe", "-r", "xt_string")
                if module.loaded("xt_string"):
                    must("modprobe", "-r", "xt_string")


@test
def replace() -> None:
    """The table in force is the new one if the caller is told so, and otherwise the old one."""
    prepare()
    for family in BOTH:
        with space(), blob.raw_socket(family) as opened:
            expect_equal(dropping(9, family).commit(opened), "OK", "a table")
            saved = rules(family)
            now, other = 9, 10
            listing = blob.entries(opened)[1]

            def attempt() -> str:
                return call()

            call = made(opened, family, other)
            for fault in each(attempt, f"REPLACE, IPv{family.number}"):
                if fault.answer == "OK":
                    now, other = other, now
                else:
                    expect_equal(blob.entries(opened)[1], listing, f"entries behind {fault}")
                expect_equal(in_force((9, 10), family), now, f"the port that is dropped behind {fault}")
                listing = blob.entries(opened)[1]
                call = made(opened, family, other)
            expect_equal(dropping(9, family).commit(opened), "OK", "a table")
            expect_equal(rules(family), saved, "iptables-save")


def rules(family: Family) -> list[str]:
    return [line for line in tables.save("", family=family) if line.startswith("-A ")]


_kept: list[object] = []  # memory that the kernel writes to


def made(opened: socket.socket, family: Family, port: int) -> Call:
    table = dropping(port, family)
    _kept[:] = [table]
    return put_call(opened, family, blob.SET_REPLACE, table.head(opened) + table.blob())


@test
def add_counters() -> None:
    """All are added, or none."""
    prepare()
    for family in BOTH:
        with space(), blob.raw_socket(family) as opened:
            expect_equal(dropping(9, family).commit(opened), "OK", "a table")
            count = blob.info(opened).entries
            data = struct.pack("=32sI4x", b"filter", count) + struct.pack("=QQ", 3, 5) * count
            times = 0
            call = put_call(opened, family, blob.SET_ADD_COUNTERS, data)
            for fault in each(call, f"ADD_COUNTERS, IPv{family.number}"):
                times += fault.answer == "OK"
                counters = blob.counters(blob.entries(opened)[1], family)
                expect_equal(set(counters[:-1]), {(3 * times, 5 * times)}, f"counters behind {fault}")


@test
def first_use_in_a_namespace() -> None:
    prepare()
    for family in BOTH:
        with space(), blob.raw_socket(family) as opened:
            for table in ("raw", "nat"):
                call, _ = get_call(opened, family, blob.GET_INFO, table.encode().ljust(blob.INFO, b"\0"))
                for fault in each(call, f"first GET_INFO of {table}, IPv{family.number}"):
                    if fault.answer == "OK":
                        break
                expect_equal(blob.info(opened, table).status, "OK", "the next GET_INFO")


@test
def callers_of_32_bits() -> None:
    prepare()
    compat.only_known()
    for family in (compat.V4, compat.V6):
        with space():
            caller = compat.Caller(compat.Layout(family, 32))
            with caller.socket:  # which is of the namespace that must be gone then
                walk_of_32_bits(caller, family)


def walk_of_32_bits(caller: compat.Caller, family: compat.Family) -> None:
    expect_equal(caller.replace(compat.Table({"INPUT": [compat.tcp(compat.DROP)]})).status, "OK", "a table")
    listed, count = caller.listed(), caller.info()[3]
    size = len(listed)
    questions = {"GET_INFO": lambda: caller.ask(False, compat.INFO, b"filter".ljust(84, b"\0")),
                 "GET_ENTRIES": lambda: caller.entries(size),
                 "REPLACE": lambda: replace_by(caller, count),
                 "ADD_COUNTERS": lambda: caller.ask(True, compat.ADD_COUNTERS,
                                                    caller.entries_head(count) + bytes(16 * count))}
    for name, ask in questions.items():
        for fault in faults.walk(of_a_caller(caller, ask), f"{name}, {family.iptables}, 32 bits", "bpfilter"):
            expect_in(fault.answer, ("OK", *SAID), str(fault))
            expect_equal(caller.listed(), listed, f"entries behind {name}, {fault}")


def replace_by(caller: compat.Caller, count: int) -> compat.Answer:
    """The table that is there, once more."""
    rendered = compat.Table({"INPUT": [compat.tcp(compat.DROP)]}).render(caller.layout)
    head = encode(b"filter", 0x0E, len(rendered.offsets) - 1, len(rendered.entries), count, compat.COUNTERS,
                  rendered.hook_entry, rendered.underflow, 32)
    return caller.ask(True, compat.REPLACE, head + rendered.entries, None, 16 * (count + 1))


def of_a_caller(caller: compat.Caller, ask: Callable[[], compat.Answer]) -> faults.Attempt:
    def attempt(nth: int) -> tuple[str, bool]:
        caller.nth = nth
        try:
            answer = ask()
        finally:
            caller.nth = 0
        return answer.status, answer.injected
    return attempt


# The helper, here tests/kmod/fake_helper.c, in what it asks the module for

def fake_call(option: int, data: bytes, put: bool) -> Callable[[], str]:
    def call() -> str:
        error = options.setsockopt(option, data) if put else options.getsockopt(option, data)[0]
        return errno.errorcode[error] if error else "OK"
    return call


def idle() -> int:
    """Its pid, when it waits for a request."""
    pid = fake.pid()

    def asleep() -> bool:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            return file.read().startswith("0 0x0 ")  # to read from the pipe
    wait_for(asleep, "the helper to have nothing to do")
    return pid


def of_the_helper(call: Callable[[], str], what: str, begin: Callable[[], None] = lambda: None) -> None:
    """Of its descriptors it makes sure of nothing: what it has not got it passes on."""
    count, nth = 0, 1
    seen: dict[str, int] = {}
    while True:
        begin()
        fault = faults.one(faults.of_another_task(idle(), call), nth)
        if not fault:
            break
        within = "bpfilter" in fault.modules
        expect_in(fault.answer, ("OK", "EIO", *SAID, *(() if within else ("EBADF", "EINVAL"))), f"{what}, {fault}")
        count += within
        seen[fault.answer] = seen.get(fault.answer, 0) + 1
        expect_equal(call(), "OK", f"{what}, the next one behind {fault}")
        for death in deaths.judge(0):  # one of what failed, which is all right
            expect(death.endswith((deaths.EXITED, deaths.BY_THE_MODULE)), f"{death}, behind {fault}")
        nth += 1
    print(f"# helper, {what}: {nth - 1} failures, {count} of them seen in bpfilter: {seen}", flush=True)
    expect(count, f"{what}: nothing could fail in the module")


def info_of_filter() -> Callable[[], str]:
    return fake_call(options.GET_INFO, options.name("filter").ljust(84, b"\0"), False)


def fake_table() -> Callable[[], str]:
    prepare()
    fake.fresh()
    call = info_of_filter()
    expect_equal(call(), "OK", "GET_INFO")
    return call


@test
def helper_asks_for_a_table() -> None:
    of_the_helper(fake_table(), "GET_INFO")


@test
def helper_commits_a_table() -> None:
    """In a new namespace each time: hooks, and what goes with it."""
    call = fake_table()
    spaces: list[Namespace] = []

    def another() -> None:
        while spaces:
            spaces[-1].__exit__()
            spaces.pop().delete()
        spaces.append(Namespace("fake"))
        spaces[-1].__enter__()

    of_the_helper(call, "GET_INFO, and its COMMIT", another)
    while spaces:
        spaces[-1].__exit__()
        spaces.pop().delete()


@test
def helper_replaces_a_table() -> None:
    fake_table()
    memory = ctypes.create_string_buffer(4 * 16)
    data = options.replace_data(ctypes.addressof(memory), 4, 4, 632)
    of_the_helper(fake_call(options.SET_REPLACE, data, True), "REPLACE, and OLD_COUNTERS")


@test
def helper_gives_the_entries() -> None:
    fake_table()
    data = options.name("filter") + struct.pack("=II", 632, 0) + bytes(632)
    of_the_helper(fake_call(options.GET_ENTRIES, data, False), "GET_ENTRIES")


# Modules and namespaces come

LOAD, UNLOAD = 313, 176  # finit_module, delete_module


def load_call(name: str, parameters: bytes = b"") -> Call:
    """Of a module whose dependencies are there."""
    # pylint: disable=consider-using-with
    file = open(must("modinfo", "-n", name).strip(), "rb")
    _kept[:] = [file]
    return Call(libc.syscall, LOAD, file.fileno(), ctypes.c_char_p(parameters), 0)


def unload_now(name: str) -> None:
    """Without what it needs."""
    wait_for(lambda: bool(libc.syscall(UNLOAD, name.encode(), os.O_NONBLOCK) == 0), f"{name} to be removable", 60)


@test
def loading_bpfilter() -> None:
    prepare()
    fake.back()
    module.fresh()
    unload_now("bpfilter")
    files = ("ip_tables_names", "ip_tables_matches", "ip6_tables_names", "ip6_tables_targets")
    for fault in faults.walk_within(faults.of_this_task(load_call("bpfilter")), "loading bpfilter", "bpfilter"):
        if fault.answer == "OK":
            unload_now("bpfilter")
        else:
            expect_in(fault.answer, SAID, str(fault))
        expect(not module.loaded("bpfilter"), f"it is there behind {fault}")
        expect(not any(os.path.exists(f"/proc/net/{name}") for name in files), f"there are files behind {fault}")
    if module.loaded("bpfilter"):
        unload_now("bpfilter")
    module.load()
    tables.restore("-A INPUT -s 192.0.2.1 -j DROP")
    tables.restore()
    module.unload()
    module.nothing_left()
    module.load()


@test
def making_a_namespace() -> None:
    prepare()
    fake.back()
    module.fresh()
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    make = faults.of_this_task(Call(libc.unshare, CLONE_NEWNET))
    for fault in faults.walk_within(make, "a new namespace", "bpfilter"):
        if fault.answer == "OK":
            for family in BOTH:
                expect(os.path.exists(f"/proc/thread-self/net/{family.proc}_tables_names"), f"no files behind {fault}")
            expect_equal(libc.setns(home, CLONE_NEWNET), 0, "setns")
        else:
            expect_in(fault.answer, SAID, str(fault))
    libc.setns(home, CLONE_NEWNET)
    os.close(home)
    with space():
        for family in BOTH:
            expect_equal(len(must(family.iptables, "-S").splitlines()), 3, "a new table")
            must("cat", f"/proc/net/{family.proc}_tables_names")


if __name__ == "__main__":
    main(at_end=fake.back)
