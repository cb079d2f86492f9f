"""Help for the screen below: what it is for, its keys by the key table, and the focused field's explanation."""

from __future__ import annotations

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
        yield Static(Content.assemble((" tuiwiz", "bold"), ("  help", "$dim")), classes="title")
        yield Line()
        with VerticalScroll(id="help-body"):
            yield Static(self.text())

    def on_mount(self) -> None:
        self.query_one("#help-body").focus()

    def text(self) -> Content:
        """The whole help text."""
        parts: list[Content] = []
        purpose = getattr(self._about, "PURPOSE", "")
        if purpose:
            parts += [Content(purpose), Content("")]
        if self._field:
            parts += [Content.styled("This field", "bold"), Content(self._field), Content("")]
        declared = [key for key in getattr(self._about, "KEYS", ()) if key.keys]
        rows = [*declared, *(key for key in keys.APP if key.keys)]
        width = max((len(key.all_shown) for key in rows), default=0)
        parts.append(Content.styled("Keys", "bold"))
        parts += [
            Content.assemble(("  " + key.all_shown.ljust(width), "$accent"), f"  {key.description}") for key in rows
        ]
        return Content("\n").join(parts)

    def action_back(self) -> None:
        self.app.pop_screen()

    def small_line(self) -> str:
        return "help"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # Help about help would only stack screens.
        return action != "help"
