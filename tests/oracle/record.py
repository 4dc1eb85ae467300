# SPDX-License-Identifier: GPL-2.0
"""What one boot wrote down."""

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Iterator

BEGIN = "==== oracle: record begins"
END = "==== oracle: record ends"
EVIDENCE = "==== oracle: evidence "

_PROBE = re.compile(r'--comment "?probe:(\w+)')
_RULE = re.compile(r"\[(\d+):(\d+)\] -A (\S+)")


@dataclass
class Record:
    """Lines by ruleset, and how often something happened that they do not show."""
    rulesets: dict[str, list[str]]
    evidence: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Record | None":
        """None: it is not whole."""
        lines = text.splitlines()
        if BEGIN not in lines or END not in lines or not lines[-1].startswith(EVIDENCE):
            return None
        self = cls({}, json.loads(lines[-1].removeprefix(EVIDENCE)))
        name = ""
        for line in lines[lines.index(BEGIN) + 1:lines.index(END)]:
            if line.startswith("ruleset "):
                name = line
            self.rulesets.setdefault(name, []).append(line)
        return self

    def render(self) -> str:
        """What parse() reads."""
        lines = [line for ruleset in self.rulesets.values() for line in ruleset]
        return "\n".join([BEGIN, *lines, END, EVIDENCE + json.dumps(self.evidence), ""])

    def count(self, *beginnings: str) -> int:
        return sum(line.startswith(beginnings) for lines in self.rulesets.values() for line in lines)

    def counters(self) -> int:
        return self.count("saved [", "saved :", "saved other [", "saved other :")

    def delivered(self, scene: str = "") -> tuple[int, int]:
        """Packets that came out somewhere, and all; in every scene, or in one."""
        packets = [line for lines in self.rulesets.values() if len(lines) > 1 and lines[1].startswith(scene)
                   for line in lines if line.startswith("packet ")]
        return sum(not line.endswith("-> -") for line in packets), len(packets)

    def flows(self) -> tuple[int, int]:
        """What the router's own sockets said: of how many something was heard, and all."""
        said = [line.rpartition(": ")[2].split() for lines in self.rulesets.values() for line in lines
                if line.startswith("flow ")]
        # Of datagrams the third word is what was received, if there was somebody; connections say it in words.
        return sum("established" in words or (len(words) > 3 and words[2].isdigit()) for words in said), len(said)

    def probes(self) -> dict[str, tuple[int, int]]:
        """Of each extension: how many packets its probes (probes.py) met, and how many they did not."""
        found: dict[str, tuple[int, int]] = {}
        for lines in self._loaded():
            before, after = _counted(lines, "rule "), _counted(lines, "saved ")
            if [name for _, name in before] != [name for _, name in after]:
                continue
            packets = [(end - start) % 2**64 for (start, _), (end, _) in zip(before, after)]
            for came, matched, (_, name) in zip(packets, packets[1:], before):
                if name:
                    hits, misses = found.get(name, (0, 0))
                    found[name] = hits + matched, misses + came - matched
        return found

    def _loaded(self) -> Iterator[list[str]]:
        """The rulesets that stayed as they were loaded, and whose counters are those of packets alone."""
        for lines in self.rulesets.values():
            if "restore: status 0" in lines and not any(line.startswith(("iptables ", "narrow counters added"))
                                                        for line in lines):
                yield lines

    def hits(self) -> tuple[float, int]:
        """The shares of rules that met a packet, one for each ruleset that stayed as it was loaded, and how
        many of these there are. A large one, most of whose rules no packet can meet, counts as one."""
        shares = []
        for lines in self._loaded():
            before, after = _counts(lines, "rule "), _counts(lines, "saved ")
            if not before or any(len(after[chain]) != len(counts) for chain, counts in before.items()):
                continue
            hit = sum(one != other for chain, counts in before.items() for one, other in zip(counts, after[chain]))
            shares.append(hit / sum(map(len, before.values())))
        return sum(shares), len(shares)


def _counts(lines: list[str], beginning: str) -> dict[str, list[tuple[str, str]]]:
    """The counters of rules, by table and chain."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for table, line in _by_table(lines, beginning):
        if match := _RULE.match(line):
            found[f"{table} {match[3]}"].append((match[1], match[2]))
    return found


def _counted(lines: list[str], beginning: str) -> list[tuple[int, str]]:
    """Of all rules, table by table and chain by chain: how many packets, and what the next one is a probe of."""
    found: dict[str, list[tuple[int, str]]] = {}
    for table, line in _by_table(lines, beginning):
        if match := _RULE.match(line):
            probe = _PROBE.search(line)
            found.setdefault(f"{table} {match[3]}", []).append((int(match[1]), probe[1] if probe else ""))
    return [rule for chain in sorted(found) for rule in found[chain]]


def _by_table(lines: list[str], beginning: str) -> Iterator[tuple[str, str]]:
    table = ""
    for line in lines:
        if line.startswith(beginning):
            line = line.removeprefix(beginning)
            if line.startswith("*"):
                table = line[1:]
            yield table, line


def differences(one: list[str], other: list[str]) -> list[tuple[str, str]]:
    missing = "(nothing)"
    return [(one[index] if index < len(one) else missing, other[index] if index < len(other) else missing)
            for index in range(max(len(one), len(other)))
            if index >= len(one) or index >= len(other) or one[index] != other[index]]
