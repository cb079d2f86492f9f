"""The list of runs on the home screen: one line each, columns aligned, by keyboard and mouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget

from tuiwiz.ui.glyphs import Glyphs, to_ascii
from tuiwiz.ui.widgets.line import glyphs_of


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a line says. All texts are cleaned; `path` opens the run."""

    path: Path
    name: str
    state: str
    tone: str
    live: bool
    progress: str = ""
    result: str = ""
    spark: str = ""
    time: str = ""
    age: str = ""


class RunList(Widget, can_focus=True):
    """Rows under the headings "Running" and "Recent". Enter is the screen's key; a click on a row opens it."""

    DEFAULT_CSS = "RunList { height: auto; text-wrap: nowrap; text-overflow: clip; }"

    class Opened(Message):
        def __init__(self, row: RunRow) -> None:
            super().__init__()
            self.row = row

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: list[RunRow] = []
        self.cursor = 0
        self.marked: set[Path] = set()
        """Runs that were picked for comparing."""
        self._lines: list[int | str] = []

    def set_rows(self, rows: Sequence[RunRow]) -> None:
        """Running rows first. The cursor stays on the run it was on."""
        chosen = self.selected
        self.rows = [*(row for row in rows if row.live), *(row for row in rows if not row.live)]
        paths = [row.path for row in self.rows]
        self.cursor = paths.index(chosen.path) if chosen is not None and chosen.path in paths else 0
        self._lines = []
        live = [number for number, row in enumerate(self.rows) if row.live]
        rest = [number for number, row in enumerate(self.rows) if not row.live]
        for heading, numbers in (("Running", live), ("Recent", rest)):
            if numbers:
                self._lines += [heading, *numbers, ""]
        self.refresh(layout=True)

    @property
    def selected(self) -> RunRow | None:
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    def toggle_mark(self) -> None:
        """Mark the selected run, or take its mark away, and go on to the next one."""
        if self.selected is not None:
            self.marked ^= {self.selected.path}
            self.move(1)

    def move(self, steps: int) -> None:
        """Move the cursor; it stops at both ends."""
        if not self.rows:
            return
        self.cursor = min(len(self.rows) - 1, max(0, self.cursor + steps))
        line = self._lines.index(self.cursor)
        if isinstance(self.parent, Widget):
            self.parent.scroll_to_region(Region(0, max(0, line - 1), 1, 3), animate=False)
        self.refresh()

    def on_key(self, event: events.Key) -> None:
        steps = {"down": 1, "up": -1, "pagedown": 10, "pageup": -10, "home": -(10**6), "end": 10**6}.get(event.key)
        if steps is not None:
            event.stop()
            event.prevent_default()
            self.move(steps)

    def on_click(self, event: events.Click) -> None:
        number = event.y
        line = self._lines[number] if 0 <= number < len(self._lines) else ""
        if isinstance(line, int):
            self.cursor = line
            self.refresh()
            self.post_message(self.Opened(self.rows[line]))

    def render(self) -> Content:
        lines: list[Content] = []
        for line in self._lines:
            if isinstance(line, str):
                lines.append(Content.styled(f" {line}", "$dim"))
            else:
                chosen, row = line == self.cursor, self.rows[line]
                lines.append(
                    row_content(row, glyphs_of(self), self.size.width, selected=chosen, marked=row.path in self.marked)
                )
        return Content("\n").join(lines)


def row_content(row: RunRow, glyphs: Glyphs, width: int, *, selected: bool, marked: bool = False) -> Content:
    """One run in `width` cells. Narrow terminals lose the curve, then the age."""
    text = to_ascii if glyphs.ascii else str
    name_width = 26 if width >= 112 else max(12, width // 5)
    parts: list[tuple[str, str]] = [
        (f"{'+' if marked else ' '}{glyphs.select if selected else ' '} ", "$accent bold"),
        (_fit(text(row.name), name_width, glyphs), "bold" if selected else ""),
        ("  ", ""),
        (_fit(text(row.state), 12, glyphs), row.tone),
        (f" {text(row.progress):>16}  ", ""),
        (_fit(text(row.result), 14, glyphs), ""),
    ]
    room = width - sum(len(part) for part, _ in parts)
    tail = [(f"  {text(row.time):>13}", "$dim"), (f"  {text(row.age):>10}", "$dim")]
    curve = [(f"  {row.spark:<14}", "$dim")] if room >= 16 + 15 + 12 else []
    if room < 15 + 12:
        tail = tail[:1] if row.live else tail[1:]
        tail = [(part.strip().rjust(13), style) for part, style in tail] if room >= 13 else []
    return Content.assemble(*parts, *curve, *tail)


def _fit(text: str, width: int, glyphs: Glyphs) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + glyphs.ellipsis
