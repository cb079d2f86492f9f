"""Pane 3: what the planner predicted, item by item, beside what the run really takes."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from tuiwiz.base.units import GIB, human_bytes
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, labelled, line_of, lines, quiet, row
from tuiwiz.ui.widgets.spark import progress

SHORT = {"quantization_constants": "quant constants"}
"""Names of items that are too long for a narrow column."""


def memory(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """The verdict in words, then one line an item: predicted, actual, difference, bar of the actual."""
    event = snapshot.view.memory
    if event is None:
        return quiet("measured after the second step")
    predicted, actual = total_of(event.predicted), total_of(event.actual)
    unit, size = ("GiB", GIB) if max(predicted, actual) >= GIB else ("MiB", 1024**2)
    out = [_verdict(snapshot, predicted, width)]
    if event.limiting:
        out.append(row("limited by", line_of(event.limiting, glyphs, width - 14)))
    names = [name for name in dict.fromkeys([*event.predicted, *event.actual]) if name != "total"]
    label = 23 if width >= 56 else 16
    room = max(0, min(30, width - label - 32))
    top = max([*event.predicted.values(), *event.actual.values(), 1])
    out.append(Content.styled(f" {f'item, {unit}'.ljust(label)}{'predicted':>10}{'actual':>9}", "$dim"))
    for name in sorted(names, key=lambda key: -event.predicted.get(key, event.actual.get(key, 0))):
        before, now = event.predicted.get(name), event.actual.get(name)
        if not before and not now:
            continue
        parts = [
            (f" {line_of(SHORT.get(name, name).replace('_', ' '), glyphs, label - 1).ljust(label)}", ""),
            (f"{_cell(before, size):>10}", "$dim"),
            (f"{_cell(now, size):>9}", ""),
            (f" {_difference(before, now):>6}  ", "$dim"),
        ]
        if room >= 6:
            parts.append((progress((now or before or 0) / top, room, glyphs)[0], "$accent"))
        out.append(Content.assemble(*parts))
    total = f" {'total'.ljust(label)}{_cell(predicted or None, size):>10}{_cell(actual or None, size):>9}"
    out.append(Content.styled(total, "bold"))
    return lines(*out)


def total_of(items: Mapping[str, int]) -> int:
    """Bytes of all items; `total` stands for them where it is given."""
    return items.get("total") or sum(items.values())


def _verdict(snapshot: Snapshot, predicted: int, width: int) -> Content:
    peak = snapshot.facts.peak_bytes
    if not predicted:
        return row("peak", (human_bytes(peak or 0), "bold"), ("   nothing was predicted", "$dim"))
    if not peak:
        return row("predicted", human_bytes(predicted))
    off = 100 * (peak - predicted) / predicted if predicted else 0.0
    tone = "$good" if off <= 2 else "$warn" if off <= 10 else "$bad"
    word = "as predicted" if abs(off) < 2 else f"{abs(off):.0f} % {'over' if off > 0 else 'under'}"
    size = [(human_bytes(peak), "bold"), (" of ", "$dim"), (human_bytes(predicted), "")]
    return labelled("peak", [(1, size), (2, [(word, tone)])], width)


def _cell(value: int | None, size: int) -> str:
    return "-" if value is None else f"{value / size:.2f}"


def _difference(before: int | None, now: int | None) -> str:
    if not before or now is None:
        return ""
    return f"{100 * (now - before) / before:+.0f} %"
