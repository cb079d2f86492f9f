"""A piece of text that also a bare console can show."""

from __future__ import annotations

from textual.content import Content
from textual.visual import VisualType
from textual.widgets import Static

from tuiwiz.ui.widgets.line import glyphs_of
from tuiwiz.ui.widgets.picklist import ascii_content


class Saying(Static):
    """A Static whose updates are put into ASCII where the terminal has nothing else."""

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        if glyphs_of(self).ascii:
            if isinstance(content, str):
                content = Content(content)
            if isinstance(content, Content):
                content = ascii_content(content)
        super().update(content, layout=layout)
