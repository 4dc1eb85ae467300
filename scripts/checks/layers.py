# SPDX-License-Identifier: GPL-2.0
"""Layers: a folder of umh includes what it is linked with, and nothing above it.

Which those are is written once, in umh/CMakeLists.txt: `layer(NAME LIBRARY...)`. A folder may
include what its libraries are linked with in turn. What is in no layer (main.cpp) may include
everything. What programs and their writers agree upon (bpf/) stands below all. The core is values: of util it sees bytes,
results and the deadline, which ends it from without; no descriptor and no log."""

import os
import re
import sys
from typing import Iterator

LAYER = re.compile(r"^layer\((?P<name>[^\s)]+)(?P<libraries>[^)]*)\)", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s+"umh/(?P<path>[^"]+)"')
SOURCES = (".cpp", ".h", ".c", ".def")
VALUES = {"util/bytes.h", "util/deadline.h", "util/result.h"}
SHARED = {"bpf/element.h", "bpf/record.h"}


def library(layer: str) -> str:
    return "bpfilter_" + layer.replace("/", "_")


def read_layers(cmake: str) -> dict[str, set[str]]:
    """Of each layer, which it may include: itself, and all that stands below it."""
    found = {match["name"]: match["libraries"].split() for match in LAYER.finditer(cmake)}
    names = {library(name): name for name in found}
    below: dict[str, set[str]] = {}
    for name, libraries in found.items():
        below[name] = {name}
        for one in libraries:
            if one in names:
                # Written in order, from the bottom: what is not there yet is above.
                if names[one] not in below:
                    raise ValueError(f"layer {name} is linked with {names[one]}, which comes later")
                below[name] |= below[names[one]]
    return below


def layer_of(path: str, layers: dict[str, set[str]]) -> str | None:
    folder = os.path.dirname(path)
    return folder if folder in layers else None


def wrong(path: str, included: str, layers: dict[str, set[str]]) -> str | None:
    layer, target = layer_of(path, layers), layer_of(included, layers)
    if layer is None or included in SHARED:
        return None
    if target is None or target not in layers[layer]:
        return f"layer {layer} does not stand on {target or os.path.dirname(included) or 'the top'}"
    if layer.startswith("core/") and target == "util" and included not in VALUES:
        return "the core is values: no descriptor, no thread, no log"
    return None


def sources(umh: str) -> Iterator[str]:
    for folder, _, files in os.walk(umh):
        for name in files:
            if name.endswith(SOURCES):
                yield os.path.relpath(os.path.join(folder, name), umh)


def complaints(umh: str) -> list[str]:
    with open(f"{umh}/CMakeLists.txt", encoding="utf-8") as file:
        layers = read_layers(file.read())
    found = []
    for path in sorted(sources(umh)):
        with open(f"{umh}/{path}", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                include = INCLUDE.match(line)
                why = wrong(path, include["path"], layers) if include else None
                if why:
                    found.append(f"umh/{path}:{number}: {why}: {line.strip()}")
    return found


def main() -> int:
    found = complaints(sys.argv[1] if len(sys.argv) > 1 else "umh")
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
