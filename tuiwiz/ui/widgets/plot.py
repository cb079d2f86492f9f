"""A line chart as rows of styled text: curves, markers, vertical rules, axes, legend, crosshair. Knows no Textual.

A curve arrives either as points (no more than columns) or as the lowest and highest value per column of dots, so that
drawing never depends on the length of the history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tuiwiz.ui.glyphs import UNICODE, Glyphs
from tuiwiz.ui.widgets.braille import Canvas
from tuiwiz.ui.widgets.scale import Scale, step_label, tick_labels, ticks

Run = tuple[str, str]
"""Text and the name of its style: axis, label, raw, line, eval, best, mark, rule, cross, legend."""


@dataclass(frozen=True, slots=True)
class Curve:
    """`points` as (x, y), a NaN makes a gap; or `low` and `high` per dot column, NaN where a column is empty."""

    style: str
    points: Sequence[tuple[float, float]] = ()
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Marker:
    """A glyph at a value, or on the axis where `y` is None."""

    x: float
    y: float | None
    glyph: str
    style: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything to be drawn. `x0 < x1`; `rules` are x positions of faint vertical lines (epoch borders)."""

    x0: float
    x1: float
    scale: Scale
    curves: Sequence[Curve] = ()
    markers: Sequence[Marker] = ()
    rules: Sequence[float] = ()
    legend: Sequence[Run] = ()
    cross: float | None = None
    x_name: str = "step"
    glyphs: Glyphs = field(default=UNICODE)


def gutter(scale: Scale, height: int) -> tuple[list[tuple[float, str]], int]:
    """Value ticks with labels and the width of the label column for a plot `height` rows high."""
    values = ticks(scale, max(3, height // 2))
    labels = tick_labels(values)
    return list(zip(values, labels, strict=True)), max((len(label) for label in labels), default=1)


def inner_width(width: int, scale: Scale, height: int) -> int:
    """Cells left for curves in a chart `width` wide and `height` high (axis rows included)."""
    return max(1, width - gutter(scale, max(1, height - 2))[1] - 1)


def draw(picture: Picture, width: int, height: int) -> list[list[Run]]:
    """`height` rows of runs, each exactly `width` cells (or nothing where there is no room at all)."""
    if width < 1 or height < 1:
        return []
    rows = height - 2 if height > 3 else height
    labelled, label_width = gutter(picture.scale, rows)
    if label_width + 8 > width:
        labelled, label_width = [], 0
    left = label_width + 1 if label_width else 0
    inner = max(1, width - left)
    grid = _Grid(inner, rows)
    _rules(grid, picture)
    for curve in picture.curves:
        grid.stamp(_canvas(curve, picture, inner, rows), curve.style)
    _markers(grid, picture)
    _legend(grid, picture)
    _cross(grid, picture)
    marks = {_row(picture.scale, value, rows): label for value, label in labelled}
    out: list[list[Run]] = []
    for y in range(rows):
        runs: list[Run] = []
        if left:
            label = marks.get(y)
            edge = picture.glyphs.axis if label is not None else picture.glyphs.axis_line
            runs.append(((label or "").rjust(label_width) + edge, "label"))
        out.append(runs + grid.runs(y))
    if height > 3:
        out += _x_axis(picture, left, inner)
    return out


class _Grid:
    """Characters and style names by cell; later stamps win."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.chars = [[" "] * width for _ in range(height)]
        self.styles = [[""] * width for _ in range(height)]

    def put(self, x: int, y: int, char: str, style: str) -> None:
        if 0 <= x < self.width and 0 <= y < self.height:
            self.chars[y][x] = char
            self.styles[y][x] = style

    def stamp(self, canvas: Canvas, style: str) -> None:
        for y in range(self.height):
            for x in range(self.width):
                char = canvas.char(x, y)
                if char != " ":
                    self.put(x, y, _merged(self.chars[y][x], char), style)

    def runs(self, y: int) -> list[Run]:
        """Runs of equal style. A blank continues its neighbour's style: it has no colour to lose."""
        out: list[Run] = []
        text, style = "", ""
        for char, name in zip(self.chars[y], self.styles[y], strict=True):
            if char == " " or name == style or not style:
                text += char
                style = style or (name if char != " " else "")
            else:
                out.append((text, style))
                text, style = char, name
        out.append((text, style or "axis"))
        return out


def _merged(below: str, above: str) -> str:
    """Two curves in one cell keep the dots of both."""
    if "\u2800" <= below <= "\u28ff" and "\u2800" <= above <= "\u28ff":
        return chr(ord(below) | ord(above))
    return above


def _row(scale: Scale, value: float, rows: int) -> int | None:
    place = scale.position(value)
    if not math.isfinite(place) or not -0.001 <= place <= 1.001:
        return None
    # Through dots, so that a marker sits in the cell that the curve passes.
    return min(rows - 1, max(0, round((1 - place) * (rows * 4 - 1)) // 4))


def _cell(picture: Picture, x: float, width: int) -> int:
    return round((x - picture.x0) / (picture.x1 - picture.x0) * (width - 1))


def _canvas(curve: Curve, picture: Picture, width: int, rows: int) -> Canvas:
    canvas = Canvas(width, rows, ascii=picture.glyphs.ascii)
    if curve.points:
        _polyline(canvas, curve.points, picture)
    else:
        _envelope(canvas, curve, picture.scale)
    return canvas


def _polyline(canvas: Canvas, points: Sequence[tuple[float, float]], picture: Picture) -> None:
    before: tuple[int, int] | None = None
    across = max(1, canvas.dot_width - 1)
    for x, y in points:
        row = picture.scale.dot(y, canvas.dot_height) if math.isfinite(y) else None
        if row is None:
            before = None
            continue
        here = (round((x - picture.x0) / (picture.x1 - picture.x0) * across), row)
        canvas.segment(*(before or here), *here)
        before = here


def _envelope(canvas: Canvas, curve: Curve, scale: Scale) -> None:
    before: tuple[int, int] | None = None
    for x, (low, high) in enumerate(zip(curve.low, curve.high, strict=True)):
        top = scale.dot(high, canvas.dot_height) if math.isfinite(high) else None
        bottom = scale.dot(low, canvas.dot_height) if math.isfinite(low) else None
        if top is None or bottom is None:
            before = None
            continue
        first, last = top, bottom
        if before is not None:
            # Touch the neighbour, so that a monotone curve is one line and not a stair of loose dots.
            first, last = min(top, before[1] + 1), max(bottom, before[0] - 1)
        canvas.column(x, first, last)
        before = (top, bottom)


def _rules(grid: _Grid, picture: Picture) -> None:
    for x in picture.rules:
        if picture.x0 < x < picture.x1:
            column = _cell(picture, x, grid.width)
            for y in range(grid.height):
                grid.put(column, y, picture.glyphs.epoch if y % 2 == 0 else " ", "rule")


def _markers(grid: _Grid, picture: Picture) -> None:
    for marker in picture.markers:
        if marker.y is None or not picture.x0 <= marker.x <= picture.x1:
            continue
        row = _row(picture.scale, marker.y, grid.height)
        if row is not None:
            grid.put(_cell(picture, marker.x, grid.width), row, marker.glyph, marker.style)


def _legend(grid: _Grid, picture: Picture) -> None:
    length = sum(len(text) for text, _ in picture.legend)
    if not length or length + 12 > grid.width or grid.height < 4:
        return
    x = grid.width - length
    grid.put(x - 1, 0, " ", "")
    for text, style in picture.legend:
        for char in text:
            grid.put(x, 0, char, style)
            x += 1


def _cross(grid: _Grid, picture: Picture) -> None:
    if picture.cross is None or not picture.x0 <= picture.cross <= picture.x1:
        return
    column = _cell(picture, picture.cross, grid.width)
    for y in range(grid.height):
        if grid.chars[y][column] == " " or grid.styles[y][column] == "rule":
            grid.put(column, y, picture.glyphs.axis_line, "cross")


def _x_axis(picture: Picture, left: int, inner: int) -> list[list[Run]]:
    line = [picture.glyphs.base] * inner
    labels = [" "] * inner
    values = ticks(Scale(picture.x0, picture.x1), max(2, inner // 12))
    for value in values:
        if value != int(value) and picture.x_name == "step":
            continue
        column = _cell(picture, value, inner)
        text = step_label(value)
        start = min(max(0, column - len(text) // 2), inner - len(text))
        spot = labels[max(0, start - 1) : start + len(text) + 1]
        if 0 <= column < inner and start >= 0 and not "".join(spot).strip():
            line[column] = picture.glyphs.tick
            labels[start : start + len(text)] = text
    name = picture.x_name
    if inner > 30 and not "".join(labels[-len(name) - 1 :]).strip():
        labels[-len(name) :] = name
    runs: list[Run] = [((" " * (left - 1) + picture.glyphs.corner) if left else "", "label")]
    inside = [mark for mark in picture.markers if mark.y is None and picture.x0 <= mark.x <= picture.x1]
    marks = sorted(((_cell(picture, mark.x, inner), mark) for mark in inside), key=lambda pair: pair[0])
    start = 0
    for column, mark in marks:
        if column < start:
            continue
        runs += [("".join(line[start:column]), "label"), (mark.glyph, mark.style)]
        start = column + 1
    runs.append(("".join(line[start:]), "label"))
    return [[run for run in runs if run[0]], [(" " * left + "".join(labels), "label")]]
