# SPDX-License-Identifier: GPL-2.0
"""Lists of matches that people read, held against the list of extensions that is compiled.

The list is umh/core/extension/list.def; the name that iptables knows a row by stands in the row's
source. docs/limits.md names exactly these, README.md every one of them."""

import re
import sys
from glob import glob

LISTED = re.compile(r"^BPFILTER_MATCH\((\w+)\)", re.MULTILINE)
ROW = re.compile(r'^constexpr MatchExtension (\w+)_match\{\s*\{\.name = "([^"]*)"', re.MULTILINE)
LIMITS = re.compile(r"^\| matches \| (?P<names>[^|]*) \|", re.MULTILINE)
QUOTED = re.compile(r"`([^`]*)`")


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def quoted(text: str) -> set[str]:
    return {word for words in QUOTED.findall(text) for word in words.split()}


def compiled(listed: str, sources: list[str]) -> set[str]:
    """The names of all rows; a row without a line, or a line without a row, is an error."""
    rows = {match[1]: match[2] for source in sources for match in ROW.finditer(source)}
    lines = LISTED.findall(listed)
    if set(lines) != set(rows) or len(lines) != len(rows):
        raise ValueError(f"list.def and the rows differ by {sorted(set(lines) ^ set(rows))}")
    return set(rows.values())


def complaints(names: set[str], limits: str, readme: str) -> list[str]:
    found = []
    cell = LIMITS.search(limits)
    named = quoted(cell["names"]) if cell else set()
    if named != names:
        found.append(f"docs/limits.md: the row of matches differs by {sorted(named ^ names)}")
    missing = names - quoted(readme)
    if missing:
        found.append(f"README.md does not name {sorted(missing)}")
    return found


def main() -> int:
    extension = "umh/core/extension"
    names = compiled(read(f"{extension}/list.def"), [read(path) for path in glob(f"{extension}/*.cpp")])
    found = complaints(names, read("docs/limits.md"), read("README.md"))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
