#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: on whose account its memory is, and that nothing is left of it."""

import contextlib
import os
import signal
import socket
import struct

from lib import bpf, cgroup, tap
from lib.check import expect, expect_equal, main, test, wait_for
from lib.tap import DISCONNECT, DROP, OK, Programs, load, tap_both
from lib.tcp import connection, error_of, readable, writable

SO_MEMINFO = 55
MIB = 1 << 20
PAGE_OF_A_SENDER = 32 << 10  # what he writes is put into (SKB_FRAG_PAGE_ORDER)
TURNS = 4000


def memory_of(opened: socket.socket) -> dict[str, int]:
    """By its names."""
    names = ("rmem_alloc", "rcvbuf", "wmem_alloc", "sndbuf", "fwd_alloc", "wmem_queued", "optmem", "backlog", "drops")
    return dict(zip(names, struct.unpack("=9I", opened.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))))


@test
def it_is_the_sockets_own() -> None:
    """What nobody reads is on the reader's account, what is not sent yet on the sender's, and no
    more than its buffer lets in (and the message that was under way)."""
    with connection() as (one, other):
        tap_both(one, other)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50000)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50000)
        one.setblocking(False)
        sent = 0
        try:
            while sent < 100 * MIB:
                sent += one.send(b"x" * 1000)
        except BlockingIOError:
            pass
        sender, reader = memory_of(one), memory_of(other)
        expect(0 < sender["wmem_queued"] <= sender["sndbuf"] + 70000, f"sender: {sender}")
        expect(10000 < reader["rmem_alloc"] <= reader["rcvbuf"] + 70000, f"reader: {reader}")
        one.shutdown(socket.SHUT_WR)
        received = 0
        while some := other.recv(100000):
            received += len(some)
        expect_equal(received, sent, "bytes")
        expect_equal(memory_of(other)["rmem_alloc"], 0, "what the reader holds afterwards")
        wait_for(lambda: memory_of(one)["wmem_queued"] == 0, "the last acknowledgement")


@test
def it_is_the_cgroups_too() -> None:
    """A message that has begun is on the account of who writes it, as what TCP has is."""
    with cgroup.limited(200 * MIB) as group:
        def in_group() -> str:
            with connection() as (one, _):
                parse = bpf.load(bpf.constant(10 * MIB))
                tap.tap(one, Programs(parse, -1, -1, -1))
                before = group.stat("sock")
                one.sendall(bytes(6 * MIB))
                held = group.stat("sock") - before
                one.close()
                after = group.stat("sock") - before
            return f"{round(held / MIB)} {round(after / MIB)}"

        expect_equal(group.run(in_group), "6 0", "MiB on its account, with the message begun and with the socket gone")


def free_memory() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))


@test
def by_the_byte() -> None:
    """A message that comes like that between others of the same sender is on its account by the byte too, so it
    must not have a page for each, which the others fill."""
    with connection() as (one, _), connection() as (busy, drain):
        parse = bpf.load(bpf.constant(MIB))
        tap.tap(one, Programs(parse, -1, -1, -1))
        os.close(parse)
        before = free_memory()
        for _ in range(TURNS):
            one.sendall(b"x")
            busy.sendall(bytes(PAGE_OF_A_SENDER))
            expect_equal(len(drain.recv(PAGE_OF_A_SENDER, socket.MSG_WAITALL)), PAGE_OF_A_SENDER, "read")
        taken = before - free_memory()
        expect(taken < TURNS * PAGE_OF_A_SENDER // 4, f"{taken} bytes taken for {TURNS}")


def takes_all(size: int, times: int) -> bool:
    """Messages that begin and do not end, of so many connections."""
    with contextlib.ExitStack() as stack:
        for _ in range(times):
            one, _ = stack.enter_context(connection())
            parse = bpf.load(bpf.constant(size))
            tap.tap(one, Programs(parse, -1, -1, -1))
            one.setblocking(False)
            left = size - 1
            try:
                while left:
                    left -= one.send(bytes(min(left, MIB)))
            except BlockingIOError:
                return False
    return True


@test
def no_more_than_the_cgroup_may_have() -> None:
    """Who goes on is refused, or ended as for any other memory."""
    with cgroup.limited(24 * MIB) as group:
        pid = os.fork()
        if not pid:
            try:
                group.join()
                os._exit(3 if takes_all(12 * MIB, 4) else 0)
            finally:
                os._exit(1)
        end = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with open(f"{group.path}/memory.peak", encoding="ascii") as file:
            peak = int(file.read())
        expect(end in (0, -signal.SIGKILL), f"its end: {end}")
        expect(12 * MIB < peak <= 25 * MIB, f"{peak} bytes at most on the account")


CLIENTS = 12


def client(number: int, address: tuple[str, int]) -> socket.socket:
    """Half of them are tapped themselves; each sends a message of one of four fates, or a part of it."""
    opened = socket.socket()
    opened.setblocking(False)
    if number % 2:
        tap.tap_all(opened, bpf.prefixed(), FATES)
    opened.connect_ex(address)
    expect(writable(opened, 20), "no connection")
    error_of(lambda: opened.send(struct.pack(">H", 30) + b"apdq"[number % 4:number % 4 + 1] + b"." * (number * 4)))
    return opened


FATES = bpf.by_byte(2, {ord("d"): DROP, ord("q"): DISCONNECT}, OK)


def killed_with_its_clients(listener: socket.socket) -> None:
    """A third of them is closed before."""
    pid = os.fork()
    if not pid:
        try:
            clients = [client(number, listener.getsockname()) for number in range(CLIENTS)]
            for opened in clients[::3]:
                opened.close()
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    expect_equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), -signal.SIGKILL, "the end of the clients' process")


def used(child: socket.socket) -> str:
    """What happens if somebody accepts it after all; and then it is closed."""
    with child:
        error_of(lambda: child.send(struct.pack(">H", 5) + b"x"))
        return error_of(lambda: child.recv(100, socket.MSG_DONTWAIT))


def sockets() -> int:
    """Of TCP, whoever still has a reference to them; those that are free are given back first."""
    with open("/sys/kernel/slab/TCP/shrink", "w", encoding="ascii") as file:
        file.write("1")
    with open("/proc/slabinfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("TCP "))


@test
def nothing_is_left_of_connections() -> None:
    """They come and go, are killed with what they hold, or are forgotten in a listener's backlog."""
    before = sockets()
    with open("/proc/sys/net/ipv4/tcp_fin_timeout", "w", encoding="ascii") as file:
        file.write("1")  # or it is a minute until those are gone whose other side says nothing
    ends: set[str] = set()
    for _ in range(8):
        with socket.create_server(("127.0.0.1", 0), backlog=4 * CLIENTS) as listener:
            tap.tap_all(listener, bpf.prefixed(), FATES)
            for accepts in (True, True, True, False):
                killed_with_its_clients(listener)
                for _ in range(CLIENTS if accepts else 0):
                    expect(readable(listener, 20), "nobody to accept")
                    ends.add(used(listener.accept()[0]))
    expect({"OK", "ECONNABORTED"} <= ends, f"ends of those that were accepted: {ends}")
    tap.unload()
    wait_for(lambda: sockets() <= before, f"no more than {before} sockets of TCP")


if __name__ == "__main__":
    load()
    main()
