"""The wizard: seven steps to a bundle, and from there to a run."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import ContentSwitcher, Input, Static

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.text import clean
from tuiwiz.memory.plan import Simulation
from tuiwiz.memory.simulation import JOB
from tuiwiz.runs.launch import run_job
from tuiwiz.ui import keys
from tuiwiz.ui.app import go_back
from tuiwiz.ui.screens.wizard.data import DataView
from tuiwiz.ui.screens.wizard.fit import FitView
from tuiwiz.ui.screens.wizard.hardware import HardwareView
from tuiwiz.ui.screens.wizard.model import ModelView
from tuiwiz.ui.screens.wizard.paths import PathSuggester, candidates
from tuiwiz.ui.screens.wizard.review import ReviewView
from tuiwiz.ui.screens.wizard.settings import SettingsView
from tuiwiz.ui.screens.wizard.task import TaskView
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.screens.wizard.writing import Writing
from tuiwiz.ui.widgets.line import Line, glyphs_of
from tuiwiz.wizard import saved, steps
from tuiwiz.wizard.draft import Draft
from tuiwiz.wizard.facts import device_facts, model_facts
from tuiwiz.wizard.jobs import CheckData, DataReport, Job, ReadDevice, ReadModel, SimulateMemory, read_report
from tuiwiz.wizard.session import Session
from tuiwiz.wizard.steps import Step

VIEWS: dict[Step, type[StepView]] = {
    "task": TaskView,
    "data": DataView,
    "model": ModelView,
    "hardware": HardwareView,
    "fit": FitView,
    "settings": SettingsView,
    "review": ReviewView,
}


def count(job: CheckData) -> DataReport:
    """Carry out the check of a whole file in a process of its own."""
    done = subprocess.run(job.command(), capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return read_report(done.stdout)


def simulate(job: SimulateMemory) -> tuple[Simulation, ...]:
    """Carry out a simulation in a process of its own, which loads the libraries of a training run."""
    with tempfile.TemporaryDirectory(prefix="tuiwiz-") as scratch:
        return job.read(run_job(JOB, Path(scratch), job.arguments()))


class WizardScreen(Writing):
    """Holds the session, runs the jobs that it wants in threads, and shows one view a step."""

    KEYS = keys.WIZARD
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.WIZARD)
    PURPOSE = "Seven steps to a run. Every value says who decided it and why; nothing is written before Review."

    def __init__(self, *, folder: Path | None = None, draft: Draft | None = None) -> None:
        super().__init__()
        self.session = Session(folder or Path.cwd(), draft if draft is not None else saved.load())
        self._under_way: set[Job] = set()
        self._said = ""

    def compose_body(self) -> ComposeResult:
        yield Static(id="wizard-head")
        yield Line()
        with ContentSwitcher(id="wizard-steps", initial=f"step-{self.session.draft.step}"):
            for step, view in VIEWS.items():
                yield view(self.session, id=f"step-{step}")
        yield Static(id="wizard-said")
        yield Line()

    def on_mount(self) -> None:
        self.show_step()
        if self.session.draft.answers.task:
            self.say("your last draft; ctrl+l starts anew")

    @property
    def busy(self) -> bool:
        """Whether something is still being read, counted or written."""
        return bool(self._under_way) or self.writing or self.query_one(DataView).reading

    @property
    def step(self) -> Step:
        return self.session.draft.step

    @property
    def view(self) -> StepView:
        return self.query_one(f"#step-{self.step}", StepView)

    def small_line(self) -> str:
        return f"tuiwiz wizard, {steps.TITLES[self.step]}"

    def say(self, text: str) -> None:
        """One line above the footer: what is missing, what happened."""
        self._said = text
        self.query_one("#wizard-said", Static).update(Content.assemble((f"  {clean(text)}" if text else "", "$warn")))

    def show_step(self) -> None:
        """Open the view of the present step."""
        self.query_one(ContentSwitcher).current = f"step-{self.step}"
        self._draw_head()
        self.say("")
        self.view.entered()
        focus = self.view.first_focus()
        if focus is not None:
            focus.focus()
        else:
            self.set_focus(None)
        self.refresh_small()
        self.refresh_bindings()
        self.changed()

    def changed(self) -> None:
        """An answer or a result changed: keep the draft, start what is wanted, redraw."""
        saved.save(self.session.draft)
        for job in self.session.wanted():
            if job not in self._under_way:
                self._under_way.add(job)
                self.run_worker(lambda job=job: self._carry_out(job), thread=True, exit_on_error=True)
        self._draw_head()
        self.view.refresh_view()
        self.refresh_bindings()

    def _draw_head(self) -> None:
        glyphs = glyphs_of(self)
        parts: list[Any] = [(" tuiwiz", "bold"), ("   new run   ", "$dim")]
        for step in steps.STEPS:
            here = step == self.step
            mark = glyphs.select if here else f" {glyphs.bullet} " if step != "task" else ""
            name = steps.TITLES[step]
            parts += [(f" {mark}{name}" if here else f"{mark}{name}", "$accent bold" if here else "$dim")]
        self.query_one("#wizard-head", Static).update(Content.assemble(*parts))

    def _carry_out(self, job: Job) -> None:
        """In a thread: do the job; its result, or the error it met, goes back to the session."""
        result: Any
        try:
            match job:
                case ReadDevice():
                    result = device_facts(job.gpu)
                case ReadModel():
                    result = model_facts(job.source, job.revision, Path(job.folder))
                case CheckData():
                    result = count(job)
                case SimulateMemory():
                    result = simulate(job)
        except TuiwizError as error:
            result = error
        if self.is_running:
            self.app.call_from_thread(self._take, job, result)

    def _take(self, job: Job, result: Any) -> None:
        self._under_way.discard(job)
        self.session.take(job, result)
        if isinstance(job, ReadModel):
            data = self.query_one(DataView)
            if self.step == "data":
                data.look()
        self.changed()

    # Keys.

    def on_step_view_next(self, event: StepView.Next) -> None:
        event.stop()
        self.action_next()

    def action_next(self) -> None:
        """Take the step's answer and go on, or say what is missing."""
        if self.step == "review":
            self.ask_what_next()
            return
        if not self.view.commit():
            lacking = steps.missing(self.step, self.session.draft.answers, self.session.composed)
            if lacking and not self._said:
                self.say(lacking)
            return
        lacking = self.session.go(steps.after(self.step))
        self.show_step()
        if lacking:
            self.say(lacking)

    def action_back(self) -> None:
        settings = self.query_one(SettingsView)
        if self.step == "settings" and settings.editing:
            settings.end()
            return
        if self.step == "task":
            go_back(self.app)
            return
        # What cannot be taken stays unsaid: going back must always work.
        self.view.commit(quietly=True)
        self.session.go(steps.before(self.step))
        self.show_step()

    def action_enter(self) -> None:
        self.action_next()

    def action_go_on(self) -> None:
        self.action_next()

    def action_edit(self) -> None:
        self.query_one(SettingsView).edit_selected()

    def action_complete(self) -> None:
        """Take the path that the focused line offers; where it offers none, go to the next field as Tab does."""
        line = self.focused
        paths = isinstance(line, Input) and isinstance(line.suggester, PathSuggester)
        offered = candidates(line.value, self.session.folder, limit=1) if isinstance(line, Input) and paths else []
        if isinstance(line, Input) and offered and offered[0] != line.value:
            line.value = offered[0]
            line.cursor_position = len(line.value)
        else:
            self.focus_next()

    def action_undo(self) -> None:
        if self.session.undo():
            self.show_step()
            self.say("took back the last change; ctrl+y does it again")
        else:
            self.say("there is nothing to take back")

    def action_redo(self) -> None:
        if self.session.redo():
            self.show_step()
            self.say("did it again")
        else:
            self.say("nothing was taken back")

    def action_anew(self) -> None:
        saved.forget()
        self.session.history.put(Draft(step="task"))
        self.show_step()
        self.say("started anew; ctrl+z brings the old answers back")

    def action_add_set(self) -> None:
        self.query_one(DataView).add_set()

    def action_leave_out(self) -> None:
        self.query_one(DataView).leave_out()

    def action_reset(self) -> None:
        self.query_one(SettingsView).reset_value()

    def action_take_other(self) -> None:
        self.query_one(SettingsView).take_other()

    def action_verify(self) -> None:
        self.query_one(FitView).verify()

    def action_other_gpu(self) -> None:
        self.session.go("hardware")
        self.show_step()

    def action_why(self) -> None:
        self.query_one(SettingsView).toggle_whole()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of a step work on that step alone."""
        if not self.is_mounted:
            return True
        settings = self.query_one(SettingsView)
        choosing = self.step == "settings" and not settings.editing
        match action:
            case "edit" | "go_on" | "why":
                return choosing
            case "enter":
                return self.step != "settings"
            case "next":
                return not choosing
            case "add_set":
                return self.step == "data"
            case "leave_out":
                return self.step == "data" and self.query_one(DataView).several
            case "reset":
                return choosing and settings.is_own
            case "take_other":
                return choosing and settings.other is not None
            case "verify" | "other_gpu":
                return self.step == "fit"
            case "write" | "train":
                return self.step == "review"
        return True
