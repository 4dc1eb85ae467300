# SPDX-License-Identifier: GPL-2.0
"""What a kernel makes of a file of t_files.py: what it accepts, lists, deletes and refuses.

The cases that must be accepted are loaded together, saved, and deleted together, which takes three
processes; where that is refused, and on demand, one case is tried after the other.
"""

import itertools
import re
import shlex
from dataclasses import dataclass, field
from typing import NamedTuple, Sequence

from .family import TABLES, Family
from .iptables import run
from .netns import CLONE_NEWNET, unshare
from .t_files import Case, File

PARSER = 2  # iptables' status when the kernel was not asked
_RULE = re.compile(r"(\[\d+:\d+\] )?-A (\S+) ?(.*)")


class Answer(NamedTuple):
    """To one case in one chain."""
    status: int
    errors: str
    saved: tuple[str, ...] = ()
    deleted: int = 0  # status


@dataclass
class Answers:
    together: bool = False
    listing: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    alone: dict[tuple[int, str], Answer] = field(default_factory=dict)  # by line and chain
    complaint: str = ""  # why they were not accepted together


def _quoted(argument: str) -> str:
    """For iptables-restore, whose quotes are not the shell's."""
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(cases: Sequence[Case], command: str) -> str:
    lines = []
    for table in TABLES:
        chosen = [f"{command} {chain} {' '.join(map(_quoted, case.arguments))}" for case in cases if case.table == table
                  for chain in case.chains]
        if chosen:
            lines += [f"*{table}", *chosen, "COMMIT"]
    return "\n".join(lines) + "\n"


def _rules(family: Family) -> list[str]:
    """All tables that there are, without what has the date."""
    return [line for line in run(family.save).output.splitlines() if not line.startswith("#")]


def _without_counters(case: Case) -> Case:
    """-D takes none."""
    words = list(case.arguments)
    for option in ("-c", "--set-counters"):
        if option in words:
            at = words.index(option)
            del words[at:at + 3]
    return case._replace(arguments=tuple(words))


def _together(cases: Sequence[Case], family: Family, answers: Answers) -> bool:
    done = run(family.restore, stdin=_text(cases, "-A"))
    answers.complaint = f"{done.status}, {done.errors.strip()}"
    if done.status:
        return False
    answers.listing = _rules(family)
    done = run(family.restore, "--noflush", stdin=_text([_without_counters(case) for case in cases], "-D"))
    answers.left = [f"deleting: status {done.status}, {done.errors.strip()}"] if done.status else []
    answers.left += [line for line in _rules(family) if _RULE.match(line)]
    answers.together = True
    return True


def _one(case: Case, chain: str, family: Family) -> Answer:
    where = ("-t", case.table)
    done = run(family.iptables, *where, "-A", chain, *case.arguments)
    if done.status:
        return Answer(done.status, done.errors)
    saved = tuple(line for line in run(family.save, *where).output.splitlines() if line.startswith("-A"))
    deleted = run(family.iptables, *where, "-D", chain, *_without_counters(case).arguments).status
    if deleted:
        run(family.iptables, *where, "-F")
    return Answer(done.status, done.errors, saved, deleted)


def _alone(file: File, cases: Sequence[Case], family: Family, answers: Answers) -> None:
    commands = dict(file.commands)
    for case in cases:
        for line in [line for line in commands if line < case.line]:
            run("sh", "-c", shlex.join(commands.pop(line)))
        for chain in case.chains:
            answer = _one(case, chain, family)
            answers.alone[case.line, chain] = answer
            if answer.status == PARSER:
                break  # it says the same of every chain


def ask(file: File, family: Family, together: bool) -> Answers:
    """In a namespace of its own. Commands of the file are for cases that are tried one by one."""
    unshare(CLONE_NEWNET)
    answers = Answers()
    good = file.expected("OK", "NOMATCH")
    if not (good and together and not file.commands and _together(good, family, answers)):
        unshare(CLONE_NEWNET)
        _alone(file, good, family, answers)
    _alone(file, file.expected("FAIL"), family, answers)
    return answers


def differences(one: Answers, other: Answers) -> list[str]:
    """Of two kernels, each as a line of text."""
    found = []
    if one.together != other.together:
        found.append(f"together: {one.complaint} here, {other.complaint} there")
    found += [f"here {here}, there {there}" for here, there in
              itertools.zip_longest(one.listing, other.listing, fillvalue="nothing") if here != there]
    found += [f"left {line}" for line in one.left if line not in other.left]
    for key in sorted(one.alone.keys() | other.alone.keys()):
        here, there = one.alone.get(key), other.alone.get(key)
        if here != there and not (one.together != other.together and (here is None or there is None)):
            found.append(f"line {key[0]}, {key[1]}: here {here}, there {there}")
    return found


def wrong(file: File, answers: Answers) -> list[str]:
    """Where these are not as the file has them; what iptables itself refuses to ask for does not count."""
    found = [f"left: {line}" for line in answers.left]
    rules: dict[tuple[str, str], list[str]] = {}
    table = ""
    for line in answers.listing:
        if line.startswith("*"):
            table = line[1:]
        if match := _RULE.match(line):
            rules.setdefault((table, match[2]), []).append(match[3])
    for case in file.cases:
        for chain in case.chains:
            alone = answers.alone.get((case.line, chain))
            if case.expected == "FAIL":
                if alone and not alone.status:
                    found.append(f"{case}: accepted")
            elif alone and alone.status == PARSER:
                break
            elif alone and (alone.status or alone.deleted):
                found.append(f"{case}: {alone.status} {alone.errors.strip()}, deleted {alone.deleted}")
            else:
                text = "\n".join(alone.saved) if alone else _taken(rules, case.table, chain)
                if (case.saved in text) != (case.expected == "OK"):
                    found.append(f"{case}: saved as {text}")
    return found


def _taken(rules: dict[tuple[str, str], list[str]], table: str, chain: str) -> str:
    """The next rule of a chain: they were appended in this order."""
    there = rules.get((table, chain), [])
    return there.pop(0) if there else "nothing"
