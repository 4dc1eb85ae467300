#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap with programs made from a policy by the helper, and SO_ULP at SOL_SOCKET."""

import errno
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile
import threading

from lib import bpf, helper, tap
from lib.check import Skip, expect, expect_equal, main, test, wait_for
from lib.system import kernel_log
from lib.tap import (DISCONNECT, DROP, OK, Programs, Rule, connection, delimiter, error_of, fixed, length_field, load,
                     receive)

PARAMETER = "/sys/module/stap/parameters/so_ulp"
LINES = delimiter(b"\n", 4096)


def all_of(opened: socket.socket) -> bytes:
    return receive(opened, 1 << 20)


@test
def lines_that_are_received() -> None:
    load()
    for family in (4, 6):
        with connection(family) as (one, other):
            tap.tap_by_policy(other, tap.NOT_TAPPED,
                              (LINES, OK, [Rule(b"secret", DROP), Rule(b"s", OK), Rule(b"x", DROP, 3)]))
            for text in (b"hello\nsecret 1\nse", b"cond\nsecre", b"t\n", b"abcx\n\nend\n"):
                one.sendall(text)
            one.shutdown(socket.SHUT_WR)
            expect_equal(all_of(other), b"hello\nsecond\n\nend\n", f"IPv{family}")
            recv = tap.info(other)[1]
            expect_equal((recv.messages, recv.dropped), (4, 3), "counted")


@test
def what_is_sent() -> None:
    load()
    framing = length_field(2, 4, size=8, order=1, whole=1, maximum=1000)
    with connection() as (one, other):
        tap.tap_by_policy(one, (framing, DROP, [Rule(b"\x10", OK, 0, b"\xf0")]), tap.NOT_TAPPED)
        def message(kind: int, size: int) -> bytes:
            return struct.pack("<BxIxx", kind, size).ljust(size, b".")
        passes, fails = message(0x1F, 900), message(0x20, 20)
        one.sendall(passes + fails + passes[:100])
        one.sendall(passes[100:] + fails)
        one.sendall(message(0x17, 8))
        expect_equal(receive(other, 1808), passes * 2 + message(0x17, 8), "what came")
        expect_equal(error_of(lambda: one.sendall(message(0x10, 1001))), "EMSGSIZE", "too long")


@test
def disconnecting() -> None:
    load()
    with connection() as (one, other):
        tap.tap_by_policy(other, tap.NOT_TAPPED, (fixed(4), OK, [Rule(b"quit", DISCONNECT)]))
        one.sendall(b"onceoverquit")
        expect_equal(receive(other, 8), b"onceover", "before it")
        expect_equal(error_of(lambda: other.recv(1)), "ECONNABORTED", "then")


@test
def natively_too() -> None:
    load()
    with connection() as (one, other):
        one.setsockopt(socket.SOL_TCP, tap.TCP_ULP, b"stap")
        both = tap.policy((LINES, OK, [Rule(b"no", DROP)]), (tap.EACH, OK, []))
        one.setsockopt(tap.SOL_STAP, tap.POLICY, both)
        expect_equal(error_of(lambda: one.setsockopt(tap.SOL_STAP, tap.POLICY, both)), "EEXIST", "again")
        one.sendall(b"no\nyes\n")
        expect_equal(receive(other, 4), b"yes\n", "sent")
        other.sendall(b"anything")
        expect_equal(receive(one, 8), b"anything", "received")


@test
def equal_policies_share_programs() -> None:
    load()
    side = (LINES, OK, [Rule(b"a", DROP)])
    ids = []
    with connection() as first, connection() as second:
        for opened in (*first, *second):
            tap.tap_by_policy(opened, side, side)
            ids += [number for direction in tap.info(opened) for number in direction[:2]]
    expect_equal(len(set(ids)), 2, f"parsers and verdicts of 4 sockets, both ways: {ids}")


@test
def a_listener_hands_them_on() -> None:
    load()
    with socket.socket() as listener, socket.socket() as one:
        listener.bind(("127.0.0.1", 0))
        tap.tap_by_policy(listener, tap.NOT_TAPPED, (LINES, OK, [Rule(b"bad", DROP)]))
        listener.listen()
        one.connect(listener.getsockname())
        one.sendall(b"bad\ngood\n")
        with listener.accept()[0] as child:
            child.settimeout(20)
            expect_equal(receive(child, 5), b"good\n", "what came")


@test
def bad_policies() -> None:
    load()
    good = (LINES, OK, [Rule(b"a", DROP)])
    cases = {
        "a length field of 3 bytes": tap.policy((length_field(0, 3), OK, []), good),
        "verdict 1": tap.policy((LINES, 1, []), good),
        "rule 1: verdict 9": tap.policy(good, (LINES, OK, [Rule(b"a", 9)])),
        "of which some are not there": tap.policy(good, good)[:-1],
        "it taps neither direction": tap.policy(tap.NOT_TAPPED, tap.NOT_TAPPED),
    }
    for sentence, text in cases.items():
        with connection() as (one, other):
            value = b"stap".ljust(16, b"\0") + text
            expect_equal(error_of(lambda: one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, value)), "EINVAL", sentence)
            expect(any(sentence in line for line in kernel_log()), f"not in the log: {sentence}")
            one.sendall(b"a\n")
            expect_equal(receive(other, 2), b"a\n", "untouched")
    with socket.socket() as one:
        huge = b"\0" * (64 + 2 * 1024 * 72 + 1)
        one.setsockopt(socket.SOL_TCP, tap.TCP_ULP, b"stap")
        for size in (0, 63, len(huge)):
            expect_equal(error_of(lambda: one.setsockopt(tap.SOL_STAP, tap.POLICY, huge[:size])), "EINVAL", f"{size}")


@test
def not_without_the_right() -> None:
    load()
    with connection() as (one, _):
        pid = os.fork()
        if not pid:
            os.setuid(65534)
            value = b"stap".ljust(16, b"\0") + tap.policy((LINES, OK, []), tap.NOT_TAPPED)
            os._exit(0 if error_of(lambda: one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, value)) == "EPERM" else 1)
        expect_equal(os.waitpid(pid, 0)[1], 0, "nobody's attempt")


@test
def as_many_rules_as_there_may_be() -> None:
    load()
    rules = [Rule(b"%07d" % i, DROP, i % 50) for i in range(1024)]
    with connection() as (one, other):
        tap.tap_by_policy(one, (fixed(64), OK, rules), (fixed(64), OK, rules))
        text = (b"." * 23 + b"0001023").ljust(64, b".")
        one.sendall(text + b"x" * 64)
        expect_equal(receive(other, 64), b"x" * 64, "rule 1024 and none")


@test
def while_the_helper_is_killed() -> None:
    """Taps stay; a policy asked for meanwhile waits for the next helper."""
    load()
    side = (LINES, OK, [Rule(b"a", DROP)])
    with connection() as (one, other):
        tap.tap_by_policy(other, tap.NOT_TAPPED, side)
        stop = threading.Event()

        def kill() -> None:
            while not stop.wait(0.5):
                helper.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            answers = []
            for i in range(10):
                with socket.socket() as more:
                    answers.append(error_of(lambda: tap.tap_by_policy(more, tap.NOT_TAPPED,
                                                                      (fixed(i + 1), OK, []))))
        finally:
            stop.set()
            killer.join()
        # Of more than two helpers that died of it one is refused.
        expect(set(answers) <= {"OK", "EIO"} and "OK" in answers, f"answers: {answers}")
        one.sendall(b"a\nb\n")
        expect_equal(receive(other, 2), b"b\n", "the tap")


@test
def callers_that_are_killed() -> None:
    load()
    rules = [Rule(b"%07d" % i, DROP, i % 50) for i in range(1000)]
    for _ in range(10):
        pid = os.fork()
        if not pid:
            while True:
                with socket.socket() as one:
                    size = random.randrange(1, 1 << 20)
                    tap.tap_by_policy(one, (fixed(size), OK, rules[size % 100:]), tap.NOT_TAPPED)
        threading.Event().wait(random.random() / 2)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    with socket.socket() as one:
        tap.tap_by_policy(one, (LINES, OK, []), tap.NOT_TAPPED)


def get_is_known() -> bool:
    """A kernel without bpf_probe_read_kernel (the debug kernel, lockdown) has no SO_ULP to get."""
    return not any("getsockopt() does not know SO_ULP" in line for line in kernel_log())


NO_GET = "SO_ULP can't be got: no program may read the memory of this kernel"


def so_ulp_info(opened: socket.socket, size: int = 80) -> bytes:
    return opened.getsockopt(socket.SOL_SOCKET, tap.SO_ULP, size)


@test
def so_ulp() -> None:
    load()
    verdict = bpf.load(bpf.by_byte(0, {ord("n"): DROP}))
    params = b"stap".ljust(16, b"\0") + tap.params(Programs(send_verdict=verdict))
    for family in (4, 6):
        for name, value in ((tap.SO_ULP, params), (60, params),
                            (tap.SO_ULP, b"stap".ljust(16, b"\0") + tap.policy((LINES, OK, [Rule(b"n", DROP)]),
                                                                               tap.NOT_TAPPED))):
            with connection(family) as (one, other):
                if get_is_known():
                    expect_equal(so_ulp_info(one), b"\0" * 16, "before")
                one.setsockopt(socket.SOL_SOCKET, name, value)
                expect_equal(error_of(lambda: one.setsockopt(socket.SOL_SOCKET, name, value)), "EEXIST", "again")
                one.sendall(b"n\n")
                one.sendall(b"yes\n")
                expect_equal(receive(other, 4), b"yes\n", "what came")
                natively = one.getsockopt(socket.SOL_IP, tap.STAP_SO_ULP, 80)
                expect_equal(len(natively), 80, "size of the answer")
                if get_is_known():
                    expect_equal(so_ulp_info(one), natively, "get")
                    expect_equal(so_ulp_info(one, 16), natively[:16], "the name")
                expect_equal(struct.unpack_from("=QQQ", natively, 24)[0::2], (1, 1), "counted")
    if not get_is_known():
        raise Skip(NO_GET)


@test
def so_ulp_for_others() -> None:
    load()
    subprocess.run(["modprobe", "tls"], check=True)
    with connection() as (one, _):
        one.setsockopt(socket.SOL_SOCKET, tap.SO_ULP, b"tls".ljust(16, b"\0"))
        natively = one.getsockopt(socket.SOL_IP, tap.STAP_SO_ULP, 80)
        expect_equal(natively, b"tls".ljust(16, b"\0"), "the ULP")
        if get_is_known():
            expect_equal(so_ulp_info(one), natively, "get")
    with socket.socket() as one:
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_SOCKET, tap.SO_ULP, b"no".ljust(16, b"\0"))), "ENOENT",
                     "none of that name")
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_SOCKET, tap.SO_ULP, b"x" * 16)), "EINVAL",
                     "not terminated")
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_SOCKET, tap.SO_ULP, b"stap")), "EINVAL", "short")
    for kind in ((socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_STREAM)):
        with socket.socket(*kind) as one:
            expect_equal(error_of(lambda: one.setsockopt(socket.SOL_SOCKET, tap.SO_ULP, b"stap".ljust(32, b"\0"))),
                         "ENOPROTOOPT", f"{kind}")
            expect_equal(error_of(lambda: so_ulp_info(one)), "ENOPROTOOPT", f"get, {kind}")


@test
def zerocopy_is_still_that() -> None:
    """60 with a value of an int is SO_ZEROCOPY, however much room it is given."""
    load()
    with socket.socket() as one:
        for value, size in ((1, 4), (0, 4), (1, 16), (0, 64), (1, 5000)):
            one.setsockopt(socket.SOL_SOCKET, 60, struct.pack("=i", value).ljust(size, b"\0"))
            expect_equal(one.getsockopt(socket.SOL_SOCKET, 60), value, f"SO_ZEROCOPY by {size} bytes")
        expect_equal(one.getsockopt(socket.SOL_TCP, tap.TCP_ULP, 16), b"", "no ULP")


@test
def so_ulp_can_be_left_off() -> None:
    load()
    with open(PARAMETER, "w", encoding="ascii") as file:
        file.write("N")
    value = b"stap".ljust(16, b"\0") + tap.params(Programs())
    with socket.socket() as one:
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_SOCKET, tap.SO_ULP, value)), "ENOPROTOOPT", "set")
        expect_equal(error_of(lambda: so_ulp_info(one)), "ENOPROTOOPT", "get")
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_IP, tap.STAP_SO_ULP, value)), "OK", "natively")
    with open(PARAMETER, "w", encoding="ascii") as file:
        file.write("Y")
    with socket.socket() as one:
        expect_equal(error_of(lambda: one.setsockopt(socket.SOL_SOCKET, tap.SO_ULP, value)), "OK", "set again")


def links() -> list[str]:
    shown = subprocess.run(["bpftool", "link"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line for line in shown.splitlines() if ": cgroup " in line]


@test
def so_ulp_goes_with_the_module() -> None:
    subprocess.run(["modprobe", "-r", "stap"], check=True)
    wait_for(lambda: not links(), "links that are gone")
    load()
    expect_equal(len(links()), 2 if get_is_known() else 1, "links")
    subprocess.run(["modprobe", "-r", "stap"], check=True)
    subprocess.run(["modprobe", "stap", "so_ulp=0"], check=True)
    expect_equal(links(), [], "links if it is off")
    subprocess.run(["modprobe", "-r", "stap"], check=True)


@test
def without_bpfilter() -> None:
    """stock iptables keeps its place: then there are no policies and no SO_ULP."""
    subprocess.run(["modprobe", "-r", "stap"], check=True)
    subprocess.run(["modprobe", "-r", "bpfilter"], check=True)
    with tempfile.TemporaryDirectory() as no_config:
        stock = ["modprobe", "-C", no_config]
        subprocess.run([*stock, "iptable_filter"], check=True)
        load()
        with open(PARAMETER, encoding="ascii") as file:
            expect_equal(file.read(), "N\n", "the parameter")
        with connection() as (one, other):
            expect_equal(error_of(lambda: tap.tap_by_policy(one, (LINES, OK, []), tap.NOT_TAPPED)), "ENOENT", "policy")
            tap.tap(one, Programs(send_verdict=bpf.load(bpf.constant(OK))))
            one.sendall(b"hello")
            expect_equal(receive(other, 5), b"hello", "with programs")
        wait_for(lambda: not subprocess.run(["modprobe", "-r", "stap"], check=False,
                                            stderr=subprocess.DEVNULL).returncode, "stap to go")
        subprocess.run([*stock, "-r", "iptable_filter"], check=True)
        subprocess.run([*stock, "-r", "ip_tables"], check=False)


CALLER32 = "/usr/lib/bpfilter-tests/sockopt32"


def by_32_bits(opened: socket.socket, level: int, option: int, value: bytes) -> int:
    """setsockopt() of a 32-bit process that has this socket too."""
    question = struct.pack("=8I", opened.fileno(), 1, level, option, 0, len(value), len(value), 0)
    done = subprocess.run([CALLER32], input=question + value, stdout=subprocess.PIPE, pass_fds=[opened.fileno()],
                          check=True)
    return int(struct.unpack_from("=i", done.stdout)[0])


@test
def callers_of_32_bits() -> None:
    load()
    if not os.path.exists(CALLER32):
        raise Skip(f"{CALLER32} is not there: tests/compat/build makes it")
    side = (fixed(4), OK, [Rule(b"no", DROP)])
    policy = tap.policy(side, side)
    ulp = b"stap".ljust(16, b"\0")
    for attach in ([(socket.SOL_IP, tap.STAP_SO_ULP, ulp + policy)],
                   [(socket.SOL_TCP, tap.TCP_ULP, b"stap"), (tap.SOL_STAP, tap.POLICY, policy)]):
        with connection() as (one, other):
            bad = tap.policy((fixed(0), OK, []), side)
            expect_equal(by_32_bits(one, socket.SOL_IP, tap.STAP_SO_ULP, ulp + bad), -errno.EINVAL, "a bad policy")
            expect_equal([by_32_bits(one, *option) for option in attach], [0] * len(attach), "setsockopt()")
            one.sendall(b"yes.no..yes!")
            expect_equal(receive(other, 8), b"yes.yes!", "what came")
            other.sendall(b"yes.no..yes!")
            expect_equal(receive(one, 8), b"yes.yes!", "what went back")


if __name__ == "__main__":
    main()
