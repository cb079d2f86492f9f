"""A run over something else than its steps: the time that it took, the tokens that it saw."""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

from tuiwiz.events.series import Series
from tuiwiz.events.view import RunView

Kind = Literal["step", "time", "tokens"]
KINDS: tuple[Kind, ...] = ("step", "time", "tokens")
_UNITS = (("hours", 3600.0, 7200.0), ("minutes", 60.0, 300.0))
"""Name, seconds, and from how many seconds on it is used."""


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit in which so long a run is read, and its seconds."""
    return next(((name, size) for name, size, least in _UNITS if seconds >= least), ("seconds", 1.0))


class Axis:
    """Series of one view placed on an axis; each point is placed once, however often it is drawn."""

    def __init__(self, kind: Kind = "step", unit: tuple[str, float] | None = None) -> None:
        self.kind: Kind = kind
        self._fixed = unit
        self._unit = unit or ("seconds", 1.0)
        self._view: RunView | None = None
        self._placed: dict[str, Series] = {}

    @property
    def name(self) -> str:
        """What the axis counts."""
        return self._unit[0] if self.kind == "time" else self.kind

    def take(self, view: RunView) -> None:
        """Look at `view` from now on; what was placed stays while the run only grows."""
        clock = view.series.get("time")
        span = clock.y[-1] - clock.y[0] if clock is not None and len(clock) else 0.0
        unit = self._fixed or time_unit(span)
        if view is not self._view or unit != self._unit:
            self._placed.clear()
        self._view, self._unit = view, unit

    def series(self, name: str) -> Series | None:
        """A metric over this axis; None where it was not written."""
        source = self._view.series.get(name) if self._view is not None else None
        if source is None or self.kind == "step":
            return source
        placed = self._placed.setdefault(name, Series())
        done = len(placed)
        if done > len(source) or (done and placed.x[-1] != self.place(source.x[done - 1])):
            placed = self._placed[name] = Series()
            done = 0
        for x, y in zip(source.x[done:], source.y[done:], strict=True):
            placed.append(self.place(x), y)
        return placed

    def place(self, step: float) -> float:
        """Where a step lies on the axis; between recorded steps at the one before."""
        if self.kind == "step" or self._view is None:
            return step
        clock = self._view.series.get("time" if self.kind == "time" else "tokens")
        if clock is None or not len(clock):
            return step
        index = bisect_right(clock.x, step) - 1
        if self.kind == "tokens":
            return clock.y[index] if index >= 0 else 0.0
        return (clock.y[max(0, index)] - clock.y[0]) / self._unit[1]
