"""Trials as parallel lines: an upright for each setting and one for the score, a line for each trial."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from textual.content import Content
from textual.widget import Widget

from tuiwiz.tune.board import Axis
from tuiwiz.ui.glyphs import Glyphs, to_ascii
from tuiwiz.ui.widgets.braille import Canvas
from tuiwiz.ui.widgets.line import glyphs_of

GUTTER = 6
"""Columns left and right of the outer uprights, for their labels."""


class Parallel(Widget):
    """`best` and `chosen` are drawn over the others."""

    DEFAULT_CSS = "Parallel { height: 1fr; text-wrap: nowrap; text-overflow: clip; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._axes: list[Axis] = []
        self._best: int | None = None
        self._chosen: int | None = None

    def show(self, axes: Sequence[Axis], best: int | None, chosen: int | None) -> None:
        self._axes, self._best, self._chosen = list(axes), best, chosen
        self.refresh()

    def render(self) -> Content:
        if len(self._axes) < 2:
            return Content.styled(" lines need a finished trial and a setting that differs", "$dim")
        rows = picture(self._axes, self._best, self._chosen, self.size.width, self.size.height, glyphs_of(self))
        return Content("\n").join(rows)


def picture(
    axes: Sequence[Axis], best: int | None, chosen: int | None, width: int, height: int, glyphs: Glyphs
) -> list[Content]:
    """`height` rows: names, values at the heads, lines, values at the feet."""
    rows = height - 3
    if rows < 2 or width < 2 * GUTTER + 2:
        return [Content.styled(" too small for lines", "$dim")]
    columns = [GUTTER + round(i * (width - 1 - 2 * GUTTER) / (len(axes) - 1)) for i in range(len(axes))]
    numbers = sorted({number for axis in axes for number in axis.places})
    layers: list[tuple[Canvas, str]] = []
    for style, members in (
        ("$faint", [number for number in numbers if number not in (best, chosen)]),
        ("$good bold", [best] if best in numbers else []),
        ("$accent bold", [chosen] if chosen in numbers and chosen != best else []),
    ):
        canvas = Canvas(width, rows, ascii=glyphs.ascii)
        for number in members:
            _line(canvas, axes, columns, number)
        layers.append((canvas, style))
    names = _labels([axis.name for axis in axes], columns, width, glyphs)
    heads = _labels([axis.high for axis in axes], columns, width, glyphs)
    feet = _labels([axis.low for axis in axes], columns, width, glyphs)
    middle = [_row(layers, y, columns, width, glyphs) for y in range(rows)]
    return [Content.styled(names, "$dim"), Content(heads), *middle, Content(feet)]


def _line(canvas: Canvas, axes: Sequence[Axis], columns: Sequence[int], number: int | None) -> None:
    """A trial's line, as far as it has values without a gap."""
    before: tuple[int, int] | None = None
    for axis, column in zip(axes, columns, strict=True):
        place = axis.places.get(-1 if number is None else number)
        if place is None:
            before = None
            continue
        here = (column * canvas.across, round((1 - place) * (canvas.dot_height - 1)))
        if before is not None:
            canvas.segment(*before, *here)
        before = here


def _row(layers: Sequence[tuple[Canvas, str]], y: int, columns: Sequence[int], width: int, glyphs: Glyphs) -> Content:
    parts: list[tuple[str, str]] = []
    for x in range(width):
        drawn = [(canvas.char(x, y), style) for canvas, style in layers if canvas.char(x, y) != " "]
        text, style = drawn[-1] if drawn else ((glyphs.axis_line, "$faint") if x in columns else (" ", ""))
        if parts and parts[-1][1] == style:
            parts[-1] = (parts[-1][0] + text, style)
        else:
            parts.append((text, style))
    return Content.assemble(*parts)


def _labels(texts: Sequence[str], columns: Sequence[int], width: int, glyphs: Glyphs) -> str:
    """Each text around its column, cut where it would meet the next."""
    room = min((right - left for left, right in itertools.pairwise(columns)), default=width) - 1
    line = [" "] * width
    for text, column in zip(texts, columns, strict=True):
        words = (to_ascii(text) if glyphs.ascii else text)[: max(3, room)]
        start = min(max(0, column - len(words) // 2), max(0, width - len(words)))
        line[start : start + len(words)] = words
    return "".join(line[:width]).rstrip()
