#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The command stapctl, and the example programs of docs/examples."""

import json
import os
import socket
import struct
import subprocess
import tempfile
from typing import Any

from lib import bpf, tap
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.tap import DROP, Programs, Rule, connection, load, receive

EXAMPLES = "/usr/lib/bpfilter-tests/examples"
BPFFS = "/sys/fs/bpf"


def stapctl(*arguments: str) -> str:
    return subprocess.run(["stapctl", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def refused(*arguments: str) -> str:
    done = subprocess.run(["stapctl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    expect(done.returncode != 0, f"stapctl {' '.join(arguments)} did not fail")
    return done.stderr


def attach(opened: socket.socket, *arguments: str) -> None:
    stapctl("attach", str(os.getpid()), str(opened.fileno()), *arguments)


def attach_policy(opened: socket.socket, policy: Any) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(policy, file)
        file.flush()
        stapctl("check", file.name)
        attach(opened, "--policy", file.name)


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(stapctl("list", "--json"))
    return found


@test
def tapping_by_a_file() -> None:
    load()
    with connection() as (one, other):
        attach_policy(other, {"recv": {"framing": {"delimiter": "\n", "maximum": 100},
                                       "rules": [{"prefix": "secret", "verdict": "drop"},
                                                 {"offset": 1, "width": 2, "value": 0x4142, "verdict": "disconnect"}]}})
        one.sendall(b"hello\nsecret\nworld\n")
        expect_equal(receive(other, 12), b"hello\nworld\n", "what came")
        text = stapctl("show", str(os.getpid()), str(other.fileno()))
        expect_in("send: not tapped", text)
        expect_in("2 messages, 12 bytes, 1 dropped", text)
        one.sendall(b"xAB\n")
        try:
            expect_equal(other.recv(1), None, "after a message that disconnects")
        except ConnectionAbortedError:
            pass


def reads(pid: int) -> bool:
    """Whether one of its threads waits in read(0)."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/syscall", encoding="ascii") as file:
            if file.read().split()[:2] == ["0", "0x0"]:
                return True
    return False


# cat, in a thread of its own.
THREAD = """
import os, threading
def cat():
    while some := os.read(0, 100):
        os.write(1, some)
thread = threading.Thread(target=cat)
thread.start()
thread.join()
"""


@test
def another_process() -> None:
    """Nobody told it: its socket is tapped from outside, while it waits in TCP."""
    while_it_waits("cat", "cat")


@test
def another_process_with_threads() -> None:
    while_it_waits("python3", "python3", "-c", THREAD)


def while_it_waits(name: str, *command: str) -> None:
    load()
    with connection() as (one, other):
        other.setblocking(True)
        child = subprocess.Popen(command, stdin=other.fileno(), stdout=subprocess.PIPE)
        other.close()
        wait_for(lambda: reads(child.pid), f"{name} to wait in read(0)")
        with tempfile.NamedTemporaryFile("w") as file:
            json.dump({"recv": {"framing": {"fixed": 3}, "rules": [{"text": "x", "offset": 2, "verdict": "drop"}]}}, file)
            file.flush()
            stapctl("attach", str(child.pid), "0", "--policy", file.name)
        mine = [item for item in listed() if item["processes"]]
        expect_equal([(p["pid"], p["fd"], p["name"]) for item in mine for p in item["processes"]],
                     [(child.pid, 0, name)], "who has a tapped socket")
        one.sendall(b"abc" + b"dex" + b"fgh")
        one.shutdown(socket.SHUT_WR)
        expect_equal(child.communicate()[0], b"abcfgh", f"what {name} got")


@test
def listing() -> None:
    load()
    expect_equal(stapctl("list"), "", "without taps")
    with connection() as (one, other), connection(6) as (six, _), socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        verdict = bpf.load(bpf.by_byte(0, {1: DROP}))
        for opened in (one, six, listener):
            tap.tap(opened, Programs(send_verdict=verdict))
        listener.listen()
        one.sendall(b"\x01drop")
        one.sendall(b"passes")
        receive(other, 6)
        found = {item["local"]: item for item in listed()}
        expect_equal(set(found), {f"{o.getsockname()[0]}:{o.getsockname()[1]}" if o is not six
                                  else f"[::1]:{o.getsockname()[1]}" for o in (one, six, listener)}, "sockets")
        mine = found["127.0.0.1:%d" % one.getsockname()[1]]
        expect_equal((mine["state"], mine["peer"]), ("ESTAB", "127.0.0.1:%d" % other.getsockname()[1]), "its ends")
        expect_equal((mine["send"]["messages"], mine["send"]["bytes"], mine["send"]["dropped"]), (1, 6, 1), "counted")
        expect_equal(found["127.0.0.1:%d" % listener.getsockname()[1]]["state"], "LISTEN", "the listener")
        expect_equal(mine["processes"][0]["pid"], os.getpid(), "who has it")
        text = stapctl("list")
        expect_in(f"ESTAB 127.0.0.1:{one.getsockname()[1]} 127.0.0.1:{other.getsockname()[1]} ", text)
        expect_in("1 messages, 6 bytes, 1 dropped", text)
        shown = subprocess.run(["ss", "-tin"], stdout=subprocess.PIPE, text=True, check=True).stdout
        expect_in("tcp-ulp-stap", shown, "ss -ti")


@test
def what_cannot_be() -> None:
    load()
    with connection() as (one, _), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        pid, fd = str(os.getpid()), str(one.fileno())
        expect_in("not a tapped socket", refused("show", pid, fd))
        expect_in("either a policy file or programs", refused("attach", pid, fd))
        expect_in("/nowhere: No such file", refused("attach", pid, fd, "--policy", "/nowhere"))
        expect_in("program /nowhere: No such file", refused("attach", pid, fd, "--recv-verdict", "/nowhere"))
        expect_in("process 4194304", refused("show", "4194304", "0"))
        expect_in("descriptor 999", refused("show", pid, "999"))
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('{"send": {"framing": {"length": {"width": 3}}}}')
            file.flush()
            expect_in("a length field of 3 bytes", refused("check", file.name))
            expect_in("cannot tap the socket: Invalid argument", refused("attach", pid, fd, "--policy", file.name))
        verdict = bpf.load(bpf.constant(0))
        with open(f"/proc/self/fdinfo/{verdict}", encoding="ascii") as info:
            number = next(line.split()[1] for line in info if line.startswith("prog_id"))
        expect_in("Protocol not available", refused("attach", pid, str(datagrams.fileno()), "--send-verdict", number))
        attach(one, "--send-verdict", number)
        expect_in("File exists", refused("attach", pid, fd, "--send-verdict", number))


# The examples.

def example(name: str) -> list[str]:
    """Options that attach it to what is received."""
    if not os.path.ismount(BPFFS):
        subprocess.run(["mount", "-t", "bpf", "bpf", BPFFS], check=True)
    directory = f"{BPFFS}/{name}"
    if not os.path.isdir(directory):
        subprocess.run(["bpftool", "prog", "loadall", f"{EXAMPLES}/{name}.bpf.o", directory], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ["--recv-parse", f"{directory}/parse", "--recv-verdict", f"{directory}/verdict"]


def outcome(name: str, sent: bytes, pieces: int) -> tuple[bytes, str]:
    """What comes through of that, in so many pieces, and how it ends."""
    with connection() as (one, other):
        attach(other, *example(name))
        one.setsockopt(socket.SOL_TCP, socket.TCP_NODELAY, 1)
        step = max(1, len(sent) // pieces)
        try:
            for at in range(0, len(sent), step):
                one.sendall(sent[at:at + step])
            one.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was ended
        came = b""
        try:
            while some := other.recv(65536):
                came += some
        except OSError as error:
            return came, type(error).__name__
        return came, "end"


def expect_outcome(name: str, sent: bytes, came: bytes, end: str) -> None:
    for pieces in (1, 7, 40):
        expect_equal(outcome(name, sent, pieces), (came, end), f"{name}, {sent[:60]!r} in {pieces} pieces")


@test
def length_prefix_example() -> None:
    load()
    def message(text: bytes) -> bytes:
        return struct.pack(">I", len(text)) + text
    good = message(b"one") + message(b"") + message(b"x" * 5000)
    expect_outcome("length_prefix", good, good, "end")
    expect_outcome("length_prefix", good + message(b"\xffno") + good, good + good, "end")
    expect_outcome("length_prefix", good + message(b"\xfeno") + good, good, "ConnectionAbortedError")
    expect_outcome("length_prefix", good + struct.pack(">I", 1 << 21), good, "OSError")


@test
def http1_example() -> None:
    load()
    get = b"GET /index HTTP/1.1\r\nHost: a\r\n\r\n"
    post = b"POST /form HTTP/1.1\r\nHost: a\r\nContent-LENGTH:  11\r\nX: content-length: 3\r\n\r\nGET /admin\n"
    admin = b"GET /admin/users HTTP/1.1\r\nHost: a\r\n\r\n"
    chunks = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    expect_outcome("http1", get + post + get, get + post + get, "end")
    expect_outcome("http1", get + post + admin + get, get + post, "ConnectionAbortedError")
    expect_outcome("http1", get + chunks, get, "OSError")
    expect_outcome("http1", b"GET / HTTP/1.0\n\n", b"GET / HTTP/1.0\n\n", "end")


@test
def resp_example() -> None:
    load()
    def command(*words: bytes) -> bytes:
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    good = command(b"SET", b"key", b"line\r\nFLUSHALL\r\n") + b"PING\r\n" + command(b"GET", b"x" * 3000)
    expect_outcome("resp", good, good, "end")
    expect_outcome("resp", good + b"POST / HTTP/1.1\r\n" + good, good, "ConnectionAbortedError")
    expect_outcome("resp", good + command(b"flushALL") + good, good, "ConnectionAbortedError")
    expect_outcome("resp", good + b"*1\r\n:5\r\n", good, "OSError")


@test
def by_pinned_programs_and_rules() -> None:
    """One socket by programs, another by rules; the module goes when both are gone."""
    load()
    with connection() as (one, _), connection() as (two, _):
        attach(one, *example("resp"))
        tap.tap_by_policy(two, (tap.EACH, tap.OK, [Rule(b"x", DROP)]), tap.NOT_TAPPED)
        expect(subprocess.run(["modprobe", "-r", "stap"], check=False, stderr=subprocess.DEVNULL).returncode != 0,
               "the module was unloaded with taps")


if __name__ == "__main__":
    main()
