"""A metric over steps with a min/max pyramid, so that drawing costs columns and not points."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from math import isfinite

FAN = 8
"""Points of one level that one entry of the level above covers."""


class Series:
    """Append-only points with rising `x`; not-a-number values leave gaps."""

    def __init__(self) -> None:
        self.x: array[float] = array("d")
        self.y: array[float] = array("d")
        self._low: list[array[float]] = []
        self._high: list[array[float]] = []

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
        for lows, highs in zip(self._low, self._high, strict=True):
            keep //= FAN
            del lows[keep:], highs[keep:]

    def columns(self, x0: float, x1: float, n: int) -> tuple[list[float], list[float]]:
        """Smallest and largest finite values in each of `n` equal columns of [x0, x1], nan where there is none.

        O(n log points); the last column includes `x1`.
        """
        edges = [x0 + (x1 - x0) * i / n for i in range(n)]
        cuts = [bisect_left(self.x, edge) for edge in edges]
        end = bisect_left(self.x, x1)
        while end < len(self.x) and self.x[end] <= x1:
            end += 1
        cuts.append(end)
        spans = [self.span(cuts[i], cuts[i + 1]) for i in range(n)]
        return [low for low, _ in spans], [high for _, high in spans]

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
