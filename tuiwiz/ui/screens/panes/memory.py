"""Pane 3: what the planner predicted, item by item, beside what the run really takes."""

from __future__ import annotations

from textual.content import Content

from tuiwiz.base.units import GIB, human_bytes
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, line_of, lines, quiet, row
from tuiwiz.ui.widgets.spark import bar


def memory(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """The verdict in words, then one line an item: predicted, actual, difference, bar of the actual."""
    event = snapshot.view.memory
    if event is None:
        return quiet("measured after the second step")
    predicted, actual = sum(event.predicted.values()), sum(event.actual.values())
    unit, size = ("GiB", GIB) if max(predicted, actual) >= GIB else ("MiB", 1024**2)
    out = [_verdict(snapshot, predicted)]
    if event.limiting:
        out.append(row("limited by", line_of(event.limiting, glyphs, width - 14)))
    names = list(dict.fromkeys([*event.predicted, *event.actual]))
    room = max(0, min(30, width - 56))
    top = max([*event.predicted.values(), *event.actual.values(), 1])
    out.append(Content.styled(f" {'item':<24}{'predicted':>11}{'actual':>9} {unit}", "$dim"))
    for name in sorted(names, key=lambda key: -event.predicted.get(key, event.actual.get(key, 0))):
        before, now = event.predicted.get(name), event.actual.get(name)
        out.append(
            Content.assemble(
                (f" {line_of(name.replace('_', ' '), glyphs, 23):<24}", ""),
                (f"{_cell(before, size):>11}", "$dim"),
                f"{_cell(now, size):>9}",
                (f" {_difference(before, now):>7} ", "$dim"),
                (bar((now or before or 0) / top, room, glyphs), "$accent"),
            )
        )
    out.append(Content.styled(f" {'total':<24}{_cell(predicted, size):>11}{_cell(actual, size):>9}", "bold"))
    return lines(*out)


def _verdict(snapshot: Snapshot, predicted: int) -> Content:
    peak = snapshot.facts.peak_bytes
    if not peak:
        return row("predicted", human_bytes(predicted))
    off = 100 * (peak - predicted) / predicted if predicted else 0.0
    tone = "$good" if off <= 2 else "$warn" if off <= 10 else "$bad"
    word = "as predicted" if abs(off) < 2 else f"{abs(off):.0f} % {'more' if off > 0 else 'less'} than predicted"
    return row("peak", (human_bytes(peak), "bold"), (" of ", "$dim"), human_bytes(predicted), ("   " + word, tone))


def _cell(value: int | None, size: int) -> str:
    return "-" if value is None else f"{value / size:.2f}"


def _difference(before: int | None, now: int | None) -> str:
    if not before or now is None:
        return ""
    return f"{100 * (now - before) / before:+.0f} %"
