"""Up to eight runs over each other on one metric, with a table of results and the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tuiwiz.base.price import own_price
from tuiwiz.base.text import clean_line
from tuiwiz.base.units import human_bytes, human_count
from tuiwiz.doctor.words import shown
from tuiwiz.events.axis import KINDS, Kind
from tuiwiz.events.series import Series
from tuiwiz.runs.compare import HELD_OUT, Loaded, axis_of, differences, metrics_of, points_of, unit_of
from tuiwiz.runs.cost import cost_words
from tuiwiz.ui import keys
from tuiwiz.ui.app import go_back
from tuiwiz.ui.curves import SeriesCurve, Smoothed
from tuiwiz.ui.glyphs import to_ascii
from tuiwiz.ui.screens.chart_actions import ChartActions
from tuiwiz.ui.screens.run_chart import PLAIN
from tuiwiz.ui.widgets.chart import Chart
from tuiwiz.ui.widgets.chart_data import ChartData
from tuiwiz.ui.widgets.line import Line, glyphs_of
from tuiwiz.ui.words import clock, number

LETTERS = "ABCDEFGH"
NARROW = 92
"""Columns below which the table leaves out what matters least."""


class CompareScreen(ChartActions):
    """`runs`: from `runs.compare.load`. `metric` and `align`: what is drawn first."""

    KEYS = keys.COMPARE
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.COMPARE)
    PURPOSE = "Several runs beside each other. Each has a letter, at the end of its curve and in the table."

    def __init__(self, runs: Sequence[Loaded], metric: str = "", align: Kind = "step") -> None:
        super().__init__()
        self.runs = runs
        self.metrics = metrics_of(runs)
        self.metric = metric if metric in self.metrics else next(iter(self.metrics), "loss")
        self.align: Kind = align
        self._differing, self._notes = differences(runs)
        self._smooth = [Smoothed() for _ in runs]

    def compose_body(self) -> ComposeResult:
        yield Static(id="compare-head")
        yield Line()
        yield Chart(id="chart")
        yield Line(id="chart-line")
        yield Static(id="read-out")
        with VerticalScroll(id="compare-body", can_focus=False):
            yield Static(id="compare-text")

    def on_mount(self) -> None:
        self.redraw()

    def on_resize(self) -> None:
        super().on_resize()
        self.call_after_refresh(self.redraw)

    def redraw(self) -> None:
        """Chart, head and table anew; the runs were read once."""
        if not self.is_mounted:
            return
        head = Content.assemble((f" {len(self.runs)} runs  ", "bold"), (self._line(self.metric), "$accent bold"))
        x_name = unit_of(self.runs)[0] if self.align == "time" else self.align
        head += Content.styled(f" by {self.align}", "$dim")
        overlay = []
        for letter, run, mean in zip(LETTERS, self.runs, self._smooth, strict=False):
            series = self._series(run)
            if series is None or not len(series):
                continue
            curve = None
            if self.metric not in (HELD_OUT, *PLAIN):
                mean.take(series)
                curve = mean.curve()
            overlay.append((letter, curve or SeriesCurve(series)))
        label = self._smooth[0].label
        if label and self.metric not in (HELD_OUT, *PLAIN):
            head += Content.styled(f", {label}", "$dim")
        note = f"no run has {self.metric}"
        self.query_one("#compare-head", Static).update(head)
        self.query_one(Chart).set_data(ChartData(overlay=overlay, x_name=x_name, note=note))
        self.query_one("#compare-text", Static).update(self._table(max(40, self.size.width - 2)))
        self.on_chart_changed()
        self.refresh_small()

    def _series(self, run: Loaded) -> Series | None:
        """The metric of one run over the axis that all share."""
        axis = axis_of(run, self.align, self.runs)
        if self.metric != HELD_OUT:
            return axis.series(self.metric)
        series = Series()
        for x, y in points_of(run, self.metric, axis):
            series.append(x, y)
        return series

    def _line(self, text: str, limit: int = 0) -> str:
        line = clean_line(text, limit)
        return to_ascii(line) if glyphs_of(self).ascii else line

    def _table(self, width: int) -> Content:
        # A narrow screen needs the room for the names.
        narrow = width < NARROW
        room = max(14, min(40, width - (64 if narrow else 72)))
        head = f" {'run':<{room + 3}}{'state':<9}{'best':>8}{'' if narrow else '   first'}{'peak':>10}{'tokens/s':>9}"
        head += f"{'time':>12}{'cost':>11}"
        paid = own_price()
        out = [Content.styled(head, "$dim")]
        for at, (letter, run) in enumerate(zip(LETTERS, self.runs, strict=False)):
            info = run.info
            peak = human_bytes(info.peak_bytes) if info.peak_bytes else "-"
            speed = human_count(info.tokens_per_second) if info.tokens_per_second else "-"
            first = "" if narrow else f"{number(info.metrics['first']):>8}"
            cells = f"{first}{peak:>10}{speed:>9}{clock(info.elapsed_s or 0):>12}"
            cells += f"{self._line(cost_words(paid, info.cost, info.energy_wh)):>11}"
            best = info.metrics["best"]
            lowest = min(
                (one.info.metrics["best"] for one in self.runs if one.info.metrics["best"] is not None), default=None
            )
            tone = "$good bold" if best is not None and best == lowest else ""
            name = self._line(info.name, room).ljust(room)
            out.append(
                Content.assemble(
                    (f" {letter}  ", f"{_TONES[at]} bold"),
                    f"{name}{info.state:<9}",
                    (f"{number(best):>8}", tone),
                    cells,
                )
            )
        out.append(Content(""))
        if self._differing:
            out.append(Content.styled(" what differs", "$dim"))
        elif not self._notes:
            out.append(Content.styled(" the bundles are the same", "$dim"))
        for one in self._differing:
            each = max(6, (width - 30) // len(one.values) - 2)
            values = "  ".join(self._line(shown(value), each).ljust(each) for value in one.values)
            out.append(Content.assemble((f" {one.key:<28} ", "$dim"), values))
        out += [Content.styled(f" {self._line(text, width - 2)}", "$dim") for text in self._notes]
        return Content("\n").join(out)

    def on_chart_changed(self) -> None:
        values = self.query_one(Chart).read_out()
        line = self.query_one("#read-out", Static)
        line.display = bool(values)
        line.update(Content.assemble(*((f" {name} {number(value, 4)}  ", "bold") for name, value in values)))

    def small_line(self) -> str:
        return f"{len(self.runs)} runs, {self.metric}"

    # Keys

    def action_metric(self, by: int) -> None:
        if self.metrics:
            self.metric = self.metrics[(self.metrics.index(self.metric) + by) % len(self.metrics)]
            self.redraw()

    def action_smooth(self) -> None:
        for mean in self._smooth:
            mean.cycle()
        self.redraw()

    def action_align(self) -> None:
        self.align = KINDS[(KINDS.index(self.align) + 1) % len(KINDS)]
        chart = self.query_one(Chart)
        chart.cross = None
        chart.follow()
        self.redraw()

    def action_log_axis(self) -> None:
        self.query_one(Chart).toggle_log()

    def action_follow(self) -> None:
        self.query_one(Chart).follow()

    def action_scroll(self, rows: int) -> None:
        self.query_one("#compare-body", VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_back(self) -> None:
        chart = self.query_one(Chart)
        if chart.cross is not None:
            chart.toggle_cross()
        else:
            go_back(self.app)


_TONES = ("$accent", "$warn", "$good", "$bad", "$foreground", "$accent", "$warn", "$dim")
"""As the chart's styles `run0` to `run7`."""
