#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What helpers give (IOC_GIVE): programs for a socket that is to be tapped."""

import errno
import subprocess

from lib import fake, tap, tcp
from lib.check import expect, expect_equal, main, test, wait_for


def remove_stap() -> None:
    wait_for(lambda: subprocess.run(["rmmod", "stap"], stderr=subprocess.DEVNULL, check=False).returncode == 0,
             "stap to be removable")


def tap_by_policy() -> str:
    """The errno. A tapped socket counts what it receives."""
    with tcp.connection() as (one, other):
        answer = tcp.error_of(lambda: tap.tap_by_policy(other, tap.NOT_TAPPED, (tap.EACH, tap.OK, [])))
        one.sendall(b"hello")
        expect_equal(tcp.receive(other, 5), b"hello", "what came")
        if answer == "OK":
            expect_equal(tap.info(other)[1].messages, 1, "messages")
        return answer


def given() -> list[int]:
    return [line.fields["errno"] for line in fake.log("GIVE")]


@test
def programs_that_are_given() -> None:
    fake.fresh()
    tap.load()
    expect_equal(tap_by_policy(), "OK", "with four programs")
    expect_equal(given(), [0], "IOC_GIVE")
    for order, errors, answer in (("nothing", [], "EIO"), ("count 3", [errno.EINVAL], "EIO"),
                                  ("count 5", [errno.EINVAL], "EIO"), ("count -1", [errno.EINVAL], "EIO"),
                                  ("reserved", [errno.EINVAL], "EIO"), ("pipe", [errno.EINVAL], "EIO"),
                                  ("closed", [errno.EBADF], "EIO"), ("other_request", [errno.ENOENT], "EIO"),
                                  ("twice", [0, 0], "OK"), ("give_then_fail", [0], "EPERM")):
        fake.forget()
        fake.order(f"TAP {order}")
        expect_equal(tap_by_policy(), answer, order)
        expect_equal(given(), errors, order)
    fake.order()
    expect_equal(tap_by_policy(), "OK", "afterwards")
    remove_stap()


@test
def a_helper_that_gives_and_dies() -> None:
    """Its successor is asked again, and what the dead gave is not given."""
    fake.fresh()
    tap.load()
    fake.order("TAP give_then_crash")
    expect_equal(tap_by_policy(), "EIO", "of helpers that all die")
    expect_equal(given(), [0, 0], "what they gave")
    fake.order()
    expect_equal(tap_by_policy(), "OK", "afterwards")
    remove_stap()


if __name__ == "__main__":
    main(at_end=fake.back)
