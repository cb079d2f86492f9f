"""Losses and gradients that are no number: the step is skipped, told and counted; too many end the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.executor.support import copies, make_run
from tests.support.processes import events
from tuiwiz.base.errors import RunFailedError
from tuiwiz.events import types
from tuiwiz.executor import checkpoint
from tuiwiz.executor.loop import optimizer_step, train
from tuiwiz.executor.objectives.objective import Outcome
from tuiwiz.executor.soundness import SKIPS_IN_A_ROW, Movement
from tuiwiz.executor.trainer import Trainer


class Broken:
    """The run's objective, but for the steps in `steps`, counted from 0, whose loss is no number."""

    def __init__(self, run: Trainer, steps: set[int]) -> None:
        self.run, self.inner, self.steps = run, run.objective, steps

    def __call__(self, batch: object) -> Outcome:
        loss = self.inner(batch)  # type: ignore[arg-type]
        broken = self.run.progress.step in self.steps and torch.is_grad_enabled()
        return Outcome({"tokens": loss.total * float("nan")}, loss.seen) if broken else loss

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def broken_run(folder: Path, model: Path, steps: set[int], total: int = 8) -> Trainer:
    run = make_run(folder, model, steps=total)
    run.objective = Broken(run, steps)
    return run


def test_a_skipped_step_changes_nothing_and_training_goes_on(tmp_path: Path, tiny_model: Path) -> None:
    run = broken_run(tmp_path, tiny_model, {1})
    optimizer_step(run, [0, 1, 2, 3])
    run.progress.step += 1
    before = copies(run)
    metrics = optimizer_step(run, [4, 5, 6, 7])
    assert metrics["loss"] != metrics["loss"]
    assert all(torch.equal(before[name], run.weights[name]) for name in before)
    assert run.progress.skipped_steps == run.progress.skipped_in_a_row == 1
    run.progress.step += 1
    assert optimizer_step(run, [8, 9, 10, 11])["loss"] > 0
    assert run.progress.skipped_in_a_row == 0 and run.progress.skipped_steps == 1
    assert any(not torch.equal(before[name], run.weights[name]) for name in before)
    alerts = [event for event in events(tmp_path / "run") if isinstance(event, types.Alert)]
    assert [alert.rule for alert in alerts] == ["non_finite"]


def test_too_many_in_a_row_fail_and_the_last_good_checkpoint_stays(tmp_path: Path, tiny_model: Path) -> None:
    run = broken_run(tmp_path, tiny_model, set(range(3, 99)), total=20)
    run.checkpoint_every = 3
    with pytest.raises(RunFailedError, match="not a finite number in 5 steps") as failure:
        train(run)
    assert "learning_rate" in failure.value.hint
    assert run.progress.step == 3 + SKIPS_IN_A_ROW - 1
    path, complaints = checkpoint.newest_valid(run.recorder.folder.checkpoints)
    assert path is not None and not complaints
    fresh = make_run(tmp_path / "again", tiny_model)
    checkpoint.load(path, fresh.weights, fresh.optimizer, None)
    assert all(bool(value.isfinite().all()) for value in fresh.weights.values())


def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, steps=4)
    run.checkpoint_every = 2
    assert train(run) == "finished"
    newest = run.recorder.folder.checkpoint(4) / checkpoint.WEIGHTS
    newest.write_bytes(newest.read_bytes()[:-7])
    path, complaints = checkpoint.newest_valid(run.recorder.folder.checkpoints)
    assert path is not None and path.name == "step-2"
    assert len(complaints) == 1 and "step-4" in complaints[0]


def test_weights_that_updates_do_not_change_are_told_once(tmp_path: Path, tiny_model: Path) -> None:
    """An optimizer that holds other tensors than the model; then one that holds the model's."""
    run = make_run(tmp_path, tiny_model, steps=8)
    held = run.optimizer.param_groups[0]["params"]
    run.optimizer.param_groups[0]["params"] = list(copies(run).values())
    train(run)
    run.optimizer.param_groups[0]["params"], run.total, run.movement = held, 16, Movement()
    train(run)
    told = [event for event in events(tmp_path / "run") if isinstance(event, types.Alert)]
    assert [event.rule for event in told] == ["weights_unmoved"]
