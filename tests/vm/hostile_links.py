#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a helper that was taken over can do with XDP's links and guards: to devices that the request is not about,
to programs of others, and to the kernel, by things that are no link and no guard.

The helper is tests/kmod/fake_helper (links.c). Every test begins with the module loaded anew.
"""

import contextlib
import errno
import subprocess
from typing import Iterator

from lib import fake
from lib.caller import get_info, listing, works
from lib.check import expect, expect_equal, main, test, wait_for
from lib.early import back, program_of, set_mode
from lib.netns import Namespace

LOOPBACK, OTHER = 1, 20  # indices of devices
LINKS_MAX = 64  # of a namespace
NO_DESCRIPTOR = 0  # what each row of links.c begins with


@contextlib.contextmanager
def space() -> Iterator[Namespace]:
    """A namespace with a table, loopback, and another device."""
    made = Namespace("links")
    try:
        made.ip(["link set lo up", f"link add d0 index {OTHER} type dummy", "link set d0 up"])
        with made:
            expect_equal(get_info(), 0, "GET_INFO")
        yield made
    finally:
        made.delete()


def fresh() -> None:
    fake.fresh()
    works()
    # Or routes are not heard, and no guard is set.
    set_mode("generic")


def do(where: Namespace, what: str, number: int = 0) -> list[fake.Line]:
    """What the helper notes of it, on behalf of a request from there."""
    fake.forget()
    fake.order(f"GET_ENTRIES link_{what} {number}")
    with where:
        expect_equal(listing(), 0, f"the listing, {what} {number}")
    fake.order()
    return [line for line in fake.log() if line.what in ("ATTACH", "DETACH", "GUARD", "LOOK", "MANY")]


def errors(where: Namespace, what: str, number: int = 0) -> list[int]:
    return [line.fields["errno"] for line in do(where, what, number) if "errno" in line.fields]


def attach(where: Namespace, index: int = LOOPBACK) -> None:
    """As a helper should: its program may drop then."""
    fields = [line.fields for line in do(where, "well", index)]
    expect_equal(fields, [{"errno": 0}, {"value": 1}], "a link and its guard")


def nothing_on(where: Namespace, *devices: str) -> None:
    for device in devices or ("lo", "d0"):
        expect_equal(program_of(where, device), 0, f"the program on {device}")


def is_there(program: int) -> bool:
    shown = subprocess.run(["bpftool", "prog", "show", "id", str(program)], capture_output=True, check=False)
    return shown.returncode == 0


@test
def what_is_no_link() -> None:
    fresh()
    with space() as here:
        for number in range(6):
            error = errno.EBADF if number == NO_DESCRIPTOR else errno.EINVAL
            expect_equal(errors(here, "other", number), [error], f"link {number}")
        nothing_on(here)
        attach(here)
    works()


@test
def what_is_no_program() -> None:
    """The one that a link had before stays."""
    fresh()
    with space() as here:
        attach(here)
        program = program_of(here, "lo")
        for number in range(5):
            error = errno.EBADF if number == NO_DESCRIPTOR else errno.EINVAL
            expect_equal(errors(here, "program", number), [error], f"program {number}")
        expect_equal(program_of(here, "lo"), program, "the program on loopback")
    works()


@test
def what_is_no_guard() -> None:
    """The kernel writes to it: nothing but a plain array of one number is taken, and the link stays the helper's."""
    fresh()
    with space() as here:
        for number in range(10):
            error = errno.EBADF if number == NO_DESCRIPTOR else errno.EINVAL
            expect_equal(errors(here, "guard", number), [error], f"guard {number}")
        nothing_on(here)
        attach(here)
    works()


@test
def what_makes_no_sense() -> None:
    fresh()
    with space() as here:
        for what in ("both", "reserved", "reserved_2"):
            expect_equal(errors(here, what), [errno.EINVAL], what)
        nothing_on(here)
    works()


@test
def a_link_of_another_device() -> None:
    """It is not where the helper says: whether there is another or not."""
    fresh()
    with space() as here:
        expect_equal(errors(here, "elsewhere", OTHER), [errno.ENODEV], "said to be loopback's")
        nothing_on(here)
        attach(here)
        expect_equal(errors(here, "elsewhere", OTHER), [errno.EEXIST], "said to be loopback's, which has one")
        nothing_on(here, "d0")
        expect(program_of(here, "lo"), "loopback has lost its program")
    works()


@test
def a_link_of_another_namespace() -> None:
    """Of a device with the same index, which the request is not about."""
    fresh()
    with space() as here:
        expect_equal(errors(here, "of_another_namespace"), [errno.ENODEV], "loopback of the helper's own namespace")
        nothing_on(here)
    works()


@test
def programs_of_others() -> None:
    """Neither another namespace's link at that index, nor what somebody else attached, goes or is changed."""
    fresh()
    with space() as here, space() as there:
        attach(here)
        program = program_of(here, "lo")
        expect_equal(errors(there, "detach", LOOPBACK), [errno.ENODEV], "detaching it on behalf of another namespace")
        with there:
            subprocess.run(["bpftool", "net", "attach", "xdpgeneric", "id", str(program), "dev", "lo"], check=True)
        expect_equal(errors(there, "detach", LOOPBACK), [errno.ENODEV], "detaching what is nobody's link")
        expect_equal(errors(there, "program", 4), [errno.ENODEV], "changing what is nobody's link")
        expect_equal([program_of(one, "lo") for one in (here, there)], [program] * 2, "the programs")
        expect_equal(errors(here, "detach", LOOPBACK), [0], "detaching it on behalf of its own")
        expect_equal([program_of(one, "lo") for one in (here, there)], [0, program], "the programs, then")
        expect_equal(errors(here, "detach", LOOPBACK), [errno.ENODEV], "detaching it again")
    works()


@test
def looks_that_nobody_had() -> None:
    """A guard is set for a look of now, and for none of never or of the future."""
    fresh()
    with space() as here:
        attach(here)
        for ahead in (0, 1, 1000):
            fields = [line.fields for line in do(here, "set", ahead)]
            expect_equal(fields, [{"errno": errno.EAGAIN}, {"value": 0}, {"errno": 0}, {"value": 1}],
                         f"a generation {ahead} ahead, or none; then the right one")
    works()


@test
def looks_of_the_wrong_shape() -> None:
    fresh()
    with space() as here:
        attach(here)  # or there were no link to be told of, and nothing written
        for number in range(7):
            error = errno.EFAULT if number >= 4 else errno.EINVAL
            expect_equal(errors(here, "look", number), [error], f"look {number}")
    works()


@test
def other_requests() -> None:
    """One that the helper does not have, and one that is about no namespace."""
    fake.fresh()
    fake.order("INIT link_this_request")
    expect_equal(get_info(), 0, "GET_INFO")
    for what in ("ATTACH", "DETACH", "LOOK"):
        expect_equal([line.fields["errno"] for line in fake.log(what)], [errno.EINVAL], f"{what} for INIT")
    works()
    with space() as here:
        expect_equal(errors(here, "other_request"), [errno.ENOENT] * 3, "for a request that it has not")
    works()


@test
def links_without_end() -> None:
    """One namespace has so many; another's are its own. When they have gone, there is room again."""
    fresh()
    first = OTHER + 1
    with space() as here, space() as there:
        here.ip([f"link add d{number} index {OTHER + number} type dummy" for number in range(1, LINKS_MAX + 2)])
        for time in ("once", "again"):
            expect_equal([line.fields for line in do(here, "many", first)],
                         [{"links": LINKS_MAX, "last": first + LINKS_MAX, "errno": errno.ENOSPC}], f"links, {time}")
            nothing_on(here, f"d{LINKS_MAX + 1}")
            attach(there)
            expect_equal(errors(there, "detach", LOOPBACK), [0], "another namespace's")
            for number in range(LINKS_MAX):
                expect_equal(errors(here, "detach", first + number), [0], f"detaching {number}")
    works()


@test
def a_link_that_its_maker_ends() -> None:
    """The module learns that it is on no device any more when it is to have another program."""
    fresh()
    with space() as here:
        expect_equal(errors(here, "behind"), [0, errno.ENODEV, 0], "attaching, changing, detaching")
        nothing_on(here)
        attach(here)
    works()


@test
def a_helper_that_dies_with_links() -> None:
    """They stay; the next can end them."""
    fresh()
    with space() as here:
        attach(here)
        program = program_of(here, "lo")
        fake.kill()
        works()
        expect_equal(program_of(here, "lo"), program, "the program, with the next helper")
        expect_equal(errors(here, "detach", LOOPBACK), [0], "detaching it")
        nothing_on(here)
    works()


@test
def links_go_with_their_namespace_and_the_module() -> None:
    fresh()
    with space() as here:
        attach(here)
        program = program_of(here, "lo")
    wait_for(lambda: not is_there(program), "the program to go with its namespace")
    with space() as here:
        attach(here)
        program = program_of(here, "lo")
        fake.remove()
        nothing_on(here)
        wait_for(lambda: not is_there(program), "the program to go with the module")


@test
def back_to_the_real_helper() -> None:
    fake.back()
    back()


if __name__ == "__main__":
    main()
