# SPDX-License-Identifier: GPL-2.0
"""The VM suite again and again: which tests cannot be trusted?"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Iterator

from . import counts, stages, steps

LOGS = f"{steps.TREE}/build/rounds"
MACHINE = "(the machine)"  # its kernel complained, it hung, or it died
NOT_OK = re.compile(r"^not ok (\S+?):?(?:\s|$)(.*)")


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """Takes processors as any other program does. With nice it would give way to the guests."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


class Rounds:
    """Of one kernel, one after the other."""

    def __init__(self, kernel: str, number: int, step: steps.Step, logs: str = LOGS) -> None:
        self.kernel = kernel
        self.number = number
        self.step = step
        self.logs = logs
        self.failures: Counter[str] = Counter()
        self.good = 0

    def run(self) -> None:
        for number in range(1, self.number + 1):
            self.round(number)

    def round(self, number: int) -> None:
        log = f"{self.logs}/{self.kernel}-{number}.log"
        start = time.monotonic()
        with open(log, "w+", encoding="utf-8", errors="replace") as file:
            status = subprocess.run(self.step.command, stdin=subprocess.DEVNULL, stdout=file,
                                    stderr=subprocess.STDOUT, check=False).returncode
            file.seek(0)
            output = file.read()
        count = self.step.count(output, status)
        failed = [match for match in map(NOT_OK.match, output.splitlines()) if match]
        self.failures.update({match[1] for match in failed})
        if count.failed > len(failed) or (status and not count.failed):
            self.failures[MACHINE] += 1
        self.good += status == 0 and not count.failed
        print(f"{self.kernel}, round {number}: {count}, status {status}, {time.monotonic() - start:.0f} s, {log}")
        for match in failed:
            print(f"    {match[0][:300]}")
        sys.stdout.flush()


def table(every: list[Rounds]) -> None:
    names = sorted({name for one in every for name in one.failures})
    print("\n" + "".join(f"{one.kernel:>8}" for one in every) + "  how often it failed")
    print("".join(f"{one.number:8}" for one in every) + "  rounds of each")
    for name in names:
        print("".join(f"{one.failures[name]:8}" for one in every) + f"  {name}")
    print("".join(f"{one.number - one.good:8}" for one in every) + "  rounds in which anything failed")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="check rounds", description=__doc__)
    parser.add_argument("rounds", type=int)
    parser.add_argument("kernel", nargs="*", help="6.1 and 6.12, if none is named; or debug")
    parser.add_argument("--load", action="store_true", help="beside a busy loop for every processor")
    parser.add_argument("--only", action="append", default=[], metavar="SUITE[.TEST]", help="as tests/vm/run has it")
    parser.add_argument("--form", default="auto", help="as tests/vm/run has it")
    parser.add_argument("--timeout", type=int, default=10800, help="seconds for one round")
    chosen = parser.parse_args(arguments)
    kernels = chosen.kernel or list(stages.KERNELS)
    if not set(kernels) <= {*stages.KERNELS, "debug"}:
        parser.error(f"no such kernel: {' '.join(kernels)}")
    build = [stages.HELPER, *stages.PROGRAM_STEPS, stages.CONFORMANCE]
    build += [step for kernel in kernels for step in (stages.modules(kernel, None), stages.test_modules(kernel))]
    built = steps.run_tracks([steps.Track("", build)])
    if counts.total(result.count for result in built).failed:
        return steps.report(built)
    os.makedirs(LOGS, exist_ok=True)
    every = [Rounds(kernel, chosen.rounds, stages.vm_suite(kernel, chosen.timeout, *chosen.only, form=chosen.form))
             for kernel in kernels]
    with load(os.cpu_count() or 1) if chosen.load else contextlib.nullcontext():
        threads = [threading.Thread(target=one.run) for one in every]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    table(every)
    good, all_rounds = sum(one.good for one in every), sum(one.number for one in every)
    print(f"{good} passed, {all_rounds - good} failed")
    return 0 if good == all_rounds else 1
