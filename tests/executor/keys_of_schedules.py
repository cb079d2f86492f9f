"""What the keys of schedules, phases, stopping and regularisation change in a run."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from tests.executor.desk import FRACTION, ONE, SGD, Desk, Seen, shows
from tests.executor.keys_of_training import STALLED
from tests.support.tiny import make_gpt2
from tests.support.training import add_phases
from tuiwiz.bundle.read import read_bundle
from tuiwiz.events import types
from tuiwiz.executor import limits


def rates(desk: Desk, **changes: Any) -> list[float]:
    found = desk.run(**{"schedule__steps": 8, "schedule__warmup": 0, "optimizer__learning_rate": 1.0, **SGD, **changes})
    return found.metric("learning_rate")


@shows("optimizer.nesterov")
def _optimizer_nesterov(desk: Desk) -> None:
    momentum = {**SGD, "optimizer__momentum": 0.9, "schedule__steps": 1, "schedule__kind": "constant"}
    plain, ahead = (desk.run(optimizer__nesterov=value, **momentum) for value in (False, True))
    assert ahead.moved() == pytest.approx(1.9 * plain.moved(), rel=1e-3), "gradient + 0.9 of the velocity"


@shows("optimizer.embedding_ratio")
def _optimizer_embedding_ratio(desk: Desk) -> None:
    full: dict[str, Any] = {**ONE, **SGD, "adapter__method": "full", "adapter__rank": None, "schedule__steps": 1}
    one, other = (desk.run(optimizer__embedding_ratio=ratio, **full) for ratio in (1.0, 3.0))
    assert other.moved("embed_tokens") == pytest.approx(3 * one.moved("embed_tokens"), rel=1e-3)
    assert other.moved("q_proj") == pytest.approx(one.moved("q_proj"), rel=1e-3)
    marks: dict[str, Any] = {**ONE, **SGD, "adapter__train_tokens": ["<|im_end|>"]}
    one, other = (desk.run(optimizer__embedding_ratio=ratio, **marks) for ratio in (1.0, 3.0))
    assert other.moved("trainable_tokens") == pytest.approx(3 * one.moved("trainable_tokens"), rel=1e-3)


@shows("optimizer.head_ratio")
def _optimizer_head_ratio(desk: Desk) -> None:
    saved: dict[str, Any] = {**ONE, **SGD, "adapter__modules_to_save": ["lm_head"], "schedule__steps": 1}
    one, other = (desk.run(optimizer__head_ratio=ratio, **saved) for ratio in (1.0, 0.25))
    assert other.moved("lm_head") == pytest.approx(0.25 * one.moved("lm_head"), rel=1e-3)
    assert other.moved("lora_B") == pytest.approx(one.moved("lora_B"), rel=1e-3)
    rows = [{"text": f"{['apples', 'pears'][i % 2]} number {i}", "label": "ab"[i % 2]} for i in range(16)]
    new: dict[str, Any] = {**ONE, **SGD, "task__kind": "classify", "data__train": desk.file("texts.jsonl", *rows)}
    one, other = (desk.run(optimizer__head_ratio=ratio, **new) for ratio in (1.0, 0.25))
    assert other.moved("score") == pytest.approx(0.25 * one.moved("score"), rel=1e-3)


@shows("schedule.cycles")
def _schedule_cycles(desk: Desk) -> None:
    found = rates(desk, schedule__kind="cosine_restarts", schedule__cycles=2)
    assert found[:4] == pytest.approx(found[4:]) and found[0] == 1.0 > found[3]


@shows("schedule.power")
def _schedule_power(desk: Desk) -> None:
    assert rates(desk, schedule__kind="polynomial", schedule__power=3.0) == pytest.approx(
        [(1 - i / 8) ** 3 for i in range(8)]
    )


@shows("schedule.decay")
def _schedule_decay(desk: Desk) -> None:
    found = rates(desk, schedule__kind="warmup_stable_decay", schedule__decay=4)
    assert found == pytest.approx([1, 1, 1, 1, 1, 1 - 0.25**0.5, 1 - 0.5**0.5, 1 - 0.75**0.5])


PLATEAU: dict[str, Any] = {
    "schedule__kind": "plateau",
    "evaluation__every": 1,
    "evaluation__min_delta": 0.9,
    "optimizer__learning_rate": 1e-3,
    "schedule__steps": 7,
    # So few that nothing keeps them from being evaluated at every step.
    "validation__max_rows": 1,
    **FRACTION,
}


@shows("schedule.plateau_factor")
def _schedule_plateau_factor(desk: Desk) -> None:
    found = rates(desk, schedule__plateau_factor=0.1, schedule__plateau_patience=1, **PLATEAU)
    assert found == pytest.approx([1e-3] * 3 + [1e-4] * 2 + [1e-5] * 2)


@shows("schedule.plateau_patience")
def _schedule_plateau_patience(desk: Desk) -> None:
    found = rates(desk, schedule__plateau_factor=0.1, schedule__plateau_patience=3, **PLATEAU)
    assert found == pytest.approx([1e-3] * 5 + [1e-4] * 2)


@shows("schedule.max_hours")
def _schedule_max_hours(desk: Desk) -> None:
    run = desk.run(schedule__max_hours=1e-9, evaluation__every=50, schedule__steps=50, **FRACTION)
    assert len(run.metric("loss")) == 1 and run.folder.adapter.is_dir()
    assert [event.step for event in run.of(types.Eval)] == [0, 1]
    assert run.of(types.Finished)[0].summary["reason"] == "time limit"


@shows("schedule.stop_by")
def _schedule_stop_by(desk: Desk) -> None:
    # A minute that is over at the latest when the first step is.
    desk.patch.setattr(limits.TimeLimit, "reached", _told_late(limits.TimeLimit.reached))
    stamp = time.strftime("%Y-%m-%dT%H:%M", time.localtime(time.time() + 300))
    run = desk.run(schedule__stop_by=stamp, schedule__steps=6)
    assert len(run.metric("loss")) == 1 and run.of(types.Finished)[0].summary["reason"] == "time limit"


def _told_late(plain: Any) -> Any:
    return lambda limit, step_s: plain(limit, step_s + 600)


@shows("phases")
def _phases(desk: Desk) -> None:
    stages = [
        {"name": "hot", "share": 0.5, "learning_rate": 0.5, "schedule": "constant", "trainable": "layers[0:1]"},
        {"name": "cool", "share": 0.5, "learning_rate": 0.1, "schedule": "linear", "warmup": 0, "data": "more.jsonl"},
    ]
    desk.file("more.jsonl", *({"prompt": f"what {n}", "completion": "pear"} for n in range(9)))
    folder = desk.prepare(**{**SGD, "schedule__steps": 8})
    add_phases(folder, *stages)
    run = desk.run(folder=folder)
    assert run.metric("learning_rate") == pytest.approx([0.5] * 4 + [0.1, 0.075, 0.05, 0.025])
    assert read_bundle(run.folder.resolved).phases[1].data == str((desk.base / "more.jsonl").resolve())
    assert "pear" not in run.tokens_of(run.batches[:8]) and "pear" in run.tokens_of(run.batches[8:])


@shows("regularization.label_smoothing")
def _label_smoothing(desk: Desk) -> None:
    plain, smooth = (desk.run(regularization__label_smoothing=e, **ONE, **FRACTION) for e in (0.0, 0.3))
    assert smooth.metric("loss")[0] != pytest.approx(plain.metric("loss")[0], rel=1e-4)
    assert smooth.of(types.Eval)[0].metrics["loss"] == plain.of(types.Eval)[0].metrics["loss"], "held-out loss is plain"


@shows("regularization.neftune")
def _neftune(desk: Desk) -> None:
    plain, noisy = (desk.run(regularization__neftune=alpha, **ONE, **FRACTION) for alpha in (0.0, 50.0))
    assert noisy.metric("loss")[0] != plain.metric("loss")[0]
    assert noisy.of(types.Eval)[0].metrics == plain.of(types.Eval)[0].metrics


@shows("regularization.residual_dropout")
def _residual_dropout(desk: Desk) -> None:
    full: dict[str, Any] = {"adapter__method": "full", "adapter__rank": None}
    source = str(make_gpt2(desk.base / "gpt2"))
    run = desk.run(model__source=source, regularization__residual_dropout=0.4, **full)
    shares = [m.p for name, m in run.trainer.model.named_modules() if name.endswith("resid_dropout")]
    assert shares and set(shares) == {0.4}
    assert desk.refused(desk.prepare(regularization__residual_dropout=0.4, **full)) == 3, "this model has none"


@shows("evaluation.noise_aware")
def _evaluation_noise_aware(desk: Desk) -> None:
    # One row falls and another rises by nearly as much: the mean is lower, but no more than by chance.
    falls = {**STALLED, "optimizer__learning_rate": 1e-6, "evaluation__patience": 2}
    best = [len(desk.run(evaluation__noise_aware=aware, **falls).of(types.Checkpoint)) for aware in (False, True)]
    assert best[0] >= best[1]
    run = desk.run(evaluation__noise_aware=True, **STALLED)
    assert len(run.trainer.progress.best_rows) == len(run.trainer.held_out)


def moved_parts(run: Seen) -> set[str]:
    return {name for name in run.first if not torch.equal(run.first[name], run.trainer.weights[name])}
