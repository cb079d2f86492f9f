"""What every step of the wizard shares."""

from __future__ import annotations

import textwrap
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

    def problem(self, problem: Problem) -> Content:
        """A problem wrapped to this view's width."""
        return problem_content(problem, self.size.width - 7)

    def first_focus(self) -> Widget | None:
        """What has the focus when the step opens."""
        return None

    def entered(self) -> None:
        """The step is shown now: fill inputs from the answers."""

    def refresh_view(self) -> None:
        """Something changed: an answer, a result, the size."""

    def commit(self, *, quietly: bool = False) -> bool:
        """Take what is typed as the answer; False, with the reason said unless `quietly`, keeps the user here."""
        return True


def problem_content(problem: Problem, width: int = 0) -> Content:
    """`! message` with its row, the hint on a line of its own; `width` wraps both under themselves."""
    tone = {"error": "$bad", "warning": "$warn"}.get(problem.severity, "$dim")
    word = {"error": "error", "warning": "!", "info": "note"}[problem.severity]
    place = f"row {problem.row}: " if problem.row is not None else ""
    said = _under(clean_line(f"{place}{problem.message}", 300), len(word) + 3, width)
    line = Content.assemble((f"  {word} ", f"{tone} bold"), said)
    if problem.hint:
        hint = _under(clean_line(problem.hint, 300), len(word) + 3, width)
        line = Content("\n").join([line, Content.assemble(" " * (len(word) + 3), (hint, "$dim"))])
    return line


def _under(text: str, indent: int, width: int) -> str:
    """`text` in lines that begin `indent` columns in, but for the first one, which has its beginning already."""
    if width <= indent + 10:
        return text
    return ("\n" + " " * indent).join(textwrap.wrap(text, width - indent, break_on_hyphens=False))
