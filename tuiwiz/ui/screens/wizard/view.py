"""What every step of the wizard shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from tuiwiz.base.problems import Problem
from tuiwiz.base.text import clean_line
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.widgets.line import glyphs_of
from tuiwiz.wizard.session import Session

if TYPE_CHECKING:
    from tuiwiz.ui.screens.wizard.screen import WizardScreen


class StepView(Vertical):
    """One step. `refresh_view` brings it up to date with the session; `commit` takes what is typed into it."""

    DEFAULT_CSS = "StepView { height: 1fr; padding: 1 1 0 1; }"

    class Next(Message):
        """The step was answered by Enter: go on."""

    def __init__(self, session: Session, *, id: str) -> None:
        super().__init__(id=id)
        self.session = session

    @property
    def wizard(self) -> WizardScreen:
        from tuiwiz.ui.screens.wizard.screen import WizardScreen

        screen = self.screen
        assert isinstance(screen, WizardScreen)
        return screen

    @property
    def glyphs(self) -> Glyphs:
        return glyphs_of(self)

    def first_focus(self) -> Widget | None:
        """What has the focus when the step opens."""
        return None

    def entered(self) -> None:
        """The step is shown now: fill inputs from the answers."""

    def refresh_view(self) -> None:
        """Something changed: an answer, a result, the size."""

    def commit(self) -> bool:
        """Take what is typed as the answer before leaving forwards; False keeps the user here."""
        return True


def problem_content(problem: Problem) -> Content:
    """`! message  place` with the hint on a line of its own."""
    tone = {"error": "$bad", "warning": "$warn"}.get(problem.severity, "$dim")
    word = {"error": "error", "warning": "!", "info": "note"}[problem.severity]
    place = f"row {problem.row}: " if problem.row is not None else ""
    line = Content.assemble((f"  {word} ", f"{tone} bold"), clean_line(f"{place}{problem.message}", 300))
    if problem.hint:
        line = Content("\n").join([line, Content.assemble("    ", (clean_line(problem.hint, 300), "$dim"))])
    return line
