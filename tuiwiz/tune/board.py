"""What a screen says of a study at one look: what is best, what goes on, what is left, and the lines of its trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from tuiwiz.base.units import human_count, human_duration
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import flatten
from tuiwiz.tune.rows import Row, ranked
from tuiwiz.tune.space import RATE, shown
from tuiwiz.tune.study import Budget, Question
from tuiwiz.tune.work import deadline

MOST_AXES = 6


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """One upright of the parallel lines. `low` and `high` are the values at its foot and its head; `places`: trial ->
    height from 0 to 1, for the trials that have a value."""

    name: str
    low: str
    high: str
    places: dict[int, float]


def left(question: Question, rows: Sequence[Row], now: datetime) -> str:
    """What is left of the budget, in words."""
    budget, parts = question.budget, []
    begun = sum(row.state != "waiting" for row in rows)
    seconds = sum(row.seconds for row in rows)
    if budget.trials is not None:
        parts.append(f"{max(0, budget.trials - begun)} of {budget.trials} trials left")
    if budget.hours is not None:
        parts.append(f"{human_duration(max(0.0, 3600 * budget.hours - seconds))} left")
    if budget.tokens is not None:
        parts.append(f"{human_count(max(0, budget.tokens - sum(row.tokens for row in rows)))} tokens left")
    if budget.until is not None:
        seconds_left = (deadline(budget.until, now) - now).total_seconds()
        parts.append(f"{human_duration(max(0.0, seconds_left))} until {budget.until}")
    waiting = sum(row.state == "waiting" for row in rows)
    if budget == Budget():
        parts.append(f"{waiting} trials wait" if waiting else "no limit but the method's own")
    return ", ".join(parts)


def typical_seconds(rows: Sequence[Row]) -> float | None:
    """The median of what finished trials took."""
    times = sorted(row.seconds for row in rows if row.state == "finished")
    return times[len(times) // 2] if times else None


def keys_of(rows: Sequence[Row]) -> list[str]:
    """What the trials vary, the rate first; keys that are the same in all are left out."""
    found = {key for row in rows for key in row.edits}
    moved = [key for key in found if len({msgspec.json.encode(row.edits.get(key)) for row in rows}) > 1]
    return sorted(moved, key=lambda key: (key != RATE, key))


def value_of(row: Row, key: str, base: Bundle) -> Any:
    """A trial's value of a key, which is the base's where the trial says nothing."""
    return row.edits.get(key, flatten(base).get(key))


def axes(question: Question, rows: Sequence[Row], base: Bundle) -> list[Axis]:
    """The uprights, the score last: its best value is at the head."""
    flat = flatten(base)
    found = [_axis(key, {row.number: row.edits.get(key, flat.get(key)) for row in rows}) for key in keys_of(rows)]
    scored = ranked(rows, lower=question.lower)
    scores = {row.number: row.score for row in scored if row.score is not None}
    if scores:
        worst, best = (max, min) if question.lower else (min, max)
        foot, head = worst(scores.values()), best(scores.values())
        span = head - foot
        places = {number: (score - foot) / span if span else 0.5 for number, score in scores.items()}
        score = Axis(name=question.metric, low=f"{foot:.4f}", high=f"{head:.4f}", places=places)
        return [*found[: MOST_AXES - 1], score]
    return found[: MOST_AXES - 1]


def _axis(key: str, values: dict[int, Any]) -> Axis:
    name = key.rpartition(".")[2]
    known = {number: value for number, value in values.items() if value is not None}
    numbers = [value for value in known.values() if isinstance(value, int | float) and not isinstance(value, bool)]
    if numbers and len(numbers) == len(known):
        low, high = float(min(numbers)), float(max(numbers))
        # Rates and ranks are compared by their ratio.
        log = low > 0 and high / low > 4

        def place(value: float) -> float:
            if low == high:
                return 0.5
            if log:
                return math.log(value / low) / math.log(high / low)
            return (value - low) / (high - low)

        places = {number: place(float(value)) for number, value in known.items()}
        return Axis(name=name, low=shown(min(numbers)), high=shown(max(numbers)), places=places)
    order = sorted({shown(value) for value in known.values()})
    last = max(1, len(order) - 1)
    places = {number: order.index(shown(value)) / last for number, value in known.items()}
    return Axis(name=name, low=order[0] if order else "", high=order[-1] if order else "", places=places)
