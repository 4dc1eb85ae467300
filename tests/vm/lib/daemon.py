# SPDX-License-Identifier: GPL-2.0
"""Programs that run beside a test, in a namespace of its own."""

import contextlib
import os
import subprocess
import tempfile
from typing import Callable, Iterator

from .check import Failure, wait_for
from .netns import Namespace

PATIENCE = 240  # seconds, for hangs alone: programs in Python take a minute to begin


class Daemon:
    def __init__(self, process: "subprocess.Popen[bytes]", log: str) -> None:
        self.process, self._log = process, log

    def said(self) -> str:
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """If it ends before, it has failed, and says why."""
        def holds() -> bool:
            if self.process.poll() is not None:
                raise Failure(f"{self.process.args!r} ended with {self.process.returncode}: {self.said()[-500:]}")
            return bool(condition())
        wait_for(holds, what, PATIENCE)

    def end(self) -> None:
        """By itself, or because it was told to: it gives back what it has."""
        self.process.wait(PATIENCE)


@contextlib.contextmanager
def running(host: Namespace, *command: str) -> Iterator[Daemon]:
    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, "log")
        with open(log, "wb") as file, host:
            # pylint: disable-next=consider-using-with
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield Daemon(process, log)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
