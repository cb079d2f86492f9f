"""Phases of one run: what each trains, at which rate, over which rows, until when; and one resume over all of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.executor.desk import FRACTION, SGD, Desk, Seen
from tests.support.training import add_phases, ask_to_resume, curve, events_of, of_kind, run_here
from tuiwiz.events import types
from tuiwiz.executor import course, loop


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, tiny_model, monkeypatch)


def weights_by_step(desk: Desk) -> list[dict[str, torch.Tensor]]:
    """Copies of the trained weights after each step of the runs that follow."""
    found: list[dict[str, torch.Tensor]] = []
    plain = loop.optimizer_step

    def watched(run: Any, indexes: list[int]) -> dict[str, float]:
        if not found:
            found.append({name: value.detach().clone() for name, value in run.weights.items()})
        metrics = plain(run, indexes)
        found.append({name: value.detach().clone() for name, value in run.weights.items()})
        return metrics

    desk.patch.setattr(loop, "optimizer_step", watched)
    return found


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


FULL: dict[str, Any] = {"adapter__method": "full", "adapter__rank": None}
LINEAR_PROBE = (
    {"name": "head", "steps": 2, "learning_rate": 1e-2, "schedule": "constant", "trainable": "norms"},
    {"name": "refine", "steps": 3, "learning_rate": 1e-3, "schedule": "linear"},
    {"name": "key layers", "steps": 2, "learning_rate": 1e-4, "trainable": ["layers[-1:]", "*.layers.0.mlp.*"]},
)


def test_each_phase_moves_what_it_names_and_nothing_else(desk: Desk) -> None:
    found = weights_by_step(desk)
    folder = desk.prepare(**FULL, schedule__steps=None, optimizer__weight_decay=0.1)
    add_phases(folder, *LINEAR_PROBE)
    run = desk.run(folder=folder)
    assert len(found) == 8 == 1 + len(run.metric("loss"))
    every = set(run.first)
    assert moved(found[0], found[2]) == {name for name in every if "norm" in name}
    assert moved(found[2], found[5]) == every
    assert moved(found[5], found[7]) == {n for n in every if ".layers.1." in n or ".layers.0.mlp." in n}
    assert run.of(types.RunStarted)[0].steps == 7


def test_state_is_kept_where_training_goes_on_and_dropped_where_it_ends(desk: Desk) -> None:
    counts: list[dict[str, float]] = []
    plain = course.advance

    def watched(run: Any) -> None:
        plain(run)
        names = {id(value): name for name, value in run.weights.items()}
        counts.append({names[id(p)]: float(state["step"]) for p, state in run.optimizer.state.items() if state})

    desk.patch.setattr(course, "advance", watched)
    folder = desk.prepare(**FULL, schedule__steps=None)
    add_phases(folder, *LINEAR_PROBE)
    run = desk.run(folder=folder)
    assert set(counts[0]) == {name for name in run.first if "norm" in name} and set(counts[0].values()) == {2.0}
    assert all(".layers.1." in name or ".layers.0.mlp." in name for name in counts[1])
    assert {steps for name, steps in counts[1].items() if "norm" in name} == {5.0}
    assert {steps for name, steps in counts[1].items() if "norm" not in name} == {3.0}


PLATEAU = (
    {"name": "fast", "share": 0.75, "learning_rate": 1e-4, "schedule": "constant", "until": "plateau:2"},
    {"name": "slow", "share": 0.25, "learning_rate": 1e-5, "schedule": "constant", "warmup": 0},
)
EVERY: dict[str, Any] = {
    **FRACTION,
    "validation__max_rows": 1,
    "evaluation__every": 1,
    "evaluation__min_delta": 0.9,
    "schedule__steps": 16,
    "schedule__warmup": 0,
    "checkpoint__every": 1,
    "checkpoint__keep": 20,
}


def test_a_plateau_ends_a_phase_and_the_rest_is_not_shared_out(desk: Desk) -> None:
    folder = desk.prepare(**EVERY)
    add_phases(folder, *PLATEAU)
    run = desk.run(folder=folder)
    # The first evaluation counts as the best, the two after it as no better.
    assert run.metric("learning_rate") == pytest.approx([1e-4] * 3 + [1e-5] * 4)
    assert [event.step for event in run.of(types.Eval)] == list(range(8))
    assert run.of(types.Finished)[0].summary["steps"] == 7


def go_on(desk: Desk, folder: Any, at: int) -> tuple[Seen, list[Any]]:
    run = desk.run(folder=folder)
    before = events_of(folder)
    for path in folder.checkpoints.iterdir():
        if int(path.name.removeprefix("step-")) > at:
            shutil.rmtree(path)
    ask_to_resume(folder, desk.base)
    return run, run_here(folder)[len(before) :]


@pytest.mark.parametrize("at", [2, 3, 4, 5])
def test_a_run_of_phases_goes_on_bit_for_bit(desk: Desk, at: int) -> None:
    """From within a phase, from its last step, and from the next one's first."""
    folder = desk.prepare(**EVERY, optimizer__momentum=0.9, optimizer__name="sgd")
    desk.file("more.jsonl", *({"prompt": f"what {n}", "completion": "pear"} for n in range(9)))
    add_phases(folder, PLATEAU[0], {**PLATEAU[1], "data": "more.jsonl", "trainable": "layers[1:]"})
    run, again = go_on(desk, folder, at)
    whole = curve(run.of(types.Metric) + run.of(types.Eval), "loss", "learning_rate")
    assert of_kind(again, types.RunStarted)[0].from_step == at
    assert curve(again, "loss", "learning_rate") == {step: v for step, v in whole.items() if step > at}
    assert max(curve(again)) == 7


def test_a_phase_that_would_train_nothing_is_refused(desk: Desk) -> None:
    folder = desk.prepare(**SGD, schedule__steps=4)
    add_phases(folder, {"name": "head", "share": 1.0, "trainable": "head"})
    assert desk.refused(folder) == 3
