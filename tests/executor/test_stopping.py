"""Time limits that leave room for the last evaluation, and falls that are more than chance."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.executor.limits import TimeLimit
from tuiwiz.executor.verdict import exceeds_noise, improves
from tuiwiz.spec.optimizer import Schedule


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_hours_count_earlier_attempts_and_leave_room_to_evaluate() -> None:
    clock = Clock()
    limit = TimeLimit(Schedule(max_hours=1.0), 600.0, clock=clock)
    limit.evaluation_s = 100.0
    clock.at += 2800
    assert limit.spent_s == 3400 and limit.reached(step_s=99) == ""
    assert limit.reached(step_s=101) == "limit of 1 hours"


def test_a_time_of_day_is_kept() -> None:
    clock = Clock()
    limit = TimeLimit(Schedule(stop_by="16:00"), clock=clock, now=lambda: datetime(2026, 11, 24, 15, 0))
    clock.at += 3599
    assert limit.reached(0.5) == "" and limit.reached(2) == "time limit 16:00"
    assert TimeLimit(Schedule(), clock=clock).reached(1e9) == ""


def test_improving_depends_on_the_metric() -> None:
    assert improves("loss", 0.9, 1.0, 0.05) and not improves("loss", 0.96, 1.0, 0.05)
    assert improves("accuracy", 0.9, 0.8, 0.05) and not improves("accuracy", 0.83, 0.8, 0.05)
    assert improves("loss", 5.0, None, 0.0) and not improves("loss", float("nan"), None, 0.0)
    assert improves("margin", -0.5, -1.0, 0.1) and not improves("margin", -0.95, -1.0, 0.1)


def test_a_fall_must_be_more_than_its_standard_error() -> None:
    before = [1.0, 2.0, 3.0, 4.0]
    assert exceeds_noise(before, [0.9, 1.9, 2.9, 3.9]), "small, but in every row"
    assert not exceeds_noise(before, [0.0, 2.9, 2.0, 4.9]), "lower in sum, by chance"
    assert not exceeds_noise(before, before) and not exceeds_noise(before, [value + 1 for value in before])
    assert exceeds_noise([2.0], [1.0])


@given(st.lists(st.floats(0, 100), min_size=2, max_size=20), st.floats(0.01, 5))
def test_the_same_fall_in_every_row_counts(rows: list[float], fall: float) -> None:
    assert exceeds_noise(rows, [value - fall for value in rows])


@pytest.mark.parametrize("text", ["nonsense", "99:99"])
def test_a_time_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        TimeLimit(Schedule(stop_by=text))
