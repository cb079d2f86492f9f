"""Single rules on views made by hand: at the border of what they say, and three-valued."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuiwiz.doctor import stats
from tuiwiz.doctor.case import MOST_POINTS, Case
from tuiwiz.doctor.examine import diagnose
from tuiwiz.doctor.finding import Finding
from tuiwiz.doctor.rules import ALL
from tuiwiz.events import types
from tuiwiz.events.fold import fold
from tuiwiz.events.view import RunView


def run_of(
    losses: list[float],
    evals: dict[int, float] | None = None,
    *,
    task: str = "",
    judged: dict[str, float] | None = None,
    **more: Any,
) -> RunView:
    """A folded run with these losses; `more` are further series (a list or one value)."""
    events: list[types.Event] = [
        types.RunStarted(
            seq=0, t=0.0, attempt=1, from_step=0, steps=len(losses), effective=8, steps_per_epoch=1000, task=task
        )
    ]
    for step, loss in enumerate([math.nan, *losses]):
        if step:
            extra = {name: (value[step - 1] if isinstance(value, list) else value) for name, value in more.items()}
            metrics = {"loss": loss, "grad_norm": 1.0, "learning_rate": 1e-3, **extra}
            events.append(types.Metric(seq=step, t=float(step), step=step, metrics=metrics))
        if step in (evals or {}):
            held = (evals or {})[step]
            events.append(
                types.Eval(seq=0, t=float(step), step=step, metrics={"loss": held, **(judged or {})}, rows=200)
            )
    return fold(RunView(), events)


def verdict(view: RunView, rule: str) -> Finding:
    return next(one for one in diagnose(Case(view)) if one.rule == rule)


def falling(count: int = 100, noise: float = 0.02) -> list[float]:
    draw = random.Random(1)
    return [0.4 + 1.6 * math.exp(-step / 25) + draw.gauss(0, noise) for step in range(count)]


def test_an_empty_run_is_not_judged() -> None:
    findings = diagnose(Case(RunView()))
    assert {one.id for one in findings} == {rule.id for rule in ALL}
    assert {one.verdict for one in findings} == {"unknown"}


def test_a_steady_run_is_healthy() -> None:
    view = run_of(falling(), {0: 2.0, 25: 1.0, 50: 0.65, 75: 0.5, 100: 0.47})
    assert [one.rule for one in diagnose(Case(view)) if one.verdict == "yes"] == []


def test_one_step_that_is_no_number_is_a_fault() -> None:
    losses = falling()
    losses[40] = math.nan
    found = verdict(run_of(losses), "non_finite")
    assert found.verdict == "yes" and found.evidence["first_step"] == 41
    assert found.change == {"optimizer.learning_rate": 5e-4}


def test_divergence_is_a_loss_that_stays_up() -> None:
    up = [*falling(60), *[0.9] * 40]
    assert verdict(run_of(up), "divergence").verdict == "yes"
    spike = falling()
    spike[60:63] = [1.5, 1.4, 1.2]
    assert verdict(run_of(spike), "divergence").verdict == "no"


def test_a_consequence_is_not_judged_beside_its_cause() -> None:
    view = run_of([*falling(60), *[0.9] * 40], {0: 2.0, 30: 0.9, 60: 0.6, 80: 1.0, 100: 1.1})
    assert verdict(view, "divergence").verdict == "yes"
    assert verdict(view, "overfitting").verdict in ("no", "unknown")


def test_overfitting_needs_a_rise_beyond_noise_and_a_training_loss_that_falls() -> None:
    rising = {0: 2.0, 20: 1.0, 40: 0.8, 60: 0.9, 80: 1.0, 100: 1.1}
    found = verdict(run_of(falling(), rising), "overfitting")
    assert found.verdict == "yes" and found.change == {"schedule.steps": 40}
    within = {0: 2.0, 20: 1.0, 40: 0.8, 60: 0.801, 80: 0.804, 100: 0.805}
    assert verdict(run_of(falling(), within), "overfitting").verdict == "no"


def test_lone_spikes_of_the_loss_are_no_joint_spikes() -> None:
    losses = falling(120)
    losses[70] = 3.0
    assert verdict(run_of(losses), "spikes").verdict == "no"
    norms = [1.0 + 0.01 * (step % 7) for step in range(120)]
    norms[71] = 30.0
    joint = verdict(run_of(losses, grad_norm=norms), "spikes")
    assert joint.verdict == "yes" and joint.severity == "info" and joint.evidence["joint"] == 1


@pytest.mark.parametrize(("wait", "says"), [(0.01, "no"), (0.2, "yes")])
def test_starved(wait: float, says: str) -> None:
    view = run_of(falling(40), data_seconds=wait, step_seconds=1.0)
    assert verdict(view, "loader_starved").verdict == says


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=0, max_size=60), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_no_stream_breaks_a_rule(losses: list[float], every: int) -> None:
    evals = {step: abs(losses[step - 1]) if step else 1.0 for step in range(0, len(losses), every + 1)}
    for one in diagnose(
        Case(run_of(losses, evals, allocated_bytes=0.0, tokens=0.0, step_seconds=0.0, data_seconds=0.0))
    ):
        assert one.verdict in ("yes", "no", "unknown")


def test_a_long_run_costs_as_much_as_a_thinned_one() -> None:
    case = Case(run_of([1.0] * (3 * MOST_POINTS)))
    assert len(case.loss) <= MOST_POINTS == len(case.steps)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_median_lies_within_its_values(values: list[float]) -> None:
    assert min(values) <= stats.median(values) <= max(values)


def test_a_preference_run_that_learns_nothing_is_flat_and_one_that_flies_off_collapses() -> None:
    flat = run_of([0.69, 0.695] * 30, task="dpo", accuracy=0.5, margin=0.001)
    assert verdict(flat, "preference_flat").verdict == "yes"
    wild = run_of([0.01] * 60, task="dpo", accuracy=1.0, margin=14.0)
    found = verdict(wild, "preference_collapse")
    assert found.verdict == "yes" and found.change == {"optimizer.learning_rate": 2e-4}
    fine = run_of([0.6 - 0.003 * step for step in range(60)], task="dpo", accuracy=0.75, margin=0.4)
    assert {verdict(fine, name).verdict for name in ("preference_flat", "preference_collapse")} == {"no"}
    assert verdict(run_of(falling(), task="chat", accuracy=0.5, margin=0.0), "preference_flat").verdict == "no"


def test_a_classifier_that_says_the_same_is_told_from_one_that_does_not() -> None:
    evals = {0: 0.7, 40: 0.69, 70: 0.69, 100: 0.69}
    stuck = run_of([0.69] * 100, evals, task="classify", judged={"matthews": 0.0, "accuracy": 0.6})
    assert verdict(stuck, "constant_classifier").verdict == "yes"
    good = run_of(falling(), evals, task="classify", judged={"matthews": 0.7, "accuracy": 0.9})
    assert verdict(good, "constant_classifier").verdict == "no"


def test_a_classifier_has_one_target_a_row_and_a_small_loss_without_fault() -> None:
    tokens = [200.0 * step for step in range(1, 41)]
    labels = [float(step) for step in range(1, 41)]
    view = run_of([0.03] * 40, {0: 0.04}, task="classify", tokens=tokens, supervised_tokens=labels)
    assert verdict(view, "few_targets").verdict == "no" and verdict(view, "first_loss").verdict == "no"


def test_reward_models_and_kto() -> None:
    evals = {0: 0.69, 30: 0.6, 60: 0.6, 100: 0.6}
    view = run_of(falling(), evals, task="reward", accuracy=0.99, judged={"accuracy": 0.7})
    assert verdict(view, "reward_overfit").verdict == "yes"
    assert verdict(run_of([0.5] * 100, task="kto", drift=0.0), "kto_estimate").verdict == "yes"
    assert verdict(run_of(falling(), task="kto", drift=0.0), "kto_estimate").verdict == "no"
    assert verdict(run_of(falling(), task="kto", drift=0.2), "kto_estimate").verdict == "no"


def named(view: RunView, model: str, task: str) -> RunView:
    """The same run, of a model of that name."""
    steps = int(view.step)
    started = types.RunStarted(
        seq=0, t=0.0, attempt=1, from_step=steps, steps=steps, effective=8, task=task, model=model
    )
    return fold(view, [started])


@pytest.mark.parametrize(
    ("start", "model", "task", "says"),
    [
        (4.6, "some-instruct", "instruct", "no"),
        (6.5, "some-instruct", "instruct", "yes"),
        (6.5, "some-instruct", "pretrain", "no"),
        (10.5, "some-instruct", "pretrain", "yes"),
        (10.5, "some-base", "pretrain", "no"),
        (19.0, "some-base", "instruct", "yes"),
    ],
)
def test_a_first_loss_is_absurd_by_model_and_task(start: float, model: str, task: str, says: str) -> None:
    view = run_of([start - 0.02 * step for step in range(40)], {0: start}, task=task)
    assert verdict(named(view, model, task), "first_loss").verdict == says


def test_a_run_whose_first_steps_are_gone_has_no_first_loss() -> None:
    events = [types.Metric(seq=at, t=0.0, step=at, metrics={"loss": 0.01}) for at in range(40, 60)]
    found = verdict(fold(RunView(), events), "first_loss")
    assert found.verdict == "unknown"


def test_the_last_quarter_is_not_credited_with_what_was_won_before_it() -> None:
    def level(step: int) -> float:
        return 0.4 + 1.6 * math.exp(-step / 20)

    losses = [level(step) for step in range(100)]
    flat = {0: 2.0, 25: level(25), 52: level(52), 78: level(78), 100: level(100)}
    assert verdict(run_of(losses, flat), "too_short").verdict == "no"
    steep = {at: 2.0 - 0.012 * at for at in (0, 25, 52, 78, 100)}
    assert verdict(run_of([2.0 - 0.012 * at for at in range(100)], steep), "too_short").verdict == "yes"
    apart = {at: steep.get(at, 2.0 - 0.012 * at) for at in (0, 10, 40, 100)}
    assert verdict(run_of(losses, apart), "too_short").verdict == "unknown"


def test_a_margin_that_grows_on_while_answers_stay_as_good_is_no_run_that_was_too_short() -> None:
    evals = {0: 0.69, 25: 0.6, 50: 0.5, 75: 0.4, 100: 0.3}
    losses = [0.69 - 0.0039 * at for at in range(100)]
    view = run_of(losses, evals, task="reward", judged={"accuracy": 0.8})
    assert verdict(view, "too_short").verdict == "no"
    assert verdict(run_of(losses, evals, task="reward"), "too_short").verdict == "yes"


@pytest.mark.parametrize(("reward", "tokens", "says"), [(-7.0, 20.0, "yes"), (-0.3, 20.0, "no"), (-0.4, 3.0, "no")])
def test_answers_that_were_lost_in_the_first_steps_are_lost(reward: float, tokens: float, says: str) -> None:
    """Lower still at the beginning: what counts is how far below the model before training they ended."""
    view = run_of(
        [0.5] * 60,
        task="dpo",
        better_reward=[2 * reward] * 20 + [reward] * 40,
        supervised_tokens=[16 * tokens * (step + 1) for step in range(60)],
    )
    assert verdict(view, "displaced").verdict == says


def test_pairs_that_lay_apart_before_training_are_no_collapse() -> None:
    apart = run_of([0.001] * 60, task="simpo", accuracy=1.0, margin=[17.0 + 0.01 * step for step in range(60)])
    assert verdict(apart, "preference_collapse").verdict == "no"
    thrown = run_of([0.001] * 60, task="simpo", accuracy=1.0, margin=[0.5 + 0.5 * step for step in range(60)])
    assert verdict(thrown, "preference_collapse").verdict == "yes"


def test_squared_errors_near_their_floor_swing_and_do_not_diverge() -> None:
    losses = [*[2.0 * math.exp(-step / 20) + 0.08 for step in range(120)], *[0.14] * 30]
    assert verdict(run_of(losses, task="classify"), "divergence").verdict == "no"
    assert verdict(run_of([*losses, *[0.6] * 30], task="classify"), "divergence").verdict == "yes"
