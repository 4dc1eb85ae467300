# SPDX-License-Identifier: GPL-2.0
"""The command stapctl."""

import json
import subprocess
from typing import Any

from .check import expect


def run(*arguments: str) -> str:
    return subprocess.run(["stapctl", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def refused(*arguments: str) -> str:
    """What it says when it fails, as it must."""
    done = subprocess.run(["stapctl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    expect(done.returncode != 0, f"stapctl {' '.join(arguments)} did not fail")
    return done.stderr


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("list", "--json"))
    return found
