# SPDX-License-Identifier: GPL-2.0
"""What real systems load (tests/rulesets)."""

import os
import re

from .family import current
from .iptables import RESTORE, must

HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "rulesets")


def read(name: str) -> str:
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


def has_sets(name: str) -> bool:
    return os.path.exists(os.path.join(HERE, f"{name}.ipset"))


def load(name: str) -> None:
    """Of the family under test, with its sets, into the namespace we are in."""
    if has_sets(name):
        must("ipset", "restore", stdin=read(f"{name}.ipset"))
    must(RESTORE, stdin=read(f"{name}.v{current().number}"))


def names() -> list[str]:
    """Of the family under test."""
    suffix = f".v{current().number}"
    return sorted(file[:-len(suffix)] for file in os.listdir(HERE) if file.endswith(suffix))


def deletions(saved: list[str]) -> str:
    """For iptables-restore --noflush: every rule, by what it says, and then every chain of the user's."""
    lines: list[str] = []
    chains: list[str] = []
    for line in saved:
        if line.startswith("*"):
            chains = []
        if match := re.match(r":(\S+) - ", line):
            chains.append(match[1])
        elif line == "COMMIT":
            lines += [f"-X {chain}" for chain in chains]
        if not line.startswith(":"):
            lines.append(re.sub(r"^\[\d+:\d+\] -A ", "-D ", line))
    return "\n".join(lines) + "\n"


def rules_of(saved: list[str]) -> list[str]:
    """And chains that are not built in."""
    return [line for line in saved if "-A " in line or re.match(r":\S+ - ", line)]
