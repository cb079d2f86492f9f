"""Pane 2: every metric that the run writes, with its newest value, range and a small curve."""

from __future__ import annotations

import math

from textual.content import Content

from tuiwiz.base.units import human_bytes
from tuiwiz.events.view import RunView
from tuiwiz.ui.curves import overview
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, line_of, lines, quiet
from tuiwiz.ui.widgets.spark import spark
from tuiwiz.ui.words import number

FIRST = ("loss", "learning_rate", "grad_norm", "tokens_per_second", "step_seconds")
"""What is looked at most stands first; the rest follows by name."""
HIDDEN = frozenset({"time"})
"""Series that are kept for other uses."""


def metrics(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """A table of all series; the curve spans the whole run."""
    series = snapshot.view.series
    if not series:
        return quiet("no metrics yet")
    names = listed(snapshot.view, snapshot.search)
    if not names:
        return quiet(f'no metric has "{line_of(snapshot.search, glyphs)}" in its name')
    label = min(26, max(len(name) for name in names))
    room = max(8, width - label - 39)
    out = [Content.styled(f" {'metric'.ljust(label)} {'now':>10} {'lowest':>10} {'highest':>10}", "$dim")]
    for name in names:
        extremes = series[name].span(0, len(series[name]))
        if math.isnan(extremes[0]):
            continue
        cells = [_shown(name, value) for value in (series[name].last, *extremes)]
        out.append(
            Content.assemble(
                (f" {line_of(name, glyphs, label).ljust(label)}", "$dim"),
                f" {cells[0]:>10}",
                (f" {cells[1]:>10} {cells[2]:>10}   ", "$dim"),
                (spark(overview(series[name], room), room, glyphs), "$dim"),
            )
        )
    return lines(*out)


def listed(view: RunView, search: str = "") -> list[str]:
    """The metrics of a run, those that are looked at most first; of them those that have `search` in their name."""
    word = search.lower().strip().replace(" ", "_")
    return sorted((name for name in view.series if name not in HIDDEN and word in name.lower()), key=_rank)


def _rank(name: str) -> tuple[int, str]:
    return (FIRST.index(name) if name in FIRST else len(FIRST), name)


def _shown(name: str, value: float) -> str:
    if name.endswith("_bytes") and math.isfinite(value):
        return human_bytes(value)
    return number(value, 4)[:10]
