"""D34, D35, D38, D39, D45: faults of preference runs, reward models and classifiers."""

from __future__ import annotations

import math

from tuiwiz.doctor import edits, stats
from tuiwiz.doctor.case import PAIRED, Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes

JUDGED_SHARE = 0.3
CHANCE = (0.45, 0.55)
FLAT_MARGIN = 0.05
NO_MARGIN = 0.01
"""Of rewards measured from the model before training, below which who is right is a matter of rounding."""
REFERENCED = ("dpo", "kto")
APART = 0.95
NO_LOSS = 0.03
"""Pairs that are easy come near a tenth in half an epoch with others told apart as well, which is no fault."""
WIDE_MARGIN = 10.0
ESTIMATING_ROWS = 4
LEARNT = 0.2
"""Of the loss, whose floor is not nothing."""
UNMOVED = 0.005
GAP = 0.10
CONSTANT = 0.02


def _other(case: Case) -> Outcome:
    """The word on a run whose task has no such fault."""
    return no(task=case.task) if case.task else unknown("the task of the run")


def _accuracies(case: Case) -> list[float]:
    """Of the evaluations after the first step."""
    found = [event.metrics.get("accuracy", math.nan) for event in case.view.evals if event.step]
    return [value for value in found if math.isfinite(value)]


def flat(case: Case) -> Outcome:
    """Better and worse answers are still not told apart."""
    if case.task not in PAIRED:
        return _other(case)
    accuracy, margin = case.series("accuracy"), case.series("margin")
    if len(accuracy) < 20 or len(margin) < 20 or case.done_share < JUDGED_SHARE:
        return unknown("20 steps and 30 % of a preference run")
    hit, wide = (stats.median(case.tail(values, 0.3)) for values in (accuracy, margin))
    tied = case.task in REFERENCED and abs(wide) < NO_MARGIN
    if not tied and not (CHANCE[0] <= hit <= CHANCE[1] and abs(wide) < FLAT_MARGIN):
        return no(accuracy=hit, margin=wide)
    advice = "see whether better and worse are in the right columns: `tuiwiz data show`"
    return yes(edits.rate(case, 3.0), advice, accuracy=hit, margin=wide, learning_rate=case.peak_rate)


def collapse(case: Case) -> Outcome:
    """All pairs are told apart with almost no loss before half an epoch, or rewards are far apart."""
    if case.task not in PAIRED:
        return _other(case)
    accuracy, margin = case.series("accuracy"), case.series("margin")
    if len(accuracy) < 10 or len(margin) < 10:
        return unknown("10 steps of a preference run")
    early = [index for index, step in enumerate(case.steps) if step <= 0.5 * (case.per_epoch or math.inf)]
    hit = stats.median(accuracy[: len(early)][-5:]) if len(early) >= 5 else math.nan
    loss = stats.median(case.loss[: len(early)][-5:]) if len(early) >= 5 else math.nan
    wide = stats.median(margin[-5:])
    if case.task not in REFERENCED:
        # Rewards are those of the answers themselves: what lay apart before training is not the run's doing.
        wide -= max(0.0, stats.median(margin[:3]))
        hit = math.nan if stats.median(accuracy[:3]) > APART else hit
    if not (hit > APART and loss < NO_LOSS) and not wide > WIDE_MARGIN:
        return no(margin=wide, accuracy=hit if math.isfinite(hit) else None)
    return yes(
        edits.rate(case, 0.2),
        "and one epoch; or harder pairs, or twice objective.beta",
        accuracy=hit,
        loss=loss,
        margin=wide,
    )


def poor_estimate(case: Case) -> Outcome:
    """KTO's estimate of the drift is nothing in most steps, or made from too few rows."""
    if case.task != "kto":
        return _other(case)
    drifts = case.series("drift")
    if len(drifts) < 20:
        return unknown("20 steps of a KTO run")
    none = sum(value == 0 for value in drifts) / len(drifts)
    effective = case.view.started.effective if case.view.started is not None else 0
    few = 0 < effective < ESTIMATING_ROWS
    # A model that learns to refuse strangers' answers has no drift either, and needs no estimate.
    if not few and (none <= 0.5 or case.drop() > LEARNT):
        return no(zero_share=none, rows_of_a_step=effective)
    change = {"batch.effective": 2 * max(effective, ESTIMATING_ROWS)}
    return yes(change, "the estimate is made from the rows of a step", zero_share=none, rows_of_a_step=effective)


def reward_overfit(case: Case) -> Outcome:
    """The reward model knows its own pairs far better than others, or gets worse on others."""
    if case.task != "reward":
        return _other(case)
    held, trained = _accuracies(case), case.series("accuracy")
    if len(held) < 3 or len(trained) < 20:
        return unknown("3 evaluations of a reward model")
    now = sum(case.tail(trained, 0.2)) / len(case.tail(trained, 0.2))
    falling = held[-1] < held[-2] < held[-3]
    if now - held[-1] <= GAP and not falling:
        return no(train_accuracy=now, held_out_accuracy=held[-1])
    return yes({"schedule.epochs": 1.0}, "then half the learning rate", train_accuracy=now, held_out_accuracy=held[-1])


def constant(case: Case) -> Outcome:
    """The classifier answers the same whatever it is asked."""
    if case.task != "classify":
        return _other(case)
    found = [
        event.metrics.get("matthews", math.nan) for event in case.view.evals if event.step >= JUDGED_SHARE * case.total
    ]
    kept = [value for value in found if math.isfinite(value)]
    if len(kept) < 2:
        return unknown("2 evaluations with several classes")
    if max(abs(value) for value in kept) >= CONSTANT:
        return no(matthews=kept[-1])
    losses = [loss for _, loss in case.evals]
    if not losses:
        return unknown("the loss of evaluations")
    if max(losses) - min(losses) < UNMOVED * max(losses):
        return no(matthews=kept[-1], held_out_moved=max(losses) - min(losses))
    advice = "then a third of the learning rate, another seed, or data.balance"
    return yes({"schedule.warmup": 0.1}, advice, matthews=kept[-1], accuracy=(_accuracies(case) or [math.nan])[-1])


RULES = (
    Rule(
        "D34",
        "preference_flat",
        "underfitting",
        "warning",
        "Better and worse answers are not told apart",
        "After a third of the run the accuracy is that of a coin.",
        flat,
    ),
    Rule(
        "D35",
        "preference_collapse",
        "unstable",
        "error",
        "The preference is learnt too far, too fast",
        "All pairs right and no loss within half an epoch: the rate is too high, or the pairs are trivial.",
        collapse,
    ),
    Rule(
        "D38",
        "kto_estimate",
        "data",
        "warning",
        "The estimate of the drift is too poor",
        "KTO judges an answer against how far the model has moved, which few rows do not tell.",
        poor_estimate,
    ),
    Rule(
        "D39",
        "reward_overfit",
        "overfitting",
        "warning",
        "The reward model knows its own pairs better than others",
        "Reward models rarely bear a second epoch.",
        reward_overfit,
    ),
    Rule(
        "D45",
        "constant_classifier",
        "unstable",
        "error",
        "The classifier gives every text the same label",
        "A failed start, not forgetting: it is a matter of optimisation, and another start mends it.",
        constant,
    ),
)
