"""A list to choose from: one line a row, a cursor, headings between; by keyboard and mouse."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget

from tuiwiz.ui.glyphs import to_ascii
from tuiwiz.ui.widgets.line import glyphs_of


@dataclass(frozen=True, slots=True)
class Pick:
    """A row. `value` is what choosing it means; a row without one is a heading that the cursor passes over."""

    value: str | None
    text: Content


class PickList(Widget, can_focus=True):
    """Posts `Moved` when the cursor comes to another row and `Chosen` on Enter or a click."""

    DEFAULT_CSS = "PickList { height: auto; text-wrap: nowrap; text-overflow: clip; }"

    class Moved(Message):
        def __init__(self, sender: PickList, value: str) -> None:
            super().__init__()
            self.sender = sender
            self.value = value

        @property
        def control(self) -> PickList:
            return self.sender

    class Chosen(Moved):
        pass

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.picks: list[Pick] = []
        self.cursor = -1

    @property
    def value(self) -> str | None:
        """The value of the row under the cursor."""
        return self.picks[self.cursor].value if 0 <= self.cursor < len(self.picks) else None

    def set_picks(self, picks: Sequence[Pick], *, select: str | None = None) -> None:
        """Show other rows. The cursor goes to `select`, else stays on the value it was on, else to the first row."""
        wanted = select if select is not None else self.value
        self.picks = list(picks)
        values = [pick.value for pick in self.picks]
        first = next((index for index, value in enumerate(values) if value is not None), -1)
        self.cursor = values.index(wanted) if wanted is not None and wanted in values else first
        self.refresh(layout=True)
        self._show_cursor()
        self.call_after_refresh(self._show_cursor)

    def move(self, steps: int) -> None:
        """Move over so many rows that can be chosen; stops at both ends."""
        places = [index for index, pick in enumerate(self.picks) if pick.value is not None]
        if not places:
            return
        at = places.index(self.cursor) if self.cursor in places else 0
        self._put(places[min(len(places) - 1, max(0, at + steps))])

    def _put(self, index: int) -> None:
        if index == self.cursor:
            return
        self.cursor = index
        self._show_cursor()
        self.refresh()
        if self.value is not None:
            self.post_message(self.Moved(self, self.value))

    def _show_cursor(self) -> None:
        if isinstance(self.parent, Widget) and self.cursor >= 0:
            self.parent.scroll_to_region(Region(0, max(0, self.cursor - 1), 1, 3), animate=False)

    def render(self) -> Content:
        glyphs = glyphs_of(self)
        lines = []
        for index, pick in enumerate(self.picks):
            text = pick.text
            if glyphs.ascii:
                text = ascii_content(text)
            mark = f" {glyphs.select} " if index == self.cursor else "   "
            line = Content.assemble((mark, "$accent bold"), text)
            if index == self.cursor and self.has_focus:
                line = line.stylize("reverse", 3, len(line.plain.rstrip()))
            lines.append(line)
        return Content("\n").join(lines)

    def on_show(self) -> None:
        """Only now its place in the scrolled region is known."""
        self.call_after_refresh(self._show_cursor)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_key(self, event: events.Key) -> None:
        far = len(self.picks)
        steps = {
            "down": 1,
            "j": 1,
            "up": -1,
            "k": -1,
            "pagedown": 10,
            "pageup": -10,
            "home": -far,
            "g": -far,
            "end": far,
            "G": far,
        }.get(event.key)
        if steps is not None:
            event.stop()
            event.prevent_default()
            self.move(steps)
        elif event.key == "enter" and self.value is not None:
            event.stop()
            event.prevent_default()
            self.post_message(self.Chosen(self, self.value))

    def on_click(self, event: events.Click) -> None:
        if 0 <= event.y < len(self.picks) and self.picks[event.y].value is not None:
            self.focus()
            again = event.y == self.cursor
            self._put(event.y)
            if again and self.value is not None:
                self.post_message(self.Chosen(self, self.value))


def ascii_content(text: Content) -> Content:
    """`text` with what a bare console cannot show replaced, its styles kept."""
    if text.plain.isascii():
        return text
    return Content.assemble(*((to_ascii(text.plain[part.start : part.end]), part.style) for part in _parts(text)))


@dataclass(frozen=True, slots=True)
class _Part:
    start: int
    end: int
    style: str


def _parts(text: Content) -> list[_Part]:
    """The text cut where its styles change, one style each."""
    cuts = sorted({0, len(text.plain), *(edge for span in text.spans for edge in (span.start, span.end))})
    parts = []
    for start, end in itertools.pairwise(cuts):
        style = next((str(span.style) for span in reversed(text.spans) if span.start <= start and end <= span.end), "")
        parts.append(_Part(start, end, style))
    return parts
