"""Starts the executor: as a child that ends with its parent, or detached, always under a supervisor."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuiwiz.base.errors import ExitCode, MachineLacksError, RunFailedError, TuiwizError
from tuiwiz.base.text import clean_line
from tuiwiz.base.waiting import waiting
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_result, write_job
from tuiwiz.events.process import Exit, read_exit, read_process

EXECUTOR = "TUIWIZ_EXECUTOR_COMMAND"
"""Only for tests: another command in place of `python -m tuiwiz.executor`, its words parted by line breaks."""

PRODUCTS_KEPT = 64
"""Compiled products that a processor's library keeps, in each of its two caches; up to 0.75 MiB each."""

ALLOCATOR: dict[str, str] = {
    # glibc returns and takes back the same pages in every step unless told to keep them: +20 % tokens/s on CPU.
    "MALLOC_TOP_PAD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    # Two caches of compiled products, one entry for each kind and shape, 1024 entries each unless told otherwise. On
    # rows of many lengths they grew a tiny model's 0.6 GiB to 1.5 in 76 steps. A layer's products at one length are
    # about 40, so that a step of one length finds its own; compiling one again takes 0.6 ms.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(PRODUCTS_KEPT),
    "LRU_CACHE_CAPACITY": str(PRODUCTS_KEPT),
    # Variable lengths fragment the default CUDA allocator by a factor of two and more.
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}

IN_CHARGE_S = 15.0
"""How long a detached start waits for the executor to name itself; it takes under a second on an idle machine."""


def executor_environment() -> dict[str, str]:
    """The environment of an executor; what the user set himself stays."""
    given = dict(os.environ)
    defaults = {
        **ALLOCATOR,
        **waiting(given),
        "TOKENIZERS_PARALLELISM": "true",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    }
    return {**defaults, **given}


def executor_command(job: str, folder: Path) -> list[str]:
    replaced = os.environ.get(EXECUTOR)
    base = replaced.split("\n") if replaced else [sys.executable, "-m", "tuiwiz.executor"]
    return [*base, job, str(folder)]


def start(folder: RunFolder, *, detach: bool) -> subprocess.Popen[bytes]:
    """Start the supervisor of a prepared run, which starts the executor.

    Detached, it returns when the executor is in charge or has ended, so that whoever looks next sees the run; both
    survive the caller, its terminal and its session. Otherwise SIGTERM to the returned process stops the
    run after its step, a second one at once; and the end of the caller counts as SIGTERM. Standard output and error go
    to `run.log`, standard input is empty.
    """
    command = [sys.executable, "-m", "tuiwiz.runs.supervise", "train", str(folder.path)]
    if not detach:
        command += ["--parent", str(os.getpid())]
    try:
        log = folder.log.open("ab")
    except OSError as error:
        raise MachineLacksError(
            f"{folder.log} cannot be written: {error.strerror}", hint="check the folder's permissions"
        ) from error
    with log:
        supervisor = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # A session of its own: Ctrl-C in the terminal reaches the caller alone, who decides what it means.
            start_new_session=True,
            env=executor_environment(),
        )
    end = time.monotonic() + IN_CHARGE_S
    while detach and read_process(folder.pid) is None and supervisor.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    return supervisor


def exit_code(folder: RunFolder, supervisor: int | None = None) -> int:
    """The command's exit code after the supervisor ended, with its own code where it could leave no `exit.json`."""
    ended = read_exit(folder.exit)
    if ended is None:
        return supervisor if supervisor is not None and 0 < supervisor < 128 else int(ExitCode.RUN_FAILED)
    return code_of(ended)


def code_of(ended: Exit) -> int:
    """The command's exit code for an executor that ended so."""
    if ended.out_of_memory:
        return int(ExitCode.DOES_NOT_FIT)
    if ended.signal == "SIGTERM":
        return int(ExitCode.STOPPED)
    return ended.code if ended.code is not None else int(ExitCode.RUN_FAILED)


def run_job(
    job: str, folder: Path, arguments: dict[str, Any], *, tick: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Run a job that is no training run to its end and return its result; `tick` is called a few times a second.

    Raises:
        TuiwizError: the job failed; message, hint and exit code are those that it left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_job(folder, job, arguments)
    (folder / "result.json").unlink(missing_ok=True)
    with (folder / "run.log").open("ab") as log:
        child = subprocess.Popen(
            executor_command(job, folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**executor_environment(), "TUIWIZ_PARENT": str(os.getpid())},
        )
        try:
            while True:
                try:
                    code = child.wait(timeout=0.3)
                    break
                except subprocess.TimeoutExpired:
                    tick()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    result = read_result(folder)
    if code == 0 and result is not None:
        return result
    raise _failure(job, folder, code, result or {})


def _failure(job: str, folder: Path, code: int, result: dict[str, Any]) -> TuiwizError:
    message = str(result.get("message") or "")
    hint = str(result.get("hint") or "")
    if not message:
        last = log_tail(folder / "run.log", 1)
        message = f"the job {job} ended with {f'exit code {code}' if code >= 0 else f'signal {-code}'}"
        hint = last[0] if last else ""
    for kind in TuiwizError.__subclasses__():
        if kind.exit_code == code:
            return kind(message, hint=hint)
    return MachineLacksError(message, hint=hint) if code < 0 else RunFailedError(message, hint=hint)


def log_tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, cleaned."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 65536))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [clean_line(line, 300) for line in text.splitlines() if line.strip()][-lines:]
