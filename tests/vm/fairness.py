#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Who waits for whom: the helper's time, when many want it at once."""

import os
import signal
import time

from lib import blob, helper, netns, system
from lib.check import expect, expect_equal, main, test, wait_for
from lib.netns import CLONE_NEWNET, CLONE_NEWUSER

THREADS = 16  # of the helper
USERS = THREADS + 1
LISTINGS = 10
CALLERS = 8  # of each, at the same time
RULES = 500


def _become_root_of_a_namespace(uid: int) -> None:
    """As that user, who is nobody outside of it."""
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    netns.unshare(CLONE_NEWUSER | CLONE_NEWNET)


def _large() -> blob.Table:
    rules = [blob.entry(blob.verdict(blob.DROP), source=bytes([10, 0, i >> 8, i & 255]) + b"\xff" * 4)
             for i in range(RULES)]
    return blob.with_input(*rules)


def _busy_user(uid: int, ready: int) -> None:
    """Does not end by itself: as many callers as it takes that one is always waiting."""
    _become_root_of_a_namespace(uid)
    for _ in range(CALLERS - 1):
        if os.fork() == 0:
            break
    table = _large()
    opened = blob.raw_socket()
    while True:
        table.num_counters = None  # what there is
        status = table.commit(opened)
        if status not in ("OK", "EAGAIN"):
            os.write(ready, f"{status}\n".encode())
        else:
            os.write(ready, b".")


class Users:
    """Unprivileged users, each with a namespace of his own and many callers."""

    def __init__(self, uids: list[int]) -> None:
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.said = b""
        self.group = 0
        for uid in uids:
            pid = os.fork()
            if pid == 0:
                os.setpgid(0, self.group)
                try:
                    _busy_user(uid, writer)
                finally:
                    os._exit(1)
            self.group = self.group or pid
            os.setpgid(pid, self.group)
        os.close(writer)

    def listen(self) -> bytes:
        try:
            self.said += os.read(self.reader, 1 << 16)
        except BlockingIOError:
            pass
        return self.said

    def end(self) -> None:
        os.killpg(self.group, signal.SIGKILL)
        while True:
            try:
                os.waitpid(-self.group, 0)
            except ChildProcessError:
                return


def _listing_takes() -> float:
    start = time.monotonic()
    with blob.raw_socket() as opened:
        expect_equal(blob.entries(opened)[0], "OK", "root's listing")
    return time.monotonic() - start


def _among(uids: list[int], what: str) -> None:
    _listing_takes()
    before = helper.one()
    users = Users(uids)
    try:
        wait_for(users.listen, "the first table of theirs", 600)
        behind = len(users.listen())
        times = [_listing_takes() for _ in range(LISTINGS)]
        behind = len(users.listen()) - behind
        expect_equal(users.said.replace(b".", b""), b"", "errors of theirs")
    finally:
        users.end()
    print(f"# {what}: root's listings took {min(times):.2f} to {max(times):.2f} s, "
          f"{behind} tables of theirs came first", flush=True)
    expect(behind <= LISTINGS * THREADS, f"root waited for {behind} tables of others in {LISTINGS} listings")
    expect_equal(helper.one(), before, "the helper")


@test
def root_among_many_users() -> None:
    """A listing of root's is not behind the large tables of others."""
    system.only_ours()
    _among([10000 + i for i in range(USERS)], f"{USERS} users")


@test
def root_beside_one_user_with_many_namespaces() -> None:
    system.only_ours()
    _among([10000] * USERS, f"one user with {USERS} namespaces")


if __name__ == "__main__":
    main()
