#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""stapctl and processes that are not easily held, shown or named."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from typing import Iterator

from lib import bpf, stapctl
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.tap import load
from lib.tcp import connection

# Its main thread is in vfork() until somebody writes to the FIFO; another answers meanwhile. (What
# Python itself has for this would keep the interpreter's lock.)
IN_VFORK = """
import ctypes, os, sys, threading
def echo():
    while line := os.read(int(sys.argv[2]), 100):
        os.write(1, line)
threading.Thread(target=echo).start()
libc = ctypes.CDLL(None)
actions = ctypes.create_string_buffer(256)
libc.posix_spawn_file_actions_init(actions)
libc.posix_spawn_file_actions_addopen(actions, 0, sys.argv[1].encode(), os.O_RDONLY, 0)
words = (ctypes.c_char_p * 2)(b"true", None)
libc.posix_spawn(ctypes.byref(ctypes.c_int()), b"/bin/true", actions, None, words, words)
os.write(1, b"spawned")
"""

# Threads that live for an instant, all the time.
EXITING = """
import threading
while True:
    threads = [threading.Thread(target=int) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""

# The main thread exits; cat goes on in another.
WITHOUT_MAIN = """
import ctypes, os, threading
def cat():
    while some := os.read(0, 100):
        os.write(1, some)
    os._exit(0)
threading.Thread(target=cat).start()
ctypes.CDLL(None).syscall(60, 0)
"""

NAMED = """
import ctypes, sys
ctypes.CDLL(None).prctl(15, b"\\xff\\x1b[31mred", 0, 0, 0)
sys.stdout.write("named")
sys.stdout.flush()
sys.stdin.read()
"""


def program() -> str:
    """The id of a verdict that says OK, as long as this process lives."""
    verdict = bpf.load(bpf.constant(0))
    with open(f"/proc/self/fdinfo/{verdict}", encoding="ascii") as info:
        return next(line.split()[1] for line in info if line.startswith("prog_id"))


@contextlib.contextmanager
def child(code: str, opened: socket.socket, *arguments: str, keep: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """Python that runs CODE and has the socket for its standard input."""
    opened.setblocking(True)
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdin=opened.fileno(), stdout=subprocess.PIPE,
                          pass_fds=keep) as process:
        try:
            yield process
        finally:
            process.kill()


def output(process: subprocess.Popen[bytes], size: int) -> bytes:
    assert process.stdout
    return os.read(process.stdout.fileno(), size)


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(") ")[2][0]


@test
def one_that_cannot_be_held_is_let_go() -> None:
    load()
    verdict = program()
    with connection() as (one, _), tempfile.TemporaryDirectory() as directory:
        fifo = f"{directory}/fifo"
        os.mkfifo(fifo)
        reading, writing = os.pipe()
        with child(IN_VFORK, one, fifo, str(reading), keep=(reading,)) as process:
            wait_for(lambda: state(process.pid) == "D", "the main thread to be in vfork()")
            said = stapctl.refused("attach", str(process.pid), "0", "--send-verdict", verdict, "--limit", "1")
            expect_in(f"thread {process.pid} of process {process.pid} cannot be held", said)
            expect_equal(state(process.pid), "D", "what the main thread does")
            os.write(writing, b"go on?")
            expect_equal(output(process, 6), b"go on?", "of the other thread, which was let go")
            expect_in("not a tapped socket", stapctl.refused("show", str(process.pid), "0"))
            with open(fifo, "wb"):
                expect_equal(output(process, 7), b"spawned", "of the main thread, when it could")
        for fd in (reading, writing):
            os.close(fd)


@test
def threads_that_exit_meanwhile() -> None:
    load()
    verdict = program()
    with connection() as (one, _), child(EXITING, one) as process:
        for _ in range(60):
            done = subprocess.run(["stapctl", "attach", str(process.pid), "0", "--send-verdict", verdict],
                                  stderr=subprocess.PIPE, text=True, check=False)
            # Once it is tapped, that is what the others are told, after the process was held.
            expect(done.returncode == 0 or "File exists" in done.stderr, done.stderr)


@test
def without_a_main_thread() -> None:
    load()
    verdict = program()
    with connection() as (one, other), child(WITHOUT_MAIN, one) as process:
        wait_for(lambda: state(process.pid) == "Z", "the main thread to exit")
        old = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) < (6, 9)
        if old:
            said = stapctl.refused("attach", str(process.pid), "0", "--recv-verdict", verdict)
            expect_in(f"the main thread of process {process.pid} has exited, and this kernel", said)
            stapctl.run("attach", str(os.getpid()), str(one.fileno()), "--recv-verdict", verdict)
        else:
            stapctl.run("attach", str(process.pid), "0", "--recv-verdict", verdict)
        holders = [(holder["pid"], holder["fd"]) for item in stapctl.listed() for holder in item["processes"]]
        expect_in((process.pid, 0), holders, "who has it")
        other.sendall(b"still here")
        expect_equal(output(process, 10), b"still here", "what came")


@test
def names_that_are_no_text() -> None:
    load()
    verdict = program()
    with connection() as (one, _), child(NAMED, one) as process:
        output(process, 5)
        stapctl.run("attach", str(process.pid), "0", "--send-verdict", verdict)
        text = stapctl.run("list")
        expect_in(rf"\xff\x1b[31mred({process.pid}) fd 0", text)
        expect("\x1b" not in text, "an escape sequence was printed")
        names = [holder["name"] for item in stapctl.listed() for holder in item["processes"]
                 if holder["pid"] == process.pid]
        expect_equal(names, ["�\x1b[31mred"], "its name in JSON")


if __name__ == "__main__":
    main()
