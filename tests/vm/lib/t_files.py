# SPDX-License-Identifier: GPL-2.0
"""iptables' own tests, extensions/*.t of its source: rules, what must be saved of them, and what must be refused.

    # comment
    :INPUT,FORWARD          the chains of what follows
    *mangle                 its table; filter, if none is named
    @nfacct add test        a command, before what follows
    %iptables -I ...        the same
    RULE;=;OK               is accepted, and saved as it is
    RULE;TEXT;OK            is accepted, and saved as TEXT; NOMATCH: TEXT is not part of what is saved
    RULE;;FAIL              is refused
    ...;LEGACY;OTHER        the result is for the sockopts, OTHER for nf_tables; NFT: the other way round
"""

import os
import shlex
from dataclasses import dataclass, field
from typing import NamedTuple

from .family import V4, V6, Family

_OPPOSITE = {"OK": "FAIL", "FAIL": "OK", "NOMATCH": "OK"}


class Case(NamedTuple):
    line: int
    table: str
    chains: tuple[str, ...]
    arguments: tuple[str, ...]
    saved: str
    expected: str  # OK, NOMATCH, FAIL

    def __str__(self) -> str:
        return f"line {self.line}, {shlex.join(self.arguments)}"


@dataclass
class File:
    name: str
    families: tuple[Family, ...]
    cases: list[Case] = field(default_factory=list)
    commands: dict[int, list[str]] = field(default_factory=dict)  # by line

    def expected(self, *results: str) -> list[Case]:
        return [case for case in self.cases if case.expected in results]


def _families(name: str) -> tuple[Family, ...]:
    if name.startswith("libxt_"):
        return V4, V6
    return (V6,) if name.startswith("libip6t_") else (V4,)


def _result(fields: list[str]) -> str:
    """Of the variant under test, which is the sockopts'."""
    written = fields[2].strip()
    if fields[3:4] != ["NFT"]:
        return written
    return fields[4].strip() if len(fields) > 4 and fields[4].strip() else _OPPOSITE[written]


def _read(path: str) -> File:
    name = os.path.basename(path)[:-len(".t")]
    file = File(name, _families(name))
    table = "filter"
    chains: tuple[str, ...] = ()
    with open(path, encoding="utf-8") as opened:
        for number, text in enumerate(opened, 1):
            text = text.rstrip("\n")
            fields = text.split(";")
            if text[:1] == ":":
                chains = tuple(text[1:].strip().split(","))
            elif text[:1] == "*":
                table = text[1:].strip()
            elif text[:1] in ("@", "%") and text:
                file.commands[number] = text[1:].split()
            elif text[:1] not in ("#", "") and len(fields) >= 3:
                saved = fields[0] if fields[1] == "=" else fields[1]
                file.cases.append(Case(number, table, chains, tuple(shlex.split(fields[0])), saved.strip(),
                                       _result(fields)))
    return file


def read_all(directory: str) -> list[File]:
    """But for those of other tools."""
    names = sorted(name for name in os.listdir(directory) if name.endswith(".t")
                   and not name.startswith(("libarpt_", "libebt_")))
    return [_read(os.path.join(directory, name)) for name in names]
