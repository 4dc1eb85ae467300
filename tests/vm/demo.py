#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The RFC's examples (tests/demo), one test each."""

import os
import re
import subprocess

from lib import system
from lib.check import Failure, expect, main, test

RFC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../demo/rfc.py")


@test
def rfc_examples() -> None:
    system.only_ours()
    done = subprocess.run([RFC], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    results = re.findall(r"^=> example (\d): (.*)$", done.stdout, re.MULTILINE)
    wrong = [f"example {number}: {result}" for number, result in results if result != "as expected"]
    if wrong or len(results) != 8 or done.returncode != 0:
        print(done.stdout)
        raise Failure("; ".join(wrong) or f"{len(results)} of 8 examples, status {done.returncode}")
    expect("All examples came out as expected." in done.stdout, "no last line")


if __name__ == "__main__":
    main()
