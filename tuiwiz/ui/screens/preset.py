"""One preset's page, or two presets beside each other."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tuiwiz.presets.bands import BAND_NAMES
from tuiwiz.ui import gallery, keys
from tuiwiz.ui.app import go_back, open_screen
from tuiwiz.ui.screen import TuiwizScreen
from tuiwiz.ui.widgets.line import Line, glyphs_of
from tuiwiz.ui.widgets.picklist import ascii_content


class PresetScreen(TuiwizScreen):
    """`row` is what to show, `other` what to put beside it."""

    KEYS = keys.PRESET
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.PRESET)
    PURPOSE = "A preset's values for one size of model, each with its source, its range and its grade."

    def __init__(self, row: gallery.Row, other: gallery.Row | None = None) -> None:
        super().__init__()
        self.row = row
        self.other = other
        both = set(row.grades) & set(other.grades) if other is not None else set(row.grades)
        self.bands = [band for band in BAND_NAMES if band in (both or row.grades)]
        self.band = "M" if "M" in self.bands else self.bands[0]

    def compose_body(self) -> ComposeResult:
        yield Static(id="preset-head")
        yield Line()
        with VerticalScroll(id="preset-body"):
            yield Static(id="preset-text")
        yield Line()

    def on_mount(self) -> None:
        self.query_one("#preset-body").focus()
        self.draw()

    def on_resize(self) -> None:
        super().on_resize()
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        if not self.is_mounted:
            return
        width = max(40, self.size.width - 4)
        title = self.row.name if self.other is None else f"{self.row.name} and {self.other.name}"
        about = f"  {self.row.task}, {self.row.method}" if self.other is None else ""
        sizes = "  ".join(f"[{band}]" if band == self.band else band for band in self.bands)
        head = Content.assemble((f" {title}", "bold"), (about, "$dim"), (f"   {sizes}", "$accent"))
        self.query_one("#preset-head", Static).update(head)
        if self.other is None:
            text = gallery.page(self.row, self.band, width, glyphs_of(self))
        else:
            text = gallery.beside(self.row, self.other, self.band, width)
        self.query_one("#preset-text", Static).update(ascii_content(text) if glyphs_of(self).ascii else text)
        self.refresh_small()

    def small_line(self) -> str:
        return f"preset {self.row.name}"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "use" or self.other is None

    def action_band(self, by: int) -> None:
        self.band = self.bands[(self.bands.index(self.band) + by) % len(self.bands)]
        self.draw()

    def action_use(self) -> None:
        """Open the wizard with this preset, its task and its method; other answers of a left draft stay."""
        from tuiwiz.wizard import saved
        from tuiwiz.wizard.draft import Draft

        draft = saved.load() or Draft()
        draft = draft.answered(preset=self.row.name, task=self.row.task, method=self.row.method)
        open_screen(self.app, "wizard", draft=draft)

    def action_scroll(self, by: int) -> None:
        self.query_one("#preset-body", VerticalScroll).scroll_relative(y=by, animate=False)

    def action_back(self) -> None:
        go_back(self.app)
