"""Real processes for tests: commands as a user starts them, waiting for conditions, small bundles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import Process, is_alive, read_process
from tuiwiz.events.reader import EventReader
from tuiwiz.events.types import Event
from tuiwiz.runs.launch import EXECUTOR

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("fake_executor.py")
PLAIN_USER = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Prefix of a command that heeds permissions: root passes them by unless it gives that up."""

_T = TypeVar("_T")


def eventually(question: Callable[[], _T], *, within_s: float = 90.0) -> _T:
    """The first truthy answer; an AssertionError when there is none in time."""
    end = time.monotonic() + within_s
    while not (answer := question()):
        assert time.monotonic() < end, f"never came true: {question}"
        time.sleep(0.02)
    return answer


def fake_executor(*options: str | int) -> dict[str, str]:
    """Environment in which runs are executed by `fake_executor.py` with `options`."""
    return {EXECUTOR: "\n".join([sys.executable, str(FAKE), *map(str, options)])}


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "tuiwiz", *map(str, words)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def tuiwiz(
    *words: str | Path, env: dict[str, str] | None = None, prefix: Sequence[str] = (), **kw: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    if prefix and shutil.which(prefix[0]) is None:
        pytest.skip(f"needs {prefix[0]}")
    return subprocess.run(
        [*prefix, *command(*words)],
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **kw,
    )


def begin(*words: str | Path, env: dict[str, str] | None = None, out: Path | None = None) -> subprocess.Popen[str]:
    """Start a command without a terminal; standard output goes into the file `out`, else into a pipe."""
    with out.open("wb") if out is not None else nullcontext(subprocess.PIPE) as stdout:
        return subprocess.Popen(
            command(*words),
            env=environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )


def events(folder: Path) -> list[Event]:
    """Everything in a run's event file."""
    return EventReader(RunFolder(folder).events).read(1_000_000)


def steps(folder: Path) -> int:
    """The newest step in a run's event file."""
    return max((getattr(event, "step", 0) for event in events(folder)), default=0)


def executor_of(folder: Path) -> Process:
    """The run's executor, waited for until it lives."""

    def living() -> Process | None:
        process = read_process(RunFolder(folder).pid)
        return process if process is not None and is_alive(process) else None

    process = eventually(living)
    assert process is not None
    return process


def gone(process: Process) -> bool:
    return is_alive(process) is False


@contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """Folders, with what is in them, that may be read but not written."""
    changed = [path for folder in folders for path in [folder, *folder.rglob("*")] if path.is_dir()]
    for path in changed:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path in changed:
            path.chmod(0o755)


def write_bundle(folder: Path, model: Path | str = "model", *, rows: int = 60, **values: str) -> Path:
    """`bundle.toml` and `rows.jsonl` in `folder`: a run that takes a tiny model a second. `values`: TOML by key."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"question": f"What is {i} plus {i}?", "answer": f"It is {2 * i}."}) for i in range(rows)]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    known = {
        "name": '"sums"',
        "seed": "1",
        "task.kind": '"instruct"',
        "model.source": json.dumps(str(model)),
        "data.train": '"rows.jsonl"',
        "data.max_length": "128",
        "validation.fraction": "0.1",
        "adapter.method": '"lora"',
        "adapter.rank": "4",
        "adapter.alpha": "8.0",
        "optimizer.learning_rate": "1e-3",
        "schedule.steps": "6",
        "batch.effective": "4",
        "batch.micro": "2",
        "checkpoint.every": "2",
        "evaluation.samples": "0",
        **{key.replace("__", "."): value for key, value in values.items()},
    }
    path = folder / "bundle.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in known.items()), encoding="utf-8")
    return path
