"""A metric over steps with a min/max pyramid, so that drawing costs columns and not points."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left

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
        finite = math.isfinite(y)
        low, high = (y, y) if finite else (math.inf, -math.inf)
        index = len(self.x) - 1
        for level in range(len(self._low) + 1):
            index //= FAN
            if level == len(self._low):
                if index == 0:
                    break
                self._grow(level)
            lows, highs = self._low[level], self._high[level]
            if index == len(lows):
                lows.append(low)
                highs.append(high)
            elif finite:
                lows[index] = min(lows[index], low)
                highs[index] = max(highs[index], high)

    def drop_from(self, x: float) -> None:
        """Remove all points at `x` and beyond."""
        keep = bisect_left(self.x, x)
        points = list(zip(self.x[:keep], self.y[:keep], strict=True))
        # The pyramid is rebuilt: resumes are rare, and every entry above the cut would change.
        self.__init__()  # type: ignore[misc]
        for point in points:
            self.append(*point)

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
        low, high = math.inf, -math.inf
        while start < stop:
            level, size = -1, 1
            while level + 1 < len(self._low) and start % (size * FAN) == 0 and start + size * FAN <= stop:
                level, size = level + 1, size * FAN
            if level < 0:
                value = self.y[start]
                if math.isfinite(value):
                    low, high = min(low, value), max(high, value)
            else:
                low = min(low, self._low[level][start // size])
                high = max(high, self._high[level][start // size])
            start += size
        return (low, high) if low <= high else (math.nan, math.nan)

    def _grow(self, level: int) -> None:
        """Start a level above the present top, filled from it."""
        below_low = self._low[level - 1] if level else self.y[:-1]
        below_high = self._high[level - 1] if level else self.y[:-1]
        lows: array[float] = array("d")
        highs: array[float] = array("d")
        for start in range(0, len(below_low), FAN):
            some_low = [v for v in below_low[start : start + FAN] if math.isfinite(v)]
            some_high = [v for v in below_high[start : start + FAN] if math.isfinite(v)]
            lows.append(min(some_low, default=math.inf))
            highs.append(max(some_high, default=-math.inf))
        self._low.append(lows)
        self._high.append(highs)
