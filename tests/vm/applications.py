#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Applications, as they are, on tapped sockets: what they do is what they do without.

Servers are tapped from outside, on the socket they listen on (stapctl); clients, and python's own
tests, by tests/stap/tap_preload.c. Each runs once plain and once tapped.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from typing import Any, Callable, Iterator

from lib import bpf
from lib.check import expect, expect_equal, main, test, wait_for
from lib.tap import load

PRELOAD = "/usr/lib/bpfilter-tests/tap_preload.so"
COUNT = "/tmp/taps"
WORK = "/tmp/applications"
# All of python's tests take six minutes: LONG=1 in the environment runs them.
LONG = bool(os.environ.get("LONG"))


def taps() -> int:
    return os.path.getsize(COUNT)


def environment(tapped: bool) -> dict[str, str]:
    with open(COUNT, "w", encoding="ascii"):
        pass
    return {**os.environ, **({"LD_PRELOAD": PRELOAD, "TAP_COUNT": COUNT} if tapped else {})}


def run(*command: str, tapped: bool = False, **options: Any) -> str:
    """A client; its output. That it was tapped is seen to."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          env=environment(tapped), check=False, **options)
    expect(done.returncode == 0, f"{' '.join(command)}: status {done.returncode}: {done.stdout[-400:]}")
    expect((taps() > 0) == tapped, f"{' '.join(command)}: {taps()} taps")
    output: str = done.stdout
    return output


def listeners(pid: int, port: int) -> list[str]:
    """The descriptors of all sockets that this process listens on at this port. Nobody has connected to see."""
    shown = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.findall(rf"pid={pid},fd=(\d+)", shown)


class Server:
    """A process that listens; if it is tapped, on the sockets it does so with: what one send brought is a message."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, tapped: bool) -> None:
        self._tapped = tapped
        self._programs: dict[int, int] = {}  # descriptors by ids: they outlive the sockets
        with open(f"{WORK}/policy.json", "w", encoding="ascii") as file:
            json.dump({"send": {"framing": "none"}, "recv": {"framing": "none"}}, file)
        for fd in listeners(process.pid, port) if tapped else []:
            where = (str(process.pid), fd)
            subprocess.run(["stapctl", "attach", *where, "--policy", f"{WORK}/policy.json"], check=True)
            shown = subprocess.run(["stapctl", "show", *where, "--json"], stdout=subprocess.PIPE, text=True, check=True)
            for side in ("send", "recv"):
                number = json.loads(shown.stdout)[side]["verdict_id"]
                self._programs[number] = bpf.by_id(number)
        expect(len(self._programs) > 0 or not tapped, "it does not listen")
        self._first = self._last = self._judged()

    def _judged(self) -> int:
        """Messages that the programs of its taps, and of the taps of what it accepted, have judged."""
        return sum(map(bpf.runs_of, self._programs.values()))

    def expect_judged(self, what: str) -> None:
        """Since it was asked last: what came to this server went through the tap, if it has one."""
        before, self._last = self._last, self._judged()
        expect((self._last > before) == self._tapped, f"{what}: {self._last - before} messages were judged")

    def end(self, name: str) -> None:
        expect((self._judged() > self._first) == self._tapped, f"{name}: {self._judged()} messages were judged")
        for fd in self._programs.values():
            os.close(fd)


@contextlib.contextmanager
def server(port: int, tapped: bool, *command: str, ready: Callable[[], bool] = lambda: True,
           **options: Any) -> Iterator[Server]:
    with open(f"{WORK}/server.log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
    try:
        wait_for(lambda: listeners(process.pid, port) and ready(), f"{command[0]} to be ready", 180)
        made = Server(process, port, tapped)
        yield made
        made.end(command[0])
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def both(work: Callable[[bool], Any]) -> None:
    plain, tapped = work(False), work(True)
    expect_equal(tapped, plain, "tapped, as plain")


@test
def iperf3() -> None:
    def work(tapped: bool) -> None:
        cases: list[list[str]] = [[], ["-R"], ["-P", "3"], ["-l", "777"]]
        for arguments in cases:
            size = 777 * 1024 if "-l" in arguments else 4 << 20
            # It listens anew for each client, with a socket that is not tapped.
            with server(5201, tapped, "iperf3", "-s"):
                answer = json.loads(run("iperf3", "-c", "127.0.0.1", "-J", "-n", str(size), *arguments, tapped=tapped))
            end = answer["end"]
            # -n is how much at least. The ends count until they hear that it is over: not the same.
            expect(end["sum_sent"]["bytes"] >= size and end["sum_received"]["bytes"] > 0 and "error" not in answer,
                   f"iperf3 {' '.join(arguments)}: {end}")

    both(work)


@test
def redis() -> None:
    def work(tapped: bool) -> None:
        with server(6379, tapped, "redis-server", "--save", "", "--appendonly", "no", "--port", "6379"):
            run("redis-benchmark", "-q", "-n", "1500", "-c", "10", "-d", "2000", "-t", "set,get,lpush,lrange_100",
                tapped=tapped)
            run("redis-benchmark", "-q", "-n", "3000", "-c", "5", "-P", "30", "-t", "incr", tapped=tapped)
            value = hashlib.sha256(b"x").hexdigest() * 30000
            with open(f"{WORK}/value", "w", encoding="ascii") as file:
                file.write(value)
            with open(f"{WORK}/value", encoding="ascii") as file:
                run("redis-cli", "-x", "set", "large", tapped=tapped, stdin=file)
            back = run("redis-cli", "get", "large", tapped=tapped).strip()
            # The benchmark asks for as many as it is told, or a few more.
            counted = int(run("redis-cli", "get", "counter:__rand_int__", tapped=tapped))
            expect(back == value, f"the large value came back as {len(back)} bytes")
            expect(3000 <= counted < 3100, f"{counted} increments")

    both(work)


@test
def nginx() -> None:
    with open(f"{WORK}/nginx.conf", "w", encoding="ascii") as file:
        file.write(f"""daemon off; user root; worker_processes 2; pid {WORK}/nginx.pid; error_log {WORK}/nginx.log;
            events {{ }}
            http {{ access_log off; sendfile on; tcp_nopush on; client_body_temp_path {WORK}/body;
                proxy_temp_path {WORK}/proxy; fastcgi_temp_path {WORK}/fastcgi; uwsgi_temp_path {WORK}/uwsgi;
                scgi_temp_path {WORK}/scgi;
                server {{ listen 8080; root {WORK}; }} }}""")
    os.makedirs("/var/log/nginx", exist_ok=True)
    with open(f"{WORK}/large", "wb") as large:
        large.write(os.urandom(1 << 20))

    def work(tapped: bool) -> list[Any]:
        results: list[Any] = []
        with server(8080, tapped, "nginx", "-c", f"{WORK}/nginx.conf"):
            for options in (["-k", "-n", "300", "-c", "10"], ["-n", "100", "-c", "10"]):
                for name in ("nginx.conf", "large"):
                    options[options.index("-n") + 1] = "300" if name == "nginx.conf" else "30"
                    text = run("ab", "-q", *options, f"http://127.0.0.1:8080/{name}", tapped=tapped)
                    found = re.findall(r"(?:Complete requests|Failed requests|HTML transferred): +(\d+)", text)
                    expect(len(found) == 3 and found[1] == "0", f"ab: {text}")
                    results += found
        return results

    both(work)


@test
def openssl() -> None:
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{WORK}/key", "-out", f"{WORK}/cert",
        "-subj", "/CN=guest", "-days", "1")
    content = os.urandom(300000)
    with open(f"{WORK}/page", "wb") as page:
        page.write(content)

    def work(tapped: bool) -> None:
        with server(4433, tapped, "openssl", "s_server", "-accept", "4433", "-key", "key", "-cert", "cert", "-WWW",
                    cwd=WORK) as it:
            for version in ("-tls1_2", "-tls1_3"):
                done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:4433", "-quiet", version],
                                      input=b"GET /page HTTP/1.0\r\n\r\n", stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, env=environment(tapped), check=False)
                expect((taps() > 0) == tapped, f"{taps()} taps")
                it.expect_judged(version)
                expect(done.stdout.endswith(content), f"{version}: {len(done.stdout)} bytes came")

    both(work)


def as_postgres() -> dict[str, Any]:
    user = 65534  # anybody but root
    return {"user": user, "group": user, "cwd": WORK}


@test
def postgresql() -> None:
    binaries = "/usr/lib/postgresql/15/bin"
    data = f"{WORK}/data"
    shutil.rmtree(data, ignore_errors=True)
    run(f"{binaries}/initdb", "-D", data, "-A", "trust", "-N", "--no-locale", "-U", "postgres", **as_postgres())
    client = ["-h", "127.0.0.1", "-U", "postgres"]

    def ready() -> bool:
        """It listens before it lets anybody in."""
        return not subprocess.run([f"{binaries}/pg_isready", "-q", *client], check=False).returncode

    def work(tapped: bool) -> str:
        with server(5432, tapped, f"{binaries}/postgres", "-D", data, "-k", "", "-h", "127.0.0.1", "-F", "-c",
                    "jit=off", ready=ready, **as_postgres()):
            run(f"{binaries}/pgbench", *client, "-i", "-q", "-s", "1", "postgres", tapped=tapped)
            text = run(f"{binaries}/pgbench", *client, "-n", "-c", "3", "-t", "40", "postgres", tapped=tapped)
            done = re.findall(r"actually processed: (\S+)", text)
            text = run(f"{binaries}/pgbench", *client, "-n", "-S", "-M", "prepared", "-c", "2", "-t", "200", "postgres",
                       tapped=tapped)
            done += re.findall(r"actually processed: (\S+)", text)
            rows = run(f"{binaries}/psql", *client, "-At", "-c",
                       "select count(*), sum(length(filler)) from pgbench_accounts", "-c",
                       "select md5(string_agg(aid::text, ',' order by aid)) from pgbench_accounts", "postgres",
                       tapped=tapped)
            same = run(f"{binaries}/psql", *client, "-At", "-c",
                       "select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)",
                       "postgres", tapped=tapped)
            expect_equal(done, ["120/120", "400/400"], "transactions")
            expect_equal(same.strip(), "t", "the sums of the accounts and of the history are the same")
            return rows

    both(work)


def python_tests(tapped: bool, *names: str) -> dict[str, str]:
    """What became of each test."""
    start = time.monotonic()
    done = subprocess.run(["python3", "-m", "unittest", "-v", *names], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", env=environment(tapped), cwd="/tmp", check=False)
    print(f"# {' '.join(names)}, {'tapped' if tapped else 'plain'}: {taps()} taps, "
          f"{time.monotonic() - start:.0f} s", flush=True)
    expect((taps() > 0) == tapped, f"{taps()} taps")
    found = dict(re.findall(r"^(test\w+ \([\w.]+\)).*? ?\.\.\. (?:.*\n)*?.*?(ok|FAIL|ERROR|skipped)", done.stdout, re.M))
    expect(found, done.stdout[-500:])
    return found


def passes_alone(name: str) -> bool:
    """Tapped: what failed may be a test that depends on the time."""
    found = re.match(r"(\w+) \(([\w.]+)\)", name)
    assert found, name
    method, place = found.groups()
    single = place if place.endswith(f".{method}") else f"{place}.{method}"
    again = subprocess.run(["python3", "-m", "unittest", single], env=environment(True), cwd="/tmp",
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    passed = not again.returncode and bool(re.search(r"^Ran 1 test .*\n\nOK$", again.stdout.rstrip(), re.MULTILINE))
    print(f"# again, tapped: {single}: {'ok' if passed else again.stdout[-300:]}", flush=True)
    return passed


def compare_python_tests(*names: str) -> None:
    plain, tapped = python_tests(False, *names), python_tests(True, *names)
    # Those that are skipped must be so both ways; what fails plain may pass.
    differ = {name: (plain.get(name), tapped.get(name)) for name in {*plain, *tapped}
              if plain.get(name) != tapped.get(name) and tapped.get(name) != "ok"}
    for name, (_, now) in list(differ.items()):
        if now in ("FAIL", "ERROR") and passes_alone(name):
            del differ[name]
    expect_equal(differ, {}, "tests, and what became of them plain and tapped")
    good = [sum(what == "ok" for what in found.values()) for found in (plain, tapped)]
    print(f"# {len(plain)} tests, {good[1]} pass tapped, {good[0]} plain", flush=True)
    expect(good[1] > 20, f"only {good[1]} tests pass")


@test
def python_test_socket() -> None:
    some = () if LONG else ("-k", "BasicTCP", "-k", "RecvmsgIntoTCP", "-k", "SendmsgTCP", "-k", "NonBlockingTCP",
                            "-k", "SmallBuffered")
    compare_python_tests(*some, "test.test_socket")


@test
def python_test_asyncio() -> None:
    names = ["streams"] + (["buffered_proto", "sendfile", "server", "sock_lowlevel", "ssl"] if LONG else [])
    compare_python_tests(*(f"test.test_asyncio.test_{name}" for name in names))


def count_runs(whether: bool) -> None:
    with open("/proc/sys/kernel/bpf_stats_enabled", "w", encoding="ascii") as stats:
        stats.write(str(int(whether)))


def clean() -> None:
    """What lies there is memory that others need."""
    count_runs(False)
    shutil.rmtree(WORK)


if __name__ == "__main__":
    load()
    os.makedirs(WORK, exist_ok=True)
    os.chmod(WORK, 0o777)
    count_runs(True)
    main(clean)
