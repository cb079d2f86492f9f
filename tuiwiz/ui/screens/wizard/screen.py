"""The wizard: seven steps to a bundle, and from there to a run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import ContentSwitcher, Static

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.text import clean
from tuiwiz.ui import keys
from tuiwiz.ui.app import go_back, open_screen
from tuiwiz.ui.screen import TuiwizScreen
from tuiwiz.ui.screens.wizard.data import DataView
from tuiwiz.ui.screens.wizard.fit import FitView
from tuiwiz.ui.screens.wizard.hardware import HardwareView
from tuiwiz.ui.screens.wizard.model import ModelView
from tuiwiz.ui.screens.wizard.review import ReviewView
from tuiwiz.ui.screens.wizard.settings import SettingsView
from tuiwiz.ui.screens.wizard.task import TaskView
from tuiwiz.ui.screens.wizard.view import StepView
from tuiwiz.ui.widgets.dialog import Answer, Dialog
from tuiwiz.ui.widgets.line import Line, glyphs_of
from tuiwiz.wizard import saved, steps
from tuiwiz.wizard.draft import Draft
from tuiwiz.wizard.facts import device_facts, model_facts, relative_to
from tuiwiz.wizard.jobs import CheckData, Job, ReadDevice, ReadModel, read_report
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


class WizardScreen(TuiwizScreen):
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
                    done = subprocess.run(job.command(), capture_output=True, stdin=subprocess.DEVNULL, check=False)
                    result = read_report(done.stdout)
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
            self._ask_what_next()
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
        self.view.commit() if self.step in ("data", "model", "hardware") and not self._said else None
        self.session.go(steps.before(self.step))
        self.show_step()

    def action_undo(self) -> None:
        if self.session.history.undo():
            self.show_step()
            self.say("took back the last change; ctrl+y does it again")
        else:
            self.say("there is nothing to take back")

    def action_redo(self) -> None:
        if self.session.history.redo():
            self.show_step()
        else:
            self.say("nothing was taken back")

    def action_anew(self) -> None:
        saved.forget()
        self.session.history.put(Draft(step="task"))
        self.show_step()
        self.say("started anew; ctrl+z brings the old answers back")

    def action_reset(self) -> None:
        self.query_one(SettingsView).reset_value()

    def action_why(self) -> None:
        self.query_one(SettingsView).explain_whole()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of a step work on that step alone."""
        if not self.is_mounted:
            return True
        if action in ("reset", "why"):
            return self.step == "settings" and not self.query_one(SettingsView).editing
        if action in ("write", "train"):
            return self.step == "review"
        return True

    def action_write(self) -> None:
        self._write(run=False)

    def action_train(self) -> None:
        self._write(run=True)

    def _ask_what_next(self) -> None:
        answers = [
            Answer("w", "write and run", "run"),
            Answer("b", "write the bundle only", "write"),
            Answer("n", "neither", "no"),
        ]
        output = self.query_one(ReviewView).output
        self.app.push_screen(
            Dialog(
                "Write the bundle and start the run?", f"{output}; the run goes on when this screen closes", answers
            ),
            lambda answer: self._write(run=answer == "run") if answer in ("run", "write") else None,
        )

    def _write(self, *, run: bool, replace: bool = False) -> None:
        """Write the bundle and, where asked, start the run and show it."""
        review = self.query_one(ReviewView)
        output, composed = review.output, self.session.composed
        errors = [one for one in self.session.problems if one.severity == "error"]
        if composed is None or errors:
            self.say(errors[0].message if errors else "there is no bundle to write yet")
            return
        if output.exists() and not replace:
            self.app.push_screen(
                Dialog(
                    f"{output.name} exists already. Replace it?",
                    str(output),
                    [Answer("r", "replace", "yes"), Answer("n", "no", "no")],
                ),
                lambda answer: self._write(run=run, replace=True) if answer == "yes" else None,
            )
            return
        try:
            text = self._bundle_for(output)
            write_atomic(output, text)
        except TuiwizError as error:
            self.say(error.message)
            return
        except OSError as error:
            self.say(f"{output} cannot be written: {error.strerror or error}")
            return
        if not run:
            saved.forget()
            self.app.notify(f"wrote {output}; train it with: tuiwiz run {output.name}", markup=False)
            go_back(self.app)
            return
        self._start(output)

    def _bundle_for(self, output: Path) -> str:
        """The bundle's text with paths as seen from its own folder."""
        from tuiwiz.bundle.write import write_bundle
        from tuiwiz.wizard.compose import compose

        answers = self.session.draft.answers
        found = compose(relative_to(_from(answers, self.session.folder), output.parent), self.session.facts)
        heading = f"Made by the tuiwiz wizard, preset {found.preset or 'none'}. Paths are relative to this file."
        return write_bundle(found.bundle, why=found.why, heading=heading)

    def _start(self, bundle: Path) -> None:
        from tuiwiz.runs.folder import prepare
        from tuiwiz.runs.launch import start

        try:
            ready = prepare(bundle)
            start(ready.folder, detach=True)
        except TuiwizError as error:
            self.say(error.problems[0].message)
            return
        except OSError as error:
            self.say(f"the run cannot be started: {error.strerror or error}")
            return
        saved.forget()
        open_screen(self.app, "run", replace=True, run=ready.path, started_here=True)


def _from(answers: Any, folder: Path) -> Any:
    """Answers whose paths, typed in `folder`, are absolute."""
    import msgspec

    def whole(path: str | None) -> str | None:
        return str((folder / Path(path).expanduser()).absolute()) if path else path

    model = answers.model
    if model and (folder / Path(model).expanduser()).exists():
        model = whole(model)
    return msgspec.structs.replace(answers, data=whole(answers.data), validation=whole(answers.validation), model=model)
