# SPDX-License-Identifier: GPL-2.0
"""Who listens to queue 0, where -j QUEUE sends packets, and says what becomes of each."""

from typing import NamedTuple

from lib import nfqueue, packet
from lib.nfqueue import ACCEPT, DROP, REPEAT
from lib.router import TTL


class Judged(NamedTuple):
    ident: int  # 0: not of those that were sent
    hook: int
    size: int
    verdict: int

    def __str__(self) -> str:
        return f"queued {self.ident} at {self.hook}, {self.size} bytes: {self.verdict}"


def in_order(judged: list[Judged], origins: dict[int, str]) -> list[str]:
    """As far as the kernel has one: packets of one device overtake none at a hook. Those of two devices may, since
    each has a queue of its own if there is a program at XDP; so may what the router says to them by itself."""
    known = [one for one in judged if one.ident in origins]
    others = [one for one in judged if one.ident not in origins]
    return [str(one) for one in (*sorted(known, key=lambda one: (one.hook, origins[one.ident])), *sorted(others))]


class Listener(nfqueue.Listener):
    """Of the namespace we are in. Until it is closed: then packets are dropped again."""

    def __init__(self) -> None:
        super().__init__(room=16 << 20)
        self._repeated: set[tuple[int, int]] = set()

    def answer(self) -> list[Judged]:
        """Decide what is waiting now, by nothing but the packet; what was said, in order."""
        judged = []
        for one in list(self.waiting()):
            # What the router says by itself has ids of its own choice.
            ident = packet.ident_of(one.data) if packet.ttl_of(one.data) in (TTL, TTL - 1) else 0
            verdict = (ACCEPT, ACCEPT, DROP, REPEAT)[ident % 4]
            if verdict == REPEAT:
                verdict = ACCEPT if (ident, one.hook) in self._repeated else REPEAT
                self._repeated.add((ident, one.hook))
            self.judge(one, verdict)
            judged.append(Judged(ident, one.hook, len(one.data), verdict))
        return judged
