# SPDX-License-Identifier: GPL-2.0
"""Processes of a test: what one says, and what it waits in."""

import contextlib
import os
import signal
import traceback
from typing import Callable, NoReturn

from .check import Failure

READ, SETSOCKOPT, RECVFROM = 0, 54, 45  # x86_64


class Child:
    """A process that runs the function, which returns what there is to say."""

    def __init__(self, function: Callable[[], str]) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(reader)
            _run(function, writer)
        os.close(writer)
        self._reader = reader

    def kill(self) -> None:
        """That it was alive to be killed is seen to: it ends by itself only if it fails."""
        os.kill(self.pid, signal.SIGKILL)
        said, status = self._end()
        if status != -signal.SIGKILL:
            raise Failure(f"a child was to be killed, and had ended with {status}: {said}")

    def said(self) -> str:
        """At its end. That it failed is a failure here."""
        said, status = self._end()
        if status:
            raise Failure(f"a child ended with {status}: {said}")
        return said

    def _end(self) -> tuple[str, int]:
        with open(self._reader, encoding="utf-8") as file:
            said = file.read()
        return said, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _run(function: Callable[[], str], writer: int) -> NoReturn:
    status = 1
    try:
        os.write(writer, function().encode())
        status = 0
    except BaseException:  # pylint: disable=broad-exception-caught
        os.write(writer, traceback.format_exc().encode())
    finally:
        os._exit(status)


def said_by_child(function: Callable[[], str]) -> str:
    return Child(function).said()


def waits_in(pid: int, call: int, first: int | None = None) -> bool:
    """Whether a thread of the process sleeps in this system call, with this first argument."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        words = ["gone"]
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{thread}/syscall", encoding="ascii") as file:
                words = file.read().split()
        if words[0] == str(call) and (first is None or int(words[1], 16) == first):
            return True
    return False
