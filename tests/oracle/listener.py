# SPDX-License-Identifier: GPL-2.0
"""Who listens to queue 0, where -j QUEUE sends packets, and says what becomes of each."""

from lib import nfqueue, packet
from lib.nfqueue import ACCEPT, DROP, REPEAT
from lib.router import TTL


class Listener(nfqueue.Listener):
    """Of the namespace we are in. Until it is closed: then packets are dropped again."""

    def __init__(self) -> None:
        super().__init__(room=16 << 20)
        self._repeated: set[tuple[int, int]] = set()

    def answer(self) -> list[str]:
        """Decide what is waiting now, by nothing but the packet; what was said, in order."""
        lines = []
        for one in list(self.waiting()):
            # What the router says by itself has ids of its own choice.
            ident = packet.ident_of(one.data) if packet.ttl_of(one.data) in (TTL, TTL - 1) else 0
            verdict = (ACCEPT, ACCEPT, DROP, REPEAT)[ident % 4]
            if verdict == REPEAT:
                verdict = ACCEPT if (ident, one.hook) in self._repeated else REPEAT
                self._repeated.add((ident, one.hook))
            self.judge(one, verdict)
            lines.append(f"queued {ident} at {one.hook}, {len(one.data)} bytes: {verdict}")
        return lines
