"""Trials that share one process are those of separate processes, bit for bit, also where that process is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.processes import eventually, write_bundle
from tests.support.training import curve, events_of, of_kind
from tuiwiz.base.files import sha256_file
from tuiwiz.bundle.change import change
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.write import write_bundle as text_of
from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.process import is_alive, read_exit, read_process
from tuiwiz.runs.host import Host
from tuiwiz.tune.rows import Row
from tuiwiz.tune.trial import run_trial

QUICK = {"adapter__dropout": "0.1", "evaluation__every": "2", "schedule__steps": "4"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with Host(tmp_path) as host:
        yield host


def came_out(run: Path) -> tuple[object, ...]:
    events = events_of(RunFolder(run))
    scores = [(one.step, one.metrics["loss"]) for one in of_kind(events, types.Eval)]
    return curve(events), scores, sha256_file(run / "adapter" / "adapter_model.safetensors")


def test_trials_in_one_process_are_those_of_separate_processes(tmp_path: Path, tiny_model: Path, host: Host) -> None:
    given = write_bundle(tmp_path, tiny_model, rows=24, **QUICK)
    other = tmp_path / "other.toml"
    edits = {"adapter.rank": 8, "optimizer.learning_rate": 3e-3, "seed": 5, "regularization.neftune": 5.0}
    other.write_text(text_of(change(read_bundle(given), edits)), encoding="utf-8")
    never = lambda value, step: False  # noqa: E731
    rows: dict[str, Row] = {}
    processes = set()
    for name, bundle in (("first", given), ("between", other), ("again", given)):
        rows[name] = run_trial(bundle, tmp_path / name, tmp_path, never, host=host)
        assert host._child is not None
        processes.add(host._child.pid)
        ended = read_exit(RunFolder(tmp_path / name).exit)
        assert ended is not None and ended.code == 0 and ended.peak_rss_bytes > 10**8
        assert read_process(RunFolder(tmp_path / name).pid) is None
    assert len(processes) == 1
    rows["alone"] = run_trial(other, tmp_path / "alone", tmp_path, never)
    assert {row.state for row in rows.values()} == {"finished"}
    assert came_out(tmp_path / "between") == came_out(tmp_path / "alone")
    assert came_out(tmp_path / "first") == came_out(tmp_path / "again") != came_out(tmp_path / "between")
    assert rows["between"].score == rows["alone"].score
    # A trial whose process is killed goes on in another one; one that is ended early leaves the process to the next.
    slow = tmp_path / "slow.toml"
    slow.write_text(
        text_of(change(read_bundle(given), {"schedule.steps": 40, "checkpoint.every": 4, "evaluation.every": 4})),
        encoding="utf-8",
    )
    killed: list[int] = []

    def kill_once(value: float, step: int) -> bool:
        if not killed:
            process = read_process(RunFolder(tmp_path / "killed").pid)
            assert process is not None
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)
            eventually(lambda: is_alive(process) is False)
        return step >= 20

    row = run_trial(slow, tmp_path / "killed", tmp_path, kill_once, host=host)
    starts = of_kind(events_of(RunFolder(tmp_path / "killed")), types.RunStarted)
    assert row.state == "pruned" and row.score is not None and 20 <= row.step < 40
    assert len(starts) == 2 and starts[1].from_step >= 4
    assert host._child is not None and host._child.pid != killed[0] and host._child.poll() is None


def test_a_run_that_fails_ends_the_process_and_the_next_has_another(
    tmp_path: Path, tiny_model: Path, host: Host
) -> None:
    bundle = write_bundle(tmp_path, tiny_model, rows=24, data__train='"none.jsonl"')
    run = partial(run_trial, bundle, report=lambda value, step: False, base=tmp_path, host=host)
    for name in ("first", "second"):
        row = run(tmp_path / name)
        assert row.state == "failed" and row.reason
        assert read_exit(RunFolder(tmp_path / name).exit) is not None and host._child is None
