# SPDX-License-Identifier: GPL-2.0
"""Units: what the kernel modules include of each other stands below them, and goes in no circle.

A unit is NAME.c and NAME.h together. Which folder stands on which is written once, in Kbuild: it
names their objects from the bottom to the top, `$(addprefix kmod/FOLDER/,...)`, and those beside
the folders last. An include is written with its folder."""

import os
import re
import sys
from typing import Iterator

FOLDER = re.compile(r"\$\(addprefix kmod/(?P<name>(?:[\w-]+/)?),")
INCLUDE = re.compile(r'^\s*#\s*include\s+"(?P<path>[^"]+)"')


def read_order(kbuild: str) -> list[str]:
    """Folders from the bottom to the top; "" is kmod itself."""
    return [match["name"].rstrip("/") for match in FOLDER.finditer(kbuild)]


def unit_of(path: str) -> str:
    return os.path.splitext(path)[0]


def sources(kmod: str) -> Iterator[str]:
    for folder, _, files in os.walk(kmod):
        for name in files:
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(folder, name), kmod)


def wrong(path: str, included: str, kmod: str, order: list[str]) -> str | None:
    folder, target = os.path.dirname(path), os.path.dirname(included)
    if not os.path.exists(f"{kmod}/{included}"):
        return "there is no such file in kmod"
    for one in (folder, target):
        if one not in order:
            return f"Kbuild names no folder {one or 'kmod'}"
    if order.index(target) > order.index(folder):
        return f"{folder or 'kmod'} does not stand on {target or 'kmod'}"
    return None


def circle(units: dict[str, set[str]]) -> list[str]:
    """One that there is, from a unit to itself, or nothing."""
    done: set[str] = set()

    def visit(unit: str, way: list[str]) -> list[str]:
        if unit in way:
            return way[way.index(unit):] + [unit]
        if unit in done:
            return []
        for other in sorted(units.get(unit, ())):
            found = visit(other, way + [unit])
            if found:
                return found
        done.add(unit)
        return []

    for unit in sorted(units):
        found = visit(unit, [])
        if found:
            return found
    return []


def complaints(tree: str) -> list[str]:
    kmod = f"{tree}/kmod"
    with open(f"{tree}/Kbuild", encoding="utf-8") as file:
        order = read_order(file.read())
    found = []
    units: dict[str, set[str]] = {}
    for path in sorted(sources(kmod)):
        with open(f"{kmod}/{path}", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                include = INCLUDE.match(line)
                if not include:
                    continue
                why = wrong(path, include["path"], kmod, order)
                if why:
                    found.append(f"kmod/{path}:{number}: {why}: {line.strip()}")
                if unit_of(path) != unit_of(include["path"]):
                    units.setdefault(unit_of(path), set()).add(unit_of(include["path"]))
    way = circle(units)
    if way:
        found.append("kmod: units include each other in a circle: " + " -> ".join(way))
    return found


def main() -> int:
    found = complaints(sys.argv[1] if len(sys.argv) > 1 else ".")
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
