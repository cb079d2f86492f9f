"""Series made ready for drawing: a curve for a window, a smoothed copy, the newest values, an overview."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Protocol

from tuiwiz.events.series import Series
from tuiwiz.events.view import RunView
from tuiwiz.ui.widgets.plot import Curve

FACTORS = (0.9, 0.98, 0.0, 0.6)
"""Weights of the past that smoothing cycles through; 0 is none."""


class CurveSource(Protocol):
    """What a chart draws: knows its end, its value at a place, and itself in a number of columns."""

    def last_x(self) -> float: ...

    def at(self, x: float) -> float | None: ...

    def curve(self, style: str, x0: float, x1: float, columns: int) -> Curve: ...


class SeriesCurve:
    """A series as a curve: its points while there are fewer than columns, else the extremes of each column."""

    def __init__(self, series: Series) -> None:
        self._series = series

    def last_x(self) -> float:
        return self._series.x[-1] if len(self._series) else 0.0

    def at(self, x: float) -> float | None:
        """The value at the point at or before `x`, else the first one."""
        xs = self._series.x
        if not xs:
            return None
        return self._series.y[max(0, bisect_right(xs, x) - 1)]

    def curve(self, style: str, x0: float, x1: float, columns: int) -> Curve:
        # One more on either side, so that the line runs to the frame.
        xs = self._series.x
        first, last = max(0, bisect_left(xs, x0) - 1), min(len(xs), bisect_right(xs, x1) + 1)
        if last - first <= columns:
            return Curve(style, points=tuple(zip(xs[first:last], self._series.y[first:last], strict=True)))
        low, high = self._series.columns(x0, x1, columns)
        return Curve(style, low=low, high=high)


class Smoothed:
    """An exponential moving average kept beside a series; each point is taken in once.

    y_t = (b y_{t-1} + (1 - b) x_t) / (1 - b^t), the bias-corrected mean of Adam (Kingma and Ba, 2015).
    """

    def __init__(self) -> None:
        self._factor = FACTORS[0]
        self._source: Series | None = None
        self._start()

    def _start(self) -> None:
        self._out = Series()
        self._mean = 0.0
        self._weight = 0.0
        self._taken = (0.0, "")

    @property
    def label(self) -> str:
        """`ema 0.9`; empty while smoothing is off."""
        return f"ema {self._factor:g}" if self._factor else ""

    def cycle(self) -> None:
        """The next factor; the average starts anew."""
        self._factor = FACTORS[(FACTORS.index(self._factor) + 1) % len(FACTORS)]
        self._start()

    def take(self, series: Series) -> None:
        """Take in the points that came since; all of them when the series is another one or has been cut."""
        done = len(self._out)
        if series is not self._source or len(series) < done or (done and self._taken != _point(series, done - 1)):
            self._source = series
            self._start()
        done, factor = len(self._out), self._factor
        for x, y in zip(series.x[done:], series.y[done:], strict=True):
            if math.isfinite(y):
                self._mean = factor * self._mean + (1 - factor) * y
                self._weight = factor * self._weight + (1 - factor)
                self._out.append(x, self._mean / self._weight)
            else:
                self._out.append(x, math.nan)
        if len(series):
            self._taken = _point(series, len(series) - 1)

    def curve(self) -> SeriesCurve | None:
        return SeriesCurve(self._out) if self._factor else None

    def last(self, count: int) -> Sequence[float]:
        """The newest smoothed values, oldest first."""
        return self._out.y[-count:]


def _point(series: Series, index: int) -> tuple[float, str]:
    """A point that can be compared, not-a-number included."""
    return series.x[index], repr(series.y[index])


def last_values(view: RunView, name: str, count: int) -> Sequence[float]:
    """The newest values of a metric, oldest first; empty where there are none."""
    series = view.series.get(name)
    return series.y[-count:] if series is not None else array("d")


def overview(series: Series, columns: int) -> list[float]:
    """The whole series in at most `columns` values."""
    if len(series) <= columns:
        return list(series.y)
    low, high = series.columns(series.x[0], series.x[-1], columns)
    return [(a + b) / 2 for a, b in zip(low, high, strict=True)]
