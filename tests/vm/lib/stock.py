# SPDX-License-Identifier: GPL-2.0
"""The kernel's own ip_tables, in a guest where bpfilter is under test: what it says of the same."""

import contextlib
import tempfile
from typing import Iterator

from . import module, system
from .check import expect
from .family import BOTH, TABLES
from .iptables import must


@contextlib.contextmanager
def ip_tables_instead() -> Iterator[None]:
    """The kernel's own, for a while; what bpfilter has in modprobe.d does not count."""
    tables = [f"{family.proc}table_{table}" for family in BOTH for table in TABLES]
    module.unload()
    with tempfile.TemporaryDirectory() as no_config:
        for one in tables:
            must("modprobe", "-C", no_config, one)
    expect(not module.loaded("bpfilter"), "bpfilter came by itself")
    try:
        yield
    finally:
        for one in [*tables, "ip_tables", "ip6_tables"]:
            if module.loaded(one):
                must("rmmod", one)
        system.load()
