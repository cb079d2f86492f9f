"""Job `trials`: one process trains run after run, each as a process of its own would.

A run folder's path comes in as a line; when its run is over, a line with exit code and peak memory goes out. After a
run that failed the process may not be as it was before: then it ends with that run's exit code and says nothing.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from tuiwiz.base.errors import ExitCode
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor import train
from tuiwiz.executor.failure import ended

UNHARMED = (ExitCode.DONE, ExitCode.STOPPED)
"""Exit codes of runs after which another may follow."""


def serve() -> int:
    """Train until there is no more input; returns the exit code."""
    from tuiwiz.executor.kept import KeptBase

    replies, bases = os.dup(1), KeptBase()
    for line in sys.stdin:
        folder = RunFolder(Path(line.rstrip("\n")))
        _write_to(folder.log)
        _forget_peak()
        code = ended(lambda folder=folder: train.run(folder.path, bases))  # type: ignore[misc]
        # Until the next run nobody is to be asked before this process is ended.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        # It lives on, but executes this run no more.
        folder.pid.unlink(missing_ok=True)
        if code not in UNHARMED:
            return code
        gc.collect()
        _answer(replies, code)
    return int(ExitCode.DONE)


def _answer(replies: int, code: int) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    with suppress(BrokenPipeError):
        # Whoever asked may be gone: then the input ends too.
        os.write(replies, msgspec.json.encode({"code": code, "peak_rss_bytes": peak}) + b"\n")


def _write_to(log: Path) -> None:
    """Send standard output and error to a run's log."""
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _forget_peak() -> None:
    """Measure peaks from here on: an earlier run's is not this one's."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        # Linux alone can; elsewhere the peak is that of all runs so far.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
