# SPDX-License-Identifier: GPL-2.0
"""Where a rule stands, and what may be asked for there."""

from typing import NamedTuple

ON_WAY_IN = ("PREROUTING", "INPUT", "FORWARD")
ON_WAY_OUT = ("OUTPUT", "POSTROUTING")


class Place(NamedTuple):
    table: str
    chain: str
    tracking: bool
    compiled: bool  # only what is in BPF is wanted
    stateful: bool  # what counts is wanted too

    @property
    def way_in(self) -> bool:
        return self.chain in ON_WAY_IN

    @property
    def way_out(self) -> bool:
        return self.chain in ON_WAY_OUT
