"""Figures of the header: time left with its band, best evaluation, words for numbers."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.ui.facts import eta_of
from tuiwiz.ui.theme import CONTRAST, DARK, LIGHT
from tuiwiz.ui.widgets.spark import progress, spark
from tuiwiz.ui.words import age, clock, number


def test_steady_steps_have_a_narrow_band() -> None:
    left, band = eta_of(100, [2.0] * 50)
    assert left == 200.0
    assert 0 < band <= 0.02 * 200


def test_the_band_covers_what_then_happens() -> None:
    """A 90 % band on exchangeable steps is met in at least about 85 % of trials."""
    noise = random.Random(3)
    met = 0
    for _ in range(300):
        steps = [noise.gammavariate(4, 0.5) for _ in range(150)]
        left, band = eta_of(100, steps[:50])
        assert left is not None
        met += abs(sum(steps[50:]) - left) <= band
    assert met >= 255


def test_without_steps_there_is_no_estimate() -> None:
    assert eta_of(10, []) == (None, 0.0)
    assert eta_of(0, [1.0, 1.0]) == (0.0, 0.0)
    assert eta_of(10, [math.nan]) == (None, 0.0)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_any_number_is_short(value: float) -> None:
    assert len(number(value)) <= 9


def test_numbers_and_times_read_well() -> None:
    assert [number(value) for value in (0.4118, 12.3456, 123.4, 2e-4, None, math.nan)] == [
        "0.412",
        "12.346",
        "123.4",
        "2.0e-4",
        "-",
        "NaN",
    ]
    assert [clock(seconds) for seconds in (8, 400, 11100, 200000)] == ["8 s", "6 min 40 s", "3 h 05 min", "2.3 d"]
    assert [age(seconds) for seconds in (5, 700, 11000, 500000)] == ["now", "11 min ago", "3 h ago", "5 d ago"]


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=40), st.integers(0, 30))
def test_a_sparkline_is_never_wider_than_asked(values: list[float], width: int) -> None:
    assert len(spark(values, width)) <= width


@given(st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 40))
def test_a_progress_bar_has_its_width(share: float, width: int) -> None:
    done, rest = progress(share, width)
    assert len(done) + len(rest) == width


def test_a_constant_sparkline_is_half_high() -> None:
    assert spark([3.0] * 4, 4) == "▄▄▄▄"


def test_text_of_our_themes_is_readable() -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.1, AA) for every colour that carries words."""
    for theme in (DARK, LIGHT, CONTRAST):
        background = luminance(str(theme.background))
        for name in ("dim", "good", "warn", "bad"):
            assert contrast(luminance(theme.variables[name]), background) >= 4.5, (theme.name, name)
        assert contrast(luminance(str(theme.foreground)), background) >= 7
        assert contrast(luminance(str(theme.accent)), background) >= 4.5


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.1)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: float, b: float) -> float:
    low, high = sorted((a, b))
    return (high + 0.05) / (low + 0.05)
