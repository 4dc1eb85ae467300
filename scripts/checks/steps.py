# SPDX-License-Identifier: GPL-2.0
"""Steps, tracks of them side by side, and what became of them."""

import os
import re
import subprocess
import textwrap
import threading
import time
from dataclasses import dataclass

from .counts import Count, Counter, total, whole

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bpfilter")

UNCHANGED = "unchanged since it passed"  # what scripts/once says first
SHOWN = 25  # lines of a failed step that are shown again at the end


@dataclass(frozen=True)
class Step:
    name: str
    command: list[str]
    count: Counter = whole
    after: tuple[str, ...] = ()  # steps of other tracks that must be over (and may have failed)


@dataclass(frozen=True)
class Track:
    """Steps one after the other, each whatever became of those before it."""
    name: str  # stands before its lines
    steps: list[Step]
    nice: int = 0


@dataclass(frozen=True)
class Result:
    step: str
    count: Count
    unchanged: bool = False
    worth: tuple[str, ...] = ()  # reading again, if it failed
    failures: tuple[str, ...] = ()  # the names of its tests that failed, as far as they are known

    def __str__(self) -> str:
        return (f"{'FAILED' if self.count.failed else 'ok':6} {self.step}: {self.count}"
                f"{', unchanged since it passed' if self.unchanged else ''}")

    def summary(self) -> str:
        """With names: who reads the end of a long log only learns what to look for."""
        names = textwrap.wrap(" ".join(self.failures), 100, break_long_words=False, break_on_hyphens=False)
        return "\n".join([str(self), *(f"         {line}" for line in names)])


FAILURE = re.compile(r"not ok ([^\s:]+)|\[  FAILED  \] ([^\s,]+)$|\s*FAILED  (\S+)")


def failures(output: list[str]) -> tuple[str, ...]:
    found = (FAILURE.match(line) for line in output)
    return tuple(dict.fromkeys(next(filter(None, one.groups())) for one in found if one))


def worth_reading(output: list[str]) -> tuple[str, ...]:
    marked = [line for line in output if line.startswith(("not ok ", "[  FAILED  ]", "FAILED ", "vm: FAILED"))]
    return tuple(line for line in marked[:SHOWN] + output[-SHOWN:] if line.strip())


def run(step: Step, track: Track) -> Result:
    prefix = f"{track.name}| " if track.name else ""
    print(f"{prefix}==== {step.name}", flush=True)
    start = time.monotonic()
    command = ["nice", "-n", str(track.nice), *step.command] if track.nice else step.command
    output = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", cwd=TREE) as process:
        assert process.stdout
        for line in process.stdout:
            print(prefix + line, end="", flush=True)
            output.append(line)
    count = step.count("".join(output), process.returncode)
    if process.returncode and not count.failed:
        count = count._replace(failed=1)
    if not any(count):
        print(f"{prefix}{step.name}: nothing was counted, which cannot be right")
        count = Count(failed=1)
    result = Result(step.name, count, bool(output) and output[0].startswith(UNCHANGED),
                    worth_reading(output) if count.failed else (), failures(output) if count.failed else ())
    print(f"{prefix}---- {str(result)[7:]}, {time.monotonic() - start:.0f} s", flush=True)
    return result


def run_tracks(tracks: list[Track]) -> list[Result]:
    over = {step.name: threading.Event() for track in tracks for step in track.steps}
    results: dict[str, Result] = {}

    def work(track: Track) -> None:
        try:
            for step in track.steps:
                for name in step.after:
                    over[name].wait()
                results[step.name] = run(step, track)
                over[step.name].set()
        finally:  # nobody waits for what will not be
            for step in track.steps:
                over[step.name].set()

    threads = [threading.Thread(target=work, args=(track,)) for track in tracks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A step that broke this program, and those behind it, did not pass.
    return [results.get(name, Result(name, Count(failed=1))) for name in over]


def report(results: list[Result]) -> int:
    """Says what became of all; the exit status."""
    failed = [result for result in results if result.count.failed]
    if failed:
        print("\n==== the ends of what failed")
    for result in failed:
        print(f"{result.step}:\n" + "".join(f"    {line}" for line in result.worth))
    print("\n==== summary")
    print("\n".join(result.summary() for result in results))
    known = total([Count(), *(result.count for result in results if result.unchanged)])
    if known.passed:
        print(f"{known.passed} of these passed before with the same content (docs/testing.md)")
    print(total(result.count for result in results))
    return 1 if failed else 0
