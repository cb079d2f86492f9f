"""Real runs of the executor with a tiny model: a bundle from keys, the run in this process or in one of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.support.processes import environment
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import write_job
from tuiwiz.events.reader import EventReader
from tuiwiz.events.types import Base, Event, Metric

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

_E = TypeVar("_E", bound=Base)

DEFAULTS: dict[str, Any] = {
    "name": "tiny",
    "task.kind": "instruct",
    "model.dtype": "fp32",
    "data.train": "rows.jsonl",
    "data.max_length": 128,
    "adapter.method": "lora",
    "adapter.rank": 4,
    "optimizer.learning_rate": 1e-3,
    "schedule.steps": 4,
    "batch.effective": 4,
    "batch.micro": 2,
    "evaluation.samples": 0,
}


def write_rows(path: Path, count: int, *, start: int = 0) -> Path:
    """Rows of clearly different lengths, no two of one phrasing."""
    rows = [
        {
            "prompt": f"{NUMBERS[index % 12]} {NUMBERS[index // 12 % 12]} is "
            + " plus ".join(NUMBERS[: index * 5 % 9]),
            "completion": "It is " + ", ".join([NUMBERS[index % 12]] * (1 + (index * 7) % 5)) + ".",
        }
        for index in range(start, start + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def add_phases(folder: RunFolder, *phases: Mapping[str, Any]) -> None:
    """Append `[[phases]]` to a run's bundle."""
    blocks = ["\n[[phases]]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in phase.items()) for phase in phases]
    folder.bundle.write_text(folder.bundle.read_text(encoding="utf-8") + "".join(blocks), encoding="utf-8")


def write_toml(path: Path, flat: Mapping[str, Any]) -> None:
    """A bundle from dotted keys; None leaves a key out."""
    sections: dict[str, list[str]] = {"": ["format = 1"]}
    for key, value in flat.items():
        if value is not None:
            section, _, name = key.rpartition(".")
            sections.setdefault(section, []).append(f"{name} = {json.dumps(value)}")
    blocks = ["\n".join(([f"[{section}]"] if section else []) + lines) for section, lines in sections.items()]
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def make_run(base: Path, model: Path, name: str = "run", *, rows: int = 24, **changes: Any) -> RunFolder:
    """A run folder below `base`; `changes` are keys with `__` for the dot. Relative paths start in `base`."""
    folder = base / name
    folder.mkdir()
    if not (base / "rows.jsonl").exists():
        write_rows(base / "rows.jsonl", rows)
    edits = {key.replace("__", "."): value for key, value in changes.items()}
    write_toml(folder / "bundle.toml", {**DEFAULTS, "model.source": str(model), **edits})
    write_job(folder, "train", {"bundle_folder": str(base), "resume": False})
    return RunFolder(folder)


def ask_to_resume(folder: RunFolder, base: Path) -> None:
    write_job(folder.path, "train", {"bundle_folder": str(base), "resume": True})


@contextmanager
def own_signals() -> Iterator[None]:
    """The executor installs handlers; a test process wants its own back."""
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def run_here(folder: RunFolder) -> list[Event]:
    """Train in this process and return all events; errors escape."""
    from tuiwiz.executor import train

    with own_signals():
        assert train.run(folder.path) == 0
    return events_of(folder)


def start(folder: RunFolder) -> subprocess.Popen[bytes]:
    """Train in a process of its own."""
    log = folder.log.open("ab")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "tuiwiz.executor", "train", str(folder.path)],
            env=environment(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1"),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )


def run_process(folder: RunFolder) -> int:
    """Train in a process of its own to its end; returns the exit code."""
    return start(folder).wait(timeout=120)


def events_of(folder: RunFolder) -> list[Event]:
    reader, found = EventReader(folder.events), []
    while batch := reader.read(10_000):
        found.extend(batch)
    return found


def of_kind(events: list[Event], kind: type[_E]) -> list[_E]:
    return [event for event in events if isinstance(event, kind)]


def curve(events: list[Event], *names: str) -> dict[int, tuple[float, ...]]:
    """Metrics by step, the last attempt's where a step was repeated: loss and gradient norm unless named."""
    wanted = names or ("loss", "grad_norm")
    return {event.step: tuple(event.metrics[name] for name in wanted) for event in of_kind(events, Metric)}
