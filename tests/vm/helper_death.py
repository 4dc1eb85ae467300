#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a helper that dies or hangs leaves, and commands that are interrupted: rules stay in force."""

import contextlib
import fcntl
import itertools
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from typing import Iterator

from lib import deaths, helper
from lib import iptables as tables
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.iptables import IPTABLES, RESTORE, Counter, Counters, iptables, must
from lib.module import fresh, load, nothing_left, pair, unload
from lib.pair import CLIENT, Pair

# What users of the first bpfilter saw when its helper was gone.
NEVER = ("No child processes", "Broken pipe", "Protocol not available", "iptables who?")

RULES = 400


# While nobody asks for anything

def in_force(count: int, total: int, what: str) -> int:
    """Datagrams are dropped and counted by the last rule of the server's INPUT; the new total."""
    expect_equal(pair().send(count), 0, f"delivered {what}")
    return total + count


def counted(total: int, what: str) -> None:
    with pair().server:
        expect_equal(Counters().rules["INPUT"][-1], Counter(total, 28 * total), f"counter {what}")


@test
def killed_while_idle() -> None:
    fresh()
    with pair().server:
        tables.restore(f"-A INPUT -i s0 -s {CLIENT} -j DROP")
    total = in_force(3, 0, "before")
    for step in range(5):
        old = helper.one()
        helper.kill()
        total = in_force(3, total, f"just behind death {step}")
        wait_for(lambda: old not in helper.all_alive(), "it to be gone")  # pylint: disable=cell-var-from-loop
        total = in_force(3, total, f"after death {step}")
        counted(total, f"after death {step}")
        total = in_force(1, total, f"with the new helper {step}")
    with pair().server:
        iptables("-A FORWARD -s 192.0.2.77 -j DROP")
    counted(total, "after a change")
    with pair().server:
        iptables("-D INPUT 1")
    expect_equal(pair().send(2), 2, "delivered without the rule")


@test
def tables_of_all_namespaces_survive() -> None:
    fresh()
    other = Pair()
    with pair().server:
        tables.restore("-A INPUT -p udp -j user", "-A user -p udp", policies={"FORWARD": "DROP"})
    with other.server:
        tables.restore("-A INPUT -p udp -j DROP")
    iptables("-A FORWARD -s 192.0.2.1 -c 5 6 -j DROP")
    expect_equal((pair().send(2), other.send(2)), (2, 0), "delivered before")
    helper.kill()
    expect_equal((pair().send(2), other.send(2)), (2, 0), "delivered after")
    with pair().server:
        expect_equal(tables.save()[1:], [":INPUT ACCEPT [4:112]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]",
                                         ":user - [0:0]", "[4:112] -A INPUT -p udp -j user", "[4:112] -A user -p udp",
                                         "COMMIT"], "the first")
    with other.server:
        expect_equal(Counters().rules["INPUT"], [Counter(4, 112)], "the second")
    expect_equal(Counters().rules["FORWARD"], [Counter(5, 6)], "this one")
    other.close()
    iptables("-F")


@test
def signals_do_not_end_it() -> None:
    fresh()
    iptables("-L")
    pid = helper.one()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        os.kill(pid, number)
    iptables("-L")
    expect_equal(helper.all_alive(), [pid], "the helper")


@test
def unloading_with_a_dead_one() -> None:
    fresh()
    iptables("-L")
    helper.kill()
    unload()
    nothing_left()
    load()
    iptables("-L")


# While a table is being replaced

READ, REPLACE = ["0", "0x0"], ["54", "0x0", "0x40"]  # of standard input; setsockopt, SOL_IP, IPT_SO_SET_REPLACE
PARTS = 5  # of the processor time that a REPLACE takes the helper
ATTEMPTS = 4  # at each, every one with half the time


def ruleset(number: int) -> str:
    """A table that can be told from another by any of its rules, and that drops the client."""
    lines = [f"-A FORWARD -s 10.{number}.{n >> 8}.{n & 255} -p tcp --dport {n + 1} -j DROP" for n in range(RULES)]
    return tables.ruleset(*lines, f"-A INPUT -s {CLIENT} -j DROP")


def whole(what: str) -> int:
    """The table in force is one of ours, whole; which."""
    expect_equal(pair().send(2), 0, f"delivered, {what}")
    with pair().server:
        forward = [line for line in tables.save() if " -A FORWARD " in line]
    numbers = {int(line.split("-s 10.")[1].split(".")[0]) for line in forward}
    expect_equal(len(forward), RULES, f"rules in force, {what}")
    expect_equal(len(numbers), 1, f"tables mixed, {what}")
    return numbers.pop()


class Restore:
    """iptables-restore in the server's namespace. It has listed the old table when it was made, and
    waits for the word COMMIT."""

    def __init__(self, number: int) -> None:
        with pair().server:
            # pylint: disable=consider-using-with
            self.process = subprocess.Popen([RESTORE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE, text=True)
        text, self._commit, _ = ruleset(number).partition("COMMIT\n")
        self._write(text)
        wait_for(lambda: self._unread() == 0 and self._is_in(READ), "it to want more lines")

    def _write(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def _unread(self) -> int:
        assert self.process.stdin
        return int.from_bytes(fcntl.ioctl(self.process.stdin, termios.FIONREAD, bytes(4)), sys.byteorder)

    def _is_in(self, call: list[str]) -> bool:
        """It sleeps in this system call (number, second and third argument, or less of it)."""
        with contextlib.suppress(OSError), open(f"/proc/{self.process.pid}/syscall", encoding="ascii") as file:
            words = file.read().split()
            return len(words) > 3 and [words[0], *(words[1:2] if call == READ else words[2:4])] == call
        return False

    def commit(self) -> None:
        self._write(self._commit)
        assert self.process.stdin
        self.process.stdin.close()
        self.process.stdin = None

    def waits_for_replace(self) -> bool:
        return self._is_in(REPLACE)

    def end(self) -> tables.Done:
        out, errors = self.process.communicate(timeout=300)
        for words in NEVER:
            expect(words not in errors, errors.strip())
        return tables.Done(self.process.returncode, out, errors)


def used(pid: int) -> float:
    """The processor time of a process, in seconds."""
    return time.clock_gettime(~pid << 3 | 2)


def usual_work() -> float:
    """Processor time of a helper for one REPLACE (and what iptables-restore asks behind it)."""
    for number in (0, 1):
        restore = Restore(number)
        pid = helper.one()
        before = used(pid)
        restore.commit()
        expect_equal(restore.end().status, 0, "status of an undisturbed restore")
        work = used(pid) - before
    return work


@contextlib.contextmanager
def beside(pid: int) -> Iterator[None]:
    """On one processor with it, and before it there: it does not get on while we are kept from looking."""
    processors = os.sched_getaffinity(0)

    def stay_on(chosen: set[int]) -> None:
        for task in (0, *map(int, os.listdir(f"/proc/{pid}/task"))):
            os.sched_setaffinity(task, chosen)

    stay_on({min(processors)})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        stay_on(processors)


def work_on(pid: int, seconds: float, restore: Restore) -> None:
    """A helper that stands still goes on for so much processor time, or until it has answered."""
    if not seconds:
        return
    until = used(pid) + seconds
    with beside(pid):
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: used(pid) >= until or not restore.waits_for_replace(), "the helper to work")
        expect_equal(helper.stop(), pid, "the helper that stands still")


def replaces_under_way() -> Iterator[tuple[int, Restore, bool]]:
    """A table's number, a restore that waits for the answer to its REPLACE, and whether the helper
    has had any time for it. The helper stands still, so what is done now is done to a REPLACE under
    way. One that was answered too soon is tried again with less time, and left out at last; the
    first, which was not read, can't be."""
    usual = usual_work()
    hits = []
    numbers = itertools.count(2)
    for part, attempt in itertools.product(range(PARTS), range(ATTEMPTS)):
        if part in hits:
            continue
        number = next(numbers)
        restore = Restore(number)
        pid = helper.stop()
        restore.commit()
        wait_for(restore.waits_for_replace, "the REPLACE")
        work_on(pid, usual * part / PARTS / 2 ** attempt, restore)
        if restore.waits_for_replace():
            hits.append(part)
            yield number, restore, part > 0
        else:
            os.kill(pid, signal.SIGCONT)
            expect_equal(restore.end().status, 0, f"status of a restore that was too quick, {part}")
    print(f"# in the middle of a REPLACE: {len(hits)} of {PARTS}", flush=True)
    expect(0 in hits and len(hits) > 1, f"only these were in the middle of a REPLACE: {hits}")


@test
def killed_during_a_replace() -> None:
    """The successor is given the request again: the command succeeds, and does what it was to do."""
    fresh()
    for number, restore, _ in replaces_under_way():
        helper.kill()
        done = restore.end()
        expect_equal((done.status, done.errors), (0, ""), f"status and errors, table {number}")
        expect_equal(whole(f"table {number}"), number, "the table in force")


@test
def killed_at_any_moment_of_a_command() -> None:
    """It succeeds or says why, and the table is the old or the new."""
    fresh()
    start = time.monotonic()
    must_restore(0)
    usual = time.monotonic() - start
    now = 0
    for step in range(1, PARTS + 1):
        with pair().server, subprocess.Popen([RESTORE], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                                             text=True) as process:
            killer = threading.Timer(usual * step / PARTS, helper.kill)  # the moment is the point
            killer.start()
            _, errors = process.communicate(ruleset(step), timeout=300)
            killer.join()
        for words in NEVER:
            expect(words not in errors, errors.strip())
        expect(process.returncode == 0 or errors, f"it failed and said nothing, step {step}")
        after = whole(f"step {step}")
        expect_in(after, (now, step) if process.returncode else (step,), f"table in force, step {step}")
        now = after


def must_restore(number: int) -> None:
    with pair().server:
        must(RESTORE, stdin=ruleset(number))


def interrupted(number: signal.Signals) -> None:
    """What nobody waits for any more is not put in force, or was before."""
    fresh()
    for table, restore, read in replaces_under_way():
        restore.process.send_signal(number)
        expect_equal(restore.end().status, -number, "what ended the command")
        helper.kill(signal.SIGCONT)
        expect_in(whole(f"after table {table}"), (table, table - 1) if read else (table - 1,), "table in force")
        must_restore(table)
    expect_equal(len(helper.all_alive()), 1, "helpers")


@test
def command_killed_during_a_replace() -> None:
    interrupted(signal.SIGKILL)


@test
def command_interrupted_during_a_replace() -> None:
    interrupted(signal.SIGINT)


# When it does not answer

@contextlib.contextmanager
def deadline(seconds: int) -> Iterator[None]:
    parameter = "/sys/module/bpfilter/parameters/deadline"
    with open(parameter, encoding="ascii") as file:
        usual = file.read()
    with open(parameter, "w", encoding="ascii") as file:
        file.write(str(seconds))
    try:
        yield
    finally:
        with open(parameter, "w", encoding="ascii") as file:
            file.write(usual)


@test
def hung() -> None:
    """One that does not answer is replaced after the deadline; nobody waits for ever."""
    fresh()
    with pair().server:
        tables.restore("-A INPUT -p udp -j DROP")
        old = helper.stop()
        deaths.expect(1, deaths.BY_THE_MODULE)
        expect_equal(pair().send(2), 0, "delivered")
        with subprocess.Popen([IPTABLES, "-L", "-n"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as command:
            with deadline(1):
                wait_for(lambda: old not in helper.all_alive(), "the deadline", 60)
            _, errors = command.communicate(timeout=120)
        for words in NEVER:
            expect(words not in errors, errors.strip())
        expect(command.returncode == 0 or errors, "it failed and said nothing")
        expect_equal(Counters().rules["INPUT"], [Counter(2, 56)], "counters")


if __name__ == "__main__":
    main()
