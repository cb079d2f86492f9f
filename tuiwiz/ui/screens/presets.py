"""The preset gallery: search, grades by model size, and the way to a preset's page or to two beside each other."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from tuiwiz.ui import gallery, keys
from tuiwiz.ui.app import go_back, open_screen
from tuiwiz.ui.screen import TuiwizScreen
from tuiwiz.ui.widgets.line import Line
from tuiwiz.ui.widgets.picklist import Pick, PickList


class PresetsScreen(TuiwizScreen):
    """Reads the gallery once, when it is opened, and again when one comes back to it."""

    KEYS = keys.PRESETS
    BINDINGS: ClassVar[list[BindingType]] = keys.bindings(keys.PRESETS)
    PURPOSE = (
        "Settings that say where they come from. Letters grade the learning rate for each size of model: "
        "A tuned or released, B neighbouring evidence, C extrapolated and untested."
    )

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[gallery.Row] = []
        self.marked: list[str] = []
        self.words = ""

    def compose_body(self) -> ComposeResult:
        yield Static(id="presets-head")
        yield Line()
        yield Input(id="presets-search", placeholder="words such as: dpo lora A own measured")
        yield Static(id="presets-columns")
        with VerticalScroll(id="presets-body", can_focus=False):
            yield PickList(id="presets-list")
        yield Line()

    def on_mount(self) -> None:
        self.query_one(Input).display = False
        self.read()
        self.query_one(PickList).focus()

    def on_screen_resume(self) -> None:
        if self.rows:
            self.read()

    def read(self) -> None:
        self.rows = gallery.rows()
        self.draw()

    @property
    def found(self) -> list[gallery.Row]:
        """The rows that the search leaves."""
        words = self.words.split()
        return [row for row in self.rows if row.fits(words)]

    @property
    def selected(self) -> gallery.Row | None:
        value = self.query_one(PickList).value
        return next((row for row in self.rows if row.key == value), None)

    def draw(self) -> None:
        found = self.found
        said = f"  {len(found)} of {len(self.rows)}" if self.words else f"  {len(self.rows)}"
        about = f"  search: {self.words}" if self.words else ""
        head = Content.assemble((" presets", "bold"), (said, "$dim"), (about, "$accent"))
        self.query_one("#presets-head", Static).update(head)
        self.query_one("#presets-columns", Static).update(Content("   ") + gallery.heading())
        picks = [Pick(row.key, gallery.row_text(row, marked=row.key in self.marked)) for row in found]
        self.query_one(PickList).set_picks(picks or [Pick(None, Content("no preset has all of these words"))])
        self.refresh_bindings()
        self.refresh_small()

    def small_line(self) -> str:
        return f"tuiwiz: {len(self.rows)} presets"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "compare":
            return len(self.marked) == 2
        return True

    def on_pick_list_chosen(self, event: PickList.Chosen) -> None:
        self.action_open()

    def action_open(self) -> None:
        row = self.selected
        if row is not None:
            open_screen(self.app, "preset", row=row)

    def action_mark(self) -> None:
        row = self.selected
        if row is None:
            return
        if row.key in self.marked:
            self.marked.remove(row.key)
        else:
            self.marked = [*self.marked[-1:], row.key]
        self.draw()

    def action_compare(self) -> None:
        rows = [row for key in self.marked for row in self.rows if row.key == key]
        if len(rows) == 2:
            open_screen(self.app, "preset", row=rows[0], other=rows[1])

    def action_search(self) -> None:
        search = self.query_one(Input)
        search.display = True
        search.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.words = event.value
        self.draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._end_search()

    def _end_search(self) -> None:
        self.query_one(Input).display = False
        self.query_one(PickList).focus()

    def action_back(self) -> None:
        """Out of the search, then out of what was searched, then out of the screen."""
        if self.query_one(Input).has_focus:
            self._end_search()
        elif self.words:
            self.query_one(Input).value = ""
        else:
            go_back(self.app)
