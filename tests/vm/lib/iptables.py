# SPDX-License-Identifier: GPL-2.0
"""The real iptables or ip6tables, their listings and their counters.

Addresses in rules and commands are written as IPv4's in both (family.py); listings are not
translated back.
"""

import re
import subprocess
from typing import NamedTuple

from .family import Family, chains_of, current

_CURRENT = current()
IPTABLES = _CURRENT.iptables
SAVE = _CURRENT.save
RESTORE = _CURRENT.restore

BUILT_IN = ("INPUT", "FORWARD", "OUTPUT")


class Done(NamedTuple):
    status: int
    output: str
    errors: str


def run(*command: str, stdin: str = "") -> Done:
    done = subprocess.run(command, input=stdin, text=True, capture_output=True)
    return Done(done.returncode, done.stdout, done.stderr)


def must(*command: str, stdin: str = "") -> str:
    """The output of a command that must succeed, in silence."""
    done = run(*command, stdin=stdin)
    if done.status != 0 or done.errors:
        raise RuntimeError(f"{' '.join(command)}: status {done.status}: {done.errors.strip()}"
                           + (f" for: {stdin}" if stdin else ""))
    return done.output


def iptables(arguments: str, family: Family = _CURRENT) -> str:
    return must(family.iptables, *family.text(arguments).split())


def try_iptables(arguments: str, family: Family = _CURRENT) -> Done:
    return run(family.iptables, *family.text(arguments).split())


def ruleset(*lines: str, policies: dict[str, str] | None = None, table: str = "filter") -> str:
    """A table for iptables-restore. User chains are declared by being used in -A."""
    policies = policies or {}
    built_in = chains_of(table)
    chains = [f":{chain} {policies.get(chain, 'ACCEPT')}" for chain in built_in]
    names = [line.split()[1] for line in lines if line.startswith("-A ")]
    names += [chain for chain in policies if chain not in built_in]
    for name in dict.fromkeys(names):
        if name not in built_in:
            chains.append(f":{name} -")
    return "\n".join([f"*{table}", *chains, *lines, "COMMIT", ""])


def restore(*lines: str, policies: dict[str, str] | None = None, options: str = "", table: str = "filter",
            family: Family = _CURRENT) -> None:
    must(family.restore, *options.split(), stdin=family.text(ruleset(*lines, policies=policies, table=table)))


def save(options: str = "-c", table: str = "filter", family: Family = _CURRENT) -> list[str]:
    """iptables-save of a table without its comments; of all with table=""."""
    text = must(family.save, *(("-t", table) if table else ()), *options.split())
    return [line for line in text.splitlines() if not line.startswith("#")]


def track() -> None:
    """Switch connection tracking on in the namespace we are in, for both families, as nat wants it.
    A rule that asks for connections is enough."""
    must("nft", "-f", "-", stdin="add table inet user\nadd chain inet user idle\n"
         "add rule inet user idle ct state new\n")


class Counter(NamedTuple):
    packets: int
    bytes: int

    def __add__(self, other: "Counter") -> "Counter":  # type: ignore[override]
        return Counter(self.packets + other.packets, self.bytes + other.bytes)


ZERO = Counter(0, 0)


class Counters:
    """All counters of a table: policies by chain, rules by chain and place."""

    def __init__(self, lines: list[str] | None = None, table: str = "filter", family: Family = _CURRENT):
        self.policy: dict[str, Counter] = {}
        self.rules: dict[str, list[Counter]] = {}
        self.texts: dict[str, list[str]] = {}
        for line in save(table=table, family=family) if lines is None else lines:
            if match := re.fullmatch(r":(\S+) (\S+) \[(\d+):(\d+)\]", line):
                chain = match[1]
                self.policy[chain] = Counter(int(match[3]), int(match[4]))
                self.rules[chain] = []
                self.texts[chain] = []
            elif match := re.fullmatch(r"\[(\d+):(\d+)\] -A (\S+) ?(.*)", line):
                self.rules[match[3]].append(Counter(int(match[1]), int(match[2])))
                self.texts[match[3]].append(match[4])


def rules(chain: str) -> list[str]:
    """The rules of a chain, as -S has them, without the chain."""
    prefix = f"-A {chain}"
    return [line[len(prefix):].strip() for line in iptables(f"-S {chain}").splitlines()
            if line.startswith(prefix)]
