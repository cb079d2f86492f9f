"""The first screen: what is running, what has been run, and how to begin."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tuiwiz import __version__
from tuiwiz.events.folder import RunFolder
from tuiwiz.ui import keys
from tuiwiz.ui.app import DEMO, can_open, open_screen
from tuiwiz.ui.screen import TuiwizScreen
from tuiwiz.ui.widgets.line import Line, glyphs_of
from tuiwiz.ui.widgets.runlist import RunList, RunRow

RELOAD_S = 2.0
"""How often the list is read again."""


class HomeScreen(TuiwizScreen):
    """Paints at once and fills itself from a thread."""

    KEYS = keys.HOME
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.HOME)
    PURPOSE = "Your runs. Pick one to watch it, or start another; runs go on when this screen closes."

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.clock = clock
        self.loaded = False

    def compose_body(self) -> ComposeResult:
        yield Static(Content.assemble((" tuiwiz", "bold"), (f"  {__version__}", "$dim")))
        yield Line()
        with VerticalScroll(id="home-body", can_focus=False):
            yield RunList(id="runs")
            yield Static(id="home-empty")
        yield Line()

    def on_mount(self) -> None:
        self.query_one(RunList).focus()
        # The first paint does not wait for the disk.
        self.call_after_refresh(self.action_reload)
        self.set_interval(RELOAD_S, self.action_reload)

    def on_screen_resume(self) -> None:
        if self.loaded:
            self.action_reload()

    def action_reload(self) -> None:
        if self.is_current:
            self.run_worker(self._read, thread=True, group="runs", exclusive=True, exit_on_error=True)

    def _read(self) -> None:
        """In a thread."""
        from tuiwiz.runs.registry import folders
        from tuiwiz.ui.rows import run_rows

        rows = run_rows(folders(), self.clock(), glyphs_of(self))
        if self.is_running:
            self.app.call_from_thread(self.show_rows, rows)

    def show_rows(self, rows: Sequence[RunRow]) -> None:
        """Put the rows on the screen, or the three lines that say how to begin."""
        first = not self.loaded
        self.loaded = True
        runs = self.query_one(RunList)
        had = runs.selected is not None
        runs.set_rows(rows)
        runs.display = bool(rows)
        empty = self.query_one("#home-empty", Static)
        empty.display = not rows
        if not rows:
            empty.update(self._welcome())
        if first or had != bool(rows):
            runs.focus() if rows else self.set_focus(None)
            self.refresh_bindings()
        self.refresh_small()

    def _welcome(self) -> Content:
        lines = [Content(" From a data set to a fine-tuned model, in this terminal. Nothing has run yet.")]
        lines.append(Content(""))
        for key in self.KEYS:
            if key.id in ("home.demo", "home.new", "home.presets") and self.check_action(key.action, ()):
                lines.append(Content.assemble((f"   {key.shown}  ", "$accent bold"), key.description))
        return Content("\n").join(lines)

    def small_line(self) -> str:
        rows = self.query_one(RunList).rows
        live = [row for row in rows if row.live]
        if live:
            return f"{live[0].name} {live[0].state} {live[0].progress}"
        return f"tuiwiz: {len(rows)} runs"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only keys whose screen exists, and only while there is something to act on."""
        if action == "new_run":
            return can_open("wizard")
        if action == "presets":
            return can_open("presets")
        if action == "compare":
            return not self.is_mounted or len(self.query_one(RunList).rows) > 1
        if action in ("open_run", "mark", "cursor_up", "cursor_down", "cursor_first", "cursor_last"):
            return not self.is_mounted or self.query_one(RunList).selected is not None
        return True

    def action_open_run(self) -> None:
        row = self.query_one(RunList).selected
        if row is not None:
            self._open(row)

    def on_run_list_opened(self, event: RunList.Opened) -> None:
        self._open(event.row)

    def _open(self, row: RunRow) -> None:
        open_screen(self.app, "run", run=row.path, clock=self.clock)

    def action_mark(self) -> None:
        self.query_one(RunList).toggle_mark()

    def action_compare(self) -> None:
        """The marked runs, newest eight at most; without two marks the selected one and up to three below it."""
        from tuiwiz.runs.compare import MOST, load

        runs = self.query_one(RunList)
        paths = [row.path for row in runs.rows if row.path in runs.marked][:MOST]
        if len(paths) < 2:
            paths = [row.path for row in runs.rows[runs.cursor : runs.cursor + 4]]
        if len(paths) < 2:
            self.notify("Mark two runs with the space bar.", timeout=3, markup=False)
            return
        open_screen(self.app, "compare", runs=load([RunFolder(path) for path in paths]))

    def action_new_run(self) -> None:
        open_screen(self.app, "wizard")

    def action_presets(self) -> None:
        open_screen(self.app, "presets")

    def action_studies(self) -> None:
        """The newest study."""
        from tuiwiz.tune.study import newest

        found = newest()
        if found is None:
            self.notify("No study yet: `tuiwiz tune grid BUNDLE` makes one.", timeout=4, markup=False)
        else:
            open_screen(self.app, "study", study=found.path, clock=self.clock)

    def action_demo(self) -> None:
        self.app.exit(DEMO)

    def action_cursor_down(self) -> None:
        self.query_one(RunList).move(1)

    def action_cursor_up(self) -> None:
        self.query_one(RunList).move(-1)

    def action_cursor_first(self) -> None:
        self.query_one(RunList).move(-(10**6))

    def action_cursor_last(self) -> None:
        self.query_one(RunList).move(10**6)
