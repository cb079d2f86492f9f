"""D2-D5: training that is not steady."""

from __future__ import annotations

import math
from typing import NamedTuple

from tuiwiz.doctor import edits, stats
from tuiwiz.doctor.case import EMA_NOISE, Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes

BLOW_UP = 1.10
LEAST_RISE = 0.1
"""Nats; near nothing every batch is a rise."""
DIVERGED = 1.15
LEAST_AWAY = 0.05
"""Nats above the best; of a loss that is no mean over tokens that share of its start, since near its floor squared
errors and margins swing by more than themselves."""
SIGMAS_ALONE, SIGMAS_CONFIRMED = 5.0, 3.0
"""By how much of its own swing a mean must leave its best: where nothing else was measured, and where evaluations
agree."""
CONFIRMED = 1.03
BACK_SHARE, BETTER = 0.2, 0.9
"""Of the run, since it has been back; and of the loss it began with."""
SETTLING = 10
"""Steps after other rows came until their level counts."""
START_NOISE = 2.4
"""Of single points: what the median of five and a mean of ten may be apart by chance."""
WORSE_SHARE = 0.6
"""Of the run: before that a model may still get over its first steps."""
DEAD, STUCK, LEAST_START = 0.02, 0.6, 0.3
"""Gradients of this share of the first ones beside a loss of that share of its start, from so many nats on."""
HUGE_LOSS, HUGE_NORM = 2.0, 5.0
SPIKE_SHARE = 0.03
CLIPPED = 0.5


def early_blow_up(case: Case) -> Outcome:
    """In the first max(10, warm-up) points the mean rises over the first five."""
    size = max(10, case.warmup, math.ceil(0.1 * case.total))
    if case.count < 10:
        return unknown("10 steps")
    first = stats.median(case.finite_loss[:5])
    start = [value for value in case.smooth[4:size] if math.isfinite(value)]
    high = max(start, default=math.nan)
    # A rate far too high is past its damage within five steps; what was before the first one is known too.
    first = case.start if math.isfinite(case.start) else first
    limit = max(BLOW_UP * first, first + LEAST_RISE, first * (1 + START_NOISE * case.noise))
    after = [value for value in start if value > limit]
    if len(after) < 3:
        return no(first=first, highest=high)
    times = high / first if first > 0 else math.inf
    # For adapters the rate is the first suspect; full weights want a longer warm-up first, unless all is lost.
    if case.warmup < 0.08 * case.total and case.method == "full" and times < 2:
        advice = "if it stays, lower the learning rate to a third"
        return yes(edits.warmup(case, 0.1), advice, first=first, highest=high, steps=size)
    return yes(edits.slower(case, times), "", first=first, highest=high, steps=size)


def spikes(case: Case) -> Outcome:
    """Loss and gradient norm spike together three times, or once and out of all measure, or the loss alone in 3 % of
    all steps."""
    if case.count < 20:
        return unknown("20 steps")
    alone = stats.spikes(case.loss)
    share = len(alone) / case.count
    huge = [at for at in case.joint_spikes if _huge(case.loss, at, HUGE_LOSS) and _huge(case.grad_norm, at, HUGE_NORM)]
    often = len(case.joint_spikes) >= 3 or (share >= SPIKE_SHARE and len(alone) >= 3)
    if not often and not huge:
        return no(joint=len(case.joint_spikes), alone=len(alone))
    steps = ", ".join(str(int(case.steps[at])) for at in case.joint_spikes[:5])
    if not often:
        advice = "look at the rows of those steps; one bad batch does no harm"
        return yes({}, advice, "info", joint=len(case.joint_spikes), alone=len(alone), steps=steps)
    return yes(edits.rate(case, 0.5), "", joint=len(case.joint_spikes), alone=len(alone), share=share, steps=steps)


def _huge(values: list[float], at: int, times: float) -> bool:
    """Whether one of the values about `at` is so many times what came before."""
    before = stats.median(values[max(0, at - 32) : max(0, at - 2)])
    return max((one for one in values[max(0, at - 2) : at + 3] if math.isfinite(one)), default=0.0) > times * before


class Raised(NamedTuple):
    """A smoothed loss far above its best from one step to another; `times`: by how much at its worst."""

    best: float
    times: float
    since: float
    until: float


def raised(case: Case, sigmas: float, need: int) -> tuple[float, list[Raised]]:
    """The best smoothed loss, and every stretch of at least `need` points far above it."""
    best = case.start if math.isfinite(case.start) else math.inf
    least = LEAST_AWAY if case.learns_text or not best < math.inf else LEAST_AWAY * max(1.0, best)
    found: list[Raised] = []
    row = 0
    for index in range(9, case.count):
        value, step = case.smooth[index], case.steps[index]
        if any(0 <= step - border < SETTLING for border in case.borders):
            best, row = math.inf, 0
            continue
        if not math.isfinite(value):
            continue
        best = min(best, value)
        limit = max(DIVERGED * best, best + least, best * (1 + sigmas * case.swing))
        row = row + 1 if value > limit else 0
        if row == need:
            found.append(Raised(best, value / max(best, 1e-12), case.steps[index - row + 1], step))
        elif row > need:
            found[-1] = found[-1]._replace(times=max(found[-1].times, value / max(best, 1e-12)), until=step)
    return best, found


def confirmed(case: Case, one: Raised) -> bool | None:
    """Whether evaluations rose with the training loss; None where none was made then."""
    before = [loss for step, loss in case.evals if step <= one.since]
    within = [loss for step, loss in case.evals if one.since + 2 < step <= one.until]
    return max(within) > CONFIRMED * min(before) if before and within else None


def recovered(case: Case, until: float) -> bool:
    """Whether the run has long been back, better than it ever was before: it does not stay above its best."""
    begin = case.evals[0][1] if case.evals else case.start
    last = case.evals[-1][1] if case.evals else case.smooth[-1]
    at_best = not case.evals or last <= CONFIRMED * min(loss for _, loss in case.evals)
    gone = case.steps[-1] - until >= BACK_SHARE * case.total
    return gone and at_best and last < BETTER * begin and case.smooth[-1] <= CONFIRMED * min(case.smooth[9:])


def divergence(case: Case) -> Outcome:
    """The mean stays far above its best for long, or training left the model worse than it was."""
    if case.count < 20:
        return unknown("20 steps")
    best, alone = raised(case, SIGMAS_ALONE, max(10, math.ceil(0.03 * case.count)))
    seen = [one for one in alone if confirmed(case, one) is not False]
    seen += [
        one for one in raised(case, SIGMAS_CONFIRMED, max(5, math.ceil(0.01 * case.count)))[1] if confirmed(case, one)
    ]
    if seen and recovered(case, seen[-1].until):
        return no(best=best, last=case.smooth[-1], above_until_step=int(seen[-1].until))
    if not seen:
        return _worse(case) or _dead(case) or no(best=best, last=case.smooth[-1])
    worst, began = max(one.times for one in seen), min(one.since for one in seen)
    change = edits.slower(case, worst)
    return yes(
        change,
        "from the best checkpoint, or anew; with twice the warm-up if it comes back",
        best=best,
        last=case.smooth[-1],
        times_best=worst,
        since_step=int(began),
        learning_rate=case.peak_rate,
    )


def _worse(case: Case) -> Outcome | None:
    """Every evaluation is worse than the one before training, and the training loss has not fallen either."""
    later = [loss for step, loss in case.evals if step > 0]
    if len(later) < 2 or case.evals[0][0] != 0 or case.done_share < WORSE_SHARE:
        return None
    first, now = case.evals[0][1], stats.median(case.tail(case.finite_loss, 0.2))
    if min(later) <= CONFIRMED * first or not now >= 0.97 * stats.median(case.finite_loss[:5]):
        return None
    return yes(
        edits.slower(case, min(later) / first),
        "the rate is above what this model bears",
        held_out_first=first,
        held_out_best_since=min(later),
        last=now,
        learning_rate=case.peak_rate,
    )


def _dead(case: Case) -> Outcome | None:
    """Gradients have all but vanished though little was learnt: the model was thrown to where it says the same to
    everything."""
    norms = [value for value in case.grad_norm if math.isfinite(value)]
    if len(norms) < 20 or not math.isfinite(case.start) or case.start < LEAST_START:
        return None
    early, late = stats.median(norms[:5]), stats.median(case.tail(norms, 0.2))
    now = stats.median(case.tail(case.finite_loss, 0.2))
    if not 0 < late < DEAD * early or now < STUCK * case.start:
        return None
    return yes(
        edits.rate(case, 0.03),
        "the rate is above what this model bears",
        grad_norm_first=early,
        grad_norm_last=late,
        loss_first=case.start,
        last=now,
        learning_rate=case.peak_rate,
    )


def clipping(case: Case) -> Outcome:
    """More than half of the late gradients are cut, and the loss got worse since the middle of the run."""
    clip = case.bundle.optimizer.clip_norm if case.bundle is not None else 0.0
    if not clip:
        return no(clip_norm=0) if case.bundle is not None else unknown("the bundle")
    size = stats.window(case.count)
    if case.count < max(40, size):
        return unknown(f"{max(40, size)} steps")
    late = case.grad_norm[-size:]
    if not late:
        return unknown("gradient norms")
    share = sum(norm > clip for norm in late) / len(late)
    half = case.smooth[case.count // 2]
    stuck = case.smooth[-1] > half * (1.03 + 2 * EMA_NOISE * case.noise)
    # A run that has learnt nothing at all has another fault than its clipping.
    learnt = case.drop() > 0.1 or case.drop() < -0.1
    if share <= CLIPPED or not learnt or not (stuck or len(case.joint_spikes) >= 3):
        return no(clipped_share=share, clip_norm=clip)
    middle = stats.quantile(case.grad_norm, 0.9)
    return yes(
        edits.rate(case, 0.5),
        f"or raise optimizer.clip_norm to {middle:.2g}, the 90th percentile",
        "warning",
        clipped_share=share,
        clip_norm=clip,
        grad_norm_p90=middle,
        loss_half_way=half,
        loss_now=case.smooth[-1],
    )


RULES = (
    Rule(
        "D2",
        "early_blow_up",
        "unstable",
        "error",
        "The loss rose at the start instead of falling",
        "The rate is above what this model bears before the optimizer has seen enough steps: warm up longer.",
        early_blow_up,
    ),
    Rule(
        "D3",
        "spikes",
        "unstable",
        "warning",
        "Loss and gradient spike together",
        "A lone spike of the loss is noise; one with its gradient is a bad batch or a rate at the edge.",
        spikes,
    ),
    Rule(
        "D4",
        "divergence",
        "unstable",
        "error",
        "The loss left its best value and stays far above it",
        "Of 80 diverged adapter runs in a public sweep 72 had a rate that was too high.",
        divergence,
    ),
    Rule(
        "D5",
        "clipping_saturated",
        "unstable",
        "warning",
        "Most gradients are clipped and the loss rises",
        "When every step is clipped, clipping acts as a cut of the learning rate.",
        clipping,
    ),
)
