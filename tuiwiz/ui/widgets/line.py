"""A horizontal rule of one row, in ASCII where asked."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from tuiwiz.ui.glyphs import UNICODE, Glyphs


def glyphs_of(widget: Widget) -> Glyphs:
    """The glyph set of the running application."""
    found: Glyphs = getattr(widget.app, "glyphs", UNICODE)
    return found


class Line(Widget):
    """Separates two regions; carries no text."""

    DEFAULT_CSS = "Line { height: 1; color: $faint; }"

    def render(self) -> Content:
        return Content(glyphs_of(self).rule * self.size.width)
