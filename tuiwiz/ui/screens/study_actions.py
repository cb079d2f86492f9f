"""What the keys of the study screen do: pictures, opening a trial, writing the winner."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tuiwiz.base.errors import TuiwizError
from tuiwiz.events.series import Series
from tuiwiz.runs.launch import executor_environment
from tuiwiz.tune.bayes import IMPORTANCE_TRIALS
from tuiwiz.tune.draw import judged_lines
from tuiwiz.tune.rows import Row, ranked
from tuiwiz.tune.start import show
from tuiwiz.tune.study import StudyFolder
from tuiwiz.tune.winner import write_winner
from tuiwiz.ui.app import go_back, open_screen
from tuiwiz.ui.screens.chart_actions import ChartActions
from tuiwiz.ui.widgets.chart import Chart
from tuiwiz.ui.widgets.parallel import Parallel
from tuiwiz.ui.widgets.picklist import PickList
from tuiwiz.ui.words import number

if TYPE_CHECKING:
    from tuiwiz.ui.screens.study import Found

PANES = ("lines", "curves", "importance")
TIMEOUT_S = 600
"""A crowded machine may take long to begin a process; a screen that waits shows everything else meanwhile."""


class StudyActions(ChartActions):
    """The acting half of the study screen; `StudyScreen` composes and draws."""

    folder: StudyFolder
    found: Found
    pane: str
    importance: str
    clock: Callable[[], float]
    held_out = True

    def draw_picture(self) -> None:
        raise NotImplementedError

    def redraw(self) -> None:
        raise NotImplementedError

    def reload(self) -> None:
        raise NotImplementedError

    @property
    def chosen(self) -> int | None:
        """The trial under the cursor."""
        value = self.query_one(PickList).value if self.is_mounted else None
        return int(value) if value is not None else None

    @property
    def best(self) -> Row | None:
        question = self.found.question
        if question is None or question.method == "ablate":
            return None
        return next(iter(ranked(self.found.rows, lower=question.lower)), None)

    @staticmethod
    def series_of(points: Sequence[tuple[float, float]]) -> Series:
        series = Series()
        for x, y in points:
            series.append(x, y)
        return series

    def show_pane(self) -> None:
        self.query_one(Parallel).display = self.pane == "lines"
        self.query_one(Chart).display = self.pane == "curves"
        self.query_one("#study-importance", VerticalScroll).display = self.pane == "importance"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted:
            return True
        if action in ("write_bundle", "write_preset"):
            return self.best is not None
        if action in ("crosshair", "source", "log_axis"):
            return self.pane == "curves"
        return True

    # Keys

    def action_pane(self, name: str) -> None:
        self.pane = name
        self.show_pane()
        if name == "importance":
            self._ask_importance()
        self.call_after_refresh(self.redraw)

    def action_next_pane(self) -> None:
        self.action_pane(PANES[(PANES.index(self.pane) + 1) % len(PANES)])

    def action_reload(self) -> None:
        self.reload()

    def action_source(self) -> None:
        """Held-out or training loss."""
        self.held_out = not self.held_out
        self.draw_picture()

    def action_log_axis(self) -> None:
        self.query_one(Chart).toggle_log()

    def on_chart_changed(self) -> None:
        """Values under the crosshair, by the letters of the curves."""
        values = self.query_one(Chart).read_out() if self.pane == "curves" else []
        line = self.query_one("#read-out", Static)
        line.display = bool(values)
        line.update(Content.assemble(*((f" {name} {number(value, 4)}  ", "bold") for name, value in values)))

    def on_pick_list_moved(self, event: PickList.Moved) -> None:
        self.draw_picture()

    def on_pick_list_chosen(self, event: PickList.Chosen) -> None:
        self.action_open()

    def action_open(self) -> None:
        row = next((row for row in self.found.rows if row.number == self.chosen), None)
        if row is None:
            return
        if row.state == "waiting":
            self.notify("This trial has not begun.", timeout=3, markup=False)
            return
        open_screen(self.app, "run", run=self.folder.run(row.number), clock=self.clock)

    def action_write_bundle(self) -> None:
        try:
            path, row = write_winner(self.folder, None)
        except TuiwizError as error:
            short = error.message.replace(f"{self.found.question.folder}/" if self.found.question else "", "")
            self.notify(short, severity="warning", markup=False)
            return
        self.notify(f"Trial {row.number} is {path.name} in {path.parent}", timeout=10, markup=False)

    def action_write_preset(self) -> None:
        """In a process of its own: what a run measured is read with the catalog of models."""
        name = preset_name(self.folder.path.name)
        self._ask(["--preset", name], self._preset_written)

    def _preset_written(self, found: dict[str, Any]) -> None:
        if found.get("ok"):
            self.notify(f"The winner is {found['written'][-1]}", timeout=10, markup=False)
        else:
            self.notify(str(found.get("message") or found), severity="warning", timeout=10, markup=False)

    def _ask_importance(self) -> None:
        if self.importance_due():
            self.importance = "asking"
            self._ask(["--importance"], self._importance_came)

    def importance_due(self) -> bool:
        """Whether there are enough trials for importances, and none were asked for yet."""
        question = self.found.question
        done = sum(row.state == "finished" for row in self.found.rows)
        return question is not None and question.method == "bayes" and done >= IMPORTANCE_TRIALS and not self.importance

    def _importance_came(self, found: dict[str, Any]) -> None:
        shares: dict[str, float] = found.get("importances") or {}
        lines = [f"{share:>6.0%}  {'=' * round(30 * share):<30}  {key}" for key, share in shares.items()]
        self.importance = "\n".join(lines) or str(found.get("message") or "nothing can be told")
        self.draw_picture()

    def importance_words(self) -> str:
        """What the third picture says: an ablation's verdicts, else each setting's share in what moved the score."""
        question = self.found.question
        if question is not None and question.method == "ablate":
            return "\n".join(judged_lines(show(self.folder).judged, question.metric)) or "no pair is done yet"
        if self.importance:
            return self.importance
        done = sum(row.state == "finished" for row in self.found.rows)
        return f"importances need {IMPORTANCE_TRIALS} finished trials of `tune bayes`, and there are {done}"

    def _ask(self, options: list[str], told: Callable[[dict[str, Any]], None]) -> None:
        """`tuiwiz tune show` as a child, since its libraries are not for the screen; `told` gets its JSON."""

        def ask() -> None:
            command = [sys.executable, "-m", "tuiwiz", "tune", "show", str(self.folder.path), *options, "--json"]
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=TIMEOUT_S,
                    env=executor_environment(),
                    check=False,
                )
                found = json.loads(done.stdout or done.stderr)
            except (OSError, subprocess.TimeoutExpired, ValueError) as error:
                found = {"message": f"`tuiwiz tune show` failed: {error}"}
            if self.is_running:
                self.app.call_from_thread(told, found)

        self.run_worker(ask, thread=True, group="ask")

    def action_back(self) -> None:
        chart = self.query_one(Chart)
        if self.pane == "curves" and chart.cross is not None:
            chart.toggle_cross()
        else:
            go_back(self.app)


def preset_name(study: str) -> str:
    """A preset's name for a study's winner: small letters, digits and hyphens."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in study.lower())
    return "-".join(part for part in kept.split("-") if part)[:60] or "winner"
