"""What paired differences can decide: Student's t, three verdicts, and how many more runs would decide.

Differences are baseline minus arm or arm minus baseline over the same seeds. `differs`: the 95 % interval of their mean
leaves out 0. `no difference`: the 90 % interval lies within the stated margin (two one-sided tests at 5 %, Schuirmann
1987). `cannot tell`: neither, and `more` pairs are what the measured spread asks for.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache
from typing import Literal

import msgspec

Word = Literal["differs", "no difference", "cannot tell"]
MOST_PAIRS = 200
"""More pairs than this are not asked for by number: the difference is then too small to be worth it."""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """`interval`: 95 % of the mean difference; `sigma`: of one paired difference; `more`: pairs that are still needed,
    None where more than `MOST_PAIRS` would be."""

    verdict: Word
    pairs: int
    mean: float
    sigma: float
    interval: tuple[float, float]
    margin: float
    more: int | None = 0


def decide(differences: Sequence[float], margin: float) -> Decided:
    """The verdict on paired differences.

    Args:
        margin: differences within +-margin do not matter.

    Raises:
        ValueError: fewer than two differences, or one that is not finite.
    """
    n = len(differences)
    if n < 2 or not all(math.isfinite(value) for value in differences):
        raise ValueError("a verdict needs at least two finite differences")
    mean, sigma = statistics.fmean(differences), statistics.stdev(differences)
    error = sigma / math.sqrt(n)
    wide, narrow = t_quantile(0.975, n - 1) * error, t_quantile(0.95, n - 1) * error
    verdict: Word = "cannot tell"
    if abs(mean) > wide:
        verdict = "differs"
    elif abs(mean) + narrow <= margin:
        verdict = "no difference"
    more = 0 if verdict != "cannot tell" else pairs_needed(mean, sigma, margin, n)
    return Decided(
        verdict=verdict,
        pairs=n,
        mean=mean,
        sigma=sigma,
        interval=(mean - wide, mean + wide),
        margin=margin,
        more=more,
    )


def pairs_needed(mean: float, sigma: float, margin: float, have: int) -> int | None:
    """How many pairs beyond `have` decide if mean and sigma stay as they are; None when more than `MOST_PAIRS`."""
    for n in range(have + 1, MOST_PAIRS + 1):
        error = sigma / math.sqrt(n)
        if abs(mean) > t_quantile(0.975, n - 1) * error or abs(mean) + t_quantile(0.95, n - 1) * error <= margin:
            return n - have
    return None


def smallest_effect(pairs: int) -> float:
    """The mean difference, in sigmas of one paired difference, that `pairs` pairs find four times out of five.

    t(0.975) + t(0.8) over sqrt(n): within a tenth of the exact power of the t test from three pairs on.
    """
    freedom = pairs - 1
    return (t_quantile(0.975, freedom) + t_quantile(0.8, freedom)) / math.sqrt(pairs)


@cache
def t_quantile(p: float, freedom: int) -> float:
    """The p-quantile of Student's t for 0.5 <= p < 1, to about 1e-10."""
    low, high = 0.0, 1.0
    while _t_below(high, freedom) < p:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_below(middle, freedom) < p else (low, middle)
    return (low + high) / 2


def _t_below(t: float, freedom: int) -> float:
    """P(T <= t) for t >= 0 by the finite sums for whole degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(freedom // 2):
        total += term
        term *= cosine**2 * ((2 * k + 2) / (2 * k + 3) if odd else (2 * k + 1) / (2 * k + 2))
    both = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 + both / 2
