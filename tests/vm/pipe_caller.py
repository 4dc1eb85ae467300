#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Callers: who may ask, what is refused before the helper hears of it, and callers that are killed."""

import contextlib
import errno
import os
import random
import signal
import struct
import subprocess
import sys
import time
from typing import Callable

from lib import fake, helper
from lib.caller import (DROPPING, SIZE, Child, add_counters, get_entries, get_info, listing, passes, replace,
                        replace_data, works)
from lib.check import expect, expect_equal, expect_in, main, test, wait_for
from lib.netns import Namespace
from lib.options import (GET_ENTRIES, GET_INFO, GET_REVISION_TARGET, SET_ADD_COUNTERS, SET_REPLACE, getsockopt, name,
                         setsockopt)

ROUNDS = 10  # of six times three requests


# Killed

@test
def killed_while_it_is_carried_out() -> None:
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    fake.forget()
    fake.order("REPLACE wait")
    child = Child(lambda: replace()[0])
    fake.wait_for_line("REPLACE")
    child.kill()
    expect_equal(child.result(), -signal.SIGKILL, "the client")
    fake.order()
    expect_equal(fake.wait_for_line("COMMIT"), {"errno": errno.ECANCELED}, "commit")
    expect_equal(fake.wait_for_line("write"), {"errno": errno.ENOENT}, "reply")
    expect(not passes(), "the table that drops is not in force")
    works()


@test
def killed_while_it_is_queued() -> None:
    fake.fresh()
    works()
    fake.forget()
    fake.order("GET_ENTRIES wait")
    first = Child(listing)
    fake.wait_for_line("GET_ENTRIES")
    second = Child(lambda: replace()[0])
    second.wait_for_request()
    second.kill()
    expect_equal(second.result(), -signal.SIGKILL, "the second")
    fake.order()
    expect_equal(first.result(), 0, "the first")
    expect_equal(fake.log("REPLACE"), [], "requests of the killed one that were read")
    works()


def repeated() -> int:
    """Requests that more than one helper was given."""
    ids = [line.fields["id"] for line in fake.log() if "id" in line.fields]
    return len(ids) - len(set(ids))


REQUESTS: dict[str, Callable[[], int]] = {"GET_INFO": get_info, "ADD_COUNTERS": add_counters, "GET_ENTRIES": listing,
                                          "REPLACE": lambda: replace()[0]}


def usual_time() -> float:
    """Of three children, undisturbed."""
    times = []
    for _ in range(7):
        start = time.monotonic()
        children = [Child(REQUESTS[what]) for what in ("ADD_COUNTERS", "GET_ENTRIES", "REPLACE")]
        expect_equal([child.result() for child in children], [0, 0, 0], "results")
        times.append(time.monotonic() - start)
    return sorted(times)[3]


def kill_helpers() -> None:
    for pid in helper.all_alive():
        with contextlib.suppress(ProcessLookupError):
            fake.kill(pid)


def three_requests(chance: random.Random, usual: float, held: str) -> int:
    """And meanwhile a helper or a caller or both of them are killed, or nobody; how many callers were.
    `held`: the helper does not answer the first of them before its caller, or the helper, has been
    killed. That hits, however slow this machine is."""
    chosen = [chance.choice(list(REQUESTS)) for _ in range(3)]
    victims = held or chance.choice(("helper", "caller", "helper and caller", "nobody"))
    before = fake.count(chosen[0])
    if held:
        fake.order(f"{chosen[0]} wait")
    children = [Child(REQUESTS[what]) for what in chosen]
    if held:
        wait_for(lambda: fake.count(chosen[0]) > before, "the helper to hold a request")
    else:
        time.sleep(chance.random() * usual)  # the moment is the point
    if "helper" in victims:
        kill_helpers()
    killed = (children[0] if held else chance.choice(children)) if "caller" in victims else None
    if killed:
        with contextlib.suppress(ProcessLookupError):
            killed.kill()
    fake.order()
    results = [(child.result(), child is killed) for child in children]
    for result, may_be_killed in results:
        expect_in(result, (0, errno.EIO, -signal.SIGKILL) if may_be_killed else (0, errno.EIO), "result")
    return [result for result, _ in results].count(-signal.SIGKILL)


@test
def killed_at_any_moment() -> None:
    """Helpers and callers, from outside, while tables are replaced."""
    fake.fresh()
    works()
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    chance = random.Random(seed)
    usual = usual_time()
    hit = sum(three_requests(chance, usual, held) for _ in range(ROUNDS) for held in ("", "", "helper", "", "", "caller"))
    works()
    print(f"# killed over a request: {hit} callers, {repeated()} helpers", flush=True)
    expect(hit, "no caller was killed before it had its answer")
    expect(repeated(), "no helper was killed over a request")


# Who asks

@test
def namespaces() -> None:
    fake.fresh()
    fake.order("COMMIT watch")
    for _ in range(3):
        fake.forget()
        namespace = Namespace("pipe")
        with namespace:
            expect_equal(get_info(), 0, "GET_INFO")
            cookie = fake.wait_for_line("GET_INFO")["netns"]
            expect_equal(fake.wait_for_line("NETNS"), {"own": 0}, "namespace of the request")
            expect_equal(replace(entries=DROPPING)[0], 0, "replace")
            namespace.ip(["link set lo up", "link add d0 type dummy"])
            expect(not passes(), "the table that drops is not in force")

            def told() -> bool:
                """Behind each of the two COMMITs there may be one, and the first few changes may be one."""
                namespace.ip(["link set d0 up", "link set d0 down"])  # pylint: disable=cell-var-from-loop
                return len(fake.log("DEVICES")) > 2

            wait_for(told, "DEVICES when devices change")
            expect_equal({line.fields["netns"] for line in fake.log("DEVICES")}, {cookie}, "namespace of DEVICES")
        expect(passes(), "another namespace's rules")
        namespace.delete()
        expect_equal(fake.wait_for_line("NETNS_GONE")["netns"], cookie, "namespace that is gone")
    fake.remove()


@test
def privilege() -> None:
    """First of all, for every option of the range."""
    fake.fresh()
    works()

    def unprivileged() -> int:
        os.setresuid(65534, 65534, 65534)
        wrong = [option for option in range(64, 66) if setsockopt(option, b"") != errno.EPERM]
        wrong += [option for option in range(64, 68) if getsockopt(option, b"x")[0] != errno.EPERM]
        return len(wrong)

    expect_equal(Child(unprivileged).result(), 0, "options that did not give EPERM")
    for option in (66, 67):
        expect_equal(setsockopt(option, b""), errno.ENOPROTOOPT, f"set {option}")
    expect_equal(getsockopt(68, b"x")[0], errno.ENOPROTOOPT, "get 68")

    text = "from lib import caller; import sys; sys.exit(caller.get_info() or caller.replace()[0])"
    done = subprocess.run(["unshare", "-Urn", sys.executable, "-c", text],
                          cwd=os.path.dirname(os.path.abspath(__file__)), check=False)
    expect_equal(done.returncode, 0, "root of a user namespace")
    fake.wait_for_line("NETNS_GONE")


# What they give

@test
def lengths() -> None:
    """What is checked before the helper is asked."""
    fake.fresh()
    works()
    fake.forget()
    for length in (0, 83, 85):
        expect_equal(getsockopt(GET_INFO, bytes(length))[0], errno.EINVAL, f"GET_INFO of {length}")
    for length, size in ((39, 0), (40, 1), (41, 2), (41, 0)):
        data = (name("filter") + struct.pack("=II", size, 0)).ljust(length, b"\0")[:length]
        expect_equal(getsockopt(GET_ENTRIES, data)[0], errno.EINVAL, f"GET_ENTRIES {length}, {size}")
    for length in (29, 31):
        expect_equal(getsockopt(GET_REVISION_TARGET, bytes(length))[0], errno.EINVAL, f"revision of {length}")
    for length in (0, 40, 55, 57):
        data = (name("filter") + struct.pack("=II", 1, 0)).ljust(length, b"\0")[:length]
        expect_equal(setsockopt(SET_ADD_COUNTERS, data), errno.EINVAL, f"ADD_COUNTERS of {length}")
    good = replace_data(0, 4)
    for data, error in ((good[:95], errno.EINVAL), (good[:-1], errno.EINVAL), (replace_data(0, 0), errno.EINVAL),
                        (replace_data(0, 0x07ffffff), errno.ENOMEM), (replace_data(0, 0xffffffff), errno.ENOMEM)):
        expect_equal(setsockopt(SET_REPLACE, data), error, "REPLACE")
    expect_equal(fake.log(), [], "requests that reached the helper")
    expect_equal(setsockopt(SET_REPLACE, good + b"more"), 0, "a longer REPLACE")
    expect_equal(fake.wait_for_line("REPLACE")["size"], len(good), "payload of it")
    expect_equal(get_entries(SIZE + 8)[0], errno.EAGAIN, "another size")


@test
def parameters() -> None:
    """Of the module, of which the helper is told."""
    fake.fresh()
    works()
    for mode, said in (("off", "off"), ("native", "native"), ("generic\n", "generic"), ("auto", "auto")):
        fake.forget()
        fake.parameter("xdp", mode)
        with open(f"{fake.PARAMETERS}/xdp", encoding="ascii") as file:
            expect_equal(file.read(), f"{said}\n", "xdp")
        fake.wait_for_line("SETTINGS")
    wrong: list[tuple[str, object]] = [("xdp", "on"), ("xdp", "\n"), ("xdp_rate", 0), ("deadline", 0), ("deadline", 3601),
                                       ("deadline", "x")]
    for parameter, value in wrong:
        try:
            fake.parameter(parameter, value)
        except OSError as refused:
            expect_equal(refused.errno, errno.EINVAL, f"{parameter}={value}")
        else:
            expect(False, f"{parameter}={value!r} was accepted")


if __name__ == "__main__":
    main(at_end=fake.back)
