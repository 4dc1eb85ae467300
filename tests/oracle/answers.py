# SPDX-License-Identifier: GPL-2.0
"""The answers of the real ip_tables, kept: the same rules and packets on one kernel give the same.

An answer is a record, named after the content of all that it depends on: the tests' files, the
kernel, the userland's packages, the seed and the sizes.
"""

import gzip
import hashlib
import os
import zlib
from typing import Iterator

from record import Record

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bpfilter")
DIRECTORY = os.path.join(CACHE, "oracle")
# Bytes. The answer to a seed takes about half a megabyte.
LIMIT = 64 << 20


def _files() -> Iterator[str]:
    """What the guest runs. This side of it (run, and what only run uses) changes no answer."""
    for directory in ("tests/oracle", "tests/vm/lib", "scripts/guest"):
        for where, directories, names in os.walk(f"{TREE}/{directory}"):
            directories[:] = sorted(set(directories) - {"__pycache__"})
            yield from (os.path.join(where, name) for name in sorted(names)
                        if name not in ("run", "answers.py", "shares.py"))
    yield f"{TREE}/tests/compat/sockopt32.c"
    yield f"{CACHE}/userland/packages"


def key(kernel: str, arguments: list[str]) -> str | None:
    """None: the kernel or the userland has yet to be fetched."""
    digest = hashlib.sha256()
    try:
        with open(f"{CACHE}/kernels/{kernel}/release", encoding="ascii") as file:
            release = file.read().strip()
        for name in _files():
            with open(name, "rb") as content:
                digest.update(f"{os.path.relpath(name, TREE)}\0".encode() + hashlib.sha256(content.read()).digest())
    except FileNotFoundError:
        return None
    digest.update("\0".join([release, *arguments]).encode())
    return digest.hexdigest()[:32]


def _path(name: str) -> str:
    return os.path.join(DIRECTORY, f"{name}.gz")


def find(name: str) -> Record | None:
    try:
        with gzip.open(_path(name), "rt", encoding="utf-8") as file:
            record = Record.parse(file.read())
    except (OSError, EOFError, zlib.error, ValueError):
        return None  # not there, or not whole
    os.utime(_path(name))
    return record


def keep(name: str, record: Record) -> None:
    os.makedirs(DIRECTORY, exist_ok=True)
    scratch = f"{_path(name)}.{os.getpid()}"
    with gzip.open(scratch, "wt", encoding="utf-8", compresslevel=6) as file:
        file.write(record.render())
    os.replace(scratch, _path(name))
    _prune()


def _prune() -> None:
    """Those that were not asked for the longest go first."""
    found = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(DIRECTORY)]
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= LIMIT:
            break
        os.unlink(path)
        total -= size
