# SPDX-License-Identifier: GPL-2.0
"""One router (router.py) and what comes out of it (wire.py), for tests that all begin with no rules."""

import functools
from typing import Callable

from . import iptables
from .family import TABLES
from .iptables import Counters
from .router import LINKS, Router
from .wire import Wire


class Scene:
    def __init__(self) -> None:
        self.router = Router()
        self.wire = Wire(self.router)

    def rules(self, *lines: str, table: str = "filter", policies: dict[str, str] | None = None) -> None:
        with self.router:
            iptables.restore(*lines, table=table, policies=policies)

    def counts(self, chain: str, table: str = "filter") -> list[int]:
        """Packets of each rule."""
        with self.router:
            return [counter.packets for counter in Counters(table=table).rules[chain]]

    def clear(self) -> None:
        for table in TABLES:
            self.rules(table=table)
        self.router.settle()
        for inner in LINKS:
            self.wire.seen(inner)
        self.router.fates()

    def clean(self, function: Callable[[], None]) -> Callable[[], None]:
        """Whatever becomes of a test, the next one finds no rules and no packets of it."""
        @functools.wraps(function)
        def cleaned() -> None:
            try:
                function()
            finally:
                self.clear()
        return cleaned
