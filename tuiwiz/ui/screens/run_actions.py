"""What the keys of the run screen do: requests to the run, the chart, the panes."""

from __future__ import annotations

import itertools
import math
import shlex
from typing import ClassVar

from textual.containers import VerticalScroll
from textual.widgets import Input

from tuiwiz.base.errors import TuiwizError
from tuiwiz.doctor.fork import best_weights, fork
from tuiwiz.doctor.live import Judge
from tuiwiz.doctor.words import change_words
from tuiwiz.events import control
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.view import RunView
from tuiwiz.ui.app import go_back, open_screen
from tuiwiz.ui.curves import Smoothed, last_values
from tuiwiz.ui.screens.panes import PANES
from tuiwiz.ui.screens.panes.card import resume_command, try_snippet
from tuiwiz.ui.screens.panes.log import LEVELS
from tuiwiz.ui.screens.run_chart import RunCharting
from tuiwiz.ui.widgets.chart import Chart
from tuiwiz.ui.widgets.dialog import Answer, Dialog
from tuiwiz.ui.widgets.tabs import PaneTabs
from tuiwiz.ui.words import ENDED, number

STOP_DETAIL = "After the current step it writes a checkpoint and ends. It can be continued later."
EXIT_CODES = {"failed": 6, "crashed": 6, "stopped": 7}
"""Exit code of the screen that started a run, by how the run ended, where the run itself told none."""


class RunActions(RunCharting):
    """The acting half of the run screen; `RunScreen` composes and draws."""

    folder: RunFolder
    view: RunView
    state: str
    started_here: bool
    pane: str
    search: str
    level: str
    _writable: bool
    _smooth: Smoothed
    _judge: Judge
    ASKS: ClassVar[frozenset[str]] = frozenset({"pause", "resume", "checkpoint", "stop", "extend", "cadence"})

    def redraw(self) -> None:
        """Bring everything that is visible up to date."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing now are off, and so out of the footer and the palette."""
        ended = self.state in ENDED
        if action in self.ASKS:
            wanted = {"pause": self.state != "paused", "resume": self.state == "paused"}.get(action, True)
            known = self.view.steps > 0 or action not in ("extend", "cadence")
            return self._writable and not ended and wanted and known
        if action == "detach":
            return not ended
        if action == "fork":
            return any(one.change for one in self._judge.wrong)
        if action == "search":
            return self.pane in ("log", "metrics")
        if action == "level":
            return self.pane == "log"
        if action == "pane" and parameters == ("result",):
            return ended
        return True

    # Requests to the run

    def _request(self, kind: control.Kind, said: str, *, steps: int = 0) -> None:
        try:
            control.request(self.folder, kind, steps=steps)
        except OSError as error:
            self._writable = False
            self.notify(f"cannot ask: {error.strerror or error}", severity="error", markup=False)
            self.refresh_bindings()
            return
        self.notify(said, timeout=3, markup=False)

    def action_pause(self) -> None:
        self._request("pause", "Pauses after the current step.")

    def action_resume(self) -> None:
        self._request("resume", "Goes on.")

    def action_checkpoint(self) -> None:
        self._request("checkpoint", "Writes a checkpoint after the current step.")

    def action_extend(self) -> None:
        steps = self.view.steps
        answers = tuple(
            Answer(key, f"+{percent} %, {max(1, steps * percent // 100)} steps", str(max(1, steps * percent // 100)))
            for key, percent in (("1", 10), ("2", 25), ("5", 50))
        )
        detail = (
            "The schedule is stretched over the new length, so the learning rate rises again a little. "
            f"Each step costs {number(self._step_seconds(), 2)} s."
        )
        self.app.push_screen(Dialog("Train longer?", detail, (*answers, Answer("n", "no", ""))), self._extend_answered)

    def _extend_answered(self, answer: str | None) -> None:
        if answer:
            self._request("extend", f"Trains {answer} steps longer.", steps=int(answer))

    def action_cadence(self) -> None:
        planned = self.view.started.evaluation_steps if self.view.started is not None else ()
        asked = [one.to for one in self.view.adjusted if one.key == "evaluation.every" and isinstance(one.to, int)]
        between = [b - a for a, b in itertools.pairwise(planned)]
        every = asked[-1] if asked else min(between, default=max(1, self.view.steps // 10))
        answers = (
            Answer("e", "once, now", "0"),
            Answer("o", f"more often, every {max(1, every // 2)} steps", str(max(1, every // 2))),
            Answer("l", f"less often, every {every * 2} steps", str(every * 2)),
            Answer("n", "as it is", ""),
        )
        spent = self.view.stage_seconds.get("evaluating", 0.0) / max(1, len(self.view.evals))
        detail = (
            f"It evaluates every {every} steps; one evaluation takes {number(spent, 1)} s, in which nothing is trained."
        )
        self.app.push_screen(Dialog("Evaluate when?", detail, answers), self._cadence_answered)

    def _cadence_answered(self, answer: str | None) -> None:
        if answer == "0":
            self._request("evaluate", "Evaluates after the current step.")
        elif answer:
            self._request("cadence", f"Evaluates every {answer} steps.", steps=int(answer))

    def _step_seconds(self) -> float:
        values = [value for value in last_values(self.view, "step_seconds", 50) if math.isfinite(value)]
        return sum(values) / len(values) if values else 0.0

    def action_stop(self) -> None:
        answers = (Answer("s", "stop the run", "stop"), Answer("n", "keep training", ""))
        self.app.push_screen(Dialog("Stop this run?", STOP_DETAIL, answers), self._stop_answered)

    def _stop_answered(self, answer: str | None) -> None:
        if answer == "stop":
            self._request("stop", "Stops after the current step.")

    def action_compare(self) -> None:
        """This run beside the newest others, three at most."""
        from tuiwiz.runs.compare import load
        from tuiwiz.runs.registry import folders

        own = self.folder.path.resolve()
        others = [one for one in folders() if one.path.resolve() != own and one.events.exists()][:3]
        if not others:
            self.notify("There is no other run to compare with.", timeout=3, markup=False)
            return
        open_screen(self.app, "compare", runs=load([self.folder, *others]), metric=self.metric)

    # The doctor's change

    def action_fork(self) -> None:
        """Ask, then write a bundle with the first fault's change; nothing is started."""
        one = next(finding for finding in self._judge.wrong if finding.change)
        detail = f"{one.title}. A new bundle with one change: {change_words(one)}. This run is not touched."
        answers = [Answer("w", "write it", "write"), Answer("n", "not now", "")]
        if best_weights(self.folder, self.view, one) is not None:
            answers.insert(1, Answer("b", "write it, from the best weights", "best"))
        self.app.push_screen(Dialog("Write a new bundle?", detail, tuple(answers)), self._fork_answered)

    def _fork_answered(self, answer: str | None) -> None:
        if not answer:
            return
        one = next(finding for finding in self._judge.wrong if finding.change)
        start = best_weights(self.folder, self.view, one) if answer == "best" else None
        try:
            path = fork(self.folder, one, start=start)
        except TuiwizError as error:
            self.notify(error.message, severity="error", markup=False)
            return
        self.app.copy_to_clipboard(f"tuiwiz run {shlex.quote(str(path))}")
        self.notify(f"Wrote {path}. Copied the command that runs it.", timeout=10, markup=False)

    # Leaving

    def action_detach(self) -> None:
        self._leave()

    def action_quit(self) -> None:
        if not self.ask_before_leaving():
            self._leave()

    def ask_before_leaving(self) -> bool:
        """Ask "detach or stop" where this screen started the run; False where there is nothing to ask."""
        if not self.started_here or self.state in ENDED or not self._writable:
            return False
        answers = (
            Answer("d", "detach, the run goes on", "detach"),
            Answer("s", "stop the run", "stop"),
            Answer("n", "stay here", ""),
        )
        detail = (
            f"Detached, it trains on; `tuiwiz watch` shows it again. Stopped: {STOP_DETAIL[0].lower()}{STOP_DETAIL[1:]}"
        )
        self.app.push_screen(Dialog("Leave: detach or stop?", detail, answers), self._leave_answered)
        return True

    def _leave_answered(self, answer: str | None) -> None:
        if answer == "stop":
            self._request("stop", "Stops after the current step.")
            go_back(self.app, EXIT_CODES["stopped"])
        elif answer == "detach":
            self._leave()

    def _leave(self) -> None:
        told = (self.view.summary or {}).get("exit_code")
        code = told if isinstance(told, int) else EXIT_CODES.get(self.state, 0)
        go_back(self.app, code if self.started_here else 0)

    def action_back(self) -> None:
        chart = self.query_one(Chart)
        if self.query(Input):
            self._close_search()
        elif chart.cross is not None:
            chart.toggle_cross()
        elif self.has_class("-chart-only"):
            self.action_zoom_chart()
        else:
            self.action_quit()

    # The panes

    def action_pane(self, name: str) -> None:
        if name in PANES and (name != "result" or self.state in ENDED):
            self.pane = name
            pane = self.query_one("#pane", VerticalScroll)
            pane.scroll_home(animate=False)
            self.redraw()
            self.refresh_bindings()
            if name == "log":
                self.call_after_refresh(pane.scroll_end, animate=False)

    def action_next_pane(self, step: int) -> None:
        names = [name for name in PANES if name != "result" or self.state in ENDED]
        self.action_pane(names[(names.index(self.pane) + step) % len(names)])

    def on_pane_tabs_chosen(self, event: PaneTabs.Chosen) -> None:
        self.action_pane(event.name)

    def action_scroll_pane(self, rows: int) -> None:
        self.query_one("#pane", VerticalScroll).scroll_relative(y=rows, animate=False)

    # The log

    def action_level(self) -> None:
        names = list(LEVELS)
        self.level = names[(names.index(self.level) + 1) % len(names)]
        self.redraw()

    def action_search(self) -> None:
        if not self.query(Input):
            box = Input(self.search, placeholder=f"search the {self.pane}, enter to keep, esc to clear", id="search")
            self.mount(box, before="#bottom-line")
            box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.search = event.value
        self.redraw()

    def on_input_submitted(self) -> None:
        self._close_search(keep=True)

    def _close_search(self, *, keep: bool = False) -> None:
        for box in self.query(Input):
            box.remove()
        if not keep:
            self.search = ""
        self.set_focus(None)
        self.redraw()

    def action_copy(self) -> None:
        """Copy what is most likely wanted: the snippet or the resume command once ended, else the folder's path."""
        if self.state == "finished":
            text, said = try_snippet(self.folder), "Copied the lines that load the result."
        elif self.state in ENDED:
            text, said = resume_command(self.folder), "Copied the command that goes on."
        else:
            text, said = str(self.folder.path), f"Copied {self.folder.path}"
        self.app.copy_to_clipboard(text)
        self.notify(said, timeout=3, markup=False)
