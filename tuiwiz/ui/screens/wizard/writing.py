"""The end of the wizard: the bundle is written and, where asked, the run is started and shown."""

from __future__ import annotations

from pathlib import Path

from textual.notifications import SeverityLevel

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.files import write_atomic
from tuiwiz.rehearsal import ahead
from tuiwiz.ui.app import go_back, open_screen
from tuiwiz.ui.screen import TuiwizScreen
from tuiwiz.ui.screens.wizard.rehearsing import FAILED, START, Rehearsing, failure, notices
from tuiwiz.ui.screens.wizard.review import ReviewView
from tuiwiz.ui.widgets.dialog import Answer, Dialog
from tuiwiz.wizard import saved
from tuiwiz.wizard.session import Session
from tuiwiz.wizard.written import bundle_text


class Writing(TuiwizScreen):
    """The half of the wizard's screen that writes. Hashing and starting take seconds and have a thread."""

    session: Session
    writing = False
    heard: tuple[tuple[SeverityLevel, str], ...] = ()
    """What the rehearsal had to say, for the screen of the run."""

    def say(self, text: str) -> None:
        """One line above the footer."""
        raise NotImplementedError

    def action_write(self) -> None:
        self._write(run=False)

    def action_train(self) -> None:
        self._write(run=True)

    def ask_what_next(self) -> None:
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
        """Write the bundle and, where asked, start the run; a file that is there is replaced only after asking."""
        review = self.query_one(ReviewView)
        review.commit()
        output = review.output
        refused = self._refusal(output, run=run)
        if refused:
            self.say(refused)
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
        self.writing = True
        self.say("writing the bundle and starting the run ..." if run else "writing the bundle ...")
        self.run_worker(lambda: self._carry_through(output, run=run), thread=True, exit_on_error=True)

    def _refusal(self, output: Path, *, run: bool) -> str:
        """Why nothing can be written now; empty when it can."""
        errors = [one for one in self.session.problems if one.severity == "error"]
        composed = self.session.composed
        if self.writing:
            return "it is being written"
        if composed is None or errors:
            return errors[0].message if errors else "there is no bundle to write yet"
        if output.is_dir():
            return f"{output} is a folder: name a file in it"
        if run and not self.session.facts.model_chosen:
            size = composed.bundle.model.source
            return f"{size} has nothing to train: choose a model with weights, or only write the bundle with ctrl+s"
        return ""

    def _carry_through(self, output: Path, *, run: bool) -> None:
        """In a thread. A run that is planned to be long is not started yet, but rehearsed."""
        wrong = ""
        long_s: float | None = None
        started: Path | None = None
        try:
            write_atomic(output, bundle_text(self.session, output))
            long_s = ahead.due(output, []) if run else None
            started = _start(output) if run and long_s is None else None
        except TuiwizError as error:
            problem = error.problems[0] if error.problems else None
            wrong = problem.message if problem is not None else error.message
        except OSError as error:
            wrong = f"{output} cannot be written: {error.strerror or error}"
        if self.is_running and long_s is not None and not wrong:
            self.app.call_from_thread(self._rehearse, output, long_s)
        elif self.is_running:
            self.app.call_from_thread(self._finish, output, started, wrong)

    def _rehearse(self, output: Path, seconds: float) -> None:
        """Show the rehearsal; start the run when it went well or was refused, ask where it failed."""
        self.say("")
        screen = Rehearsing(output, seconds)

        def over(answer: str | None) -> None:
            failed = screen.failed
            if answer == FAILED and failed is not None:
                self.app.push_screen(failure(failed, output), lambda chosen: self._begin(output, run=chosen == START))
                return
            self.heard = tuple(notices(screen.found))
            self._begin(output, run=answer == START)

        self.app.push_screen(screen, over)

    def _begin(self, output: Path, *, run: bool) -> None:
        """Start the run of a written bundle, or stay here and say how it can be started later."""
        if not run:
            self.writing = False
            self.say(f"not started; {output.name} is written: tuiwiz run {output.name}")
            return
        self.say("starting the run ...")
        self.run_worker(lambda: self._start_alone(output), thread=True, exit_on_error=True)

    def _start_alone(self, output: Path) -> None:
        """In a thread."""
        started: Path | None = None
        wrong = ""
        try:
            started = _start(output)
        except TuiwizError as error:
            wrong = error.message
        if self.is_running:
            self.app.call_from_thread(self._finish, output, started, wrong)

    def _finish(self, output: Path, started: Path | None, wrong: str) -> None:
        self.writing = False
        if wrong:
            self.say(wrong)
            return
        saved.forget()
        if started is not None:
            open_screen(self.app, "run", replace=True, run=started, started_here=True, heard=self.heard)
            return
        self.app.notify(f"wrote {output}; train it with: tuiwiz run {output.name}", markup=False)
        go_back(self.app)


def _start(bundle: Path) -> Path:
    """The folder of the run, which goes on without this process."""
    from tuiwiz.runs.folder import prepare
    from tuiwiz.runs.launch import start

    ready = prepare(bundle)
    start(ready.folder, detach=True)
    return ready.path
