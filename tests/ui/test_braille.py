"""The dot canvas and the chart drawing, by properties that any curve must keep."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from tuiwiz.ui.glyphs import ASCII, UNICODE, Glyphs
from tuiwiz.ui.widgets.braille import Canvas
from tuiwiz.ui.widgets.plot import Curve, Marker, Picture, draw, inner_width
from tuiwiz.ui.widgets.scale import Scale, fit, nice_step, step_label, tick_labels, ticks

VALUES = st.floats(-1e9, 1e9, allow_nan=False)
GLYPHS = st.sampled_from([UNICODE, ASCII])


def dots(canvas: Canvas, x: int) -> list[int]:
    return [y for y in range(canvas.dot_height) if canvas.is_set(x, y)]


@given(st.integers(-50, 90), st.integers(-50, 90), st.integers(-50, 90), st.integers(-50, 90), st.booleans())
def test_a_segment_is_connected_and_stays_on_the_canvas(x0: int, y0: int, x1: int, y1: int, plain: bool) -> None:
    canvas = Canvas(20, 10, ascii=plain)
    canvas.segment(x0, y0, x1, y1)
    assert [len(row) for row in canvas.rows()] == [20] * 10
    before: list[int] = []
    for x in range(canvas.dot_width):
        here = dots(canvas, x)
        assert here == list(range(here[0], here[-1] + 1)) if here else True
        if before and here:
            assert here[0] - 1 <= before[-1] and before[0] - 1 <= here[-1]
        before = here


def test_a_single_dot_and_the_neutral_cell() -> None:
    canvas = Canvas(1, 1)
    assert canvas.rows() == [" "]
    canvas.dot(0, 0)
    canvas.dot(1, 3)
    canvas.dot(9, 9)
    assert canvas.rows() == ["⢁"]
    plain = Canvas(1, 1, ascii=True)
    plain.dot(0, 1)
    assert plain.rows() == ["-"]


@given(st.lists(VALUES, min_size=2, max_size=30))
def test_monotone_values_never_go_back(values: list[float]) -> None:
    rising = sorted(values)
    scale = fit(rising)
    canvas_rows = [scale.dot(value, 40) for value in rising]
    kept = [row for row in canvas_rows if row is not None]
    assert len(kept) == len(rising)
    assert kept == sorted(kept, reverse=True)


@given(VALUES, st.integers(3, 40))
def test_a_constant_series_sits_in_the_middle(value: float, height: int) -> None:
    row = fit([value] * 5).dot(value, height * 4)
    assert row is not None and abs(row - (height * 4 - 1) / 2) <= 1


def test_a_nan_leaves_a_gap() -> None:
    points = [(0.0, 1.0), (4.0, 1.0), (5.0, math.nan), (6.0, math.nan), (10.0, 1.0)]
    picture = Picture(x0=0, x1=20, scale=Scale(0, 2), curves=[Curve("line", points)])
    middle = max((row for row in text_rows(picture, 24, 9)), key=lambda row: sum("⠀" < c <= "⣿" for c in row))
    cells = middle.split("│", 1)[-1].rstrip()
    assert " " in cells.strip()


@settings(max_examples=150)
@given(
    st.integers(1, 130),
    st.integers(1, 40),
    st.lists(st.tuples(st.floats(0, 100), st.floats(allow_nan=True, allow_infinity=True)), max_size=40),
    st.booleans(),
    GLYPHS,
    st.one_of(st.none(), st.floats(-5, 105)),
)
def test_every_row_has_exactly_the_width(
    width: int,
    height: int,
    points: list[tuple[float, float]],
    log: bool,
    glyphs: Glyphs,
    cross: float | None,
) -> None:
    points.sort(key=lambda point: point[0])
    scale = fit([y for _, y in points if abs(y) < 1e12], log=log)
    picture = Picture(
        x0=0,
        x1=100,
        scale=scale,
        curves=[Curve("line", points)],
        markers=[Marker(50, 1.0, glyphs.eval, "eval"), Marker(70, None, glyphs.checkpoint, "mark")],
        rules=[33.0],
        legend=[("train", "line")],
        cross=cross,
        glyphs=glyphs,
    )
    rows = text_rows(picture, width, height)
    assert len(rows) == height
    assert {len(row) for row in rows} == {width}
    assert not glyphs.ascii or all(row.isascii() for row in rows)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60))
def test_an_envelope_of_a_monotone_curve_has_no_holes(values: list[float]) -> None:
    rising = sorted(values)
    canvas_width = inner_width(60, Scale(0, 10), 12)
    columns = [rising[min(len(rising) - 1, x * len(rising) // (2 * canvas_width))] for x in range(2 * canvas_width)]
    picture = Picture(x0=0, x1=1, scale=Scale(0, 10), curves=[Curve("raw", low=columns, high=columns)])
    rows = text_rows(picture, 60, 12)[:-2]
    body = [row[-canvas_width:] for row in rows]
    for x in range(canvas_width):
        assert any(row[x] != " " for row in body)


def test_ticks_are_round_and_labels_short() -> None:
    assert ticks(Scale(0.13, 1.71), 4) == [0.5, 1.0, 1.5]
    assert tick_labels([0.5, 1.0, 1.5]) == ["0.5", "1.0", "1.5"]
    assert tick_labels([0.0001, 0.0002]) == ["1.0e-4", "2.0e-4"]
    assert nice_step(10, 4) == 5
    assert [step_label(value) for value in (0, 850, 12000, 1_500_000)] == ["0", "850", "12k", "1.5M"]
    assert ticks(Scale(0.01, 10, log=True), 6) == [0.01, 0.1, 1.0, 10.0]


@given(st.floats(1e-6, 1e6), st.floats(1.001, 1e6), st.integers(2, 12), st.booleans())
def test_ticks_lie_inside_and_rise(low: float, ratio: float, most: int, log: bool) -> None:
    scale = Scale(low, low * ratio, log)
    found = ticks(scale, most)
    assert found == sorted(set(found))
    assert all(scale.low * 0.999 <= value <= scale.high * 1.001 for value in found)
    assert len(found) <= 2 * most + 2


def text_rows(picture: Picture, width: int, height: int) -> list[str]:
    return ["".join(text for text, _ in row) for row in draw(picture, width, height)]
