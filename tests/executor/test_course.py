"""The course of a run: when it is evaluated, saved and ended, and how it goes on after a kill at any moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.executor.support import copies, make_run
from tests.support.processes import events
from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor import checkpoint, loop
from tuiwiz.executor.chance import seed_everything
from tuiwiz.executor.evaluate import evaluation_steps
from tuiwiz.executor.loop import train
from tuiwiz.executor.trainer import Trainer


def with_held_out_losses(run: Trainer, losses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's evaluations find these losses, one after the other."""
    left = iter(losses)
    monkeypatch.setattr(loop, "evaluate", lambda *arguments, **more: {"loss": next(left), "exact_match": 0.0})


def saved(run: Trainer) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in run.recorder.folder.checkpoints.glob("step-*"))


def test_patience_and_least_improvement_end_a_run_early(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, tiny_model, steps=9, evaluation__patience="2", evaluation__min_delta="0.1")
    run.evaluation_steps = frozenset(range(10))
    # From step 2 on each is lower than the one before, but by less than a tenth of the best.
    with_held_out_losses(run, [3.0, 2.0, 1.95, 1.85, 1.0], monkeypatch)
    assert train(run) == "early"
    assert run.progress.step == 3 and run.progress.best_step == 1 and run.progress.best_loss == 2.0


def test_the_newest_and_the_best_checkpoints_stay(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, tiny_model, steps=8, checkpoint__keep="2")
    run.checkpoint_every = 1
    run.evaluation_steps = frozenset({0, 2, 4, 8})
    with_held_out_losses(run, [3.0, 1.0, 2.0, 2.0], monkeypatch)
    assert train(run) == "finished"
    assert saved(run) == [2, 7, 8]
    told = [event for event in events(tmp_path / "run") if isinstance(event, types.Eval)]
    assert [event.step for event in told] == [0, 2, 4, 8]


def test_evaluations_are_thinned_where_they_would_take_most_of_the_run() -> None:
    assert evaluation_steps(10, 2, 10_000, 10) == [0, 2, 4, 6, 8, 10]
    thinned = evaluation_steps(100, 1, 10_000, 1000)
    assert thinned[0] == 0 and thinned[-1] == 100 and len(thinned) <= 2 + 0.25 * 2.5 * 10
    assert evaluation_steps(10, 2, 10, 10_000) == [0, 10]


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_taken_up_from_any_checkpoint_a_run_ends_bit_for_bit_the_same(
    tmp_path: Path, tiny_model: Path, optimizer: str
) -> None:
    values = {"adapter__dropout": "0.2", "checkpoint__keep": "9", "optimizer__name": f'"{optimizer}"'}
    whole = make_run(tmp_path / "whole", tiny_model, steps=6, **values)
    whole.checkpoint_every = 1
    assert train(whole) == "finished"
    losses = [event.metrics["loss"] for event in events(tmp_path / "whole" / "run") if isinstance(event, types.Metric)]
    for step in (1, 3, 5):
        later = make_run(tmp_path / str(step), tiny_model, steps=6, **values)
        seed_everything(99)
        later.progress = checkpoint.load(whole.recorder.folder.checkpoint(step), later.weights, later.optimizer, None)
        assert later.progress.step == step
        assert train(later) == "finished"
        told = [
            event.metrics["loss"] for event in events(tmp_path / str(step) / "run") if isinstance(event, types.Metric)
        ]
        assert told == losses[step:]
        one, other = copies(whole), copies(later)
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_save_that_fails_leaves_nothing_and_the_older_checkpoint(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, tiny_model, steps=2)
    run.checkpoint_every = 1
    renamed = os.rename
    calls: list[str] = []

    def full(source: str, target: str) -> None:
        calls.append(str(target))
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        renamed(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError, match="No space"):
        train(run)
    assert saved(run) == [1]
    assert [path.name for path in run.recorder.folder.checkpoints.iterdir()] == ["step-1"]


def test_what_a_killed_save_left_is_swept(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for name in (".step-4.123.tmp", "step-2"):
        run.checkpoint(2).with_name(name).mkdir(parents=True)
    (tmp_path / ".adapter.123.tmp").mkdir()
    for name in (".pid.json.x.tmp", ".job.toml.x.tmp", "pid.json"):
        (tmp_path / name).write_text("")
    checkpoint.sweep(run)
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-2"]
    # What others write aside at the same moment is not the executor's to remove.
    assert sorted(path.name for path in tmp_path.iterdir()) == [".job.toml.x.tmp", "checkpoints", "pid.json"]
