"""D6, D7: a rate that stays high to the end, and schedules that do not do what they promise."""

from __future__ import annotations

import itertools
import math

from tuiwiz.doctor import stats
from tuiwiz.doctor.case import Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes

LATE_NOISE = 0.35


def late_noise(case: Case) -> Outcome:
    """The loss still jumps in the last quarter while the rate is high."""
    late = [(loss, rate) for loss, rate in zip(case.loss, case.rate, strict=False) if math.isfinite(loss)][
        -max(1, case.count // 4) :
    ]
    kept = [loss for loss, rate in late if rate > 0.2 * case.peak_rate]
    if case.done_share < 0.9 or len(kept) < 12:
        return unknown("the last quarter of the run at a high rate")
    level = stats.median(kept)
    jumps = stats.median([abs(b - a) for a, b in itertools.pairwise(kept)])
    if level < 0.1 or jumps / level <= LATE_NOISE:
        return no(jump_share=jumps / level if level else 0.0)
    if case.bundle is not None and case.bundle.schedule.kind == "constant":
        return yes({"schedule.kind": "cosine"}, "", jump_share=jumps / level, loss=level)
    batch = case.bundle.batch.effective if case.bundle is not None else 0
    change = {"batch.effective": 2 * batch} if batch else {}
    return yes(change, "with 1.4 times the learning rate", jump_share=jumps / level, loss=level, batch=batch)


_SHORTER = "the length of the run was taken for shorter than it is"


def schedule(case: Case) -> Outcome:
    """The rate does not do what its schedule promises."""
    steps = case.total
    if len(case.steps) != len(case.rate):
        return unknown("steps with a loss and a rate each")
    dead = next((i for i, rate in enumerate(case.rate) if i > case.count // 10 and rate <= 1e-3 * case.peak_rate), None)
    if case.bundle is None:
        rest = steps and dead is not None and len(case.rate) >= 20 and case.peak_rate and case.steps[dead] < 0.8 * steps
        if not rest or dead is None or max(case.rate[dead:]) > 1e-3 * case.peak_rate:
            return unknown("the bundle")
        return yes({"schedule.min_ratio": 0.1}, _SHORTER, rate_zero_at_step=int(case.steps[dead]), steps=steps)
    plan = case.bundle.schedule
    if steps and case.warmup >= 0.5 * steps:
        return yes({"schedule.warmup": 0.03}, "", warmup_steps=case.warmup, steps=steps)
    if len(case.rate) < 20 or not case.peak_rate:
        return unknown("20 steps")
    decays = plan.kind in ("linear", "cosine") and not case.bundle.phases
    if decays and not plan.min_ratio and dead is not None and case.steps[dead] < 0.95 * steps:
        return yes({"schedule.min_ratio": 0.1}, _SHORTER, rate_zero_at_step=int(case.steps[dead]), steps=steps)
    ended = case.view.step >= steps > 0
    left = case.rate[-1] / case.peak_rate
    if decays and ended and left > max(0.15, 1.5 * plan.min_ratio):
        advice = "the length of the run was taken for longer than it is"
        return yes({"schedule.kind": "linear"}, advice, last_rate_share=left, steps=steps)
    return no(warmup_steps=case.warmup, last_rate_share=left)


RULES = (
    Rule(
        "D6",
        "late_noise",
        "unstable",
        "warning",
        "The loss still jumps late in the run",
        "The batch is too small for this rate, or the rate never decays.",
        late_noise,
    ),
    Rule(
        "D7",
        "schedule",
        "plumbing",
        "warning",
        "The learning rate does not follow its schedule",
        "A warm-up of half the run, or a decay that ends early or never, wastes the steps that matter.",
        schedule,
    ),
)
