"""What every screen of tuiwiz shares: a key table, a footer, a line for terminals that are too small."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tuiwiz.ui.keys import Key
from tuiwiz.ui.widgets.footer import KeyFooter

SMALLEST = (48, 12)
"""Columns and rows below which a screen shows one line instead of itself."""


class TuiwizScreen(Screen[None]):
    """Base of all full screens. Subclasses set KEYS and BINDINGS and fill `compose_body`.

    The screen carries the classes `-tiny`, `-narrow`, `-medium`, `-wide` by width (48, 100, 160 columns) and
    `-flat`, `-short`, `-tall` by height (12, 30 rows).
    """

    KEYS: ClassVar[tuple[Key, ...]] = ()
    PURPOSE: ClassVar[str] = ""
    """What the screen is for, in one or two sentences; opens the help."""
    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (SMALLEST[0], "-narrow"), (100, "-medium"), (160, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (SMALLEST[1], "-short"), (30, "-tall")]

    def compose(self) -> ComposeResult:
        yield Static(id="too-small")
        yield from self.compose_body()
        yield KeyFooter()

    def compose_body(self) -> ComposeResult:
        """Everything between the top of the screen and the footer."""
        yield from ()

    def small_line(self) -> str:
        """What a terminal below 48x12 shows: the facts that matter, in one line."""
        return "tuiwiz"

    def refresh_small(self) -> None:
        """Bring the line for small terminals up to date; cheap when it is not shown."""
        width, height = self.size
        if width < SMALLEST[0] or height < SMALLEST[1]:
            need = f"{SMALLEST[0]}x{SMALLEST[1]}"
            self.query_one("#too-small", Static).update(Content(f"{self.small_line()}  (needs {need}, q leaves)"))

    def on_resize(self) -> None:
        self.refresh_small()
