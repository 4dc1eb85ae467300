#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap: what it tells of itself, and to whom."""

import os
import socket

from lib import bpf, diag, tap
from lib.check import expect_equal, main, test
from lib.process import said_by_child
from lib.tap import DROP, Programs, load
from lib.tcp import connection, error_of, prefixed, receive

WHOLE = 64  # bytes of struct stap_info


def whole(opened: socket.socket) -> bytes:
    return opened.getsockopt(tap.SOL_STAP, tap.INFO, WHOLE)


@test
def numbers() -> None:
    """The programs' ids, and what passed and was dropped, of each direction."""
    programs = [bpf.load(code) for code in (bpf.prefixed(), bpf.by_byte(2, {ord("d"): DROP}), bpf.constant(0))]
    ids = [bpf.id_of(fd) for fd in programs]
    with connection() as (one, other):
        tap.tap(one, Programs(programs[0], programs[1], -1, programs[2]))
        one.sendall(prefixed(b"a") + prefixed(b"drop") * 2 + prefixed(b"bcd"))
        expect_equal(receive(other, 8), prefixed(b"a") + prefixed(b"bcd"), "sent")
        other.sendall(b"back")
        expect_equal(receive(one, 4), b"back", "received")
        sent, received = tap.info(one)
        expect_equal(sent, tap.Direction(ids[0], ids[1], 2, 8, 2), "of what is sent")
        expect_equal(received, tap.Direction(0, ids[2], 1, 4, 0), "of what is received")
    for fd in programs:
        os.close(fd)


@test
def as_much_as_there_is_room_for() -> None:
    """STAP_INFO, and STAP_SO_ULP with the name before it."""
    with connection() as (one, other):
        tap.tap_all(one, bpf.prefixed(), bpf.constant(0))
        one.sendall(prefixed(b"text"))
        expect_equal(receive(other, 6), prefixed(b"text"), "sent")
        info = whole(one)
        named = tap.ULP + info
        expect_equal(len(info), WHOLE, "bytes of all")
        for size in (1, 7, 8, 31, 32, 63, 64, 65, 1000):
            expect_equal(one.getsockopt(tap.SOL_STAP, tap.INFO, size), info[:size], f"room for {size} bytes")
        for size in (1, 16, 17, 24, 79, 80, 81, 1000):
            expect_equal(one.getsockopt(socket.SOL_IP, tap.STAP_SO_ULP, size), named[:size], f"room for {size} bytes")
        expect_equal(error_of(lambda: one.getsockopt(tap.SOL_STAP, 99, 64)), "ENOPROTOOPT", "another option")
        expect_equal(other.getsockopt(socket.SOL_IP, tap.STAP_SO_ULP, 80), bytes(16), "of who is not tapped")


@test
def sock_diag() -> None:
    """The name and the numbers, for who has CAP_NET_ADMIN, and nobody else."""
    for family in (4, 6):
        with connection(family) as (one, other):
            tap.tap_all(one, bpf.prefixed(), bpf.constant(0))
            one.sendall(prefixed(b"text"))
            expect_equal(receive(other, 6), prefixed(b"text"), "sent")
            expect_equal(diag.ulp(one), {diag.ULP_NAME: b"stap\0", diag.STAP_INFO: whole(one)}, "of a tapped one")
            expect_equal(diag.ulp(other), None, "of one that is not")

            def as_nobody(opened: socket.socket = one) -> str:
                os.setgid(65534)
                os.setuid(65534)
                return str(diag.ulp(opened))

            expect_equal(said_by_child(as_nobody), "None", "what nobody sees")


if __name__ == "__main__":
    load()
    main()
