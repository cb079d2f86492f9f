"""The two header lines of the run screen: what survives when everything else is gone."""

from __future__ import annotations

from textual.content import Content

from tuiwiz.base.units import GIB, human_bytes
from tuiwiz.ui.facts import Facts
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Group, Part, fit, line_of
from tuiwiz.ui.widgets.spark import progress
from tuiwiz.ui.words import clock, number, symbol, tone


def head(facts: Facts, width: int, glyphs: Glyphs, *, read_only: bool = False) -> Content:
    """Two lines within `width` cells; `read_only`: it is another user's run. What matters less is left out first;
    nothing is ever cut in the middle."""
    first = _first(facts, glyphs, width)
    if read_only:
        first.insert(2, (2, [("read only", "$warn")]))
    return Content("\n").join([fit(first, width), fit(_second(facts, glyphs), width)])


def one_line(facts: Facts, glyphs: Glyphs) -> str:
    """The run in one line without styles, for terminals that are too small."""
    parts = [f"{symbol(facts.state, glyphs)} {facts.state}"]
    if facts.steps:
        parts.append(f"{facts.step}/{facts.steps}")
    if facts.loss is not None:
        parts.append(f"loss {number(facts.loss)}")
    if facts.eta_s:
        parts.append(f"{clock(facts.eta_s)} left")
    return "  ".join(parts)


def _first(facts: Facts, glyphs: Glyphs, width: int) -> list[Group]:
    name = line_of(facts.name, glyphs, max(12, width // 3))
    groups: list[Group] = [
        (1, [(name, "bold")]),
        (1, [(f"{symbol(facts.state, glyphs)} {facts.state}", f"{tone(facts.state)} bold")]),
    ]
    if facts.detail and facts.detail != facts.state:
        groups.append((2, [(line_of(facts.detail, glyphs, 30), "$dim")]))
    if facts.steps:
        groups.append((2, [("step ", "$dim"), (f"{facts.step}/{facts.steps}", "")]))
        room = 12 if width >= 100 else 6
        done, rest = progress(facts.share, room, glyphs)
        groups.append((6, [(done, "$accent"), (rest, "$faint")]))
        groups.append((3, [(f"{100 * facts.share:.0f}", ""), (" %", "$dim")]))
    if facts.eta_s is not None and facts.state in ("training", "evaluating", "saving"):
        band = f" {glyphs.band}{clock(facts.eta_band_s)}" if facts.eta_band_s >= 1 else ""
        groups.append((4, [(clock(facts.eta_s), ""), (f"{band} left", "$dim")]))
    elif facts.elapsed_s:
        groups.append((4, [("took " if facts.state == "finished" else "after ", "$dim"), (clock(facts.elapsed_s), "")]))
    if facts.epoch is not None:
        groups.append((7, [("epoch ", "$dim"), (f"{facts.epoch:.2f}", "")]))
    return groups


def _second(facts: Facts, glyphs: Glyphs) -> list[Group]:
    groups: list[Group] = []
    if facts.loss is not None:
        parts: list[Part] = [("loss ", "$dim"), (number(facts.loss), "bold")]
        if facts.loss_change is not None:
            arrow = glyphs.down if facts.loss_change < 0 else glyphs.up
            parts.append((f" {arrow}{number(abs(facts.loss_change))}", "$good" if facts.loss_change < 0 else "$warn"))
        groups.append((1, parts))
    if facts.held_out is not None:
        parts = [("val ", "$dim"), (number(facts.held_out), "bold")]
        if facts.best_step is not None:
            parts.append((f" best {number(facts.best_loss)}@{facts.best_step}", "$dim"))
        groups.append((2, parts))
    if facts.tokens_per_second:
        groups.append((4, [(f"{facts.tokens_per_second:,.0f}", ""), (" tok/s", "$dim")]))
    if facts.peak_bytes:
        groups.append((3, _memory(facts)))
    return groups


def _memory(facts: Facts) -> list[Part]:
    peak, predicted = facts.peak_bytes or 0.0, facts.predicted_bytes
    if not predicted:
        return [("memory ", "$dim"), (human_bytes(peak), "")]
    unit = "GiB" if max(peak, predicted) >= GIB else "MiB"
    size = GIB if unit == "GiB" else 1024**2
    tone = "$warn" if peak > predicted * 1.05 else ""
    return [(f"{peak / size:.1f}", tone), (f" of {predicted / size:.1f} {unit} predicted", "$dim")]
