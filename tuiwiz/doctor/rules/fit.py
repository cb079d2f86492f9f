"""D8-D13: learning too much by heart, or too little at all."""

from __future__ import annotations

import itertools
import math

from tuiwiz.doctor import edits, stats
from tuiwiz.doctor.case import MEDIAN_ERROR, Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes

LEAST_RISE = 0.02
"""Nats; below that a held-out loss near nothing only breathes."""
BY_HEART_EPOCHS, MOST_BORDERS = 8, 40
DELTA = 0.02
"""A held-out loss must rise by so much to be worse; an evaluation on few rows by twice its noise."""
STILL_UP = 0.9
"""Of its highest since: a held-out loss that comes back down is not rising."""
STAIR, MEMORISED = 0.15, 0.2
LEAST_DROP, LEAST_DROP_BASE, LEAST_DROP_TEXT = 0.03, 0.06, 0.01
"""More of the text that a model has read before teaches it little."""
LEAST_HELD, LEAST_HELD_BASE = 0.01, 0.02
"""Of the held-out loss, which the noise of batches does not touch."""
SURE = 3.0
"""Times the limit: what the fall must stay below even where chance has hidden some of it."""
LEARNT = 0.3
"""A training loss that fell so far has learnt something, if only its rows."""
JUDGED_SHARE, STILL_FALLING = 0.7, 0.08
LEAST_WON, RIGHT = 0.05, 0.95
"""Nats in the last quarter, since a rate that ends always brings a little; answers that have no more to win."""
GAP, NEIGHBOURS = 0.05, 0.35
"""Of the losses; and of the run: evaluations further apart do not tell what the last quarter has won."""


def delta_of(case: Case) -> float:
    """Rise that counts: the noise of a mean over few rows goes with one over the root of their number."""
    rows = case.view.evals[-1].rows if case.view.evals else 0
    return max(DELTA, 0.1 / math.sqrt(rows) if rows else 0.0)


def overfitting(case: Case) -> Outcome:
    """The held-out loss rises for several evaluations while the training loss falls on."""
    evals = case.evals
    if len(evals) < 3:
        return unknown("3 evaluations")
    step, best = min(evals, key=lambda pair: pair[1])
    later = [loss for at, loss in evals if at > step]
    planned = max(len(evals), len(case.view.started.evaluation_steps) if case.view.started is not None else 0)
    patience = 1 if planned <= 4 else 2 if planned <= 6 else 3
    limit = best * (1 + delta_of(case))
    worse = list(itertools.takewhile(lambda loss: loss > limit, reversed(later)))
    now = case.smooth[-1] if case.smooth else math.nan
    then = case.smooth_at(step) if step else case.start
    gain = case.quality_gain(step)
    back = bool(later) and evals[-1][1] < STILL_UP * max(later)
    if len(worse) < patience or back or not now < then * 0.97 or evals[-1][1] - best < LEAST_RISE or gain > 0:
        better = gain if gain > 0 else None
        return no(best=best, best_step=step, last=evals[-1][1], train_loss=now, answers_better_by=better)
    change = edits.until(case, step) if step else edits.rate(case, 0.3)
    advice = "then more data, or adapter.dropout = 0.05; the best checkpoint is what was kept"
    return yes(
        change,
        advice,
        best=best,
        best_step=step,
        last=evals[-1][1],
        evaluations_since=len(later),
        train_loss_then=then,
        train_loss=now,
    )


def staircase(case: Case) -> Outcome:
    """The training loss falls in a step at each epoch's border, and the held-out loss does not follow."""
    size, losses = case.per_epoch, case.every_loss
    if size < 8 or len(losses) < 2 * size:
        return unknown("2 epochs of 8 steps, and the loss of every step")
    each = max(4, min(8, size // 3))
    stairs, inside = [], []
    for border in [*range(size, len(losses) - each + 1, size)][:MOST_BORDERS]:
        before, after = losses[border - each : border], losses[border : border + each]
        stairs.append((stats.median(before) - stats.median(after)) / max(stats.median(before), 1e-9))
        middle = border - size // 2
        a, b = losses[middle - each : middle], losses[middle : middle + each]
        inside.append((stats.median(a) - stats.median(b)) / max(stats.median(a), 1e-9))
    stair, slide = stats.median(stairs), stats.median(inside)
    first_border = [loss for step, loss in case.evals if step <= size]
    better = bool(case.evals) and bool(first_border) and case.evals[-1][1] < min(first_border) * 0.98
    better = better or case.quality_gain(max((step for step, _ in case.evals if step <= size), default=-1)) > 0
    chance = 3 * MEDIAN_ERROR * case.noise * math.sqrt(2 / each / len(stairs))
    if stair - max(0.0, slide) <= max(STAIR, chance) or better or not case.evals:
        return no(stair=stair, within_epoch=slide)
    return yes(
        edits.until(case, size),
        "then half the learning rate",
        stair=stair,
        within_epoch=slide,
        held_out_first=first_border[-1] if first_border else None,
        held_out_last=case.evals[-1][1],
    )


def memorised(case: Case) -> Outcome:
    """The training loss is near nothing and the held-out loss far above it, and not for being small itself."""
    evals = case.evals
    if not case.learns_text:
        return no(task=case.task)
    if len(evals) < 2 or case.count < 10:
        return _by_heart(case)
    now = stats.median(case.tail(case.finite_loss, 0.1) or case.finite_loss[-5:])
    first, last = evals[0][1], evals[-1][1]
    if not (now < MEMORISED and last > 2 * now and last - now > 0.15 and last > 0.3 * first):
        return no(train_loss=now, held_out=last)
    step = min(evals, key=lambda pair: pair[1])[0]
    change = edits.until(case, step) if step and step < case.view.step else edits.rate(case, 0.5)
    return yes(
        change,
        "look for the answer inside the prompt; more or other rows help most",
        train_loss=now,
        held_out=last,
        held_out_first=first,
    )


def _by_heart(case: Case) -> Outcome:
    """The word where nothing is held out: rows that were seen many times and cost nothing any more."""
    if not case.per_epoch or case.count < 20:
        return unknown("2 evaluations")
    epochs = case.view.step / case.per_epoch
    first = stats.median(case.finite_loss[:5])
    now = stats.median(case.tail(case.finite_loss, 0.1))
    known = now < 0.1 * first and (now < MEMORISED or epochs >= 2 * BY_HEART_EPOCHS)
    if epochs < BY_HEART_EPOCHS or not known:
        return unknown("2 evaluations", epochs=epochs, train_loss=now)
    return yes(
        edits.epochs(case, 3 / epochs),
        "and hold rows out, with validation.fraction = 0.05: nothing says how others fare",
        epochs=epochs,
        train_loss=now,
        train_loss_first=first,
    )


def not_learning(case: Case) -> Outcome:
    """After most of the run the loss is where it began."""
    if case.count < 20 or case.done_share < JUDGED_SHARE or case.view.step < 2 * case.warmup:
        return unknown("20 steps and 70 % of the run")
    drop = case.drop()
    later = [loss for step, loss in case.evals if step > 0]
    held: float | None = None
    if len(later) >= 3 and case.evals[0][0] == 0:
        # The same rows each time: without the noise of batches.
        first = max(case.evals[0][1], 1e-9)
        held = (first - min(stats.median(later[-3:]), later[-1])) / first
        limit = LEAST_HELD if case.instructed else LEAST_HELD_BASE
        if held >= limit or drop >= LEARNT:
            return no(drop=drop, held_out_drop=held)
    else:
        base = not case.instructed and case.view.step >= 0.9 * case.total
        limit = LEAST_DROP_TEXT if case.task == "pretrain" else LEAST_DROP_BASE if base else LEAST_DROP
        fall, error = case.fall()
        if not fall < limit:
            return no(drop=drop, fall=fall)
        if not fall + 1.5 * error < SURE * limit:
            return unknown("more steps, or evaluations: the loss is too noisy", fall=fall, error=error)
    if stats.median(case.finite_loss[-5:]) < 0.05:
        return no(drop=drop, loss=case.loss[-1])
    fall, error = case.fall()
    risen = fall < -2 * error - LEAST_DROP
    return yes(
        edits.rate(case, 0.3 if risen else 10.0 if drop < 0.01 else 3.0),
        "" if risen else 'and adapter.targets = "all-linear", if it names fewer',
        drop=drop,
        held_out_drop=held,
        learning_rate=case.peak_rate,
        limit=limit,
    )


def too_short(case: Case) -> Outcome:
    """The best evaluation is the last one, the curve still falls, and both losses are alike."""
    if case.done_share < 1 or len(case.evals) < 4:
        return unknown("the end of the run and 4 evaluations")
    # An evaluation well before the border would credit the last quarter with what came earlier.
    last, start = case.evals[-1][1], case.held_at(case.total * 0.75, apart=NEIGHBOURS * case.total)
    if math.isnan(start):
        return unknown("evaluations about three quarters of the run")
    won = (start - last) / max(start, 1e-9)
    gap = (last - stats.median(case.tail(case.finite_loss, 0.1))) / max(last, 1e-9)
    # Margins can grow for ever: where the loss is not that of tokens, answers must have become better, too.
    since = max(step for step, _ in case.evals if step <= case.total * 0.75)
    idle = not case.learns_text and case.quality_gain(since) == 0
    if (
        idle
        or start - last < LEAST_WON
        or case.quality > RIGHT
        or last > min(loss for _, loss in case.evals)
        or won < STILL_FALLING
        or abs(gap) > 2 * GAP
        or last < 0.1
    ):
        return no(won_in_last_quarter=won, gap=gap)
    return yes(
        edits.epochs(case, 2.0),
        "then 1.5 times the learning rate",
        "warning",
        won_in_last_quarter=won,
        gap=gap,
        held_out=last,
        steps=case.total,
    )


def adapter_full(case: Case) -> Outcome:
    """An epoch trains on more tokens than the adapter can hold, and the loss has stopped falling far from its end."""
    if case.method not in ("lora", "qlora") or case.bundle is None:
        return no(method=case.method) if case.method == "full" else unknown("the bundle")
    size = (case.view.memory.predicted.get("adapter") if case.view.memory is not None else 0) or 0
    tokens = case.view.metrics.get("supervised_tokens", 0.0)
    if not size or not 0 < tokens < math.inf or len(case.evals) < 4 or case.done_share < 0.5:
        return unknown("the adapter's size and 4 evaluations")
    parameters = size / 4
    epochs = max(1.0, case.view.step / case.per_epoch) if case.per_epoch else 1.0
    halves = [loss for step, loss in case.evals if step >= 0.5 * case.view.step]
    won = (halves[0] - halves[-1]) / max(halves[0], 1e-9) if len(halves) > 1 else 1.0
    gap = (case.evals[-1][1] - case.smooth[-1]) / max(case.evals[-1][1], 1e-9)
    held = (case.evals[0][1] - case.evals[-1][1]) / max(case.evals[0][1], 1e-9)
    rate = case.rate[len(case.rate) // 2] / case.peak_rate if case.rate and case.peak_rate else 0.0
    if tokens / epochs < 2 * parameters or won > 0.01 or abs(gap) > 0.03 or held < 0.03 or rate < 0.3:
        return no(tokens_of_an_epoch=tokens / epochs, adapter_parameters=parameters, won_in_second_half=won)
    rank = min(
        256, max(2 * case.bundle.adapter.rank, math.ceil(case.bundle.adapter.rank * tokens / epochs / parameters))
    )
    return yes(
        {"adapter.rank": rank},
        "alpha and the learning rate stay",
        "info",
        tokens_of_an_epoch=tokens / epochs,
        adapter_parameters=parameters,
        won_in_second_half=won,
        gap=gap,
    )


RULES = (
    Rule(
        "D8",
        "overfitting",
        "overfitting",
        "warning",
        "The held-out loss rises while the training loss falls",
        "The run learns its rows by heart; what was best on others is behind it.",
        overfitting,
    ),
    Rule(
        "D9",
        "epoch_staircase",
        "overfitting",
        "warning",
        "The training loss drops at every epoch's border",
        "Rows that are seen again are known again; without a better held-out loss that is memory, not skill.",
        staircase,
    ),
    Rule(
        "D10",
        "memorised",
        "overfitting",
        "warning",
        "The training rows are known by heart, others are not",
        "A training loss under 0.2 beside a held-out loss of more than twice as much.",
        memorised,
    ),
    Rule(
        "D11",
        "not_learning",
        "underfitting",
        "error",
        "The loss hardly falls",
        "Of 63 public adapter runs the five that fell less than 10 % all learnt nothing.",
        not_learning,
    ),
    Rule(
        "D12",
        "too_short",
        "underfitting",
        "warning",
        "The run ended while it was still getting better",
        "The held-out loss was best at the very end, falling, and as low as the training loss.",
        too_short,
    ),
    Rule(
        "D13",
        "adapter_full",
        "underfitting",
        "info",
        "The adapter may be too small for the data",
        "An adapter holds about one trained token a parameter; beyond that it learns less than full weights.",
        adapter_full,
    ),
)
