#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The socket tap on who waits in a listener's queue when that goes, and comes to another of its group
(net.ipv4.tcp_migrate_req)."""

import contextlib
import ctypes
import os
import socket

from lib import tap
from lib.check import expect, expect_equal, main, test, wait_for
from lib.children import WHOLE, connected, drops_d, expect_tapped
from lib.iovec import splice
from lib.memory import no_memory
from lib.tap import load
from lib.tcp import arrived, connect, disconnect, error_of, listening, readable, setting

SO_REUSEPORT, MPTCP = 15, 262
TCP_REPAIR = 19
libc = ctypes.CDLL(None, use_errno=True)


def migration() -> contextlib.AbstractContextManager[None]:
    return setting("/proc/sys/net/ipv4/tcp_migrate_req", "1")


def group(address: tuple[str, int], family: int = socket.AF_INET, protocol: int = 0) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM, protocol)
    opened.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 1)
    opened.bind(address)
    opened.listen()
    return opened


@test
def handed_to_another_listener() -> None:
    """Who waited with a listener that was closed comes to another of its group: into a tap, or with the one it had."""
    with migration():
        for tapped in ("the one that stays", "the one that goes"):
            going = group(("127.0.0.1", 0))
            with connected(going) as peer, group(going.getsockname()) as staying:
                wait_for(lambda: readable(going), "the connection")  # pylint: disable=cell-var-from-loop
                drops_d(staying if tapped == "the one that stays" else going)
                going.close()
                wait_for(lambda: readable(staying), "it to come")  # pylint: disable=cell-var-from-loop
                with staying.accept()[0] as child:
                    expect_tapped(child, peer, f"{tapped} is tapped")


def accepted(listener: socket.socket) -> socket.socket:
    """By an accept() that does not ask from where, which has no answer if it has ended."""
    fd = libc.accept(listener.fileno(), None, None)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return socket.socket(fileno=fd)


def spliced(opened: socket.socket, size: int) -> bytes:
    """What there is, up to the end or an error."""
    there, back = os.pipe()
    data = b""
    try:
        while len(data) < size and (some := splice(opened.fileno(), back, size - len(data))):
            data += os.read(there, some)
    except OSError:
        pass
    finally:
        os.close(there)
        os.close(back)
    return data


@test
def handed_to_a_listener_of_mptcp() -> None:
    """It makes plain TCP of it, on 6.1 with functions that go around the tap: then the connection ends, and
    the next one of that socket is tapped."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with migration():
            going = group((address, 0), family)
            drops_d(going)
            with connected(going) as peer, group(going.getsockname()[:2], family, MPTCP) as staying:
                peer.sendall(WHOLE)
                arrived(peer)
                going.close()
                wait_for(lambda: readable(staying), "it to come")  # pylint: disable=cell-var-from-loop
                with accepted(staying) as child:
                    child.settimeout(60)
                    error_of(lambda: peer.sendall(WHOLE))  # pylint: disable=cell-var-from-loop
                    peer.close()
                    read = spliced(child, 2 * len(WHOLE))
                    expect(b"drop" not in read, f"it read {read!r}, of which nobody had judged a part")
                    # On 6.1 this comes to TCP. In repair there would be a connection at one end alone.
                    error_of(lambda: child.setsockopt(socket.SOL_TCP, TCP_REPAIR, 1))  # pylint: disable=cell-var-from-loop
                    disconnect(child)
                    expect_equal(child.getsockopt(socket.SOL_TCP, TCP_REPAIR), 0, "in repair")
                    family_number = 6 if family == socket.AF_INET6 else 4
                    with listening(family_number) as listener, connect(listener, child)[1] as again:
                        expect_tapped(child, again, "connected again")


@test
def by_a_listener_without_a_tap() -> None:
    """A child for which there was no memory listens: it has nothing to pass on to who comes to it untapped."""
    with migration(), group(("127.0.0.1", 0)) as first:
        drops_d(first)
        with no_memory(), connected(first):
            orphan = first.accept()[0]
        expect_equal(error_of(lambda: tap.info(orphan)), "ECONNABORTED", "to ask its tap")
        address = first.getsockname()
        first.close()
        disconnect(orphan)
        orphan.bind(address)
        with orphan, group(address) as plain, connected(plain):
            wait_for(lambda: readable(plain), "the connection")
            orphan.listen()
            plain.close()
            wait_for(lambda: readable(orphan), "it to come")
            expect_equal(error_of(orphan.accept), "ECONNABORTED", "to accept who came")


if __name__ == "__main__":
    load()
    main()
