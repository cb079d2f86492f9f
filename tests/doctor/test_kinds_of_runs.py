"""Runs of other kinds than the recorded ones, made by formula: healthy ones that look like faults, and faults without
what would make them easy to see."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.doctor.test_rules import run_of
from tuiwiz.doctor.case import Case
from tuiwiz.doctor.examine import diagnose
from tuiwiz.events import types
from tuiwiz.events.fold import fold
from tuiwiz.events.view import RunView

Curve = Callable[[int], float]


def found(view: RunView) -> set[str]:
    return {one.id for one in diagnose(Case(view)) if one.verdict == "yes"}


def curve(count: int, level: Curve, noise: float, *, memory: float = 0.0, seed: int = 3) -> list[float]:
    """`level` times a noise that multiplies; `memory`: how much of it each step hands on to the next."""
    draw = random.Random(seed)
    state, out = 0.0, []
    for step in range(count):
        state = memory * state + math.sqrt(1 - memory**2) * draw.gauss(0, noise)
        out.append(level(step) * math.exp(state))
    return out


def learning(step: int) -> float:
    return 0.9 + 0.7 * math.exp(-step / 30)


def held(count: int, level: Curve, times: int = 6) -> dict[int, float]:
    return {round(count * at / times): level(round(count * at / times)) for at in range(times + 1)}


HEALTHY: dict[str, Callable[[], RunView]] = {
    "one row a step": lambda: run_of(curve(400, learning, 0.3), held(400, learning)),
    "batches of like length": lambda: run_of(curve(400, learning, 0.15, memory=0.8), held(400, learning)),
    "no evaluations, drifting": lambda: run_of(curve(400, learning, 0.1, memory=0.8)),
    "ten steps": lambda: run_of(curve(10, learning, 0.1), held(10, learning, 2)),
    "a long plateau, unwatched": lambda: run_of(curve(4000, lambda step: 1 + 0.5 * math.exp(-step / 50), 0.1)),
    "one lone spike": lambda: run_of([*curve(140, learning, 0.05), 3.0, *curve(160, lambda _: 0.91, 0.05)]),
    "a spike that its norm shares": lambda: run_of(
        [*curve(140, learning, 0.05), 1.5, *curve(159, lambda _: 0.91, 0.05)],
        grad_norm=[*curve(140, lambda _: 0.5, 0.2), 1.2, *curve(159, lambda _: 0.5, 0.2)],
    ),
    "a classifier that is right ever more often": lambda: _classifier(),
    "preferences": lambda: run_of(
        curve(200, lambda step: 0.48 + 0.21 * math.exp(-step / 60), 0.1),
        task="dpo",
        accuracy=0.75,
        margin=0.8,
        better_reward=[-0.2 * step / 200 for step in range(200)],
        supervised_tokens=[8.0 * 2 * 60 * (step + 1) for step in range(200)],
    ),
}


def _classifier() -> RunView:
    """The held-out loss rises, since what is wrong is wrong with confidence; the answers get better all the same."""
    view = run_of(curve(300, lambda step: 0.03 + 0.7 * math.exp(-step / 30), 0.3), task="classify")
    for at in range(0, 301, 50):
        metrics = {"loss": 0.25 + 0.5 * math.exp(-at / 30) + 0.0006 * at, "accuracy": 0.6 + 0.001 * at, "matthews": 0.5}
        view = fold(view, [types.Eval(seq=0, t=0.0, step=at, metrics=metrics, rows=200)])
    return view


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_left_alone(name: str) -> None:
    assert found(HEALTHY[name]()) == set()


def _blown(step: int) -> float:
    return 1.6 if step < 3 else 6.0 + math.exp(-step / 50)


def _leaves(step: int) -> float:
    return learning(step) + (0.0 if step < 60 else min(4.0, 0.03 * (step - 60)))


FAULTS: dict[str, tuple[set[str], Callable[[], RunView]]] = {
    "blown up in three steps": ({"D2", "D4"}, lambda: run_of(curve(200, _blown, 0.1), held(200, _blown))),
    "blown up, unwatched": ({"D2", "D4"}, lambda: run_of(curve(200, _blown, 0.1))),
    "leaves its best slowly": ({"D4"}, lambda: run_of(curve(200, _leaves, 0.1), held(200, _leaves))),
    "diverges in its last steps": (
        {"D4"},
        lambda: run_of(
            curve(200, lambda step: learning(step) * (1 if step < 186 else 2.2), 0.05),
            {**held(200, learning), 200: 2.0},
        ),
    ),
    "worse than before training": (
        {"D4"},
        lambda: run_of(curve(200, lambda _: 1.75, 0.05), held(200, lambda step: 1.6 if not step else 1.75)),
    ),
    "learns nothing, unwatched": ({"D11"}, lambda: run_of(curve(400, lambda _: 1.6, 0.05))),
    "frozen, unwatched": ({"D14"}, lambda: _same_epochs(0.0)),
    "frozen, pairs, unwatched": ({"D14"}, lambda: run_of([math.log(2)] * 40, task="dpo", margin=0.0, accuracy=0.0)),
    "thrown to where all is the same": (
        {"D4"},
        lambda: run_of(
            [*curve(5, lambda _: 4.3, 0.2), *curve(95, lambda _: 3.6, 0.05)],
            grad_norm=[*[9.0] * 5, *[0.06] * 95],
        ),
    ),
    "known by heart, unwatched": ({"D10"}, lambda: _epochs_of_few_rows()),
    "every fourth step waits": (
        {"D22"},
        lambda: run_of(
            curve(80, learning, 0.05),
            data_seconds=[0.0 if step % 4 else 4.0 for step in range(80)],
            step_seconds=[1.0 if step % 4 else 5.0 for step in range(80)],
        ),
    ),
    "better answers fall, too": (
        {"D36"},
        lambda: run_of(
            curve(200, lambda step: 0.35 + 0.34 * math.exp(-step / 40), 0.1),
            task="dpo",
            accuracy=0.8,
            margin=3.0,
            better_reward=[-9.0 * (1 - math.exp(-step / 60)) for step in range(200)],
            supervised_tokens=[8.0 * 2 * 60 * (step + 1) for step in range(200)],
        ),
    ),
    "answers grow longer": ({"D37"}, lambda: _longer()),
    "the rate is gone": (
        {"D7"},
        lambda: run_of(curve(200, learning, 0.05), learning_rate=[*[1e-3] * 80, *[0.0] * 120]),
    ),
}


def _epochs_of_few_rows() -> RunView:
    view = run_of(curve(200, lambda step: 1.6 * math.exp(-step / 40) + 0.02, 0.1))
    started = types.RunStarted(seq=0, t=0.0, attempt=1, from_step=200, steps=200, effective=8, steps_per_epoch=10)
    return fold(view, [started])


def _same_epochs(moves: float) -> RunView:
    """Five epochs of the same ten batches in ever other orders; the loss falls by `moves` from epoch to epoch."""
    draw = random.Random(5)
    rows = [(draw.uniform(0.5, 2.0), draw.randint(20, 60)) for _ in range(10)]
    losses, trained, total = [], [], 0
    for epoch in range(5):
        for loss, count in draw.sample(rows, 10):
            losses.append(loss * (1 - moves) ** epoch)
            trained.append(float(total := total + count))
    view = run_of(losses, supervised_tokens=trained, tokens=[2 * one for one in trained])
    started = types.RunStarted(seq=0, t=0.0, attempt=1, from_step=50, steps=50, effective=1, steps_per_epoch=10)
    return fold(view, [started])


def test_epochs_that_differ_a_little_are_those_of_weights_that_move() -> None:
    assert "D14" not in found(_same_epochs(0.0005))


def _longer() -> RunView:
    view = run_of(curve(100, lambda step: 0.5, 0.05), task="dpo", accuracy=0.8, margin=1.0)
    samples = [
        types.Sample(seq=0, t=0.0, step=100, prompt=f"q{n}", base="short answer", now="long " * 40, expected="a word")
        for n in range(3)
    ]
    return fold(view, samples)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    expected, make = FAULTS[name]
    assert found(make()) & expected


def test_losses_of_nothing_break_no_rule() -> None:
    nothing: dict[str, Any] = {"grad_norm": 0.0, "tokens": 100.0, "supervised_tokens": 0.0, "learning_rate": 0.0}
    assert found(run_of([0.0] * 60, {0: 0.0, 20: 0.0, 40: 0.0, 60: 0.0}, **nothing))
