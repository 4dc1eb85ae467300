#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What bpfilter.ko makes of a helper that dies, hangs, lies, or that nobody waits for.

The helper is tests/kmod/fake_helper.c. Every test begins with the module loaded anew.
"""

import ctypes
import errno
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import Callable

from lib import fake, options, system, tap, tcp
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.netns import Namespace, sysctl
from lib.options import (GET_ENTRIES, GET_INFO, GET_REVISION_TARGET, SET_ADD_COUNTERS,
                         SET_REPLACE, getsockopt, name, setsockopt)

SIZE = 632  # of the fake helper's table
DROPPING = 66  # entries of a table that drops everything
COUNTER = struct.Struct("=QQ")

_libc = ctypes.CDLL(None, use_errno=True)


def get_info(table: str = "filter") -> int:
    return getsockopt(GET_INFO, name(table).ljust(84, b"\0"))[0]


def get_entries(size: int = SIZE) -> tuple[int, bytes]:
    error, data = getsockopt(GET_ENTRIES, (name("filter") + struct.pack("=II", size, 0)).ljust(40 + size, b"\0"))
    return error, data[40:]


def listing() -> int:
    return get_entries()[0]


def replace_data(counters: int, num_counters: int, entries: int = 4, size: int = SIZE) -> bytes:
    return options.replace_data(counters, num_counters, entries, size)


def replace(entries: int = 4, num_counters: int = 4, size: int = SIZE) -> tuple[int, list[tuple[int, int]]]:
    """The errno, and the counters, with one more behind them that nobody may touch."""
    counters = ctypes.create_string_buffer(b"\xaa" * COUNTER.size * (num_counters + 1),
                                           COUNTER.size * (num_counters + 1))
    error = setsockopt(SET_REPLACE, replace_data(ctypes.addressof(counters), num_counters, entries, size))
    return error, list(COUNTER.iter_unpack(counters.raw))


UNTOUCHED = COUNTER.unpack(b"\xaa" * COUNTER.size)
OLD_COUNTERS = [(i + 1, 100 * (i + 1)) for i in range(4)]


def add_counters() -> int:
    return setsockopt(SET_ADD_COUNTERS, name("filter") + struct.pack("=II", 4, 0) + bytes(64))


def passes() -> bool:
    """Whether a datagram gets through the hooks of this namespace."""
    kind = (socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(*kind) as receiver, socket.socket(*kind) as sender:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        try:
            sender.sendto(b"x", receiver.getsockname())
        except PermissionError:
            return False
        return receiver.recv(1) == b"x"


class Child:
    """A process that makes one request; it can be killed."""

    def __init__(self, function: Callable[[], int]):
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(function())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def result(self) -> int:
        """The function's, negative when it was killed."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def works() -> None:
    """With a good helper, in the end, everything is as if nothing had been."""
    fake.order()
    wait_for(lambda: get_info() == 0, "GET_INFO to work")
    expect_equal(get_entries(), (0, b"e" * SIZE), "entries")


# INIT

@test
def well_behaved() -> None:
    fake.fresh()
    works()
    expect_equal(fake.log()[0].what, "INIT", "the first request")
    expect_equal(len(fake.log("COMMIT")), 1, "commits")
    expect_equal(fake.last("COMMIT"), {"errno": 0}, "commit")
    with open("/proc/net/ip_tables_names", encoding="ascii") as file:
        expect_equal(file.read(), "filter\n", "tables")
    error, counters = replace()
    expect_equal((error, counters), (0, OLD_COUNTERS + [UNTOUCHED]), "replace")
    expect_equal(add_counters(), 0, "add_counters")
    ids = [line.fields["id"] for line in fake.log() if "id" in line.fields]
    expect_equal(len(set(ids)), len(ids), "unique ids")
    expect(0 not in ids, "an id is 0")


@test
def init_refused() -> None:
    for what in ("other_version", f"error {errno.EPROTO}", "malformed 0", "empty"):
        fake.fresh()
        fake.order(f"INIT {what}")
        old = system.kernel_log()
        expect_equal(get_info(), errno.EIO, f"after INIT {what}")
        expect_equal(get_info(), errno.EIO, f"again after INIT {what}")
        expect_equal([line.what for line in fake.log() if "pid" in line.fields], ["INIT"], "requests")
        expect(any("does not speak version" in line for line in system.kernel_log()[len(old):]),
               f"nothing in the kernel log: {system.kernel_log()[len(old):]}")
        works()


@test
def init_crash() -> None:
    fake.fresh()
    fake.order("INIT crash")
    expect_equal(get_info(), errno.EIO, "GET_INFO")
    expect_equal(len(fake.log("INIT")), 3, "helpers started")
    works()


@test
def init_hang() -> None:
    fake.fresh()
    fake.parameter("deadline", 1)
    fake.order("INIT hang")
    expect_equal(get_info(), errno.EIO, "GET_INFO")
    expect_equal(len(fake.log("INIT")), 1, "helpers started")
    works()


@test
def no_helper() -> None:
    """No bpfilter_umh.ko: what iptables prints about ENOENT is right."""
    fake.fresh()
    fake.remove()
    conf = "/etc/modprobe.d/no-helper.conf"
    path = subprocess.run(["modinfo", "-n", "bpfilter"], check=True, capture_output=True, text=True).stdout.strip()
    with open(conf, "w", encoding="ascii") as file:
        file.write("install bpfilter_umh /bin/false\n")
    try:
        subprocess.run(["insmod", path], check=True)
        for _ in range(3):
            expect_equal(get_info(), errno.ENOENT, "GET_INFO")
        expect_equal(listing(), errno.ENOENT, "GET_ENTRIES")
        subprocess.run(["insmod", fake.MODULE], check=True)
        works()
    finally:
        os.unlink(conf)


# Requests that kill

@test
def crash() -> None:
    fake.fresh()
    fake.order("GET_INFO crash")
    expect_equal(get_info(), errno.EIO, "GET_INFO")
    seen = fake.log("GET_INFO")
    expect_equal(len(seen), 2, "helpers that were given it")
    expect_equal(len({line.fields["pid"] for line in seen}), 2, "helpers")
    expect_equal(len({line.fields["id"] for line in seen}), 1, "ids")
    works()


@test
def crash_is_not_repeated() -> None:
    fake.fresh()
    works()
    fake.order("ADD_COUNTERS crash")
    expect_equal(add_counters(), errno.EIO, "ADD_COUNTERS")
    expect_equal(len(fake.log("ADD_COUNTERS")), 1, "helpers that were given it")
    works()


@test
def killed_over_a_request() -> None:
    """The successor answers it; what was queued behind it keeps its order."""
    fake.fresh()
    works()
    fake.order("GET_ENTRIES hang")
    fake.forget()
    children = [Child(listing)]
    fake.wait_for_line("GET_ENTRIES")
    children += [Child(get_info), Child(listing)]
    fake.order()
    fake.kill()
    expect_equal([child.result() for child in children], [0, 0, 0], "results")
    order = [line.what for line in fake.log() if "pid" in line.fields]
    expect_equal(order[:4], ["GET_ENTRIES", "INIT", "REPLAY", "GET_ENTRIES"], "requests")


@test
def hang() -> None:
    fake.fresh()
    works()
    fake.parameter("deadline", 1)
    fake.order("GET_ENTRIES hang")
    fake.forget()
    start = time.monotonic()
    hanging = Child(listing)
    fake.wait_for_line("GET_ENTRIES")
    behind = Child(get_info)
    expect_equal(hanging.result(), errno.EIO, "the request that hung")
    expect_equal(behind.result(), 0, "the request behind it")
    expect(time.monotonic() - start < 60, "it took a minute")
    expect_equal(len(fake.log("GET_ENTRIES")), 1, "helpers that were given it")
    works()


@test
def one_request_ignored() -> None:
    """A helper that goes on with others is over the deadline all the same."""
    fake.fresh()
    works()
    fake.parameter("deadline", 1)
    fake.order("GET_ENTRIES ignore")
    ignored = Child(listing)
    fake.wait_for_line("GET_ENTRIES", 2)
    expect_equal(get_info(), 0, "another request")
    expect_equal(ignored.result(), errno.EIO, "the ignored request")
    works()


# Replies

@test
def malformed_replies() -> None:
    fake.fresh()
    works()
    helper = fake.pid()
    for number in range(5):
        fake.order(f"GET_ENTRIES malformed {number}")
        expect_equal(listing(), errno.EIO, f"malformed {number}")
        expect_equal(fake.last("write"), {"errno": errno.EINVAL}, "write")
    works()
    expect_equal(fake.pid(), helper, "the helper")


@test
def wrong_lengths() -> None:
    fake.fresh()
    works()
    for what in ("long", "empty"):
        fake.order(f"GET_INFO {what}", f"GET_ENTRIES {what}")
        expect_equal(get_info(), errno.EIO, f"GET_INFO {what}")
        expect_equal(get_entries()[0], errno.EIO, f"GET_ENTRIES {what}")
    works()


@test
def noise() -> None:
    fake.fresh()
    fake.order("GET_INFO noise")
    expect_equal(get_info(), 0, "GET_INFO")
    expect_equal([line.fields["errno"] for line in fake.log("write")],
                 [errno.EINVAL, errno.ENOENT, errno.EFAULT], "writes")
    expect_equal(fake.last("ioctl"), {"errno": errno.ENOTTY}, "ioctl")
    expect_equal(fake.last("lseek"), {"errno": errno.ESPIPE}, "lseek")


@test
def errors() -> None:
    fake.fresh()
    works()
    for number in (errno.ECHILD, errno.EPIPE, errno.ENOPROTOOPT, 512, 517, 4095):
        fake.order(f"GET_INFO error {number}")
        expect_equal(get_info(), errno.EIO, f"error {number}")
    for number in (errno.EPERM, errno.ENOENT, errno.EAGAIN, errno.ENOMEM, errno.EPROTONOSUPPORT, errno.ELOOP):
        fake.order(f"GET_INFO error {number}")
        expect_equal(get_info(), number, f"error {number}")


@test
def messages() -> None:
    fake.fresh()
    works()
    fake.order(f"GET_ENTRIES error {errno.EINVAL}")
    old = system.kernel_log()
    for _ in range(30):
        expect_equal(listing(), errno.EINVAL, "GET_ENTRIES")
    new = [line for line in system.kernel_log()[len(old):] if "as ordered" in line]
    expect_equal(new[0], "bpfilter: as ordered,??? with control characters", "message")
    expect(len(new) <= 10, f"{len(new)} messages: no limit")


# COMMIT

@test
def bad_commits() -> None:
    """Each is refused, and the table that was in force is in force."""
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    expect(not passes(), "it does not drop")
    for what, error in (
            ("bad_program", errno.EBADF), ("map_as_program", errno.EINVAL), ("other_type", errno.EINVAL),
            ("direct_access", errno.EINVAL), ("hook_out_of_range", errno.EINVAL), ("hook_twice", errno.EINVAL),
            ("too_many_hooks", errno.EINVAL), ("too_many_kept", errno.EINVAL), ("bad_kept", errno.EBADF),
            ("pipe_kept", errno.EINVAL), ("bad_context", errno.EBADF), ("small_context", errno.EINVAL),
            ("plain_context", errno.EINVAL), ("flags", errno.EINVAL), ("other_table", errno.EINVAL),
            ("unterminated", errno.EINVAL), ("other_priority", errno.EINVAL), ("fewer_hooks", errno.EINVAL),
            ("other_hook_flags", errno.EINVAL), ("unknown_hook_flags", errno.EINVAL),
            ("reroute_at_input", errno.EINVAL), ("nat_at_forward", errno.EINVAL),
            ("other_id", errno.ENOENT)):
        fake.order(f"REPLACE commit_{what}")
        expect_equal(replace(), (error, [UNTOUCHED] * 5), what)
        expect_equal(fake.last("COMMIT"), {"errno": error}, f"commit, {what}")
        expect(not passes(), f"{what}: the table that drops is not in force")
    works()
    expect_equal(replace()[0], 0, "a good one")
    expect(passes(), "it is not in force")


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
    expect_equal(getsockopt(GET_INFO, name("filter").ljust(84, b"\0"), family)[0], 0, "GET_INFO")
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


@test
def bad_first_commits() -> None:
    fake.fresh()
    for what in ("bad_program", "hook_twice", "plain_context", "flags"):
        fake.order(f"GET_INFO commit_{what}")
        expect(get_info() != 0, what)
        with open("/proc/net/ip_tables_names", encoding="ascii") as file:
            expect_equal(file.read(), "", "tables")
    works()


@test
def reply_and_commit_disagree() -> None:
    fake.fresh()
    works()
    fake.order("REPLACE no_commit")
    expect_equal(replace()[0], errno.EIO, "without a commit")
    fake.order("REPLACE commit_then_fail")
    expect_equal(replace(), (0, OLD_COUNTERS + [UNTOUCHED]), "with a commit")
    works()


@test
def crash_behind_the_commit() -> None:
    """It has succeeded; the old counters come from the successor, with the retired maps."""
    fake.fresh()
    works()
    fake.order("REPLACE commit_then_crash")
    fake.forget()
    expect_equal(replace(entries=DROPPING), (0, OLD_COUNTERS + [UNTOUCHED]), "replace")
    expect(not passes(), "the new table is not in force")
    replay = fake.wait_for_line("REPLAY")
    expect_equal(replay["size"], 32 + 96 + SIZE, "payload of the replay")
    expect_equal([line.fields["count"] for line in fake.log("KEPT")], [2, 2], "kept")
    expect_equal(len(fake.log("REPLACE")), 1, "helpers that were given it")
    works()


@test
def hang_behind_the_commit() -> None:
    fake.fresh()
    works()
    fake.parameter("deadline", 1)
    fake.order("REPLACE commit_then_hang")
    expect_equal(replace(entries=DROPPING), (0, OLD_COUNTERS + [UNTOUCHED]), "replace")
    expect(not passes(), "the new table is not in force")
    works()


@test
def no_old_counters() -> None:
    """Nothing can fail behind the commit: the caller gets zeros."""
    fake.fresh()
    works()
    for what in ("crash", "empty", "long", f"error {errno.ENOMEM}"):
        fake.order(f"OLD_COUNTERS {what}")
        expect_equal(replace(), (0, [(0, 0)] * 4 + [UNTOUCHED]), what)
    fake.order()
    for pointer in (0, 8):
        expect_equal(setsockopt(SET_REPLACE, replace_data(pointer, 4)), 0, f"counters at {pointer}")


@test
def replace_without_a_table() -> None:
    """It makes the table; a table that was not there has counted nothing."""
    fake.fresh()
    expect_equal(replace(), (0, [(0, 0)] * 4 + [UNTOUCHED]), "replace")
    expect_equal(len(fake.log("OLD_COUNTERS")), 0, "requests for counters")


@test
def large_payloads() -> None:
    fake.fresh()
    works()
    expect_equal(replace(size=40 << 20)[0], 0, "replace of 40 MB")
    fake.kill()
    expect_equal(fake.wait_for_line("REPLAY")["size"], 32 + 96 + (40 << 20), "replay")
    works()


# Callers

@test
def killed_while_it_is_carried_out() -> None:
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    fake.order("REPLACE slow 500")
    fake.forget()
    child = Child(lambda: replace()[0])
    fake.wait_for_line("REPLACE")
    child.kill()
    expect_equal(child.result(), -signal.SIGKILL, "the client")
    expect_equal(fake.wait_for_line("COMMIT"), {"errno": errno.ECANCELED}, "commit")
    expect_equal(fake.wait_for_line("write"), {"errno": errno.ENOENT}, "reply")
    expect(not passes(), "the table that drops is not in force")
    works()


@test
def killed_while_it_is_queued() -> None:
    fake.fresh()
    works()
    fake.order("GET_ENTRIES slow 500")
    fake.forget()
    first = Child(listing)
    fake.wait_for_line("GET_ENTRIES")
    second = Child(lambda: replace()[0])
    wait_for(lambda: open(f"/proc/{second.pid}/wchan", encoding="ascii").read() not in ("", "0"), "it to wait")
    second.kill()
    second.result()
    expect_equal(first.result(), 0, "the first")
    expect_equal(len(fake.log("REPLACE")), 0, "requests of the killed one that were read")
    works()


@test
def killed_at_any_moment() -> None:
    """Helpers and clients, from outside, while tables are replaced."""
    fake.fresh()
    works()
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    chance = random.Random(seed)
    requests: list[Callable[[], int]] = [get_info, add_counters, listing,
                                         lambda: replace()[0]]
    for _ in range(60):
        children = [Child(chance.choice(requests)) for _ in range(3)]
        time.sleep(chance.random() * 0.03)  # the moment is the point
        if chance.random() < 0.5:
            try:
                fake.kill()
            except ProcessLookupError:
                pass
        if chance.random() < 0.5:
            chance.choice(children).kill()
        for child in children:
            expect_in(child.result(), (0, errno.EIO, -signal.SIGKILL), "result")
    works()


# The end

@test
def rules_survive_the_helper() -> None:
    """It comes back without being asked, and what it needs to know comes first."""
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    for step in range(3):
        fake.forget()
        expect_equal(listing(), 0, "a listing")
        fake.kill()
        expect(not passes(), "the table that drops is not in force")
        replay = fake.wait_for_line("REPLAY")
        expect_equal(replay["size"], 32 + 96 + SIZE, f"payload, step {step}")
        fake.wait_for_line("NETNS")
        expect_equal(fake.last("KEPT"), {"count": 2}, f"kept, step {step}")
        expect(not passes(), "the table that drops is not in force")
    works()


@test
def replay_that_kills() -> None:
    """It is not tried for ever; the table stays in force."""
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    fake.order("REPLAY crash")
    fake.kill()
    fake.wait_for_line("REPLAY", 2)
    wait_for(lambda: listing() == 0, "a helper")
    expect_equal(len(fake.log("REPLAY")), 2, "replays")
    expect(not passes(), "the table that drops is not in force")
    works()


@test
def helper_that_missed_a_table() -> None:
    """First contents never replace rules: such a helper is replaced, and its successor is told."""
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    fake.order("GET_INFO forgetful")
    fake.forget()
    expect_equal(get_info(), errno.EIO, "GET_INFO")
    expect_equal(len(fake.log("GET_INFO")), 2, "helpers that were given it")
    expect_equal(len(fake.log("REPLAY")), 1, "replays between them")
    expect_equal(len(fake.log("COMMIT")), 0, "helpers that survived it")
    expect(not passes(), "the table that drops is not in force")
    works()


@test
def unloading_fifty_times() -> None:
    fake.fresh()
    for step in range(50):
        expect_equal(get_info(), 0, f"GET_INFO, step {step}")
        helper = fake.pid()
        fake.remove()
        expect(not os.path.exists(f"/proc/{helper}"), f"the helper is still there, step {step}")
        fake.insert()


@test
def unloading_a_hung_helper() -> None:
    fake.fresh()
    fake.order("GET_ENTRIES hang")
    child = Child(listing)
    fake.wait_for_line("GET_ENTRIES")
    expect(subprocess.run(["rmmod", "bpfilter"], stderr=subprocess.DEVNULL).returncode != 0,
           "removed with a caller inside")
    child.kill()
    child.result()
    fake.remove()


@test
def unloading_is_refused_under_rules() -> None:
    fake.fresh()
    works()
    for _ in range(3):
        expect_equal(replace()[0], 0, "replace")
        expect(subprocess.run(["rmmod", "bpfilter"], stderr=subprocess.DEVNULL).returncode != 0, "removed")
        fake.order("REPLACE unpinned")
        expect_equal(replace()[0], 0, "replace without rules")
        fake.order()
    fake.order("REPLACE unpinned")
    expect_equal(replace()[0], 0, "replace without rules")
    expect_equal(subprocess.run(["rmmod", "bpfilter"], check=False).returncode, 0, "rmmod without rules")


@test
def unloading_with_a_stolen_pipe() -> None:
    """Somebody else holds the helper's pipe: the module waits for that to end."""
    fake.fresh()
    works()
    helper = os.pidfd_open(fake.pid())
    pipe = _libc.syscall(438, helper, 0, 0)  # pidfd_getfd
    expect(pipe >= 0, f"pidfd_getfd: errno {ctypes.get_errno()}")
    with subprocess.Popen(["rmmod", "bpfilter"]) as removal:
        wait_for(lambda: not os.path.exists(f"/proc/{fake.pid()}"), "the helper to be killed")
        expect_equal(os.read(pipe, 4096), b"", "end of file")
        expect(removal.poll() is None, "the module is gone while its file is open")
        os.close(pipe)
        expect_equal(removal.wait(20), 0, "rmmod")
    os.close(helper)


# What helpers give

def remove_stap() -> None:
    wait_for(lambda: subprocess.run(["rmmod", "stap"], stderr=subprocess.DEVNULL, check=False).returncode == 0,
             "stap to be removable")


def tap_by_policy() -> str:
    """The errno. A tapped socket counts what it receives."""
    with tcp.connection() as (one, other):
        answer = tcp.error_of(lambda: tap.tap_by_policy(other, tap.NOT_TAPPED, (tap.EACH, tap.OK, [])))
        one.sendall(b"hello")
        expect_equal(tcp.receive(other, 5), b"hello", "what came")
        if answer == "OK":
            expect_equal(tap.info(other)[1].messages, 1, "messages")
        return answer


@test
def programs_that_are_given() -> None:
    fake.fresh()
    tap.load()
    expect_equal(tap_by_policy(), "OK", "with four programs")
    expect_equal(fake.last("GIVE"), {"errno": 0}, "IOC_GIVE")
    for order, given, answer in (("nothing", None, "EIO"), ("count 3", errno.EINVAL, "EIO"),
                                 ("count 5", errno.EINVAL, "EIO"), ("count -1", errno.EINVAL, "EIO"),
                                 ("reserved", errno.EINVAL, "EIO"), ("pipe", errno.EINVAL, "EIO"),
                                 ("closed", errno.EBADF, "EIO"), ("other_request", errno.ENOENT, "EIO"),
                                 ("twice", 0, "OK"), ("give_then_fail", 0, "EPERM")):
        fake.forget()
        fake.order(f"TAP {order}")
        expect_equal(tap_by_policy(), answer, order)
        expect_equal({line.fields["errno"] for line in fake.log("GIVE")}, set() if given is None else {given}, order)
    fake.order()
    expect_equal(tap_by_policy(), "OK", "afterwards")
    remove_stap()


@test
def a_helper_that_gives_and_dies() -> None:
    """Its successors are asked again, and what the dead gave is not given twice."""
    fake.fresh()
    tap.load()
    fake.order("TAP give_then_crash")
    expect_equal(tap_by_policy(), "EIO", "of helpers that all die")
    expect(len(fake.log("GIVE")) > 1, f"{len(fake.log('GIVE'))} helpers gave")
    fake.order()
    expect_equal(tap_by_policy(), "OK", "afterwards")
    remove_stap()


# Namespaces, privilege, parameters

@test
def namespaces() -> None:
    fake.fresh()
    for _ in range(3):
        namespace = Namespace("pipe")
        with namespace:
            expect_equal(get_info(), 0, "GET_INFO")
            cookie = fake.last("GET_INFO")["netns"]
            expect_equal(fake.last("NETNS"), {"own": 0}, "namespace of the request")
            expect_equal(replace(entries=DROPPING)[0], 0, "replace")
            fake.forget()
            namespace.ip(["link set lo up", "link add d0 type dummy"])
            expect(not passes(), "the table that drops is not in force")
            expect_equal(fake.wait_for_line("DEVICES")["netns"], cookie, "namespace of DEVICES")
        expect(passes(), "another namespace's rules")
        namespace.delete()
        expect_equal(fake.wait_for_line("NETNS_GONE")["netns"], cookie, "namespace that is gone")
    fake.remove()


@test
def privilege() -> None:
    """First of all, for every option of the range."""
    fake.fresh()
    works()

    def unprivileged() -> int:
        os.setresuid(65534, 65534, 65534)
        wrong = [option for option in range(64, 66) if setsockopt(option, b"") != errno.EPERM]
        wrong += [option for option in range(64, 68) if getsockopt(option, b"x")[0] != errno.EPERM]
        return len(wrong)

    expect_equal(Child(unprivileged).result(), 0, "options that did not give EPERM")
    for option in (66, 67):
        expect_equal(setsockopt(option, b""), errno.ENOPROTOOPT, f"set {option}")
    expect_equal(getsockopt(68, b"x")[0], errno.ENOPROTOOPT, "get 68")

    command = [sys.executable, "-c", "import pipe, sys; sys.exit(pipe.get_info() or pipe.replace()[0])"]
    done = subprocess.run(["unshare", "-Urn", *command], cwd=os.path.dirname(os.path.abspath(__file__)), check=False)
    expect_equal(done.returncode, 0, "root of a user namespace")
    fake.wait_for_line("NETNS_GONE")


@test
def lengths() -> None:
    """What is checked before the helper is asked."""
    fake.fresh()
    works()
    fake.forget()
    for length in (0, 83, 85):
        expect_equal(getsockopt(GET_INFO, bytes(length))[0], errno.EINVAL, f"GET_INFO of {length}")
    for length, size in ((39, 0), (40, 1), (41, 2), (41, 0)):
        data = (name("filter") + struct.pack("=II", size, 0)).ljust(length, b"\0")[:length]
        expect_equal(getsockopt(GET_ENTRIES, data)[0], errno.EINVAL, f"GET_ENTRIES {length}, {size}")
    for length in (29, 31):
        expect_equal(getsockopt(GET_REVISION_TARGET, bytes(length))[0], errno.EINVAL, f"revision of {length}")
    for length in (0, 40, 55, 57):
        data = (name("filter") + struct.pack("=II", 1, 0)).ljust(length, b"\0")[:length]
        expect_equal(setsockopt(SET_ADD_COUNTERS, data), errno.EINVAL, f"ADD_COUNTERS of {length}")
    good = replace_data(0, 4)
    for data, error in ((good[:95], errno.EINVAL), (good[:-1], errno.EINVAL), (replace_data(0, 0), errno.EINVAL),
                        (replace_data(0, 0x07ffffff), errno.ENOMEM), (replace_data(0, 0xffffffff), errno.ENOMEM)):
        expect_equal(setsockopt(SET_REPLACE, data), error, "REPLACE")
    expect_equal(fake.log(), [], "requests that reached the helper")
    expect_equal(setsockopt(SET_REPLACE, good + b"more"), 0, "a longer REPLACE")
    expect_equal(fake.last("REPLACE")["size"], len(good), "payload of it")
    expect_equal(get_entries(SIZE + 8)[0], errno.EAGAIN, "another size")


@test
def parameters() -> None:
    fake.fresh()
    works()
    for mode, value in (("off", "off"), ("native", "native"), ("generic\n", "generic"), ("auto", "auto")):
        fake.forget()
        fake.parameter("xdp", mode)
        with open(f"{fake.PARAMETERS}/xdp", encoding="ascii") as file:
            expect_equal(file.read(), f"{value}\n", "xdp")
        fake.wait_for_line("SETTINGS")
    for parameter, value in (("xdp", "on"), ("xdp", ""), ("deadline", 0), ("deadline", 3601), ("deadline", "x")):
        try:
            fake.parameter(parameter, value)
        except OSError as refused:
            expect_equal(refused.errno, errno.EINVAL, f"{parameter}={value}")
        else:
            expect(value == "", f"{parameter}={value} was accepted")  # nothing was written


@test
def back_to_the_real_helper() -> None:
    system.only_ours()
    fake.remove()
    shutil.rmtree(fake.DIRECTORY, ignore_errors=True)
    system.load()


if __name__ == "__main__":
    main()
