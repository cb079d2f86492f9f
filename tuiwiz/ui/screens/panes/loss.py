"""Pane 1: the figures behind the chart, and the newest sample."""

from __future__ import annotations

from textual.content import Content

from tuiwiz.base.units import human_count
from tuiwiz.ui.curves import last_values
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Snapshot, line_of, lines, row
from tuiwiz.ui.widgets.spark import spark
from tuiwiz.ui.words import clock, number


def loss(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """Validation so far, learning rate, gradient norm, step time, health, the newest sample."""
    view, facts = snapshot.view, snapshot.facts
    parts: list[Content] = [_validation(snapshot, glyphs), _rates(snapshot, width, glyphs), _time(snapshot, glyphs)]
    tokens = last_values(view, "tokens", 1)
    seen = human_count(tokens[-1]) if tokens else "-"
    parts.append(
        row(
            "so far",
            (clock(facts.elapsed_s), ""),
            ("   tokens ", "$dim"),
            seen,
            ("   checkpoints ", "$dim"),
            str(len(view.checkpoints)),
        )
    )
    alerts = [alert for alert in view.alerts if alert.severity != "info"]
    if alerts:
        worst = alerts[-1]
        tone = "$bad" if worst.severity == "error" else "$warn"
        parts.append(row("health", (f"{glyphs.warn} {line_of(worst.message, glyphs, width - 16)}", tone)))
    if view.samples:
        sample = view.samples[-1]
        room = max(12, (width - 24) // 2)
        parts.append(
            row(
                f"sample@{sample.step}",
                ("base ", "$dim"),
                line_of(sample.base, glyphs, room),
                ("  now ", "$dim"),
                (line_of(sample.now, glyphs, room), ""),
            )
        )
    return lines(*parts)


def _validation(snapshot: Snapshot, glyphs: Glyphs) -> Content:
    facts = snapshot.facts
    if facts.held_out is None:
        return row("validation", ("none yet" if snapshot.facts.steps else "-", "$dim"))
    parts: list[tuple[str, str] | str] = [number(facts.first_loss), (f" {glyphs.bullet} ", "$dim")]
    parts += [(number(facts.held_out), "bold"), ("   best ", "$dim"), (number(facts.best_loss), "$good")]
    parts.append((f" at step {facts.best_step}", "$dim"))
    evals = [event.metrics["loss"] for event in snapshot.view.evals if "loss" in event.metrics]
    parts += [("   ", ""), (spark(evals, 20, glyphs), "$warn")]
    if len(evals) > 1 and facts.best_loss is not None:
        since = len(evals) - 1 - evals.index(facts.best_loss)
        if since:
            parts.append((f"   no better for {since} evaluation{'s' if since > 1 else ''}", "$dim"))
    return row("validation", *parts)


def _rates(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    parts: list[tuple[str, str] | str] = []
    room = 16 if width < 100 else 24
    for name, label in (("learning_rate", "lr"), ("grad_norm", "gradient")):
        values = last_values(snapshot.view, name, 400)
        if values:
            thin = values[:: max(1, len(values) // room)]
            parts += [(f"{label} " if parts else "", "$dim"), number(values[-1], 2), " "]
            parts += [(spark(thin, room, glyphs), "$accent"), "   "]
    return row("lr", *parts)


def _time(snapshot: Snapshot, glyphs: Glyphs) -> Content:
    view = snapshot.view
    total = last_values(view, "step_seconds", 50)
    if not total:
        return row("step time", ("-", "$dim"))
    mean = sum(total) / len(total)
    parts: list[tuple[str, str] | str] = [f"{mean:.2f}", (" s", "$dim")]
    for name, label in (
        ("data_seconds", "data"),
        ("forward_seconds", "forward"),
        ("backward_seconds", "backward"),
        ("optimizer_seconds", "optimizer"),
    ):
        values = last_values(view, name, 50)
        if values and mean > 0:
            share = 100 * sum(values) / len(values) / mean
            parts += [(f"   {label} ", "$dim"), f"{share:.0f}", (" %", "$dim")]
    return row("step time", *parts)
