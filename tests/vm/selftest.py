#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's selftest net/tls.c without TLS, on tapped sockets: what passes on plain TCP passes tapped.

Both ends are tapped in both directions; tests/stap/tls_tap.c says how and with which parsers.
"""

import functools
import os
import re
import subprocess

from lib.check import Skip, expect, expect_equal, main, test
from lib.tap import load

PROGRAM = "/usr/lib/bpfilter-tests/tls_selftest"
# Some 50 cases in each of 13 variants, which differ in TLS alone. LONG=1 runs all.
VARIANT = [] if os.environ.get("LONG") else ["-v", "12_aes_gcm"]


@functools.cache
def passed(parser: str) -> frozenset[str]:
    if not os.path.exists(PROGRAM):
        raise Skip("the selftest is not in this machine: tests/stap/build makes it")
    done = subprocess.run([PROGRAM, *VARIANT], capture_output=True, text=True,
                          env=os.environ | {"STAP_PARSER": parser}, timeout=900, check=False)
    # Those of no variant ("global.") are about what TLS itself refuses: a listener, which may be tapped.
    return frozenset(re.findall(r"^ok \d+ (?!global\.)(\S+)$", done.stdout, re.MULTILINE))


def compare(parser: str) -> None:
    plain, tapped = passed("plain"), passed(parser)
    expect(len(plain) >= 40, f"only {len(plain)} cases pass on plain TCP")
    print(f"# {len(plain)} cases pass on plain TCP, {len(plain & tapped)} of these tapped", flush=True)
    expect_equal(sorted(plain - tapped), [], "cases that pass on plain TCP alone")


@test
def without_a_parser() -> None:
    compare("none")


@test
def fixed_length() -> None:
    compare("fixed")


@test
def length_prefix() -> None:
    compare("prefix")


if __name__ == "__main__":
    load()
    main()
