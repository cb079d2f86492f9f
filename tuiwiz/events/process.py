"""Who executes a run, and how it ended: `pid.json` and `exit.json`."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from tuiwiz.base.files import write_atomic

_T = TypeVar("_T")


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The executor of a run. `started` is the process's start as the kernel counts it (clock ticks since boot on
    Linux), which tells a process from a later one with the same number."""

    pid: int
    started: float
    host: str
    boot_id: str


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How the executor ended. `code` is its exit code, None when a signal ended it; `message` says it in words."""

    code: int | None = None
    signal: str = ""
    message: str = ""
    peak_rss_bytes: int = 0
    out_of_memory: bool = False
    evidence: str = ""
    log_tail: tuple[str, ...] = ()
    ended: float = 0.0


def this_process() -> Process:
    pid = os.getpid()
    return Process(pid=pid, started=start_time(pid) or 0.0, host=socket.gethostname(), boot_id=boot_id())


def write_process(path: Path) -> Process:
    """Record the calling process as the run's executor."""
    process = this_process()
    write_atomic(path, msgspec.json.format(msgspec.json.encode(process)) + b"\n")
    return process


def read_process(path: Path) -> Process | None:
    return _read(path, Process)


def write_exit(path: Path, ended: Exit) -> None:
    write_atomic(path, msgspec.json.format(msgspec.json.encode(ended)) + b"\n")


def read_exit(path: Path) -> Exit | None:
    return _read(path, Exit)


def is_alive(process: Process) -> bool | None:
    """Whether that very process runs; None when it ran on another machine, of which nothing is known here."""
    if process.host != socket.gethostname():
        return None
    if process.boot_id and process.boot_id != boot_id():
        return False
    started = start_time(process.pid)
    return started is not None and started == process.started


def is_suspended(process: Process) -> bool:
    """Whether that very process is there but stopped by a signal (SIGSTOP, Ctrl-Z); False where that is not known."""
    if not is_alive(process):
        return False
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] == ["T"]


def wake(process: Process) -> None:
    """Let a suspended process go on; nothing for others, nor for those of another user."""
    if is_suspended(process):
        with suppress(OSError):
            os.kill(process.pid, signal.SIGCONT)


def start_time(pid: int) -> float | None:
    """When a process started; None when there is none (a zombie counts as none)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _start_time_portable(pid)
    # The command in parentheses may hold blanks and parentheses of its own.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else float(fields[19])


def _start_time_portable(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Ask for a signal when process `parent`, which must be the caller's parent, ends however it ends.

    Linux does it itself (PR_SET_PDEATHSIG); elsewhere a thread watches.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(1, int(number))
    else:
        threading.Thread(target=_watch_parent, args=(parent, number), daemon=True).start()
    if os.getppid() != parent:
        # It ended before we asked.
        os.kill(os.getpid(), number)


def _watch_parent(parent: int, number: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), number)


def boot_id() -> str:
    """An identifier of this boot of this machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _read(path: Path, kind: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
