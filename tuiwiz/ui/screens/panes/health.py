"""Pane 7: alerts with their evidence, what was asked of the run, and what was changed on the way."""

from __future__ import annotations

import time

from textual.content import Content

from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, line_of, lines
from tuiwiz.ui.words import number

_TONES = {"info": "$dim", "warning": "$warn", "error": "$bad"}


def health(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """Newest alert first."""
    view = snapshot.view
    out: list[Content] = []
    for alert in reversed(list(view.alerts)):
        mark = glyphs.bullet if alert.severity == "info" else glyphs.warn
        out.append(
            Content.assemble(
                (f" {mark} {alert.severity:<8}", _TONES[alert.severity]), line_of(alert.message, glyphs, width - 13)
            )
        )
        if alert.evidence:
            shown = ", ".join(f"{name} {_value(value)}" for name, value in alert.evidence.items())
            out.append(Content.styled(f"            {line_of(shown, glyphs, width - 13)}", "$dim"))
    if not out:
        out.append(Content.assemble((f" {glyphs.good} ", "$good"), "nothing wrong so far"))
    for change in view.adjusted:
        before = f" {change.from_}" if change.from_ is not None else ""
        text = f"step {change.step}: {change.key}{before} to {change.to}. {change.reason}"
        out.append(Content.assemble((" changed    ", "$dim"), line_of(text, glyphs, width - 13)))
    for control in view.controls:
        at = time.strftime("%H:%M:%S", time.localtime(control.t))
        text = f"{control.request}: {control.answer}"
        out.append(Content.assemble((f" {at}   ", "$dim"), line_of(text, glyphs, width - 13)))
    return lines(*out)


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
