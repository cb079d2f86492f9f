"""Robust statistics of short series. Pure; no numpy, which screens must not load."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence

MAD_TO_SIGMA = 1.4826
"""Of a normal distribution."""
LASTING = 5
SWING_POINTS = 20
"""Distance over which a smoothed curve is held against itself: beyond its own memory."""


def median(values: Sequence[float]) -> float:
    """nan where there are none."""
    kept = sorted(value for value in values if math.isfinite(value))
    if not kept:
        return math.nan
    middle = len(kept) // 2
    return kept[middle] if len(kept) % 2 else (kept[middle - 1] + kept[middle]) / 2


def spread(values: Sequence[float]) -> float:
    """The standard deviation that the median absolute deviation speaks of."""
    centre = median(values)
    return MAD_TO_SIGMA * median([abs(value - centre) for value in values])


def ema(values: Sequence[float], factor: float = 0.9) -> list[float]:
    """Bias-corrected exponential mean; a value that is not finite leaves it where it is."""
    mean = weight = 0.0
    out: list[float] = []
    for value in values:
        if math.isfinite(value):
            mean = factor * mean + (1 - factor) * value
            weight = factor * weight + (1 - factor)
        out.append(mean / weight if weight else math.nan)
    return out


def swing(smooth: Sequence[float]) -> float:
    """By what share chance moves a smoothed curve: robust deviation from itself some points before.

    Batches of unlike length or kind, one after the other, move it more than the noise of single points tells; steady
    rises and falls cancel out. nan for short curves, in which what happened once is more than chance.
    """
    pairs = zip(smooth[SWING_POINTS // 2 :], smooth[SWING_POINTS // 2 + SWING_POINTS :], strict=False)
    moves = [b / a - 1 for a, b in pairs if math.isfinite(a) and math.isfinite(b) and a > 0]
    return spread(moves) / math.sqrt(2) if len(moves) >= 5 * SWING_POINTS else math.nan


def window(count: int) -> int:
    """Points that a spike is judged against: a tenth of the run, between 32 and 128."""
    return max(32, min(128, math.ceil(0.1 * count)))


def spikes(values: Sequence[float], limit: float = 6.0, least: int = 16) -> list[int]:
    """Indexes of points more than `limit` robust deviations above the points before them.

    Positive values are judged by their logarithms: noise of losses and norms multiplies. Of points that follow each
    other the first one counts; more than `LASTING` of them are a new level and no spike.
    """
    positive = min((value for value in values if math.isfinite(value)), default=0.0) > 0
    if positive:
        values = [math.log(value) if math.isfinite(value) else value for value in values]
    found = _high(values, limit, least, relative=not positive)
    return [group[0] for group in _groups(found) if len(group) <= LASTING]


def _groups(indexes: Sequence[int]) -> list[list[int]]:
    """Runs of indexes with gaps of at most 2."""
    found: list[list[int]] = []
    for index in indexes:
        if found and index - found[-1][-1] <= 2:
            found[-1].append(index)
        else:
            found.append([index])
    return found


def _high(values: Sequence[float], limit: float, least: int, *, relative: bool) -> list[int]:
    size = window(len(values))
    found: list[int] = []
    ordered: list[float] = []
    for index, value in enumerate(values):
        if math.isfinite(value):
            if len(ordered) >= least:
                centre = ordered[len(ordered) // 2]
                deviation = max(MAD_TO_SIGMA * _mad(ordered, centre), 0.01 * (abs(centre) if relative else 1.0), 1e-12)
                if (value - centre) / deviation > limit:
                    found.append(index)
            insort(ordered, value)
        if index >= size and math.isfinite(values[index - size]):
            del ordered[bisect_left(ordered, values[index - size])]
    return found


def _mad(ordered: Sequence[float], centre: float) -> float:
    distances = sorted(abs(value - centre) for value in ordered)
    return distances[len(distances) // 2]


def slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Least-squares slope and its standard error; nan with fewer than three finite points."""
    pairs = [(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(b)]
    if len(pairs) < 3:
        return math.nan, math.nan
    count = len(pairs)
    mean_x, mean_y = sum(a for a, _ in pairs) / count, sum(b for _, b in pairs) / count
    square = sum((a - mean_x) ** 2 for a, _ in pairs)
    if not square:
        return math.nan, math.nan
    found = sum((a - mean_x) * (b - mean_y) for a, b in pairs) / square
    rest = sum((b - mean_y - found * (a - mean_x)) ** 2 for a, b in pairs)
    return found, math.sqrt(rest / (count - 2) / square)


def quantile(values: Sequence[float], share: float) -> float:
    kept = sorted(value for value in values if math.isfinite(value))
    return kept[min(len(kept) - 1, int(share * len(kept)))] if kept else math.nan
