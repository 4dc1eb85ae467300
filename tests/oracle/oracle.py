#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The guest's half of the oracle: random rules, random packets, and what became of them.

Prints, between two marker lines, a record that depends on nothing but the seed, the sizes
and the filter: every ruleset, every packet with its fate, and all counters. tests/oracle/run
makes it twice, with ip_tables and with bpfilter, and compares. Behind the record comes a line
of evidence: how often something happened that the record does not show.
"""

import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../vm")]

import machine  # noqa: E402
import scenes  # noqa: E402
import session  # noqa: E402
import shake  # noqa: E402
from lib import system  # noqa: E402
from record import BEGIN, END, EVIDENCE  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stock", action="store_true", help="with ip_tables, not bpfilter")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rulesets", type=int, default=20)
    parser.add_argument("--packets", type=int, default=200, help="for each ruleset")
    parser.add_argument("--only", type=int, help="only the ruleset of this number")
    parser.add_argument("--xdp", choices=shake.MODES, help="bpfilter's parameter of that name, all the time")
    arguments = parser.parse_args()
    os.environ["BPFILTER_SYSTEM"] = system.STOCK if arguments.stock else system.OURS
    system.load()
    machine.process_at_once()
    run = session.Session(arguments.seed, arguments.packets)
    if not arguments.stock:
        run.shaker = shake.Shaker(arguments.seed, arguments.xdp, system.form() != "auto", run.evidence)
    numbers = range(arguments.rulesets) if arguments.only is None else [arguments.only]
    print(BEGIN)
    for number in numbers:
        scenes.play(run, number)
        print("\n".join(run.lines), flush=True)
        run.lines.clear()
    print(END)
    print(EVIDENCE + json.dumps(run.evidence, sort_keys=True), flush=True)


if __name__ == "__main__":
    main()
