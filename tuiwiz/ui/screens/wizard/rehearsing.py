"""Before a long run: the rehearsal as it goes on, which may be refused, and what went wrong with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from textual.content import Content
from textual.notifications import SeverityLevel
from textual.widgets import Static

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.problems import Problem
from tuiwiz.base.text import clean
from tuiwiz.base.units import human_duration
from tuiwiz.rehearsal import take
from tuiwiz.ui.widgets.dialog import Answer, Dialog

START, STAY, FAILED = "start", "stay", "failed"


class Rehearsing(Dialog):
    """Rehearses a bundle in a thread. Dismisses with `START` when that went well or the user will not wait for it, with
    `STAY` where nothing is to be started, with `FAILED` where something went wrong: then `failed` says what.

    `found`: what a rehearsal that went well has to say.
    """

    def __init__(self, bundle: Path, planned_s: float) -> None:
        answers = [Answer("s", "start without it", START), Answer("n", "do not start", STAY)]
        super().__init__(f"A run of about {human_duration(planned_s)}: rehearsing it first", self._words(0.0), answers)
        self.failed: Problem | None = None
        self.found: list[Problem] = []
        self._bundle = bundle
        self._left = threading.Event()
        self._began = time.monotonic()

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(1.0, self._tell)
        self.run_worker(self._rehearse, thread=True, exit_on_error=True)

    def on_unmount(self) -> None:
        self._left.set()

    @staticmethod
    def _words(seconds: float) -> str:
        return f"{take.MOMENTS}: {seconds:.0f} s so far; the run starts by itself when all went well"

    def _tell(self) -> None:
        words = clean(self._words(time.monotonic() - self._began))
        self.query_one("#dialog-detail", Static).update(Content.styled(words, "$dim"))

    def _rehearse(self) -> None:
        """In a thread."""
        try:
            _, found = take.rehearsal(self._bundle, [], tick=self._tick)
        except take.RefusedError:
            return
        except TuiwizError as error:
            found = [Problem(message=error.message, hint=error.hint, key="rehearsal")]
        if not self._left.is_set():
            self.app.call_from_thread(self._over, found)

    def _tick(self) -> None:
        if self._left.is_set():
            raise take.RefusedError

    def _over(self, found: list[Problem]) -> None:
        if self._left.is_set():
            return
        if not self.is_current:
            # The help or the palette lies on top: its end is waited for.
            self.set_timer(0.3, lambda: self._over(found))
            return
        self.found = found
        self.failed = next((one for one in found if one.severity == "error"), None)
        self.dismiss(FAILED if self.failed is not None else START)


def failure(problem: Problem, bundle: Path) -> Dialog:
    """The question after a rehearsal that failed: what was wrong, the way out, and whether to start all the same."""
    way = problem.hint or f"tuiwiz check {bundle.name} --rehearse tries it again"
    if problem.key == take.OUT_OF_MEMORY:
        way = f"{problem.hint}. " if problem.hint else ""
        way += "Go back to Fit (escape) for a setting that needs less, or start it: the run adapts where it can"
    return Dialog(
        _short(problem.message),
        way,
        [Answer("s", "start all the same", START), Answer("n", "back to Review", STAY)],
    )


def notices(found: Iterable[Problem]) -> Iterator[tuple[SeverityLevel, str]]:
    """What a rehearsal that went well has to say, each with its weight."""
    for one in found:
        words = one.message + (f" ({one.hint})" if one.hint else "")
        yield ("warning" if one.severity == "warning" else "information"), words


def _short(message: str, most: int = 300) -> str:
    """A message of a library may be a page long."""
    return message if len(message) <= most else f"{message[: most - 3]}..."
