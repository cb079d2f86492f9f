"""Pane 8: the bundle as it was given, comments and all."""

from __future__ import annotations

from textual.content import Content

from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, lines, quiet, text_of

MOST_BYTES = 200_000
"""A bundle is a page; whatever is larger is cut."""


def bundle(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """The file's text; section names stand out, comments step back."""
    path = snapshot.folder.bundle
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        return quiet(f"{path.name} cannot be read: {error.strerror or error}")
    out: list[Content] = []
    for line in text_of(text, glyphs).rstrip("\n").split("\n"):
        if line.startswith("["):
            out.append(Content.styled(f" {line}", "bold"))
            continue
        value, mark, comment = line.partition("  # ") if not line.startswith("#") else ("", "", line)
        out.append(Content.assemble(f" {value}", (f"{mark}{comment}", "$dim")))
    return lines(*out)
