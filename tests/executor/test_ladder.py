"""Out of memory: the run takes a rung, repeats what failed, and its curve is that of a run that had room."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.training import ask_to_resume, curve, make_run, of_kind, own_signals, run_here, write_rows
from tuiwiz.base.errors import DoesNotFitError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job
from tuiwiz.events.types import Adjusted, Eval, Event, Log, Memory
from tuiwiz.executor import checkpoint, train
from tuiwiz.executor.clock import Clock
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.runs import supervise

SETTINGS: dict[str, Any] = {
    "schedule__steps": 6,
    "adapter__dropout": 0.0,
    "validation__path": "held.jsonl",
    "evaluation__every": 3,
    "batch__micro": 4,
}


def new_run(tmp_path: Path, model: Path, name: str, **changes: Any) -> RunFolder:
    write_rows(tmp_path / "held.jsonl", 5, start=100)
    return make_run(tmp_path, model, name, **{**SETTINGS, **changes})


def lack_memory(monkeypatch: pytest.MonkeyPatch, when: Callable[[Any], bool], times: int = 1) -> None:
    """Passes for which `when(batch)` holds find no memory, so many times."""
    real, left = CausalObjective.__call__, [times]

    def hungry(self: Any, batch: Any) -> Any:
        if left[0] and when(batch):
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return real(self, batch)

    monkeypatch.setattr(CausalObjective, "__call__", hungry)


def same_curve(first: list[Event], second: list[Event]) -> None:
    one, other = curve(first, "loss"), curve(second, "loss")
    assert one.keys() == other.keys()
    for step, (loss,) in one.items():
        assert other[step][0] == pytest.approx(loss, rel=2e-5)
    losses = [[one.metrics["loss"] for one in of_kind(events, Eval)] for events in (first, second)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("where", ["first step", "longest batch", "twice"])
def test_a_step_without_memory_is_taken_again_with_smaller_micro_batches(
    where: str, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = run_here(new_run(tmp_path, tiny_model, "room"))
    folder = new_run(tmp_path, tiny_model, "tight")
    seen: list[int] = []

    def when(batch: Any) -> bool:
        if not torch.is_grad_enabled():
            return False
        seen.append(batch.input_ids.numel())
        return len(seen) > 3 if where == "longest batch" else True

    lack_memory(monkeypatch, when, 2 if where == "twice" else 1)
    events = run_here(folder)
    same_curve(room, events)
    told = [(one.key, one.from_, one.to) for one in of_kind(events, Adjusted)]
    assert told == [("batch.micro", 4, 2), ("batch.micro", 2, 1)][: 2 if where == "twice" else 1]
    assert len(of_kind(events, Memory)) >= len(told)
    kept = read_bundle(folder.resolved)
    assert [(one.key, one.to) for one in kept.adjustments] == [(key, to) for key, _, to in told]
    assert "out of memory" in kept.adjustments[0].reason


def test_below_one_row_activations_are_recomputed_and_then_it_does_not_fit(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = run_here(new_run(tmp_path, tiny_model, "room"))
    folder = new_run(tmp_path, tiny_model, "tight", batch__micro=1)
    lack_memory(monkeypatch, lambda batch: torch.is_grad_enabled())
    events = run_here(folder)
    same_curve(room, events)
    told = [(one.key, one.to) for one in of_kind(events, Adjusted)]
    assert told == [("memory.gradient_checkpointing", True)]
    monkeypatch.undo()
    lowest = {"batch__micro": 1, "memory__gradient_checkpointing": True, "optimizer__name": "sgd"}
    folder = new_run(tmp_path, tiny_model, "none", **lowest)
    lack_memory(monkeypatch, lambda batch: torch.is_grad_enabled(), 99)
    with pytest.raises(DoesNotFitError, match="lowest rung"):
        run_here(folder)


def test_the_last_rung_makes_states_small_says_so_and_is_taken_again_on_resume(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States are rounded: the curve stays near that of a run with room, not on it."""
    low = {"batch__micro": 1, "memory__gradient_checkpointing": True, "checkpoint__every": 1, "adapter__rank": 64}
    room = run_here(new_run(tmp_path, tiny_model, "room", **low))
    passes: list[int] = []

    def third_step(batch: Any) -> bool:
        if torch.is_grad_enabled():
            passes.append(1)
        return torch.is_grad_enabled() and len(passes) == 10

    lack_memory(monkeypatch, third_step)
    folder = new_run(tmp_path, tiny_model, "tight", **low)
    events = run_here(folder)
    (told,) = of_kind(events, Adjusted)
    assert (told.key, told.from_, told.to) == ("optimizer.name", "adamw", "adamw_8bit")
    assert told.step == 2 and "changes the arithmetic" in told.reason
    one, other = curve(room, "loss"), curve(events, "loss")
    assert one.keys() == other.keys()
    assert [other[step][0] for step in (1, 2, 3)] == pytest.approx([one[step][0] for step in (1, 2, 3)], rel=2e-5)
    assert [other[step][0] for step in (4, 5, 6)] == pytest.approx([one[step][0] for step in (4, 5, 6)], rel=2e-2)
    monkeypatch.undo()
    for newest in (6, 5):
        shutil.rmtree(folder.checkpoints / f"step-{newest}")
    ask_to_resume(folder, tmp_path)
    again = curve(run_here(folder), "loss")
    assert [again[step] for step in (5, 6)] == pytest.approx([other[step] for step in (5, 6)], rel=1e-6)


def test_an_evaluation_takes_shorter_passes(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = run_here(new_run(tmp_path, tiny_model, "room"))
    lack_memory(monkeypatch, lambda batch: not torch.is_grad_enabled() and batch.input_ids.numel() > 100, 2)
    events = run_here(new_run(tmp_path, tiny_model, "tight"))
    same_curve(room, events)
    assert [one.to for one in of_kind(events, Adjusted)] == [1024, 512]


def test_a_save_is_tried_once_more(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = run_here(new_run(tmp_path, tiny_model, "room"))
    real, left = checkpoint.save, [1]

    def hungry(*given: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise MemoryError
        return real(*given)

    monkeypatch.setattr(checkpoint, "save", hungry)
    events = run_here(new_run(tmp_path, tiny_model, "tight"))
    same_curve(room, events)
    assert any("while saving" in one.message for one in of_kind(events, Log))


def test_fail_means_fail(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lack_memory(monkeypatch, lambda batch: torch.is_grad_enabled())
    folder = new_run(tmp_path, tiny_model, "strict", memory__oom="fail")
    with pytest.raises(DoesNotFitError, match="out of memory"):
        run_here(folder)
    assert not view_of(folder).adjusted


def test_a_resumed_run_takes_the_rungs_where_they_were_taken(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []

    def fourth_step(batch: Any) -> bool:
        passes.append(1) if torch.is_grad_enabled() else None
        return len(passes) == 4

    lack_memory(monkeypatch, fourth_step)
    whole = run_here(new_run(tmp_path, tiny_model, "whole"))
    passes.clear()
    monkeypatch.undo()
    lack_memory(monkeypatch, fourth_step)
    folder = new_run(tmp_path, tiny_model, "parts", checkpoint__every=2)
    monkeypatch.setattr(Clock, "total", property(lambda clock: stop_at(folder)))
    with own_signals():
        assert train.run(folder.path) == 7
    monkeypatch.undo()
    ask_to_resume(folder, tmp_path)
    again = run_here(folder)
    assert [one.step for one in of_kind(again, Adjusted)] == [3]
    assert curve(again, "loss") == curve(whole, "loss")


def stop_at(folder: RunFolder) -> float:
    """Ask for a stop once the rung was taken."""
    from tuiwiz.events.control import request

    if folder.resolved.exists() and read_bundle(folder.resolved).adjustments and not any(folder.control.iterdir()):
        request(folder, "stop")
    return 1.0


def test_the_supervisor_starts_again_one_rung_lower(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_run(tmp_path, tiny_model, "killed")
    starts = tmp_path / "starts"
    code = (
        f"import os, signal, pathlib; p = pathlib.Path({str(starts)!r}); n = len(p.read_text()) if p.exists() else 0\n"
        f"p.write_text('x' * (n + 1))\nif n < 2: os.kill(os.getpid(), signal.SIGKILL)"
    )
    monkeypatch.setattr(supervise, "executor_command", lambda job, path: [sys.executable, "-c", code])
    monkeypatch.setattr(supervise, "oom_evidence", lambda pid, before: "counted")
    before = {
        number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    }
    try:
        assert supervise.main(["train", str(folder.path)]) == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert starts.read_text() == "xxx"
    job = read_job(folder.path)
    assert job["killed_for_memory"] is True and job["resume"] is True
    # The executor's part: one rung before the first step.
    events = run_here(folder)
    assert [(one.step, one.key, one.to) for one in of_kind(events, Adjusted)] == [(0, "batch.micro", 2)]
