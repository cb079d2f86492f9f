"""Pane 2: every metric that the run writes, with its newest value, range and a small curve."""

from __future__ import annotations

import math

from textual.content import Content

from tuiwiz.ui.curves import overview
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, line_of, lines, quiet
from tuiwiz.ui.widgets.spark import spark
from tuiwiz.ui.words import number


def metrics(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """A table of all series; the curve spans the whole run."""
    series = snapshot.view.series
    if not series:
        return quiet("no metrics yet")
    names = sorted(series)
    label = min(26, max(len(name) for name in names))
    room = max(8, width - label - 38)
    out = [Content.styled(f" {'metric'.ljust(label)} {'now':>10} {'lowest':>10} {'highest':>10}", "$dim")]
    for name in names:
        values = [value for value in overview(series[name], room) if not math.isnan(value)]
        if not values:
            continue
        cells = [number(value, 4)[:10] for value in (series[name].y[-1], min(values), max(values))]
        out.append(
            Content.assemble(
                (f" {line_of(name, glyphs, label).ljust(label)}", "$dim"),
                f" {cells[0]:>10}",
                (f" {cells[1]:>10} {cells[2]:>10}  ", "$dim"),
                (spark(values, room, glyphs), "$dim"),
            )
        )
    return lines(*out)
