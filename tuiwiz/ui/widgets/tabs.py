"""A row of pane names with their number keys; the current one stands out; clickable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget


@dataclass(frozen=True, slots=True)
class Tab:
    """`mark` is a short sign behind the label (`! 2`), with its style. `keep`: its label goes last."""

    name: str
    key: str
    label: str
    mark: str = ""
    tone: str = ""
    keep: bool = False


class PaneTabs(Widget):
    """In a narrow row gaps close first; then labels shrink to their keys from the right, those with a mark last. The
    current one stays whole."""

    DEFAULT_CSS = "PaneTabs { height: 1; padding: 0 0 0 1; }"

    class Chosen(Message):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tabs: tuple[Tab, ...] = ()
        self.current = ""

    def show(self, tabs: Sequence[Tab], current: str) -> None:
        if (tuple(tabs), current) != (self.tabs, self.current):
            self.tabs, self.current = tuple(tabs), current
            self.refresh()

    def placed(self) -> list[tuple[int, Tab, str]]:
        """Column, tab and label of each tab."""
        short: set[str] = set()
        width = self.content_size.width
        gap = 2 if self._length(short, 2) <= width else 1
        first_to_go = [*reversed(self.tabs)]
        first_to_go.sort(key=lambda tab: tab.keep or bool(tab.mark))
        for tab in first_to_go:
            if self._length(short, gap) <= width:
                break
            if tab.name != self.current:
                short.add(tab.name)
        out: list[tuple[int, Tab, str]] = []
        at = 0
        for tab in self.tabs:
            label = self._label(tab, short)
            out.append((at, tab, label))
            at += len(label) + gap
        return out

    def render(self) -> Content:
        parts: list[tuple[str, str]] = []
        end = 0
        for start, tab, label in self.placed():
            if parts:
                parts.append((" " * (start - end), ""))
            end = start + len(label)
            rest = label[len(tab.key) :]
            if tab.name == self.current:
                parts += [(tab.key, "$accent bold"), (rest, "$foreground bold underline")]
            else:
                parts += [(tab.key, "$accent"), (rest, tab.tone or "$dim")]
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        for start, tab, label in self.placed():
            if start <= offset.x < start + len(label):
                self.post_message(self.Chosen(tab.name))

    @staticmethod
    def _label(tab: Tab, short: set[str]) -> str:
        mark = f" {tab.mark}" if tab.mark else ""
        return tab.key + ("" if tab.name in short else f" {tab.label}") + mark

    def _length(self, short: set[str], gap: int) -> int:
        return sum(len(self._label(tab, short)) + gap for tab in self.tabs) - gap
