"""What a pane is: a function from a snapshot of the run to text of a given width. Panes hold no state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.content import Content

from tuiwiz.base.text import CONTROL, clean, clean_line
from tuiwiz.doctor.examine import wrong
from tuiwiz.doctor.finding import Finding
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
    tall: bool = False
    findings: Sequence[Finding] = ()
    """The doctor's newest word on this run; empty before it has spoken."""

    @property
    def faults(self) -> list[Finding]:
        """What is wrong, the fault to treat first in front."""
        return wrong(list(self.findings))


Part = tuple[str, str]
"""Text and style."""
Group = tuple[int, list[Part]]
"""Rank (1 stays longest) and the parts of one fact."""
GAP = "   "

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


def obeyed_by_nobody(content: Content) -> Content:
    """`content` with every character that a terminal would obey shown as one that it shows.

    Texts from outside are cleaned where they are put together; this is the last door, for the one that was forgotten.
    """
    plain = content.plain
    safe = "\n".join(CONTROL.sub("\ufffd", line) for line in plain.split("\n"))
    return content if safe == plain else Content(safe, list(content.spans))


def lines(*parts: Content | str) -> Content:
    """Parts one below the other."""
    return Content("\n").join([Content(part) if isinstance(part, str) else part for part in parts])


def row(label: str, *parts: tuple[str, str] | str, indent: int = 1, width: int = 12) -> Content:
    """A dim label in a column of its own, then the values."""
    return Content.assemble((" " * indent + label.ljust(width), "$dim"), *parts)


def fit(groups: list[Group], width: int, *, lead: str = " ") -> Content:
    """Facts on one line of `width` cells, three blanks apart. The least important ones go until the rest fits whole."""
    kept = list(groups)
    while len(kept) > 1 and _length(kept, lead) > width:
        # Of equals the last one goes.
        kept.remove(max(reversed(kept), key=lambda group: group[0]))
    parts: list[Part] = [(lead, "$dim")]
    for at, (_, group) in enumerate(kept):
        parts += [(GAP, "")] if at else []
        parts += group
    return Content.assemble(*parts)


def labelled(label: str, groups: list[Group], width: int) -> Content:
    """`row` of facts that are left out where they do not fit."""
    return fit(groups, width, lead=f" {label.ljust(12)}")


def _length(groups: list[Group], lead: str) -> int:
    return len(lead) + sum(len(text) for _, group in groups for text, _ in group) + len(GAP) * (len(groups) - 1)


def paragraph(label: str, text: str, width: int, style: str = "", *, column: int = 12) -> Content:
    """A labelled text (cleaned before) that wraps under itself, not under its label."""
    room = max(12, width - column - 2)
    pieces = [piece for line in text.split("\n") for piece in (_wrapped(line, room))]
    return lines(*(row(label if not at else "", (piece, style), width=column) for at, piece in enumerate(pieces)))


def _wrapped(line: str, width: int) -> list[str]:
    content = Content(line)
    return [piece.plain for piece in content.wrap(width)] if content.cell_length > width else [line]


def quiet(text: str) -> Content:
    """A line that says why a pane is empty."""
    return Content.styled(f" {text}", "$dim")
