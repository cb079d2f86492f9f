"""Executors in a tenth of a second: a process that has loaded every library forks one for each request.

Requests on standard input, one JSON array a line: `["start", FOLDER, DISTURBANCE]` answers a process id, as does
`["member", FOLDER, OUT, NAME=VALUE...]`, a further process of a run with these variables and its standard output in
OUT; `["poll", PID]` the exit status or null. What a test disturbs is the system under the executor (disk, clock), never
the executor's code.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

LOADED = ("peft", "transformers.models.llama.modeling_llama", "tuiwiz.executor.train")
PARTS = (
    "checkpoint",
    "closing",
    "device",
    "disk",
    "evaluate",
    "failure",
    "generate",
    "locking",
    "loop",
    "lora",
    "memory",
)
MORE = ("lead", "member", "model", "objectives.causal", "optim", "provenance", "sampling")


def lying_disk() -> None:
    """A file system that says it has room and has none, as with quotas and network disks."""
    shutil.disk_usage = lambda path: SimpleNamespace(total=1 << 50, used=0, free=1 << 50)  # type: ignore[assignment,return-value]


def jumping_clock() -> None:
    """The wall clock goes back an hour, then on by a day, again and again, as a bad time server would have it."""
    true, calls = time.time, [0]

    def now() -> float:
        calls[0] += 1
        return true() + (0, -3600, 86_400, -86_400 * 365)[calls[0] // 7 % 4]

    time.time = now


DISTURBANCES: dict[str, Callable[[], None]] = {"": lambda: None, "lying disk": lying_disk, "clock": jumping_clock}


def start(folder: Path, disturbance: str) -> int:
    """Fork an executor for the run in `folder`."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        log = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(log, number)
        DISTURBANCES[disturbance]()
        code = importlib.import_module("tuiwiz.executor.__main__").main(["train", str(folder)])
    finally:
        os._exit(code)


def member(folder: Path, out: Path, *variables: str) -> int:
    """Fork a further process for the run in `folder`."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ.update(dict(one.split("=", 1) for one in variables))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
        os.dup2(os.open(folder / "run.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
        code = importlib.import_module("tuiwiz.executor.__main__").main(["member", str(folder)])
    finally:
        os._exit(code)


def main() -> None:
    for name in (*LOADED, *(f"tuiwiz.executor.{part}" for part in (*PARTS, *MORE))):
        importlib.import_module(name)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        what, *rest = json.loads(line)
        answer: int | None
        if what == "start":
            answer = start(Path(rest[0]), rest[1])
        elif what == "member":
            answer = member(Path(rest[0]), Path(rest[1]), *rest[2:])
        else:
            pid, status = os.waitpid(rest[0], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), flush=True)
    # Nothing here is worth the time that libraries take to unload.
    os._exit(0)


if __name__ == "__main__":
    main()
