#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""stapctl and a socket that several processes have; and what it does before any of them stands still."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import tempfile

from lib import bpf, helper, stapctl, tap
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.process import READ, RECVFROM, SETSOCKOPT, Child, waits_in
from lib.tap import DROP, Programs, load
from lib.tcp import connection, listening, prefixed, receive

ACCEPT4 = 288  # number of the system call
PTRACE_SEIZE = 0x4206
KEPT, WHOLE = prefixed(b"a") + prefixed(b"b"), prefixed(b"a") + prefixed(b"drop") + prefixed(b"b")


def programs() -> tuple[list[int], list[str]]:
    """A parser and a verdict, and the options by which a socket gets them for what it receives."""
    fds = [bpf.load(bpf.prefixed()), bpf.load(bpf.by_byte(2, {ord("d"): DROP}))]
    parse, verdict = (str(bpf.id_of(fd)) for fd in fds)
    return fds, ["--recv-parse", parse, "--recv-verdict", verdict]


def reads(opened: socket.socket, size: int) -> str:
    opened.settimeout(None)
    return repr(receive(opened, size))


@test
def others_wait_in_recv() -> None:
    """Two processes have the socket; one is named, the other is in the middle of a call."""
    load()
    fds, options = programs()
    with connection() as (one, other):
        number = other.fileno()
        there, back = os.pipe()
        named = Child(lambda: repr(os.read(there, 1)))
        reader = Child(lambda: reads(other, 6))
        wait_for(lambda: waits_in(reader.pid, RECVFROM, number), "the reader to wait")
        wait_for(lambda: waits_in(named.pid, READ), "the one that is named to wait")
        stapctl.run("attach", str(named.pid), str(number), *options)
        one.sendall(WHOLE)
        expect_equal(reader.said(), repr(KEPT), "what the other has read")
        os.write(back, b"x")
        expect_equal(named.said(), repr(b"x"), "the one that was named goes on")
    for fd in (there, back, *fds):
        os.close(fd)


@test
def prefork() -> None:
    """Workers wait in accept(); whoever is named, what all of them accept is tapped."""
    load()
    fds, options = programs()
    with listening() as listener:
        number = listener.fileno()

        def work() -> str:
            with listener.accept()[0] as child:
                return reads(child, 6)

        workers = [Child(work) for _ in range(3)]
        for worker in workers:
            wait_for(lambda: waits_in(worker.pid, ACCEPT4, number), "a worker to wait")  # pylint: disable=cell-var-from-loop
        stapctl.run("attach", str(workers[1].pid), str(number), *options)
        peers = [socket.create_connection(listener.getsockname()) for _ in workers]
        for peer in peers:
            peer.sendall(WHOLE)
        expect_equal([worker.said() for worker in workers], [repr(KEPT)] * 3, "what the workers have read")
        for peer in peers:
            peer.close()
    for fd in fds:
        os.close(fd)


def debugs(pid: int) -> str:
    """Until it is killed."""
    if ctypes.CDLL(None).ptrace(PTRACE_SEIZE, pid, None, None) < 0:
        return "it could not"
    while True:
        signal.pause()


@test
def one_of_them_belongs_to_a_debugger() -> None:
    """Nobody is held then, and nothing is tapped."""
    load()
    fds, options = programs()
    with connection() as (one, other):
        number = other.fileno()
        reader = Child(lambda: reads(other, 1))
        wait_for(lambda: waits_in(reader.pid, RECVFROM, number), "the reader to wait")
        debugger = Child(lambda: debugs(reader.pid))
        wait_for(lambda: traced(reader.pid), "the debugger to have it")
        said = stapctl.refused("attach", str(os.getpid()), str(number), *options)
        expect_in(f"cannot hold process {reader.pid}", said)
        expect_in("not a tapped socket", stapctl.refused("show", str(os.getpid()), str(number)))
        debugger.kill()
        one.sendall(b"x")
        expect_equal(reader.said(), repr(b"x"), "the reader goes on")
    for fd in fds:
        os.close(fd)


def traced(pid: int) -> bool:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in file)


def held(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(") ")[2][0] in "tT"


POLICY = {"recv": {"framing": {"delimiter": "\n", "maximum": 100},
                   "rules": [{"prefix": "drop", "verdict": "drop"}], "default": "ok"}}


@test
def programs_are_made_before_anybody_stands_still() -> None:
    """The helper does not answer for a while; the process does."""
    load()
    with connection() as (one, other), tempfile.NamedTemporaryFile("w") as file:
        json.dump(POLICY, file)
        file.flush()
        tap.tap_by_policy(one, tap.NOT_TAPPED, (tap.EACH, tap.OK, []))  # so that there is a helper
        reader = Child(lambda: reads(other, 1) + reads(other, 2))
        wait_for(lambda: waits_in(reader.pid, RECVFROM, other.fileno()), "the reader to wait")
        pid = helper.stop()
        try:
            with subprocess.Popen(["stapctl", "attach", str(reader.pid), str(other.fileno()), "--policy",
                                   file.name]) as command:
                wait_for(lambda: waits_in(command.pid, SETSOCKOPT), "the command to wait for the helper")
                expect(not held(reader.pid), "the process stands still")
                one.sendall(b"x")
                wait_for(lambda: waits_in(reader.pid, RECVFROM, other.fileno()), "it to read on")
                os.kill(pid, signal.SIGCONT)
                expect_equal(command.wait(60), 0, "the command's status")
        finally:
            os.kill(pid, signal.SIGCONT)
        one.sendall(b"drop\ny\n")
        expect_equal(reader.said(), repr(b"x") + repr(b"y\n"), "what it has read")


@test
def who_may_not_have_programs_by_their_ids() -> None:
    """CAP_NET_ADMIN is enough for a policy, and CAP_SYS_PTRACE to hold others."""
    load()
    with connection() as (one, other), tempfile.NamedTemporaryFile("w") as file:
        json.dump(POLICY, file)
        file.flush()
        os.chmod(file.name, 0o644)
        subprocess.run(["setpriv", "--bounding-set", "-all,+net_admin,+sys_ptrace,+dac_override", "stapctl", "attach",
                        str(os.getpid()), str(other.fileno()), "--policy", file.name], check=True)
        one.sendall(b"drop\ny\n")
        expect_equal(receive(other, 2), b"y\n", "what came")
        expect_equal(tap.info(other)[1].dropped, 1, "messages that were dropped")


if __name__ == "__main__":
    main()
