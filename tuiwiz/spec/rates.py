"""The learning rate as a pure function of the step, so that the wizard draws what the executor does.

With W warm-up steps of T, m the minimum ratio and x = (step - W) / (T - W), the share of the peak after the warm-up is

    constant             1
    linear               1 - (1 - m) x
    cosine               m + (1 - m) (1 + cos(pi x)) / 2                             https://arxiv.org/abs/1608.03983
    cosine_restarts      the same with x replaced by the fraction of `cycles` * x     https://arxiv.org/abs/1608.03983
    polynomial           m + (1 - m) (1 - x) ^ `power`
    inverse_sqrt         sqrt(S / (step - W + S)), S = W, or 10 000 without warm-up   https://arxiv.org/abs/1706.03762
    warmup_stable_decay  1, then m + (1 - m) (1 - sqrt(d)), d over the last `decay`   https://arxiv.org/abs/2405.18392
    one_cycle            a cosine from 1/25 up to 1 and a cosine down to m            https://arxiv.org/abs/1708.07120
    plateau              1, lowered by what evaluations say (the executor's `plateau`)
"""

from __future__ import annotations

import math

from tuiwiz.spec.derive import warmup_steps
from tuiwiz.spec.optimizer import Schedule

TIMESCALE = 10_000
"""Steps of the inverse square root without a warm-up to take them from."""
FIRST_RATE = 1 / 25
"""Where one_cycle begins, as a share of the peak."""


def rate_factor(step: int, total: int, schedule: Schedule) -> float:
    """The learning rate of the update with 0-based `step` of `total`, as a share of the peak.

    The warm-up rises linearly and ends at the peak; its first step is above zero, so that no step is spent on nothing.
    """
    warmup = warmup_steps(schedule.warmup, total)
    if schedule.kind == "one_cycle":
        return _one_cycle(step, total, warmup, schedule.min_ratio)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule.kind == "inverse_sqrt":
        scale = warmup or TIMESCALE
        return math.sqrt(scale / (step - warmup + scale))
    x = min(1.0, (step - warmup) / max(1, total - warmup))
    least = schedule.min_ratio
    if schedule.kind == "warmup_stable_decay":
        decay = decay_steps(schedule.decay, total, warmup)
        x = (step - (total - decay)) / max(1, decay)
        return least + (1 - least) * (1 - math.sqrt(min(1.0, x))) if x >= 0 else 1.0
    return least + (1 - least) * _falling(schedule, x)


def _falling(schedule: Schedule, x: float) -> float:
    """From 1 to 0 as x goes from 0 to 1."""
    match schedule.kind:
        case "linear":
            return 1 - x
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * x))
        case "cosine_restarts":
            return 0.5 * (1 + math.cos(math.pi * ((schedule.cycles * x) % 1.0))) if x < 1 else 0.0
        case "polynomial":
            return float((1 - x) ** schedule.power)
    return 1.0


def decay_steps(decay: float, total: int, warmup: int) -> int:
    """Steps of the final decay: below 1 a share of the run, from 1 on steps; never into the warm-up."""
    return min(round(decay * total) if decay < 1 else round(decay), total - warmup)


def _one_cycle(step: int, total: int, warmup: int, least: float) -> float:
    peak, last = float(warmup - 1), float(total - 1)
    if step <= peak and peak > 0:
        return _anneal(FIRST_RATE, 1.0, step / peak)
    # Without a rise the cycle starts at its peak.
    peak = max(0.0, peak)
    return _anneal(1.0, least, min(1.0, (step - peak) / max(1.0, last - peak)))


def _anneal(start: float, end: float, x: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * x))
