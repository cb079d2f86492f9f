"""What the keys of a chart do on every screen that has one."""

from __future__ import annotations

from tuiwiz.ui.screen import TuiwizScreen
from tuiwiz.ui.widgets.chart import Chart


class ChartActions(TuiwizScreen):
    """A screen with one `Chart`: crosshair, pan and zoom."""

    def action_crosshair(self) -> None:
        self.query_one(Chart).toggle_cross()

    def action_chart_left(self) -> None:
        self._sideways(-1)

    def action_chart_right(self) -> None:
        self._sideways(1)

    def _sideways(self, direction: int) -> None:
        chart = self.query_one(Chart)
        if chart.cross is not None:
            chart.move_cross(direction)
        else:
            chart.pan(0.1 * direction)

    def action_chart_in(self) -> None:
        self.query_one(Chart).zoom(0.7)

    def action_chart_out(self) -> None:
        self.query_one(Chart).zoom(1 / 0.7)
