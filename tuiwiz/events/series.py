"""A metric over steps with a min/max pyramid, so that drawing costs columns and not points."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from math import isfinite

KEPT_WINDOWS = 6
"""Windows whose columns are remembered: a screen draws a series in a chart, in two densities, and in small curves."""
FAN = 8
"""Points of one level that one entry of the level above covers."""


@dataclass(slots=True)
class _Columns:
    """Extremes of the columns of a window, as of the first `points` points."""

    low: list[float]
    high: list[float]
    points: int = 0


class Series:
    """Append-only points with rising `x`; not-a-number values leave gaps."""

    def __init__(self) -> None:
        self.x: array[float] = array("d")
        self.y: array[float] = array("d")
        self._low: list[array[float]] = []
        self._high: list[array[float]] = []
        self._windows: dict[tuple[float, float, int], _Columns] = {}

    def __len__(self) -> int:
        return len(self.x)

    @property
    def last(self) -> float:
        """The newest value; nan where there is none."""
        return self.y[-1] if self.y else math.nan

    def append(self, x: float, y: float) -> None:
        """Add a point. A point at or before the newest `x` replaces what lies from there on."""
        if self.x and x <= self.x[-1]:
            self.drop_from(x)
        self.x.append(x)
        self.y.append(y)

    def drop_from(self, x: float) -> None:
        """Remove all points at `x` and beyond."""
        keep = bisect_left(self.x, x)
        del self.x[keep:], self.y[keep:]
        self._windows.clear()
        for lows, highs in zip(self._low, self._high, strict=True):
            keep //= FAN
            del lows[keep:], highs[keep:]

    def columns(self, x0: float, x1: float, n: int) -> tuple[list[float], list[float]]:
        """Smallest and largest finite values in each of `n` equal columns of [x0, x1], nan where there is none.

        O(n log points) the first time; after that only columns that new points fall into are looked at again, so that
        a redraw costs what is new and not what there is. The last column includes `x1`.
        """
        key = (x0, x1, n)
        found = self._windows.pop(key, None) or _Columns([math.nan] * n, [math.nan] * n)
        # The newest used window stands last; the oldest one goes.
        self._windows[key] = found
        while len(self._windows) > KEPT_WINDOWS:
            del self._windows[next(iter(self._windows))]
        count = len(self.x)
        if found.points < count:
            edge = self.x[found.points - 1] if found.points else -math.inf
            first = max(0, min(n - 1, int((edge - x0) / (x1 - x0) * n) - 1)) if isfinite(edge) and x1 > x0 else 0
            self._fill(found, key, first)
            found.points = count
        return list(found.low), list(found.high)

    def _fill(self, found: _Columns, key: tuple[float, float, int], first: int) -> None:
        """Look at the columns from `first` on, up to the one of the newest point."""
        x0, x1, n = key
        start = bisect_left(self.x, x0 + (x1 - x0) * first / n)
        for column in range(first, n):
            if start == len(self.x):
                break
            last = column == n - 1
            stop = bisect_right(self.x, x1) if last else bisect_left(self.x, x0 + (x1 - x0) * (column + 1) / n)
            found.low[column], found.high[column] = self.span(start, stop) if stop > start else (math.nan, math.nan)
            start = max(start, stop)

    def span(self, start: int, stop: int) -> tuple[float, float]:
        """Smallest and largest finite value of the points with index in [start, stop), nan where there is none."""
        self._catch_up()
        low, high = math.inf, -math.inf
        while start < stop:
            level, size = -1, 1
            while level + 1 < len(self._low) and start % (size * FAN) == 0 and start + size * FAN <= stop:
                level, size = level + 1, size * FAN
            if level < 0:
                value = self.y[start]
                if isfinite(value):
                    low, high = min(low, value), max(high, value)
            else:
                low = min(low, self._low[level][start // size])
                high = max(high, self._high[level][start // size])
            start += size
        return (low, high) if low <= high else (math.nan, math.nan)

    def _catch_up(self) -> None:
        """Take the points that came since the last look into the pyramid, whole groups only.

        Done here and not in `append`, because most runs that are read are listed and not drawn.
        """
        level, below_low, below_high = 0, self.y, self.y
        while len(below_low) >= FAN:
            if level == len(self._low):
                self._low.append(array("d"))
                self._high.append(array("d"))
            lows, highs = self._low[level], self._high[level]
            for start in range(len(lows) * FAN, len(below_low) - FAN + 1, FAN):
                lows.append(min((v for v in below_low[start : start + FAN] if isfinite(v)), default=math.inf))
                highs.append(max((v for v in below_high[start : start + FAN] if isfinite(v)), default=-math.inf))
            level, below_low, below_high = level + 1, lows, highs
