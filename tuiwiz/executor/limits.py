"""Limits of time: `schedule.max_hours` and `schedule.stop_by`. Both leave room for the last evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from tuiwiz.spec.deadline import seconds_until
from tuiwiz.spec.optimizer import Schedule


class TimeLimit:
    """Asked after every step. `spent_s` are the seconds of earlier attempts, which `max_hours` counts, too."""

    def __init__(
        self,
        schedule: Schedule,
        spent_s: float = 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._clock = clock
        self._start = clock() - spent_s
        self._ends: list[tuple[float, str]] = []
        if schedule.max_hours is not None:
            self._ends.append((self._start + 3600 * schedule.max_hours, f"limit of {schedule.max_hours:g} hours"))
        if schedule.stop_by is not None:
            left = seconds_until(schedule.stop_by, now())
            self._ends.append((clock() + left, f"time limit {schedule.stop_by}"))
        self.evaluation_s = 0.0
        """What the last evaluation took: it must fit in before the end."""

    @property
    def spent_s(self) -> float:
        return self._clock() - self._start

    def reached(self, step_s: float) -> str:
        """Why another step of `step_s` seconds would be too late, or an empty string."""
        then = self._clock() + step_s + self.evaluation_s
        return next((reason for end, reason in self._ends if then > end), "")
