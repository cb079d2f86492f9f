"""Help for the screen below: what it is for, its keys by the key table, and the focused field's explanation."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tuiwiz.base.text import clean
from tuiwiz.ui import keys
from tuiwiz.ui.screen import TuiwizScreen
from tuiwiz.ui.widgets.line import Line


class HelpScreen(TuiwizScreen):
    """`about` is the screen that help was asked on. Its focused widget may have `help_text()` (a long explanation)."""

    KEYS = keys.HELP
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.HELP)

    def __init__(self, about: Screen[object]) -> None:
        super().__init__()
        self._about = about
        focused = about.focused
        explain = getattr(focused, "help_text", None)
        self._field = clean(explain()) if callable(explain) else ""

    def compose_body(self) -> ComposeResult:
        yield Static(Content.assemble((" tuiwiz", "bold"), ("  help", "$dim")))
        yield Line()
        with VerticalScroll(id="help-body"):
            yield Static(id="help-text")

    def on_mount(self) -> None:
        self.query_one("#help-body").focus()

    def on_resize(self) -> None:
        super().on_resize()
        self.query_one("#help-text", Static).update(self.text(max(30, self.size.width - 6)))

    def text(self, width: int) -> Content:
        """The whole help text, key descriptions wrapped beside their keys."""
        parts: list[Content] = []
        purpose = getattr(self._about, "PURPOSE", "")
        if purpose:
            parts += [Content(purpose), Content("")]
        if self._field:
            parts += [Content.styled("This field", "bold"), Content(self._field), Content("")]
        declared = [key for key in getattr(self._about, "KEYS", ()) if key.keys]
        rows = [*declared, *(key for key in keys.APP if key.keys)]
        column = max((len(key.all_shown) for key in rows), default=0) + 4
        parts.append(Content.styled("Keys", "bold"))
        for key in rows:
            for at, piece in enumerate(textwrap.wrap(key.description, max(16, width - column))):
                shown = "" if at else f"  {key.all_shown}"
                parts.append(Content.assemble((shown.ljust(column), "$accent"), piece))
        return Content("\n").join(parts)

    def action_back(self) -> None:
        self.app.pop_screen()

    def small_line(self) -> str:
        return "help"
