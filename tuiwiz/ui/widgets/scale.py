"""Value axes: linear and logarithmic scales, ticks at round numbers, short labels. Knows no Textual."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

TINY = 1e-30
"""Smaller values have no place on a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Values between `low` and `high`, `low < high`; both positive when `log`."""

    low: float
    high: float
    log: bool = False

    def position(self, value: float) -> float:
        """0 at `low`, 1 at `high`; outside beyond. NaN where the scale has no place for the value."""
        if self.log:
            if value <= 0:
                return math.nan
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def dot(self, value: float, dots: int) -> int | None:
        """Row of dots from the top for `value` on a canvas `dots` high; None where it cannot be shown."""
        place = self.position(value)
        if not math.isfinite(place):
            return None
        # Far outside values only tell the direction in which a line leaves the frame.
        place = min(max(place, -4.0), 5.0)
        return round((1.0 - place) * (dots - 1))


def fit(values: Iterable[float], *, log: bool = False, pad: float = 0.04) -> Scale:
    """A scale over the finite `values` with a little air; a single value sits in the middle."""
    kept = [value for value in values if math.isfinite(value) and (value > TINY or not log)]
    if not kept:
        return Scale(0.1, 1.0, True) if log else Scale(0.0, 1.0)
    low, high = min(kept), max(kept)
    if log:
        if high / low < 1.0001:
            return Scale(low / 2, high * 2, True)
        air = (high / low) ** pad
        return Scale(low / air, high * air, True)
    if high - low <= abs(high) * 1e-9:
        half = abs(high) * 0.5 or 1.0
        return Scale(low - half, high + half)
    air_width = (high - low) * pad
    return Scale(low - air_width, high + air_width)


def nice_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5 x 10^k that divides `span` into at most `most` parts."""
    if span <= 0 or not math.isfinite(span):
        return 1.0
    raw = span / max(1, most)
    base = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 5, 10):
        if factor * base >= raw * (1 - 1e-9):
            return factor * base
    return 10 * base


def ticks(scale: Scale, most: int) -> list[float]:
    """Round values inside the scale, at most about `most`, rising."""
    if scale.log:
        return _log_ticks(scale, most)
    step = nice_step(scale.high - scale.low, most)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _log_ticks(scale: Scale, most: int) -> list[float]:
    low, high = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    for factors in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**k for k in range(low, high + 1) for f in factors]
        found = [value for value in found if scale.low <= value <= scale.high]
        if len(found) <= most:
            break
    if len(found) > most:
        found = found[:: math.ceil(len(found) / most)]
    # Less than a decade can miss every round number: plain steps are better than none.
    return found if len(found) >= 2 else ticks(Scale(scale.low, scale.high), most)


def tick_labels(values: list[float]) -> list[str]:
    """Labels with as many decimals as the distance of neighbours needs."""
    if not values:
        return []
    gap = min((b - a for a, b in itertools.pairwise(values)), default=abs(values[0]) or 1.0)
    largest = max(abs(value) for value in values)
    if largest and (largest >= 1e6 or largest < 1e-3):
        return [f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e") for value in values]
    decimals = max(0, -math.floor(math.log10(gap) + 1e-9)) if gap > 0 else 0
    return [f"{value:.{min(decimals, 6)}f}" for value in values]


def step_label(value: float) -> str:
    """A step number that stays short: `850`, `12k`, `1.5M`."""
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e6 if unit == "M" else 1e3)
            return f"{scaled:.1f}".rstrip("0").rstrip(".") + unit
    return f"{value:g}"
