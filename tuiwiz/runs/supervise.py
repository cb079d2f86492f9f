"""The executor's parent: `python -m tuiwiz.runs.supervise train FOLDER [--parent PID]`.

Forwards SIGTERM, ignores SIGHUP, waits, and leaves `exit.json` with what happened in words. Writes no events and loads
nothing large: it lives as long as the run.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from types import FrameType

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.text import clean_line
from tuiwiz.base.units import human_bytes
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job, write_job
from tuiwiz.events.process import Exit, die_with_parent, write_exit
from tuiwiz.runs.launch import executor_command, log_tail
from tuiwiz.runs.notify import Watcher

LOG_LINES = 50
STARTS = 5
"""Times that a run which the kernel ends for memory is started; each start is one rung lower on the ladder."""


def main(argv: list[str]) -> int:
    job, path, *rest = argv
    folder = RunFolder(Path(path))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    child: subprocess.Popen[bytes] | None = None
    asked = 0

    def forward(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if child is not None:
            child.send_signal(signal.SIGUSR1 if number == signal.SIGUSR1 else signal.SIGTERM)

    signal.signal(signal.SIGUSR1, forward)
    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, forward)
    if rest[:1] == ["--parent"]:
        die_with_parent(int(rest[1]))
    watcher = Watcher(folder)
    watcher.start()
    for start in range(1, STARTS + 1):
        kills_before = oom_kills()
        child = subprocess.Popen(
            executor_command(job, folder.path),
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TUIWIZ_PARENT": str(os.getpid())},
        )
        # What came before there was a child; from here on each signal is passed on as it comes, and none twice.
        for _ in range(asked if start == 1 else 0):
            child.send_signal(signal.SIGTERM)
        code = child.wait()
        ended = describe(code, folder, evidence=oom_evidence(child.pid, kills_before))
        if not ended.out_of_memory or asked or start == STARTS or not one_rung_lower(folder):
            break
        print(f"tuiwiz: {ended.message}; start {start + 1}, one rung lower", flush=True)
    try:
        write_exit(folder.exit, ended)
    except OSError as error:
        # The disk is full or the folder has gone; the exit code still says how it ended.
        with suppress(OSError):
            print(f"tuiwiz: exit.json cannot be written: {error}", file=sys.stderr, flush=True)
    watcher.end(ended.message)
    return code if code >= 0 else 128 - code


def one_rung_lower(folder: RunFolder) -> bool:
    """Prepare another start from the last checkpoint; False where the bundle wants to fail, or the job is no run.

    The rungs so far lie in `resolved.toml`; the executor takes the next before its first step.
    """
    try:
        settings = tomllib.loads(folder.bundle.read_text(encoding="utf-8")).get("memory", {})
        job = read_job(folder.path)
        if job.pop("job", "") != "train" or settings.get("oom") == "fail":
            return False
        write_job(folder.path, "train", {**job, "resume": True, "killed_for_memory": True})
    except (OSError, ValueError, TuiwizError):
        return False
    return True


def describe(code: int, folder: RunFolder, *, evidence: str) -> Exit:
    """What the end of the executor means; `evidence` of a kill for want of memory, empty where there is none."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    tail = tuple(log_tail(folder.log, LOG_LINES))
    if code >= 0:
        return Exit(code=code, message=f"exit code {code}", peak_rss_bytes=peak, log_tail=tail, ended=time.time())
    name = signal.Signals(-code).name
    memory = bool(evidence) and -code == signal.SIGKILL
    used = human_bytes(peak)
    message = f"killed by the kernel for memory at {used}" if memory else f"ended by {name}, at most {used} in use"
    return Exit(
        signal=name,
        message=message,
        peak_rss_bytes=peak,
        out_of_memory=memory,
        evidence=evidence if memory else "",
        log_tail=tail,
        ended=time.time(),
    )


def oom_evidence(pid: int, kills_before: int) -> str:
    """What says that the kernel killed `pid` for want of memory: its own log, else the control group's count."""
    line = kernel_line(pid)
    if line:
        return f"kernel: {line}"
    return "the control group's count of out-of-memory kills rose" if oom_kills() > kills_before else ""


def kernel_line(pid: int, device: Path = Path("/dev/kmsg")) -> str:
    """The kernel's word on the kill of `pid`, empty where it said none or may not be asked."""
    try:
        file = os.open(device, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        while record := os.read(file, 8192):
            for line in record.decode("utf-8", errors="replace").splitlines():
                if f"Killed process {pid} " in line:
                    return clean_line(line.rpartition(";")[2], 300)
    except OSError:
        # Nothing more to read, or records that were overwritten while reading.
        pass
    finally:
        os.close(file)
    return ""


def oom_kills() -> int:
    """Out-of-memory kills in this process's control group so far; 0 where that is not known."""
    try:
        group = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition(":")[2]
        for root in (Path("/sys/fs/cgroup") / group.lstrip("/"), Path("/sys/fs/cgroup")):
            events = root / "memory.events"
            if events.exists():
                fields = dict(line.split() for line in events.read_text(encoding="ascii").splitlines())
                return int(fields.get("oom_kill", 0))
    except (OSError, ValueError):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
