#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a table was before: it goes when it is out of force, whatever its caller does then."""

import socket
import threading

from lib import blob, module, system
from lib.blob import ACCEPT, DROP, entry, verdict
from lib.check import expect_equal, main, test, wait_for
from lib.fault import Fault
from lib.netns import Namespace

CALLERS = 4


def replace(opened: socket.socket, place: Fault) -> str:
    """Waits in the kernel when it is told what the table before it had counted."""
    table = blob.with_input(entry(verdict(DROP)), entry(verdict(ACCEPT)))
    table.counters_at = place.address
    return table.commit(opened)


@test
def counters_that_are_not_taken() -> None:
    """A caller whose memory does not come holds nothing of the table that he replaced."""
    system.only_ours()
    with Namespace("old"), blob.raw_socket() as opened, module.parameter("form", "code"):
        expect_equal(replace_plain(opened), "OK", "the first table")
        maps = len(module.objects("map"))
        places = [Fault() for _ in range(CALLERS)]
        results: list[str] = []
        callers = []
        for place in places:
            callers.append(threading.Thread(target=lambda place=place: results.append(replace(opened, place))))
            callers[-1].start()
            wait_for(place.is_met, "a caller who waits for his memory")
        wait_for(lambda: len(module.objects("map")) <= maps, "the maps of tables that were replaced to go")
        for place in places:
            place.go_on()
        for caller in callers:
            caller.join()
        expect_equal(results, ["OK"] * CALLERS, "what they were told")


def replace_plain(opened: socket.socket) -> str:
    return blob.with_input(entry(verdict(DROP)), entry(verdict(ACCEPT))).commit(opened)


if __name__ == "__main__":
    main()
