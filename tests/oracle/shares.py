# SPDX-License-Identifier: GPL-2.0
"""What a run must have met: a generator that goes blind finds no difference either.

The least of each share is well below what runs meet (of a ruleset 38 to 49 % of the rules are hit, of the
packets 46 to 62 % delivered). So it tells of packets and rules that no longer have to do with each other;
that packets are only less well aimed (aim.py) is within what seeds differ by.
"""

from typing import NamedTuple

from probes import CALLED, COMPILED
from record import Record


class Share(NamedTuple):
    name: str
    part: float
    whole: int
    least: float  # of the whole

    @property
    def met(self) -> bool:
        return self.whole > 0 and self.part >= self.least * self.whole

    def __str__(self) -> str:
        percent = 100 * self.part / self.whole if self.whole else 0.0
        return f"{self.name} {self.part:.5g} of {self.whole} ({percent:.1f} %, at least {100 * self.least:g} %)"


def _answered(record: Record, name: str, beginning: str, answer: str, least: float) -> Share:
    """Of the lines that begin so, those that say so."""
    return Share(name, record.count(beginning + answer), record.count(beginning), least)


# Packets that each extension meets, and that it does not: of a run, a fifth of what is usual or less. Targets of `nat`
# meet the first packet of a connection alone.
PROBED, PROBED_IN_NAT = 5, 1
NAT = ("DNAT", "REDIRECT", "NETMAP", "SNAT", "MASQUERADE")


def _of_probes(record: Record) -> list[Share]:
    met = record.probes()
    few = [name for name in COMPILED + CALLED
           if min(met.get(name, (0, 0))) < (PROBED_IN_NAT if name in NAT else PROBED)]
    name = f"extensions that met {PROBED} packets and did not meet {PROBED}"
    return [Share(f"{name}{' but for ' if few else ''}{', '.join(few)}", len(COMPILED + CALLED) - len(few),
                  len(COMPILED + CALLED), 1)]


def of_extensions(record: Record) -> list[str]:
    """Of each, how many packets its probes met and did not meet."""
    met = record.probes()

    def each(names: list[str]) -> str:
        return ", ".join("{} {}/{}".format(name, *met.get(name, (0, 0))) for name in names)

    return [f"{how}, {len(names)} extensions, packets met/not met: {each(names)}"
            for how, names in (("compiled", COMPILED), ("called", CALLED))]


def of(theirs: Record, ours: Record | None, compat: bool) -> list[Share]:
    """`ours`: if packets may be dropped at XDP there; `compat`: the kernel's ip_tables knows callers of 32 bits."""
    packets = theirs.count("packet ")
    shares = [
        _answered(theirs, "restores accepted", "restore: status ", "0", 0.8),
        _answered(theirs, "tables changed as bytes accepted", "changed as bytes: ", "OK", 0.3),
        Share("rules of a ruleset hit", *theirs.hits(), 0.3),
        Share("packets delivered", *theirs.delivered(), 0.3),
        Share("packets by VLAN and bridge delivered", *theirs.delivered("layers"), 0.15),
        Share("long packets delivered", *theirs.delivered("long"), 0.15),
        Share("packets queued", theirs.count("queued "), packets, 0.0005),
        Share("own flows heard", *theirs.flows(), 0.02),
    ]
    shares += _of_probes(theirs)
    if compat:
        shares.append(_answered(theirs, "tables of 32 bits accepted", "written narrow: ", "OK", 0.3))
    if ours:
        shares.append(Share("packets dropped at XDP", ours.evidence.get("unseen", 0), packets, 0.03))
    return shares


def lies(theirs: Record) -> list[str]:
    """What would make the evidence worthless."""
    unseen = theirs.evidence.get("unseen", 0)
    return [f"{unseen} packets were lost before ip_tables could see them"] if unseen else []
