"""Looking at a screen as text."""

from __future__ import annotations

from typing import Any

from textual.app import App


def screen_text(app: App[Any]) -> str:
    """What the terminal shows now, line by line, without styles."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    text = ["".join(segment.text for segment in strip) for strip in lines[:height]]
    return "\n".join(line[:width].rstrip() for line in text)
