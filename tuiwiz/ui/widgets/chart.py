"""The chart widget: draws a `Picture` through `render_line`, repaints only rows that changed, zooms, pans, reads out.

Redrawing costs what the columns cost: series hand over their extremes per column. Keys are the screen's business; the
widget has a method for each and takes the mouse itself (wheel: zoom, click: crosshair).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tuiwiz.ui.widgets.chart_data import ChartData, typical, values_of
from tuiwiz.ui.widgets.line import glyphs_of
from tuiwiz.ui.widgets.plot import Curve, Marker, Picture, Run, draw, inner_width
from tuiwiz.ui.widgets.scale import Scale, fit


class Chart(Widget):
    """One chart with a window that follows the newest point until the user zooms or pans."""

    DEFAULT_CSS = """
    Chart { height: 1fr; }
    Chart > .chart--raw { color: $faint; }
    Chart > .chart--line { color: $accent; text-style: bold; }
    Chart > .chart--eval { color: $warn; text-style: bold; }
    Chart > .chart--best { color: $good; text-style: bold; }
    Chart > .chart--mark { color: $good; }
    Chart > .chart--rule { color: $faint; }
    Chart > .chart--cross { color: $foreground; }
    Chart > .chart--label { color: $dim; }
    Chart > .chart--axis { color: $dim; }
    Chart > .chart--run0 { color: $accent; }
    Chart > .chart--run1 { color: $warn; }
    Chart > .chart--run2 { color: $good; }
    Chart > .chart--run3 { color: $bad; }
    Chart > .chart--run4 { color: $foreground; }
    Chart > .chart--run5 { color: $accent; text-style: bold; }
    Chart > .chart--run6 { color: $warn; text-style: bold; }
    Chart > .chart--run7 { color: $dim; }
    Chart:nocolor > .chart--raw { text-style: dim; }
    Chart:nocolor > .chart--rule { text-style: dim; }
    Chart:nocolor > .chart--label { text-style: none; }
    """
    STYLES: ClassVar[tuple[str, ...]] = (
        *("raw", "line", "eval", "best", "mark", "rule", "cross", "label", "axis"),
        *(f"run{number}" for number in range(8)),
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"chart--{name}" for name in STYLES}

    class Changed(Message):
        """The window, the axis or the crosshair changed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.data = ChartData()
        self.log_axis = False
        self.cross: float | None = None
        self._window: tuple[float, float] | None = None
        self._rows: list[list[Run]] = []
        self._inner = 1
        self._styles: dict[str, Style] = {}

    # What the axis covers

    @property
    def following(self) -> bool:
        return self._window is None

    def full(self) -> tuple[float, float]:
        """The window that shows everything; right of the newest point is room for what comes."""
        last = max([self._last(), *(x for x, _ in self.data.evals[-1:]), 1.0 if self._whole else 1e-3])
        if not self.data.end:
            return 0.0, last
        # Whole quarters of the run, so that the axis does not move with every step.
        quarter = self.data.end / 4
        return 0.0, max(last, min(self.data.end, math.ceil(last / quarter) * quarter))

    def _last(self) -> float:
        """The x of the newest point of any curve."""
        raw = [self.data.raw.last_x()] if self.data.raw is not None else []
        return max([*raw, *(curve.last_x() for _, curve in self.data.overlay), 0.0])

    @property
    def _whole(self) -> bool:
        """Whether only whole numbers mean something on the axis."""
        return self.data.x_name == "step"

    def window(self) -> tuple[float, float]:
        return self._window or self.full()

    # Keys

    def set_data(self, data: ChartData) -> None:
        self.data = data
        self._redraw()

    def zoom(self, factor: float, *, around: float | None = None) -> None:
        """Show `factor` times as much, around a position (the crosshair, else the right edge)."""
        x0, x1 = self.window()
        low, high = self.full()
        centre = around if around is not None else self.cross if self.cross is not None else x1
        width = min(high - low, max(4.0 if self._whole else (high - low) / 1000, (x1 - x0) * factor))
        share = (centre - x0) / (x1 - x0)
        self._place(centre - share * width, width)

    def pan(self, share: float) -> None:
        """Move the window by a share of its width."""
        x0, x1 = self.window()
        self._place(x0 + share * (x1 - x0), x1 - x0)

    def follow(self) -> None:
        self._window = None
        self._changed()

    def toggle_log(self) -> None:
        self.log_axis = not self.log_axis
        self._changed()

    def toggle_cross(self) -> None:
        x0, x1 = self.window()
        last = self._last() or x1
        self.cross = min(max(last, x0), x1) if self.cross is None else None
        self._changed()

    def move_cross(self, columns: int) -> None:
        """Move the crosshair by columns, at least one step each."""
        if self.cross is None:
            return
        x0, x1 = self.window()
        each = max(1.0 if self._whole else 0.0, (x1 - x0) / max(1, self._inner - 1))
        low, high = self.full()
        self.cross = self._rounded(min(high, max(low, self.cross + columns * each)))
        if not x0 <= self.cross <= x1:
            self.pan(0.25 if columns > 0 else -0.25)
        self._changed()

    def _rounded(self, x: float) -> float:
        return round(x) if self._whole else x

    def read_out(self) -> list[tuple[str, float]]:
        """Names and values at the crosshair: the step, each curve there, the evaluation at or before it."""
        if self.cross is None:
            return []
        out: list[tuple[str, float]] = [(self.data.x_name, self._rounded(self.cross))]
        named = ((self.data.raw_name, self.data.raw), (self.data.smooth_name, self.data.smooth), *self.data.overlay)
        for name, curve in named:
            value = curve.at(self.cross) if curve is not None and name else None
            if value is not None:
                out.append((name, value))
        before = [pair for pair in self.data.evals if pair[0] <= self.cross]
        if before:
            at = f"@{before[-1][0]:.0f}" if self._whole else ""
            out.append((f"{self.data.eval_name}{at}", before[-1][1]))
        return out

    def _place(self, x0: float, width: float) -> None:
        low, high = self.full()
        if width >= (high - low) * 0.999:
            self._window = None
        else:
            x0 = min(max(low, x0), high - width)
            self._window = (x0, x0 + width)
        self._changed()

    def _changed(self) -> None:
        self._redraw()
        self.post_message(self.Changed())

    # Drawing

    def picture(self) -> Picture:
        """Everything that is visible now, as data."""
        glyphs = glyphs_of(self)
        x0, x1 = self.window()
        evals = [(x, y) for x, y in self.data.evals if x0 <= x <= x1]
        curves, scale = self._curves(x0, x1, evals)
        markers = [Marker(x, None, glyphs.checkpoint, "mark") for x in self.data.checkpoints]
        for number, (letter, source) in enumerate(self.data.overlay):
            end = min(source.last_x(), x1)
            markers.append(Marker(end, source.at(end), letter, f"run{number}"))
        for x, y in evals:
            best = x == self.data.best
            markers.append(Marker(x, y, glyphs.best if best else glyphs.eval, "best" if best else "eval"))
        return Picture(
            x0=x0,
            x1=x1,
            scale=scale,
            curves=curves,
            markers=markers,
            rules=self.data.epochs,
            legend=self._legend(),
            cross=self.cross,
            x_name=self.data.x_name,
            glyphs=glyphs,
        )

    def _curves(self, x0: float, x1: float, evals: Sequence[tuple[float, float]]) -> tuple[list[Curve], Scale]:
        across = 1 if glyphs_of(self).ascii else 2
        data = self.data
        # The width of the labels follows from the values and takes from the columns: a second pass settles it.
        for _ in range(2):
            count = max(2, self._inner * across)
            raw = data.raw.curve("raw", x0, x1, count) if data.raw is not None else Curve("raw")
            smooth = data.smooth.curve("line", x0, x1, count) if data.smooth is not None else Curve("line")
            over = [curve.curve(f"run{n}", x0, x1, count) for n, (_, curve) in enumerate(data.overlay)]
            shown = [value for curve in (raw, *over) for value in typical(values_of(curve))]
            scale = fit([*values_of(smooth), *(y for _, y in evals), *shown], log=self.log_axis)
            before, self._inner = self._inner, inner_width(self.size.width, scale, self.size.height)
            if self._inner == before:
                break
        return [raw, smooth, *over], scale

    def _legend(self) -> list[Run]:
        glyphs = glyphs_of(self)
        runs: list[Run] = []
        if self.data.raw is not None:
            runs += [(f"{glyphs.bullet * 2} ", "raw"), (self.data.raw_name, "label")]
        if self.data.smooth is not None and self.data.smooth_name:
            runs += [(f"  {glyphs.rule * 2} ", "line"), (self.data.smooth_name, "label")]
        if self.data.evals:
            runs += [(f"  {glyphs.eval} ", "eval"), (self.data.eval_name, "label")]
        if self.data.best is not None:
            runs += [(f"  {glyphs.best} ", "best"), ("best", "label")]
        if self.data.checkpoints:
            runs += [(f"  {glyphs.checkpoint} ", "mark"), ("checkpoint", "label")]
        if self.log_axis:
            runs.append(("  log", "label"))
        return runs

    def _redraw(self) -> None:
        if not self.is_mounted or not self.size:
            return
        old = self._rows
        self._rows = self._drawn()
        if len(old) != len(self._rows):
            self.refresh()
            return
        changed = [y for y, (a, b) in enumerate(zip(old, self._rows, strict=True)) if a != b]
        if changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def _drawn(self) -> list[list[Run]]:
        width, height = self.size
        if self.data.raw is not None or self.data.evals or self.data.overlay:
            return draw(self.picture(), width, height)
        note = self.data.note[:width].center(width)
        return [[(note if y == height // 2 else " " * width, "label")] for y in range(height)]

    def on_resize(self) -> None:
        self._rows = []
        self._inner = max(1, self.size.width - 4)
        self._redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles = {}

    def render_line(self, y: int) -> Strip:
        if not self._styles:
            self._styles = {name: self.get_component_rich_style(f"chart--{name}") for name in self.STYLES}
        base = self.rich_style
        if not 0 <= y < len(self._rows):
            return Strip.blank(self.size.width, base)
        return Strip([Segment(text, self._styles.get(style, base)) for text, style in self._rows[y]], self.size.width)

    # Mouse

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.zoom(0.8, around=self._x_at(event.x))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.zoom(1.25, around=self._x_at(event.x))

    def on_click(self, event: events.Click) -> None:
        self.cross = self._rounded(self._x_at(event.x))
        self._changed()

    def _x_at(self, column: int) -> float:
        x0, x1 = self.window()
        inner = self._inner
        share = (column - (self.size.width - inner)) / max(1, inner - 1)
        return x0 + min(1.0, max(0.0, share)) * (x1 - x0)
