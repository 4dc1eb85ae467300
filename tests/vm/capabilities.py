#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What the helper may do besides its work."""

import subprocess

from lib import helper, system
from lib.check import expect_equal, main, test

NET_ADMIN, SYS_ADMIN, PERFMON, BPF = 12, 21, 38, 39
NEEDED = 1 << NET_ADMIN | 1 << SYS_ADMIN | 1 << PERFMON | 1 << BPF


@test
def no_more_than_it_needs() -> None:
    """It cannot load modules or write to other's files, and neither can what it might execute."""
    system.only_ours()
    subprocess.run(["iptables-legacy", "-L"], check=True, capture_output=True)
    with open(f"/proc/{helper.one()}/status", encoding="ascii") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if line.startswith("Cap"))
    expect_equal({name: int(value, 16) for name, value in status.items()},
                 {"CapInh": 0, "CapPrm": NEEDED, "CapEff": NEEDED, "CapBnd": NEEDED, "CapAmb": 0}, "capabilities")


if __name__ == "__main__":
    main()
