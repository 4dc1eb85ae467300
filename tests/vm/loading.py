#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The module comes and goes under callers that do not wait for it."""

import os
import signal
import subprocess
import tempfile

from lib import options, system
from lib.check import expect, main, test, wait_for

TIMES = 30


def _modprobe(*arguments: str) -> bool:
    return subprocess.run(["modprobe", *arguments], check=False, capture_output=True).returncode == 0


def _caller(option: int, data: bytes) -> int:
    """Asks all the time."""
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                options.getsockopt(option, data)
        finally:
            os._exit(1)
    return pid


@test
def a_failing_load_under_callers() -> None:
    """The options of IPv4 are ours for a moment, those of IPv6 are not to be had: nobody may be left in what goes."""
    system.only_ours()
    wait_for(lambda: _modprobe("-r", "bpfilter"), "bpfilter to be removable", 60)
    callers = []
    with tempfile.TemporaryDirectory() as no_config:
        expect(_modprobe("-C", no_config, "ip6table_filter"), "ip6_tables cannot be loaded")
        try:
            # The second sleeps in there, while modprobe looks for what is nowhere.
            callers = [_caller(options.GET_INFO, options.name("filter").ljust(84, b"\0")),
                       _caller(options.GET_REVISION_TARGET, options.name("NOWHERE")[:29] + b"\0")]
            for step in range(TIMES):
                expect(not _modprobe("bpfilter"), f"bpfilter was loaded beside ip6_tables, step {step}")
        finally:
            for caller in callers:
                os.kill(caller, signal.SIGKILL)
                os.waitpid(caller, 0)
            wait_for(lambda: _modprobe("-C", no_config, "-r", "ip6table_filter"), "ip6_tables to be removable")
            _modprobe("-C", no_config, "-r", "ip6_tables")
    expect(_modprobe("bpfilter"), "bpfilter cannot be loaded")
    expect(options.getsockopt(options.GET_INFO, options.name("filter").ljust(84, b"\0"))[0] == 0, "it does not work")


if __name__ == "__main__":
    main()
