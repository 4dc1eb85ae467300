#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a new helper is told of the tables in force, and that these stay in force."""

import errno

from lib import deaths, fake
from lib.caller import DROPPING, REPLACE, SIZE, get_info, listing, passes, replace, works
from lib.check import expect, expect_equal, main, test, wait_for


@test
def rules_survive_the_helper() -> None:
    """It comes back without being asked, and what it needs to know comes first."""
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    for step in range(3):
        expect_equal(listing(), 0, "a listing")
        fake.forget()
        fake.kill()
        expect(not passes(), "the table that drops is not in force")
        expect_equal(fake.wait_for_line("REPLAY")["size"], 32 + REPLACE + SIZE, f"payload, step {step}")
        expect_equal(fake.wait_for_line("KEPT"), {"count": 2}, f"kept, step {step}")
        expect_equal(fake.wait_for_line("NETNS"), {"own": 1}, f"namespace, step {step}")
        expect_equal([line.what for line in fake.log()], ["INIT", "MODE", "REPLAY", "KEPT", "NETNS"], f"all, step {step}")
        expect(not passes(), "the table that drops is not in force")
    works()


@test
def replay_that_kills() -> None:
    """It is not tried for ever; the table stays in force."""
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    fake.forget()
    fake.order("REPLAY crash")
    fake.kill()
    fake.wait_for_line("REPLAY", 2)
    wait_for(lambda: listing() == 0, "a helper")
    expect_equal(len(fake.log("REPLAY")), 2, "replays")
    expect(not passes(), "the table that drops is not in force")
    works()


@test
def helper_that_missed_a_table() -> None:
    """First contents never replace rules: such a helper is replaced, and its successor is told."""
    fake.fresh()
    works()
    expect_equal(replace(entries=DROPPING)[0], 0, "a table that drops")
    fake.forget()
    fake.order("GET_INFO forgetful")
    deaths.expect(2, deaths.BY_THE_MODULE)
    expect_equal(get_info(), errno.EIO, "GET_INFO")
    fake.order()
    expect_equal(len(fake.log("GET_INFO")), 2, "helpers that were given it")
    expect_equal(len(fake.log("REPLAY")), 2, "replays, behind each of them")
    expect_equal(len(fake.log("COMMIT")), 0, "helpers that survived it")
    expect(not passes(), "the table that drops is not in force")
    works()


if __name__ == "__main__":
    main(at_end=fake.back)
