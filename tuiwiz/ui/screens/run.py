"""The live screen of one run, whoever started it and wherever: reads the run folder, asks through control files."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content, Span
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.widgets import Static

from tuiwiz.base.text import terminal_notice
from tuiwiz.doctor.live import Judge
from tuiwiz.events.axis import Axis
from tuiwiz.events.fold import fold, passed_over
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.types import Alert
from tuiwiz.events.view import RunView
from tuiwiz.ui import facts as fact_room
from tuiwiz.ui import keys
from tuiwiz.ui.curves import Smoothed
from tuiwiz.ui.follow import PERIOD_S, Batch, Follower
from tuiwiz.ui.screens.panes import PANES, Snapshot
from tuiwiz.ui.screens.panes.base import obeyed_by_nobody
from tuiwiz.ui.screens.panes.gpu import gpu
from tuiwiz.ui.screens.panes.head import head, one_line
from tuiwiz.ui.screens.panes.health import health
from tuiwiz.ui.screens.panes.memory import memory
from tuiwiz.ui.screens.panes.samples import samples
from tuiwiz.ui.screens.run_actions import RunActions
from tuiwiz.ui.widgets.chart import Chart
from tuiwiz.ui.widgets.line import Line, glyphs_of
from tuiwiz.ui.widgets.tabs import PaneTabs, Tab
from tuiwiz.ui.words import ENDED


def own_run(path: Path) -> bool:
    """Whether requests may be left in a run's folder: it is this user's and can be written."""
    try:
        mine = not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()
    except OSError:
        return False
    return mine and os.access(path, os.W_OK)


REDRAW_S = 0.5
"""Shortest time between two redraws: what a slow line and a busy machine can bear."""


class RunScreen(RunActions):
    """`run`: the run's folder. `started_here`: leaving asks "detach or stop", and the exit code is the run's.

    Args:
        clock: the time in seconds since the epoch; tests hold it still.
    """

    KEYS = keys.RUN
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.RUN)
    PURPOSE = (
        "One training run, live or ended. Capital letters act on the run, small ones on this screen. "
        "Closing the screen never touches the run."
    )

    class Came(Message):
        """One piece of the events file."""

        def __init__(self, batch: Batch) -> None:
            super().__init__()
            self.batch = batch

    def __init__(
        self,
        run: Path | RunFolder,
        *,
        started_here: bool = False,
        clock: Callable[[], float] = time.time,
        heard: tuple[tuple[SeverityLevel, str], ...] = (),
    ) -> None:
        """`heard`: what was found out before the start and is told here."""
        super().__init__()
        self._heard = heard
        self.folder = run if isinstance(run, RunFolder) else RunFolder(run)
        self.started_here = started_here
        self.clock = clock
        self.view = RunView()
        self.state = "unknown"
        self.pane = "loss"
        self.search = ""
        self.level = "all"
        self.loading = False
        self.missing = False
        self._writable = own_run(self.folder.path)
        self.metric = "loss"
        self.axis = Axis()
        self._smooth = Smoothed()
        self._drawn = Smoothed()
        self._judge = Judge(self.folder)
        self._follower = Follower(self.folder, self._deliver, clock)
        self.caught_up = asyncio.Event()
        """Set once everything that was in the file has been folded and drawn."""
        self._drawn_at = 0.0
        self._shown: dict[str, tuple[str, Sequence[Span]]] = {}
        self._changed = False
        self._ended = False

    # Structure

    def compose_body(self) -> ComposeResult:
        yield Static(id="head")
        yield Line()
        with Horizontal(id="middle"):
            with Vertical(id="main"):
                yield Chart(id="chart")
                yield Line(id="chart-line")
                yield PaneTabs(id="tabs")
                yield Static(id="read-out")
                with VerticalScroll(id="pane", can_focus=False):
                    yield Static(id="pane-text")
            with VerticalScroll(id="side", can_focus=False):
                yield Static(id="side-text")
        yield Line(id="bottom-line")

    def on_mount(self) -> None:
        # A daemon and no Textual worker: an application that breaks waits for its workers, and this one waits for it.
        threading.Thread(target=self._follower.loop, name="follow", daemon=True).start()
        self._follower.ask()
        self.set_interval(PERIOD_S, self._follower.ask)
        self.redraw()
        for severity, words in self._heard:
            self.notify(words, severity=severity, timeout=20, markup=False)

    def on_unmount(self) -> None:
        self._follower.stop()

    # Following

    def _deliver(self, batch: Batch) -> None:
        """Called in the follower's thread; posting does not wait for the screen."""
        self.post_message(self.Came(batch))

    def on_run_screen_came(self, event: Came) -> None:
        self.take(event.batch)

    def take(self, batch: Batch) -> None:
        """Fold one piece of the file and show it, at most twice a second."""
        changed = bool(batch.events) or batch.state != self.state or batch.missing != self.missing
        if batch.restarted:
            self.view = RunView()
        if batch.events:
            self.view = fold(self.view, batch.events)
            if self.caught_up.is_set() and any(isinstance(e, Alert) and e.severity != "info" for e in batch.events):
                self.ring("alert")
            self._follower.view = self.view
        changed = bool(passed_over(self.view, batch.unreadable)) or changed
        self.missing = batch.missing
        urgent = batch.state != self.state or not (self.caught_up.is_set() or batch.events)
        if batch.state != self.state:
            if batch.state in ENDED and self.caught_up.is_set():
                self.ring(batch.state)
            self.state = batch.state
            self.refresh_bindings()
        self._changed = self._changed or changed
        # Without news the clocks in the header still go on.
        if urgent or time.monotonic() - self._drawn_at >= (REDRAW_S if self._changed else 1.0):
            self._changed = False
            self.redraw()
        if batch.events:
            # Once more at once: the state is told from what has been folded.
            self._follower.ask()
        else:
            self.caught_up.set()

    def ring(self, what: str) -> None:
        """Bell and desktop notice: whoever left the terminal open may be looking elsewhere."""
        name = self.view.name or self.folder.path.name
        driver = self.app._driver
        if driver is not None:
            driver.write(terminal_notice(f"tuiwiz: {name} {what}", tmux=bool(os.environ.get("TMUX"))))

    # Showing

    def snapshot(self) -> Snapshot:
        """What all panes are drawn from."""
        series = self.view.series.get("loss")
        if series is not None:
            self._smooth.take(series)
        name = self.view.name or self.folder.path.name
        facts = fact_room.derive(self.view, name, self.state, self._smooth.last(fact_room.WINDOW), self.clock())
        return Snapshot(
            view=self.view,
            facts=facts,
            folder=self.folder,
            writable=self._writable,
            now=self.clock(),
            search=self.search,
            level=self.level,
            missing=self.missing,
            tall=self.has_class("-tall") and not self.has_class("-wide"),
            findings=self._judge.findings,
        )

    def redraw(self) -> None:
        """Bring everything that is visible up to date."""
        if not self.is_mounted:
            return
        self._drawn_at = time.monotonic()
        self._advise()
        snapshot = self.snapshot()
        ended = self.state in ENDED
        if ended != self._ended:
            self._ended = ended
            self.set_class(ended, "-ended")
            self.pane = "result" if ended else "loss"
        with self.app.batch_update():
            self._put("#head", head(snapshot.facts, self.size.width, glyphs_of(self), read_only=not self._writable))
            self.query_one(Chart).set_data(self.chart_data(snapshot))
            self._draw_tabs(snapshot)
            self._draw_pane(snapshot)
            self._draw_side(snapshot)
        self.refresh_small()

    def _advise(self) -> None:
        """Let the doctor look, and say what is new; not before the whole file has been read."""
        if not self.caught_up.is_set():
            return
        new = self._judge.look(self.view)
        if new:
            self.refresh_bindings()
        for one in new:
            if one.severity != "info" and self.state not in ENDED:
                severity: Literal["warning", "error"] = "error" if one.severity == "error" else "warning"
                self.notify(f"{one.title}. 9 says why.", severity=severity, timeout=8, markup=False)

    def _put(self, selector: str, content: Content) -> None:
        """Show `content`, and send nothing to the terminal where it is what is there already."""
        shown = (content.plain, content.spans)
        if self._shown.get(selector) != shown:
            self._shown[selector] = shown
            self.query_one(selector, Static).update(obeyed_by_nobody(content))

    def _draw_tabs(self, snapshot: Snapshot) -> None:
        glyphs = glyphs_of(self)
        trouble = [alert for alert in snapshot.view.alerts if alert.severity != "info"]
        tabs = []
        for name, (key, label, _) in PANES.items():
            if name == "result" and self.state not in ENDED:
                continue
            mark, tone = "", ""
            if name == "health" and trouble:
                mark, tone = f"{glyphs.warn}{len(trouble)}", "$warn"
            faults = [one for one in snapshot.faults if one.severity != "info"] if name == "doctor" else []
            if faults:
                mark, tone = f"{glyphs.warn}{len(faults)}", "$warn"
            tabs.append(Tab(name, key, label, mark, tone, keep=name == "doctor"))
        self.query_one(PaneTabs).show(tabs, self.pane)
        self.show_read_out(self.query_one(Chart).read_out())

    def _draw_pane(self, snapshot: Snapshot) -> None:
        pane = self.query_one("#pane", VerticalScroll)
        label = self.query_one("#pane-text", Static)
        if not pane.display or not label.size.width:
            return
        at_end = self.pane == "log" and pane.is_vertical_scroll_end
        text = PANES[self.pane][2](snapshot, label.size.width, glyphs_of(self))
        self._put("#pane-text", text)
        if at_end:
            pane.scroll_end(animate=False)

    def _draw_side(self, snapshot: Snapshot) -> None:
        label = self.query_one("#side-text", Static)
        if not label.size.width:
            return
        glyphs = glyphs_of(self)
        width = label.size.width
        parts = [("memory", memory), ("GPU and host", gpu), ("health", health)]
        if self.has_class("-wide"):
            parts.append(("samples", samples))
        blocks: list[Content] = []
        for title, pane in parts:
            blocks += [Content.styled(f" {title}", "$accent"), pane(snapshot, width, glyphs), Content("")]
        self._put("#side-text", Content("\n").join(blocks))

    def small_line(self) -> str:
        return one_line(self.snapshot().facts, glyphs_of(self))

    def on_resize(self) -> None:
        super().on_resize()
        self.restore_size()
        self.call_after_refresh(self.redraw)
