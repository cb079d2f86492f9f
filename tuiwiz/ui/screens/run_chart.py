"""The chart of the run screen: which metric over which axis, zoom, crosshair."""

from __future__ import annotations

from collections.abc import Sequence

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tuiwiz.events.axis import KINDS, Axis
from tuiwiz.events.view import RunView
from tuiwiz.ui import remember
from tuiwiz.ui.curves import SeriesCurve, Smoothed
from tuiwiz.ui.screens.chart_actions import ChartActions
from tuiwiz.ui.screens.panes.base import Snapshot
from tuiwiz.ui.screens.panes.metrics import listed
from tuiwiz.ui.widgets.chart import Chart
from tuiwiz.ui.widgets.chart_data import ChartData
from tuiwiz.ui.widgets.line import glyphs_of
from tuiwiz.ui.widgets.tabs import PaneTabs
from tuiwiz.ui.words import ENDED, number

MOST_BORDERS = 12
"""Epoch borders that a chart shows; more would only hide the curve."""


class RunCharting(ChartActions):
    """The drawing half of the run screen's chart; `RunScreen` owns the view."""

    view: RunView
    state: str
    pane: str
    search: str
    metric: str
    axis: Axis
    _smooth: Smoothed
    """Of the loss over steps, for the header."""
    _drawn: Smoothed
    """Of whatever the chart shows."""

    def redraw(self) -> None:
        """Bring everything that is visible up to date."""
        raise NotImplementedError

    def chart_data(self, snapshot: Snapshot) -> ChartData:
        """The chosen metric over the chosen axis, with evaluations where it is the loss."""
        view, facts, axis = snapshot.view, snapshot.facts, self.axis
        axis.take(view)
        series = axis.series(self.metric)
        # The header's own mean serves the first view: a million points need no second one.
        mean = self._smooth if self.metric == "loss" and axis.kind == "step" else self._drawn
        if series is not None:
            mean.take(series)
        per_epoch = view.started.steps_per_epoch if view.started is not None else 0
        ends = range(per_epoch, facts.step + 1, per_epoch) if per_epoch > 0 else range(0)
        borders = [axis.place(step) for step in ends] if len(ends) <= MOST_BORDERS else []
        smooth = mean.curve() if series is not None and self.metric not in PLAIN else None
        judged = [event for event in view.evals if self.metric in event.metrics]
        ended = self.state in ENDED
        best = facts.best_step if self.metric == "loss" else None
        return ChartData(
            raw=SeriesCurve(series) if series is not None else None,
            raw_name="train" if self.metric == "loss" else self.metric.replace("_", " "),
            smooth=smooth,
            evals=[(axis.place(event.step), event.metrics[self.metric]) for event in judged],
            best=axis.place(best) if best is not None else None,
            checkpoints=[axis.place(event.step) for event in view.checkpoints],
            epochs=borders,
            end=float(facts.steps) if not ended and axis.kind == "step" else 0.0,
            smooth_name=mean.label if smooth is not None else "",
            x_name=axis.name,
            note="" if ended else "the curve begins with the first step",
        )

    def action_metric(self, by: int) -> None:
        """The next metric, of those that the filter of the metrics pane lets through."""
        names = listed(self.view, self.search if self.pane == "metrics" else "")
        if names:
            at = names.index(self.metric) if self.metric in names else -by
            self.metric = names[(at + by) % len(names)]
            self.notify(f"The chart shows {self.metric.replace('_', ' ')}.", timeout=2, markup=False)
            self.redraw()

    def action_size(self, by: int) -> None:
        """Move the border between chart and pane; its place is remembered for each height of screen."""
        pane = self.query_one("#pane", VerticalScroll)
        rows = min(max(3, pane.size.height + by), max(3, self.size.height - 14))
        pane.styles.height = rows
        remember.keep(self._size_name(), rows)
        self.call_after_refresh(self.redraw)

    def restore_size(self) -> None:
        rows = remember.number(self._size_name(), 3, max(3, self.size.height - 14))
        self.query_one("#pane", VerticalScroll).styles.height = rows

    def _size_name(self) -> str:
        return f"pane_rows_{'tall' if self.has_class('-tall') else 'short'}"

    def action_axis(self) -> None:
        """Steps, time, tokens, and steps again; the window shows all."""
        self.axis = Axis(KINDS[(KINDS.index(self.axis.kind) + 1) % len(KINDS)])
        chart = self.query_one(Chart)
        chart.cross = None
        chart.follow()
        self.redraw()

    # The chart

    def action_follow(self) -> None:
        self.query_one(Chart).follow()
        if self.pane == "log":
            self.query_one("#pane", VerticalScroll).scroll_end(animate=False)

    def action_log_axis(self) -> None:
        self.query_one(Chart).toggle_log()

    def action_smooth(self) -> None:
        self._smooth.cycle()
        self._drawn.cycle()
        self.redraw()

    def action_zoom_chart(self) -> None:
        self.toggle_class("-chart-only")
        self.call_after_refresh(self.redraw)

    def on_chart_changed(self) -> None:
        self.show_read_out(self.query_one(Chart).read_out())

    def show_read_out(self, values: Sequence[tuple[str, float]]) -> None:
        """The crosshair's values take the place of the tabs while it is on."""
        line = self.query_one("#read-out", Static)
        self.query_one(PaneTabs).display = not values
        line.display = bool(values)
        if not values:
            return
        parts: list[tuple[str, str]] = []
        for name, value in values:
            shown = f"{value:,.0f}" if name in ("step", "tokens") else number(value, 4)
            parts += [(f"{name} ", "$dim"), (f"{shown}   ", "bold")]
        line.update(Content.assemble((f" {glyphs_of(self).cross} ", "$accent"), *parts))


PLAIN = frozenset({"learning_rate", "epoch", "tokens", "supervised_tokens"})
"""Metrics without noise, of which a mean would only be a late copy."""
