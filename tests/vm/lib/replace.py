# SPDX-License-Identifier: GPL-2.0
"""struct ipt_replace, which is also struct ip6t_replace: what a table begins with when it is sent."""

import struct
from typing import Sequence

HOOKS = 5
_NOWHERE = (0,) * HOOKS


def encode(name: bytes, valid_hooks: int, num_entries: int, size: int, num_counters: int, counters: int,
           hook_entry: Sequence[int] = _NOWHERE, underflow: Sequence[int] = _NOWHERE, bits: int = 64) -> bytes:
    """`counters` is the address for the old counters, `bits` the caller's word."""
    return struct.pack("=32sIII5I5II" + ("I" if bits == 32 else "Q"), name, valid_hooks, num_entries, size,
                       *hook_entry, *underflow, num_counters, counters)
