#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The command stapctl, and the example programs of docs/examples."""

import ctypes
import errno
import json
import os
import re
import socket
import struct
import subprocess
import tempfile
import textwrap
from typing import Any

from lib import bpf, tap
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.process import READ, RECVFROM, Child, waits_in
from lib.tap import DROP, OK, Programs, Rule, load
from lib.tcp import connection, ending, receive

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
        expect_equal(ending(other), (b"", "ECONNABORTED"), "after a message that disconnects")


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
    with connection() as (one, other):
        other.setblocking(True)
        child = subprocess.Popen(command, stdin=other.fileno(), stdout=subprocess.PIPE)
        other.close()
        wait_for(lambda: waits_in(child.pid, READ, 0), f"{name} to wait in read(0)")
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


def receive_in_c(fd: int) -> str:
    """What recv() of libc says."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(100)
    size = libc.recv(fd, buffer, 100, 0)
    return buffer.raw[:size].decode() if size >= 0 else errno.errorcode[ctypes.get_errno()]


@test
def who_waits_with_a_limit() -> None:
    """Its call fails with EINTR, as after any signal that nobody handles; without a limit it goes on, tapped."""
    verdict = bpf.load(bpf.by_byte(0, {ord("d"): DROP}))
    for limit, end in ((0, "passes"), (300, "EINTR")):
        with connection() as (one, other):
            other.setblocking(True)
            other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq", limit, 0))
            child = Child(lambda: receive_in_c(other.fileno()))  # pylint: disable=cell-var-from-loop
            wait_for(lambda: waits_in(child.pid, RECVFROM), "it to wait")  # pylint: disable=cell-var-from-loop
            stapctl("attach", str(child.pid), str(other.fileno()), "--recv-verdict", str(bpf.id_of(verdict)))
            one.sendall(b"dropped")
            wait_for(lambda: tap.info(other)[1].dropped, "the first message to be dropped")  # pylint: disable=W0640
            one.sendall(b"passes")
            expect_equal(child.said(), end, f"recv() with a limit of {limit} s")
    os.close(verdict)


@test
def listing() -> None:
    # A closed socket is tapped until TCP is through with it.
    wait_for(lambda: not stapctl("list"), "no taps", 100)
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
        number = str(bpf.id_of(verdict))
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
        return ending(other)


def expect_outcome(name: str, sent: bytes, came: bytes, end: str) -> None:
    for pieces in (1, 7, 40):
        expect_equal(outcome(name, sent, pieces), (came, end), f"{name}, {sent[:60]!r} in {pieces} pieces")


@test
def length_prefix_example() -> None:
    def message(text: bytes) -> bytes:
        return struct.pack(">I", len(text)) + text
    good = message(b"one") + message(b"") + message(b"x" * 5000)
    expect_outcome("length_prefix", good, good, "OK")
    expect_outcome("length_prefix", good + message(b"\xffno") + good, good + good, "OK")
    expect_outcome("length_prefix", good + message(b"\xfeno") + good, good, "ECONNABORTED")
    expect_outcome("length_prefix", good + struct.pack(">I", 1 << 21), good, "EMSGSIZE")


@test
def http1_example() -> None:
    get = b"GET /index HTTP/1.1\r\nHost: a\r\n\r\n"
    post = b"POST /form HTTP/1.1\r\nHost: a\r\nContent-LENGTH:  11\r\nX: content-length: 3\r\n\r\nGET /admin\n"
    admin = b"GET /admin/users HTTP/1.1\r\nHost: a\r\n\r\n"
    chunks = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    expect_outcome("http1", get + post + get, get + post + get, "OK")
    expect_outcome("http1", get + post + admin + get, get + post, "ECONNABORTED")
    expect_outcome("http1", get + chunks, get, "EPROTO")
    expect_outcome("http1", b"GET / HTTP/1.0\n\n", b"GET / HTTP/1.0\n\n", "OK")


@test
def resp_example() -> None:
    def command(*words: bytes) -> bytes:
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    good = command(b"SET", b"key", b"line\r\nFLUSHALL\r\n") + b"PING\r\n" + command(b"GET", b"x" * 3000)
    expect_outcome("resp", good, good, "OK")
    expect_outcome("resp", good + b"POST / HTTP/1.1\r\n" + good, good, "ECONNABORTED")
    expect_outcome("resp", good + command(b"flushALL") + good, good, "ECONNABORTED")
    expect_outcome("resp", good + b"*1\r\n:5\r\n", good, "EPROTO")


@test
def by_pinned_programs_and_rules() -> None:
    """One socket by programs, another by rules: each has its own, and the module goes when both are gone."""
    with connection() as (one, other):
        with connection() as (two, peer):
            attach(one, *example("resp"))
            tap.tap_by_policy(two, (tap.EACH, OK, [Rule(b"x", DROP)]), tap.NOT_TAPPED)
            other.sendall(b"PING\r\n")
            expect_equal(receive(one, 6), b"PING\r\n", "through the programs")
            two.sendall(b"x")
            two.sendall(b"yes")
            expect_equal(receive(peer, 3), b"yes", "through the rules")
            expect(not tap.unloads(), "the module was unloaded with two taps")
        wait_for(lambda: len(listed()) == 1, "one of them to go", 100)
        expect(not tap.unloads(), "the module was unloaded with a tap")
        other.sendall(b"FLUSHALL\r\n")
        expect_equal(ending(one), (b"", "ECONNABORTED"), "of a command that is not allowed")
    tap.unload()
    load()


# docs/stap.md

def blocks() -> list[str]:
    """What stands four blanks in, which are commands and files."""
    with open(f"{EXAMPLES}/stap.md", encoding="utf-8") as file:
        found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", file.read(), re.MULTILINE)
    return [textwrap.dedent(block).strip("\n") for block in found if block.strip()]


@test
def the_document() -> None:
    """Its policy is one, and its commands are such."""
    commands = [line for line in blocks()[0].splitlines() if line.startswith("stapctl ")]
    expect_equal([line.split()[1] for line in commands], ["list", "attach", "attach", "show", "check"], "commands")
    programs = example("length_prefix")[1].rpartition("/")[0]
    with tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/policy.json", "w", encoding="utf-8") as file:
            file.write(next(block for block in blocks() if block.startswith("{")))
        for line in commands:
            with connection() as (one, _):
                if " show " in line:
                    tap.tap(one, Programs())
                command = re.sub(r"  +.*", "", line).replace("PID", str(os.getpid())).replace("FD", str(one.fileno()))
                command = command.replace("/sys/fs/bpf/x", programs)
                done = subprocess.run(command, shell=True, cwd=directory, capture_output=True, text=True, check=False)
                expect_equal((done.returncode, done.stderr), (0, ""), command)
                if " attach " in line:
                    expect(any(tap.info(one)[1][:2]), f"{command}: not tapped")


if __name__ == "__main__":
    load()
    main()
