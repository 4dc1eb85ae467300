# SPDX-License-Identifier: GPL-2.0
"""Every death of a helper, and whether a test ordered it.

A helper that dies is replaced, and what it was asked is asked again: tests pass as if nothing
had been. So the kernel is asked, which traces in a buffer of ours when a helper begins, who
sends it a signal, and when it ends. Nothing needs to be ordered for a helper that

  - a process killed, by kill(2): tests do that, nobody else;
  - the module killed, or that ended by itself, because the module was unloaded;
  - killed itself with SIGUSR1: so does tests/kmod/fake_helper, when it is told to crash.

Of all others the test must have said expect(): it fails otherwise, and also if they do not come.
"""

import collections
import contextlib
import json
import os
import re
import signal
import time
from dataclasses import asdict, dataclass, field
from typing import Iterator

INSTANCE = "/sys/kernel/tracing/instances/helper"
STATE = "/run/helper-deaths.json"  # of what was read; the buffer is emptied by that

# It has its own name as soon as it comes to main(); until then that of its file, a descriptor.
_NAMES = ("bpfilter_umh", "fake_helper", "3")
_FILTERS = {
    "sched/sched_process_exec": 'filename ~ "/proc/self/fd/*"',
    "sched/sched_process_exit": " || ".join(f'comm == "{name}"' for name in _NAMES),
    "signal/signal_generate": " || ".join(f'comm == "{name}"' for name in _NAMES),
    "module/module_free": 'name == "bpfilter"',
}
_LINE = re.compile(r"\s*(?P<task>.+)-(?P<pid>\d+)\s+\[\d+\]\s+\S+\s+[\d.]+: (?P<event>\w+): (?P<text>.*)")
_NUMBER = re.compile(r"\b(\w+)=(-?\d+)")
_FATAL = {signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGSYS,
          signal.SIGTRAP, signal.SIGUSR1}
_SI_USER, _SI_KERNEL = 0, 128

# Causes of death, besides the names of signals.
BY_THE_MODULE = "killed by the module"  # it was over the deadline, or speaks or knows the wrong thing
EXITED = "exited"
_ORDERED = "ordered"


@dataclass
class _State:
    helper: int = 0  # that is alive; there is never more than one
    cause: str = ""  # of the death it is about to die
    exited: int = 0  # helpers that ended by themselves, which is right if the module goes next
    deaths: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def step(self, task: str, sender: int, event: str, text: str) -> None:
        numbers = {key: int(value) for key, value in _NUMBER.findall(text)}
        if event == "sched_process_exec":
            self._no_unloading()
            self.helper, self.cause = numbers["pid"], ""
        elif event == "signal_generate":
            if self.helper and not self.cause and numbers["sig"] in _FATAL and numbers["res"] == 0:
                self.cause = self._cause(task, sender, numbers)
        elif event == "sched_process_exit":
            if numbers["pid"] == self.helper:
                self._end()
        elif event == "module_free":
            self.exited = 0
        elif event == "tracing_mark_write":
            self.expected.append(text)

    def _cause(self, task: str, sender: int, numbers: dict[str, int]) -> str:
        if numbers["sig"] == signal.SIGUSR1 or numbers["code"] == _SI_USER and sender != self.helper:
            return _ORDERED
        if numbers["sig"] != signal.SIGKILL:
            return signal.Signals(numbers["sig"]).name
        if numbers["code"] == _SI_KERNEL and task in ("rmmod", "modprobe"):
            return _ORDERED
        if numbers["code"] == _SI_KERNEL and (task in _NAMES or task.startswith("kworker/")):
            return BY_THE_MODULE
        return f"killed by {task}"  # the kernel on behalf of it, for want of memory

    def _end(self) -> None:
        if not self.cause:
            self.exited += 1
        elif self.cause != _ORDERED:
            self.deaths.append(self.cause)
        self.helper, self.cause = 0, ""

    def _no_unloading(self) -> None:
        self.deaths += [EXITED] * self.exited
        self.exited = 0

    def unordered(self) -> list[str]:
        return self.deaths + [EXITED] * self.exited

    def is_settled(self) -> bool:
        """Nobody is about to die, and what was expected has come."""
        return not self.cause and sorted(self.unordered()) == sorted(self.expected)


def _write(name: str, text: str) -> None:
    with open(f"{INSTANCE}/{name}", "w", encoding="ascii") as file:
        file.write(text)


def watch() -> None:
    """From now on, if it is not done already. There must be no helper yet."""
    if os.path.isdir(INSTANCE):
        return
    os.mkdir(INSTANCE)
    _write("trace_clock", "global")
    for event, condition in _FILTERS.items():
        _write(f"events/{event}/filter", condition)
        _write(f"events/{event}/enable", "1")


def expect(count: int, cause: str) -> None:
    """So many helpers will die of it, or have, since the test began."""
    for _ in range(count):
        _write("trace_marker", cause)


def _load() -> _State:
    with contextlib.suppress(FileNotFoundError), open(STATE, encoding="ascii") as file:
        return _State(**json.load(file))
    return _State()


def _save(state: _State) -> None:
    with open(f"{STATE}.new", "w", encoding="ascii") as file:
        json.dump(asdict(state), file)
    os.rename(f"{STATE}.new", STATE)


def _new_lines() -> Iterator[str]:
    text = b""
    opened = os.open(f"{INSTANCE}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        while part := os.read(opened, 65536):
            text += part
    except BlockingIOError:
        pass
    finally:
        os.close(opened)
    yield from text.decode(errors="replace").splitlines()


def _read_on(state: _State) -> _State:
    for line in _new_lines():
        found = _LINE.fullmatch(line)
        if not found:  # events that were lost, for one
            raise RuntimeError(f"the kernel's trace of the helper has: {line}")
        state.step(found["task"], int(found["pid"]), found["event"], found["text"])
    return state


def judge(seconds: float = 20) -> list[str]:
    """What is wrong about the deaths since the last time. Waits for those that were expected."""
    if not os.path.isdir(INSTANCE):
        return []
    state = _load()
    deadline = time.monotonic() + seconds
    while not _read_on(state).is_settled() and time.monotonic() < deadline:
        time.sleep(0.01)
    seen, expected = collections.Counter(state.unordered()), collections.Counter(state.expected)
    problems = [f"a helper died that nobody told to: {cause}" for cause in (seen - expected).elements()]
    problems += [f"no helper died that was expected to: {cause}" for cause in (expected - seen).elements()]
    state.deaths, state.expected, state.exited = [], [], 0
    _save(state)
    return problems
