"""What the keys of tasks and their losses change in a run."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.executor.desk import FRACTION, ONE, Desk, Seen, shows
from tuiwiz.events import types


def pairs(desk: Desk, **changes: Any) -> Seen:
    """A run over pairs of different lengths."""
    rows = [
        {"prompt": f"add {i}", "chosen": "It is " + "four " * (1 + i % 3), "rejected": "No " * (1 + i % 5) + str(i)}
        for i in range(16)
    ]
    return desk.run(data__train=desk.file("pairs.jsonl", *rows), **{"optimizer__learning_rate": 1e-2, **changes})


def judged(desk: Desk, **changes: Any) -> Seen:
    rows = [{"prompt": f"add {i}", "completion": f"It is {i}", "label": i % 2 == 0} for i in range(16)]
    return desk.run(data__train=desk.file("judged.jsonl", *rows), task__kind="kto", **changes)


def texts(desk: Desk, label: Any, **changes: Any) -> Seen:
    """A classification of texts, each with the label that a function of its number gives."""
    rows = [{"text": f"{['apples', 'pears'][i % 2]} number {i}", "label": label(i)} for i in range(24)]
    return desk.run(data__train=desk.file("texts.jsonl", *rows), task__kind="classify", **changes)


def labels(run: Seen) -> torch.Tensor:
    """[rows, k] of all rows that were trained, in order."""
    return torch.cat([batch.labels for batch in run.batches if batch.labels is not None])


@shows("task.labels")
def _task_labels(desk: Desk) -> None:
    words, numbers = ["apples", "pears", "both"], [0.5, 2.0, 8.0]
    number = texts(desk, lambda i: numbers[i % 3], task__labels="regression")
    first = labels(number)[:4]
    assert number.metric("loss")[0] == pytest.approx(float(first.square().mean()), abs=2.0)
    assert number.trainer.model.get_base_model().config.num_labels == 1
    # A new head knows nothing: the loss of k classes is log k, that of k yes-or-no questions log 2.
    single = texts(desk, lambda i: words[i % 3])
    assert single.metric("loss")[0] == pytest.approx(math.log(3), abs=0.4)
    assert single.trainer.model.get_base_model().config.id2label == {0: "apples", 1: "both", 2: "pears"}
    multi = texts(desk, lambda i: words[: 1 + i % 3], task__labels="multi")
    assert multi.metric("loss")[0] == pytest.approx(math.log(2), abs=0.3)
    assert {tuple(row) for row in labels(multi).tolist()} == {(1, 0, 0), (1, 0, 1), (1, 1, 1)}


@shows("data.balance")
def _data_balance(desk: Desk) -> None:
    whole = {"validation__fraction": 0.0, "schedule__steps": None, "schedule__epochs": 1}
    for way, rows in (("none", [6, 18]), ("up", [18, 18]), ("down", [6, 6])):
        run = texts(desk, lambda i: "rare" if i % 4 == 0 else "usual", data__balance=way, **whole)
        assert torch.bincount(labels(run).flatten().long()).tolist() == rows


@shows("evaluation.metric")
def _evaluation_metric(desk: Desk) -> None:
    changes = {"evaluation__every": 1, "schedule__steps": 8, "optimizer__learning_rate": 1e-2, **FRACTION}
    chosen = {}
    for metric in ("loss", "exact_match", "rougeL", "chrf"):
        run = desk.run(evaluation__metric=metric, **changes)
        evals = [event for event in run.of(types.Eval) if event.step]
        assert ("rougeL" in evals[0].metrics) is (metric in ("rougeL", "chrf"))
        values = {event.step: event.metrics[metric] for event in evals}
        best = min(values.values()) if metric == "loss" else max(values.values())
        summary = run.of(types.Finished)[0].summary
        assert summary["best_score"] == best and summary["metric"] == metric
        # The first step that reaches the best value: a later one would have to beat it.
        chosen[metric] = summary["best_step"]
        assert chosen[metric] == next(step for step, value in values.items() if value == best)
        assert summary["artifact_step"] == chosen[metric]


@shows("objective.beta")
def _objective_beta(desk: Desk) -> None:
    """At the start nothing has moved and the gradient of DPO is proportional to beta."""
    one, other = (pairs(desk, task__kind="dpo", objective__beta=beta, **ONE) for beta in (0.1, 0.4))
    assert one.metric("loss")[0] == other.metric("loss")[0] == pytest.approx(math.log(2), rel=1e-6)
    assert other.metric("grad_norm")[0] == pytest.approx(4 * one.metric("grad_norm")[0], rel=1e-3)
    default = pairs(desk, task__kind="dpo", **ONE)
    assert default.metric("grad_norm") == one.metric("grad_norm")


@shows("objective.gamma")
def _objective_gamma(desk: Desk) -> None:
    losses = [pairs(desk, task__kind="simpo", objective__gamma=gamma, **ONE).metric("loss")[0] for gamma in (0.0, 8.0)]
    assert losses[1] > losses[0] + 5


@shows("objective.lambda")
def _objective_lambda(desk: Desk) -> None:
    zero, one, two = (
        pairs(desk, task__kind="orpo", objective__lambda=weight, **ONE).metric("loss")[0] for weight in (0.0, 1.0, 2.0)
    )
    assert two - zero == pytest.approx(2 * (one - zero), rel=1e-4) and one > zero


@shows("objective.loss")
def _objective_loss(desk: Desk) -> None:
    first = {
        loss: pairs(desk, task__kind="dpo", objective__loss=loss, objective__beta=0.5, **ONE)
        for loss in ("sigmoid", "ipo", "robust")
    }
    assert first["sigmoid"].metric("loss")[0] == pytest.approx(math.log(2), rel=1e-6)
    assert first["ipo"].metric("loss")[0] == pytest.approx((1 / (2 * 0.5)) ** 2, rel=1e-6)
    # Both ways round are equally likely at the start: what robust takes off one it adds to the other.
    assert first["robust"].metric("loss")[0] == pytest.approx(math.log(2), rel=1e-6)
    robust, sigmoid = (first[loss].metric("grad_norm")[0] for loss in ("robust", "sigmoid"))
    assert robust == pytest.approx(sigmoid / (1 - 2 * 0.1), rel=1e-3)


@shows("objective.label_smoothing")
def _objective_label_smoothing(desk: Desk) -> None:
    norms = [
        pairs(desk, task__kind="dpo", objective__loss="robust", objective__label_smoothing=noise, **ONE)
        for noise in (0.0, 0.25)
    ]
    assert norms[1].metric("grad_norm")[0] == pytest.approx(2 * norms[0].metric("grad_norm")[0], rel=1e-3)


def _weighted(desk: Desk, key: str) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the first step's loss is from 1/2 of all rows: at the start each row's is half its weight."""
    losses = [judged(desk, **{f"objective__{key}": weight}, **ONE) for weight in (1.0, 3.0)]
    return torch.tensor([run.metric("loss")[0] for run in losses]), labels(losses[0]).mean()


@shows("objective.desirable_weight")
def _objective_desirable_weight(desk: Desk) -> None:
    (plain, heavy), share = _weighted(desk, "desirable_weight")
    assert float(plain) == pytest.approx(0.5, rel=1e-5)
    assert float(heavy - plain) == pytest.approx(float(share), rel=1e-4)


@shows("objective.undesirable_weight")
def _objective_undesirable_weight(desk: Desk) -> None:
    (plain, heavy), share = _weighted(desk, "undesirable_weight")
    assert float(heavy - plain) == pytest.approx(1 - float(share), rel=1e-4)
