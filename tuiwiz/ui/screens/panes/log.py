"""Pane 6: the log, filtered by level and by a word."""

from __future__ import annotations

import time

from textual.content import Content

from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, line_of, lines, quiet
from tuiwiz.ui.screens.panes.samples import wrap

LEVELS: dict[str, frozenset[str]] = {
    "all": frozenset({"debug", "info", "warning", "error"}),
    "warnings": frozenset({"warning", "error"}),
    "errors": frozenset({"error"}),
}
"""What each filter lets through."""

INDENT = 12
"""Columns of time and mark, in which the rest of a long entry is left blank."""

_TONES = {"debug": "$dim", "info": "", "warning": "$warn", "error": "$bad"}


def log(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """Oldest first, the time of day in front of each entry. Matches of the search are marked."""
    wanted = LEVELS[snapshot.level]
    word = snapshot.search.lower()
    shown = [
        entry for entry in snapshot.view.log if entry.level in wanted and (not word or word in entry.message.lower())
    ]
    out: list[Content] = []
    if snapshot.search or snapshot.level != "all":
        searched = f' with "{line_of(snapshot.search, glyphs)}"' if snapshot.search else ""
        out.append(quiet(f"{len(shown)} of {len(snapshot.view.log)} entries: {snapshot.level}{searched}"))
    if not shown:
        return lines(*out, quiet("nothing logged" if not out else "no entry matches"))
    for entry in shown:
        at = time.strftime("%H:%M:%S", time.localtime(entry.t))
        mark = f"{glyphs.warn} " if entry.level in ("warning", "error") else "  "
        for number, text in enumerate(wrap(line_of(entry.message, glyphs), max(20, width - INDENT))):
            body = Content.styled(text, _TONES[entry.level])
            start = text.lower().find(word) if word else -1
            if start >= 0:
                body = body.stylize("reverse", start, start + len(word))
            begin = [(f" {at} ", "$dim"), (mark, _TONES[entry.level])] if not number else [(" " * INDENT, "")]
            out.append(Content.assemble(*begin, body))
    return lines(*out)
