"""Pane 6: the log, filtered by level and by a word."""

from __future__ import annotations

import time

from textual.content import Content

from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, line_of, lines, quiet

LEVELS: dict[str, frozenset[str]] = {
    "all": frozenset({"debug", "info", "warning", "error"}),
    "warnings": frozenset({"warning", "error"}),
    "errors": frozenset({"error"}),
}
"""What each filter lets through."""

_TONES = {"debug": "$dim", "info": "", "warning": "$warn", "error": "$bad"}


def log(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """Oldest first; one line an entry, the time of day in front. Matches of the search are marked."""
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
        text = line_of(entry.message, glyphs)
        mark = f"{glyphs.warn} " if entry.level in ("warning", "error") else "  "
        body = Content.styled(text, _TONES[entry.level])
        if word:
            start = text.lower().find(word)
            if start >= 0:
                body = body.stylize("reverse", start, start + len(word))
        out.append(Content.assemble((f" {at} ", "$dim"), (mark, _TONES[entry.level]), body))
    return lines(*out)
