"""Curves between a series and the screen: bounded, smoothed once, right after a resume."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.events.series import Series
from tuiwiz.ui.curves import FACTORS, SeriesCurve, Smoothed, overview


def series_of(values: list[float], start: int = 1) -> Series:
    series = Series()
    for number, value in enumerate(values):
        series.append(start + number, value)
    return series


def test_what_is_drawn_does_not_depend_on_the_history() -> None:
    noise = random.Random(0)
    curve = SeriesCurve(series_of([noise.random() for _ in range(20_000)]))
    drawn = curve.curve("raw", 0, 20_000, 140)
    assert not drawn.points and len(drawn.low) == len(drawn.high) == 140
    near = curve.curve("raw", 19_900, 20_000, 140)
    assert 100 <= len(near.points) <= 103
    assert len(overview(series_of([1.0] * 5000), 16)) == 16


@given(st.lists(st.floats(0, 10), min_size=1, max_size=80), st.integers(1, 79))
def test_smoothing_in_pieces_is_smoothing_at_once(values: list[float], cut: int) -> None:
    whole, pieces = Smoothed(), Smoothed()
    whole.take(series_of(values))
    growing = series_of(values[:cut])
    pieces.take(growing)
    for number, value in enumerate(values[cut:]):
        growing.append(cut + 1 + number, value)
        pieces.take(growing)
    assert list(whole.last(80)) == list(pieces.last(80))


@given(st.floats(0.1, 10), st.integers(1, 60))
def test_a_constant_stays_itself(value: float, count: int) -> None:
    smooth = Smoothed()
    smooth.take(series_of([value] * count))
    assert all(math.isclose(one, value, rel_tol=1e-9) for one in smooth.last(count))


def test_a_resume_that_replaces_points_is_seen() -> None:
    series = series_of([1.0, 2.0, 3.0, 4.0])
    smooth = Smoothed()
    smooth.take(series)
    series.drop_from(3)
    for step in range(3, 8):
        series.append(step, 9.0)
    smooth.take(series)
    fresh = Smoothed()
    fresh.take(series)
    assert list(smooth.last(10)) == list(fresh.last(10)) and len(smooth.last(10)) == 7


def test_a_nan_is_a_gap_and_does_not_spread() -> None:
    smooth = Smoothed()
    smooth.take(series_of([1.0, math.nan, 1.0]))
    assert [math.isnan(value) for value in smooth.last(3)] == [False, True, False]


def test_smoothing_cycles_and_can_be_off() -> None:
    smooth = Smoothed()
    series = series_of([1.0, 3.0])
    labels = []
    for _ in FACTORS:
        smooth.take(series)
        labels.append(smooth.label)
        smooth.cycle()
    assert labels == ["ema 0.9", "ema 0.98", "", "ema 0.6"]
    smooth.take(series)
    assert smooth.label == "ema 0.9" and smooth.curve() is not None


def test_the_value_at_a_place_is_the_last_one_before_it() -> None:
    curve = SeriesCurve(series_of([5.0, 6.0, 7.0], start=10))
    assert [curve.at(x) for x in (0, 10, 11.5, 99)] == [5.0, 5.0, 6.0, 7.0]
    assert SeriesCurve(Series()).at(3) is None and SeriesCurve(Series()).last_x() == 0.0
