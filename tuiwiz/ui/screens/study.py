"""A study on a screen: the best so far, trials as parallel lines, curves and a table, what is left of the budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.text import clean_line
from tuiwiz.base.units import human_duration
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs.compare import HELD_OUT, Loaded, axis_of, points_of
from tuiwiz.runs.registry import info
from tuiwiz.spec.bundle import Bundle
from tuiwiz.tune.board import left, typical_seconds
from tuiwiz.tune.rows import Row, ranked
from tuiwiz.tune.study import Question, StudyFolder
from tuiwiz.ui import keys
from tuiwiz.ui.curves import SeriesCurve
from tuiwiz.ui.glyphs import to_ascii
from tuiwiz.ui.screens.study_actions import StudyActions
from tuiwiz.ui.screens.study_table import heading, line_of
from tuiwiz.ui.widgets.chart import Chart
from tuiwiz.ui.widgets.chart_data import ChartData
from tuiwiz.ui.widgets.line import Line, glyphs_of
from tuiwiz.ui.widgets.parallel import Parallel
from tuiwiz.ui.widgets.picklist import Pick, PickList

RELOAD_S = 2.0
CURVES = 8
"""Trials whose curves can be told apart."""
LETTERS = "ABCDEFGH"


@dataclass(frozen=True, slots=True)
class Found:
    """A study as it was read; `error` says why it could not be."""

    question: Question | None = None
    base: Bundle | None = None
    rows: Sequence[Row] = ()
    runs: dict[int, Loaded] = field(default_factory=dict)
    error: str = ""


def read(folder: StudyFolder, chosen: int | None) -> Found:
    """The study's table, and the runs of its best trials, of those that run and of the chosen one."""
    try:
        question, base, rows = folder.question, folder.base, folder.rows
    except TuiwizError as error:
        return Found(error=error.message.replace(f"{folder.path}/", ""))
    known = {row.number: row for row in rows if row.state != "waiting"}
    best = [row.number for row in ranked(rows, lower=question.lower)]
    running = [row.number for row in rows if row.state == "running"]
    wanted = dict.fromkeys(number for number in (chosen, *running, *best, *known) if number in known)
    runs = {}
    for number in sorted([*wanted][:CURVES]):
        run = RunFolder(folder.run(number))
        view = view_of(run)
        runs[number] = Loaded(run, view, info(run, view))
    return Found(question, base, rows, runs)


class StudyScreen(StudyActions):
    """`study`: the study's folder. It is read again every two seconds, in a thread."""

    KEYS = keys.STUDY
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.STUDY)
    PURPOSE = "One study: every trial is a run, and enter opens it. The best is drawn over the others."

    def __init__(self, study: Path, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.folder = StudyFolder(study)
        self.clock = clock
        self.found = Found()
        self.pane = "lines"
        self.importance = ""

    def compose_body(self) -> ComposeResult:
        yield Static(id="study-head")
        yield Line()
        yield Parallel(id="study-lines")
        yield Chart(id="chart")
        with VerticalScroll(id="study-importance", can_focus=False):
            yield Static(id="importance-text")
        yield Static(id="read-out")
        yield Line()
        yield Static(id="study-columns")
        with VerticalScroll(id="study-body", can_focus=False):
            yield PickList(id="trials")
        yield Line()

    def on_mount(self) -> None:
        self.query_one(PickList).focus()
        self.show_pane()
        self.take(read(self.folder, None))
        self.set_interval(RELOAD_S, self.reload)

    def on_screen_resume(self) -> None:
        self.reload()

    def on_resize(self) -> None:
        super().on_resize()
        self.call_after_refresh(self.redraw)

    def reload(self) -> None:
        if self.is_current:
            self.run_worker(self._read, thread=True, group="study", exclusive=True)

    def _read(self) -> None:
        """In a thread."""
        found = read(self.folder, self.chosen)
        if self.is_running:
            self.app.call_from_thread(self.take, found)

    def take(self, found: Found) -> None:
        """Show what was read."""
        self.found = found
        self.redraw()

    def redraw(self) -> None:
        if not self.is_mounted:
            return
        question = self.found.question
        self.query_one("#study-head", Static).update(self._head())
        if question is not None and self.found.base is not None:
            self._draw_table(question)
            self.draw_picture()
        self.refresh_bindings()
        self.refresh_small()

    def _head(self) -> Content:
        question, rows = self.found.question, self.found.rows
        name = self._text(self.folder.path.name, 40)
        if question is None:
            return Content.assemble((f" {name}", "bold"), (f"\n {self._text(self.found.error, 200)}", "$bad"))
        over = sum(row.over for row in rows)
        top = [
            (f" {name}", "bold"),
            (f"  {question.method}", "$accent"),
            (f"  {over} of {len(rows)} trials over, {question.steps} steps each", ""),
        ]
        best = self.best
        if question.method == "ablate":
            words = [(" verdicts: 3", "$accent bold")]
        elif best is None:
            words = [(" no trial is finished yet", "$dim")]
        else:
            words = [(f" best {question.metric} ", ""), (f"{best.score:.4f}", "$good bold"), (f" #{best.number}", "")]
        running = [self._at_work(row) for row in rows if row.state == "running"]
        tail = [*running[:2], left(question, rows, datetime.fromtimestamp(self.clock()))]
        typical = typical_seconds(rows)
        if typical:
            tail.append(f"{human_duration(typical)} a trial")
        return Content.assemble(*top, "\n", *words, (f"   {self._text('   '.join(tail))}", "$dim"))

    def _at_work(self, row: Row) -> str:
        run = self.found.runs.get(row.number)
        step = f" step {run.view.step}/{run.view.steps}" if run is not None and run.view.steps else ""
        return f"#{row.number} runs{step}"

    def _draw_table(self, question: Question) -> None:
        width = self.size.width - 4
        letters = dict(zip(self.found.runs, LETTERS, strict=False)) if self.pane == "curves" else {}
        rows, base = self.found.rows, self.found.base
        assert base is not None
        columns = heading(rows, question, width)
        self.query_one("#study-columns", Static).update(Content.styled("   " + columns.text, "$dim"))
        order = [*ranked(rows, lower=question.lower)]
        rest = [row for row in rows if row not in order]
        places = {"running": 0, "pruned": 1, "infeasible": 2, "failed": 3, "waiting": 4}
        rest.sort(key=lambda row: (places.get(row.state, 5), row.number))
        live, ended = [row for row in rest if row.state == "running"], [row for row in rest if row.state != "running"]
        best = self.best.number if self.best is not None else None
        picks = [
            Pick(
                str(row.number),
                line_of(row, columns, base, best=row.number == best, letter=letters.get(row.number, "")),
            )
            for row in (*live, *order, *ended)
        ]
        self.query_one(PickList).set_picks(picks or [Pick(None, Content("no trial yet"))])

    def draw_picture(self) -> None:
        """The upper part: lines, curves or importances."""
        question, base = self.found.question, self.found.base
        if question is None or base is None:
            return
        if self.pane == "lines":
            from tuiwiz.tune.board import axes

            best = self.best.number if self.best is not None else None
            self.query_one(Parallel).show(axes(question, self.found.rows, base), best, self.chosen)
        elif self.pane == "curves":
            loaded = list(self.found.runs.values())
            overlay = []
            for letter, run in zip(LETTERS, loaded, strict=False):
                series = self.series_of(
                    points_of(run, HELD_OUT if self.held_out else "loss", axis_of(run, "step", loaded))
                )
                if len(series):
                    overlay.append((letter, SeriesCurve(series)))
            self.query_one(Chart).set_data(ChartData(overlay=overlay, note="no trial has been evaluated yet"))
        else:
            self.query_one("#importance-text", Static).update(Content(self._text(self.importance_words(), 0)))

    def _text(self, text: str, limit: int = 0) -> str:
        """What may be shown of a text from files."""
        line = "\n".join(clean_line(part, limit) for part in text.split("\n"))
        return to_ascii(line) if glyphs_of(self).ascii else line

    def small_line(self) -> str:
        best = self.best
        return f"{self.folder.path.name}: " + (f"best {best.score:.4f}" if best is not None else "no trial finished")
