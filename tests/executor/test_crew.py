"""Several processes on one step: what they train is what one process trains, they stop and resume exactly, and none of
them is lost without a word."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.executor.test_ladder import lack_memory
from tests.executor.test_tasks import ROWS
from tests.faults.conftest import Server
from tests.support.processes import eventually
from tests.support.training import (
    add_phases,
    ask_to_resume,
    curve,
    events_of,
    make_run,
    of_kind,
    own_signals,
    run_here,
    write_rows,
)
from tuiwiz.base.errors import RunFailedError, StoppedError
from tuiwiz.bundle.read import inspect_bundle, read_bundle
from tuiwiz.events import control
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.types import Adjusted, Checkpoint, Eval, Failed, Metric, RunStarted
from tuiwiz.executor import lead, muster, train
from tuiwiz.executor.memory import report_memory
from tuiwiz.executor.muster import mustered


class Forked:
    """A member from the fork server, with as much of a Popen as its leader asks for."""

    def __init__(self, server: Server, folder: RunFolder, out: Path, variables: dict[str, str]) -> None:
        pid = server.ask(
            "member", str(folder.path), str(out), *(f"{name}={value}" for name, value in variables.items())
        )
        assert pid is not None
        self._server, self._out, self.pid = server, out, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask("poll", self.pid)
        return self.returncode

    def wait(self, timeout: float = 90.0) -> int:
        eventually(lambda: self.poll() is not None, within_s=timeout)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    @property
    def stdout(self) -> Any:
        return self._out.open("rb")


@pytest.fixture
def forked(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Forked]:
    """Members start in a tenth of a second."""
    made: list[Forked] = []

    def start(folder: RunFolder, variables: dict[str, str]) -> Forked:
        made.append(Forked(server, folder, tmp_path / f"words-{len(made)}", variables))
        return made[-1]

    monkeypatch.setattr(muster, "start_member", start)
    return made


TWO: dict[str, Any] = {"launch__strategy": "ddp", "batch__processes": 2}


def new_run(
    base: Path, model: Path, name: str, processes: int = 1, task: str = "instruct", **changes: Any
) -> RunFolder:
    import json

    if task in ROWS and not (base / "rows.jsonl").exists():
        rows = [ROWS[task](index) for index in range(15)]
        (base / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    write_rows(base / "held.jsonl", 5, start=100)
    settings: dict[str, Any] = {"task__kind": task, "batch__effective": 6, "schedule__steps": 6, **changes}
    if processes > 1:
        settings |= {"launch__strategy": "ddp", "batch__processes": processes}
    return make_run(base, model, name, rows=15, **settings)


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    name = "model.safetensors" if folder.model.is_dir() else "adapter_model.safetensors"
    found: dict[str, torch.Tensor] = load_file((folder.model if folder.model.is_dir() else folder.adapter) / name)
    return found


def alike(one: RunFolder, other: RunFolder, names: tuple[str, ...] = ("loss", "grad_norm")) -> None:
    """Every step, every evaluation and the result, to what another order of sums makes of fp32."""
    first, second = curve(events_of(one), *names), curve(events_of(other), *names)
    assert first.keys() == second.keys()
    for step, values in first.items():
        assert second[step] == pytest.approx(values, rel=1e-4, abs=1e-6), step
    for name in ("tokens", "supervised_tokens", "learning_rate", "epoch"):
        assert curve(events_of(one), name) == pytest.approx(curve(events_of(other), name))
    losses = [[event.metrics["loss"] for event in of_kind(events_of(run), Eval)] for run in (one, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    results = weights(one), weights(other)
    assert results[0].keys() == results[1].keys()
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("instruct", {"validation__path": "held.jsonl", "evaluation__every": 3}),
        ("instruct", {"data__packing": True, "batch__effective": 8, "batch__micro": None}),
        ("kto", {"batch__micro": 1, "objective__beta": 0.5, "optimizer__learning_rate": 1e-2}),
        (
            "instruct",
            {
                "adapter__method": "full",
                "adapter__rank": None,
                "optimizer__name": "schedule_free_adamw",
                "schedule__kind": "constant",
                "validation__path": "held.jsonl",
                "evaluation__every": 2,
            },
        ),
    ],
    ids=["lora", "packed", "kto", "all weights"],
)
def test_two_processes_train_what_one_trains(
    forked: list[Forked], task: str, changes: dict[str, Any], tmp_path: Path, tiny_model: Path
) -> None:
    one, two = (new_run(tmp_path, tiny_model, name, count, task, **changes) for name, count in (("1", 1), ("2", 2)))
    run_here(one)
    events = run_here(two)
    names = ("loss", "grad_norm", "drift", "accuracy") if task == "kto" else ("loss", "grad_norm")
    alike(one, two, names)
    assert of_kind(events, RunStarted)[0].device.startswith("2 x ")
    assert "exchange_seconds" in of_kind(events, Metric)[0].metrics


def test_more_processes_than_rows_are_left(forked: list[Forked], tmp_path: Path, tiny_model: Path) -> None:
    """Of 15 rows the third step of an epoch has three: one process has none of them."""
    one, four = (new_run(tmp_path, tiny_model, name, count, batch__micro=1) for name, count in (("1", 1), ("4", 4)))
    run_here(one)
    run_here(four)
    alike(one, four)


def test_phases_with_sets_of_their_own(forked: list[Forked], tmp_path: Path, tiny_model: Path) -> None:
    runs = []
    for name, count in (("1", 1), ("2", 2)):
        folder = new_run(
            tmp_path, tiny_model, name, count, schedule__steps=None, adapter__method="full", adapter__rank=None
        )
        phase = {"learning_rate": 1e-3, "steps": 3}
        add_phases(folder, {"name": "a", "trainable": "norms", **phase}, {"name": "b", **phase})
        run_here(folder)
        runs.append(folder)
    alike(runs[0], runs[1])


def test_a_stopped_run_goes_on_as_if_it_had_not_been(forked: list[Forked], tmp_path: Path, tiny_model: Path) -> None:
    """With dropout: each process draws numbers of its own, and draws the same ones again."""
    whole, parts = (new_run(tmp_path, tiny_model, name, 2, adapter__dropout=0.2) for name in ("whole", "parts"))
    run_here(whole)
    control.request(parts, "extend", steps=1)
    control.request(parts, "stop")
    with own_signals():
        assert train.run(parts.path) == StoppedError.exit_code
    assert len(of_kind(events_of(parts), Metric)) == 1
    ask_to_resume(parts, tmp_path)
    run_here(parts)
    longer = new_run(tmp_path, tiny_model, "longer", 2, adapter__dropout=0.2)
    control.request(longer, "extend", steps=1)
    run_here(longer)
    first, second = curve(events_of(longer)), curve(events_of(parts))
    assert len(first) == 7 and first == second
    for name, value in weights(longer).items():
        assert torch.equal(value, weights(parts)[name])
    # Dropout is there, and it is not that of one process.
    assert curve(events_of(whole))[1] != curve(run_here(new_run(tmp_path, tiny_model, "1", adapter__dropout=0.2)))[1]


def test_where_one_process_has_no_memory_all_take_a_rung(
    forked: list[Forked], tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (new_run(tmp_path, tiny_model, name, count) for name, count in (("1", 1), ("2", 2)))
    run_here(one)
    lack_memory(monkeypatch, lambda batch: torch.is_grad_enabled())
    events = run_here(two)
    assert [(step.key, step.from_, step.to) for step in of_kind(events, Adjusted)] == [("batch.micro", 2, 1)]
    alike(one, two)
    assert read_bundle(two.resolved).adjustments


def test_weights_that_went_apart_end_the_run(
    forked: list[Forked], tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = report_memory

    def disturb(run: Any, model: Path) -> None:
        real(run, model)
        with torch.no_grad():
            next(iter(run.weights.values())).view(-1)[0] += 1e-3

    monkeypatch.setattr(lead, "report_memory", disturb)
    folder = new_run(tmp_path, tiny_model, "apart", 2, checkpoint__every=3)
    with own_signals(), pytest.raises(RunFailedError, match="process 1 has other weights than process 0 after step 3"):
        train.run(folder.path)
    assert isinstance(events_of(folder)[-1], Failed)


def members(pid: int) -> list[psutil.Process]:
    return [one for one in psutil.Process(pid).children() if "member" in one.cmdline()]


@pytest.mark.parametrize("victim", ["member", "leader"])
def test_a_killed_process_ends_all(server: Server, victim: str, tmp_path: Path, tiny_model: Path) -> None:
    folder = new_run(tmp_path, tiny_model, "killed", 2, schedule__steps=100_000, checkpoint__every=100_000)
    leader = server.start(folder)
    try:
        eventually(lambda: of_kind(events_of(folder), Metric))
        (other,) = members(leader.pid)
        if victim == "member":
            other.kill()
            assert leader.wait() == RunFailedError.exit_code
            last = events_of(folder)[-1]
            assert isinstance(last, Failed) and "process 1 of this run ended by signal 9" in last.summary["message"]
        else:
            leader.signal(signal.SIGKILL)
            eventually(lambda: not other.is_running() or other.status() == psutil.STATUS_ZOMBIE)
    finally:
        leader.signal(signal.SIGKILL)
        leader.wait()


def test_what_a_process_fails_of_is_said_in_its_words(
    forked: list[Forked], tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The member finds another bundle than process 0 did."""
    folder = new_run(tmp_path, tiny_model, "words", 2)
    monkeypatch.setattr(lead, "mustered", _spoiled(folder))
    with own_signals(), pytest.raises(Exception, match="process 1: "):
        train.run(folder.path)


def _spoiled(folder: RunFolder) -> Any:
    real = mustered

    def spoiled(*given: Any) -> Any:
        # What the member reads is not what the leader has read.
        folder.bundle.write_text("not toml [", encoding="utf-8")
        return real(*given)

    return spoiled


def test_requests_reach_all_processes(forked: list[Forked], tmp_path: Path, tiny_model: Path) -> None:
    folder = new_run(tmp_path, tiny_model, "asked", 2, validation__path="held.jsonl", evaluation__every=100)
    control.request(folder, "extend", steps=3)
    control.request(folder, "checkpoint")
    events = run_here(folder)
    assert of_kind(events, Metric)[-1].step == 9
    assert of_kind(events, Checkpoint)[0].step == 1
    assert [one.wait() for one in forked] == [0], "told of the longer run, it went with it to its end"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"launch__strategy": "ddp"}, "batch.processes"),
        ({"batch__processes": 2}, "launch.strategy"),
        ({**TWO, "launch__devices": [0]}, "launch.devices"),
        ({**TWO, "launch__devices": [1, 1]}, "launch.devices"),
        ({**TWO, "batch__processes": 8}, "batch.processes"),
        ({**TWO, "launch__devices": [0, 3]}, ""),
        (TWO, ""),
    ],
)
def test_processes_and_strategy_must_agree(changes: dict[str, Any], key: str, tmp_path: Path, tiny_model: Path) -> None:
    _, problems = inspect_bundle(new_run(tmp_path, tiny_model, "rules", **changes).bundle)
    assert [problem.key for problem in problems.errors] == ([key] if key else [])
