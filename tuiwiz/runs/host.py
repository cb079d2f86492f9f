"""Who executes prepared runs one after another: a process for each, or one that trains them all.

One process reads libraries and base model once. Each run still has its own folder, log, events and `exit.json`, and
comes out bit for bit as from a process of its own.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

import msgspec

from tuiwiz.base.errors import MachineLacksError
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import Exit, write_exit
from tuiwiz.runs.launch import code_of, executor_command, executor_environment, exit_code, start
from tuiwiz.runs.supervise import STARTS, describe, one_rung_lower, oom_evidence, oom_kills


class Executor(Protocol):
    """Executes one run at a time."""

    def begin(self, folder: RunFolder) -> None: ...
    def poll(self) -> int | None:
        """The run's exit code, None while it goes on."""

    def stop(self) -> None:
        """Stop the run after its step, saved, and wait for that."""


class Alone:
    """A supervised process for each run."""

    def begin(self, folder: RunFolder) -> None:
        self._folder, self._child = folder, start(folder, detach=False)

    def poll(self) -> int | None:
        code = self._child.poll()
        return None if code is None else exit_code(self._folder, code)

    def stop(self) -> None:
        self._child.terminate()
        self._child.wait()


class _Answer(msgspec.Struct, frozen=True):
    code: int
    peak_rss_bytes: int


class Host:
    """One process for all runs, started with the first and started anew where it ended; a context manager.

    `place`: any folder, by which the process is known in a list of processes.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._child: subprocess.Popen[bytes] | None = None
        self._folder = RunFolder(place)
        self._starts = 0
        self._kills = 0

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def begin(self, folder: RunFolder) -> None:
        """Have a prepared run executed."""
        self._folder, self._starts = folder, 1
        self._ask()

    def poll(self) -> int | None:
        child = self._child
        if child is None or child.stdout is None or not select.select([child.stdout], [], [], 0)[0]:
            return None
        line = child.stdout.readline()
        if line:
            answer = msgspec.json.decode(line, type=_Answer)
            message = f"exit code {answer.code}"
            ended = Exit(code=answer.code, message=message, peak_rss_bytes=answer.peak_rss_bytes, ended=time.time())
        else:
            ended = self._buried(child)
            lower = ended.out_of_memory and self._starts < STARTS and one_rung_lower(self._folder)
            if lower:
                self._starts += 1
                self._ask()
                return None
        # The disk may be full; what came out is known all the same.
        with suppress(OSError):
            write_exit(self._folder.exit, ended)
        return code_of(ended)

    def stop(self) -> None:
        """End the process; a run that it executes is saved first."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        child.wait()

    def _buried(self, child: subprocess.Popen[bytes]) -> Exit:
        """How the process ended, in the middle of a run or by it."""
        self._child = None
        code = child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        return describe(code, self._folder, evidence=oom_evidence(child.pid, self._kills))

    def _ask(self) -> None:
        self._kills = oom_kills()
        line = f"{self._folder.path}\n".encode()
        for _ in range(2):
            if self._child is None or self._child.poll() is not None:
                self._child = self._start()
            try:
                assert self._child.stdin is not None
                self._child.stdin.write(line)
                self._child.stdin.flush()
                return
            except BrokenPipeError:
                # It ended between two runs: a new one takes this run.
                self._child = None
        raise MachineLacksError("the process that trains ends at once", hint=f"{self._folder.log} may say why")

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            log = self._folder.log.open("ab")
        except OSError as error:
            raise MachineLacksError(
                f"{self._folder.log} cannot be written: {error.strerror}", hint="check the folder's permissions"
            ) from error
        with log:
            return subprocess.Popen(
                executor_command("trials", self._place),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C in the terminal reaches the caller alone, who decides what it means.
                start_new_session=True,
                env={**executor_environment(), "TUIWIZ_PARENT": str(os.getpid())},
            )
