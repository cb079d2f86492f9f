"""What a pane is: a function from a snapshot of the run to text of a given width. Panes hold no state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.content import Content

from tuiwiz.base.text import clean, clean_line
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.view import RunView
from tuiwiz.ui.facts import Facts
from tuiwiz.ui.glyphs import Glyphs, to_ascii


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at a run. `writable`: whether requests can be left in the folder."""

    view: RunView
    facts: Facts
    folder: RunFolder
    writable: bool
    now: float
    search: str = ""
    level: str = "all"
    missing: bool = False


PaneText = Callable[[Snapshot, int, Glyphs], Content]
"""Snapshot, width in cells, glyphs -> text."""


def text_of(text: str, glyphs: Glyphs) -> str:
    """Text from outside, cleaned, line breaks kept, within the glyph set."""
    cleaned = clean(text).replace("\t", "    ")
    return "\n".join(to_ascii(line) for line in cleaned.split("\n")) if glyphs.ascii else cleaned


def line_of(text: str, glyphs: Glyphs, limit: int = 0) -> str:
    """Text from outside on one line, cut to `limit` cells if not 0."""
    line = clean_line(text, limit)
    return to_ascii(line) if glyphs.ascii else line


def lines(*parts: Content | str) -> Content:
    """Parts one below the other."""
    return Content("\n").join([Content(part) if isinstance(part, str) else part for part in parts])


def row(label: str, *parts: tuple[str, str] | str, indent: int = 1, width: int = 12) -> Content:
    """A dim label in a column of its own, then the values."""
    return Content.assemble((" " * indent + label.ljust(width), "$dim"), *parts)


def quiet(text: str) -> Content:
    """A line that says why a pane is empty."""
    return Content.styled(f" {text}", "$dim")
