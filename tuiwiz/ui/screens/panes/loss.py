"""Pane 1: the figures behind the chart, and the newest sample."""

from __future__ import annotations

from textual.content import Content

from tuiwiz.base.units import human_count
from tuiwiz.ui.curves import last_values, overview
from tuiwiz.ui.glyphs import Glyphs
from tuiwiz.ui.screens.panes.base import Group, Snapshot, labelled, line_of, lines, quiet, row
from tuiwiz.ui.screens.panes.samples import sample_lines
from tuiwiz.ui.widgets.spark import spark
from tuiwiz.ui.words import clock, number, short_rate


def loss(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    """Validation so far, learning rate, gradient norm, step time, trouble, the newest sample; all of it when tall."""
    if snapshot.missing:
        return quiet(f"no events yet in {line_of(str(snapshot.folder.path), glyphs)}")
    parts = [
        _validation(snapshot, width, glyphs),
        _rates(snapshot, width, glyphs),
        _time(snapshot, width),
        _so_far(snapshot, width),
    ]
    alerts = [alert for alert in snapshot.view.alerts if alert.severity != "info"]
    if alerts:
        tone = "$bad" if alerts[-1].severity == "error" else "$warn"
        parts.append(row("health", (f"{glyphs.warn} {line_of(alerts[-1].message, glyphs, width - 16)}", tone)))
    elif snapshot.faults:
        fault = snapshot.faults[0]
        tone = {"error": "$bad", "warning": "$warn"}.get(fault.severity, "$dim")
        parts.append(row("doctor", (f"{glyphs.warn} {line_of(fault.title, glyphs, width - 16)}", tone)))
    samples = snapshot.view.samples
    if samples and snapshot.tall:
        parts += [Content(""), *sample_lines(samples[-1], width, glyphs, most=5)]
    elif samples:
        room = max(12, (width - 24) // 2)
        base, now = (line_of(text, glyphs, room) for text in (samples[-1].base, samples[-1].now))
        parts.append(row(f"sample@{samples[-1].step}", ("base ", "$dim"), base, ("  now ", "$dim"), now))
    return lines(*parts)


def _validation(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    facts = snapshot.facts
    if facts.held_out is None:
        return row("validation", ("none yet", "$dim"))
    evals = [event.metrics["loss"] for event in snapshot.view.evals if "loss" in event.metrics]
    first = [(number(facts.first_loss), ""), (f" {glyphs.arrow} ", "$dim"), (number(facts.held_out), "bold")]
    best = [("best ", "$dim"), (number(facts.best_loss), "$good"), (f" at step {facts.best_step}", "$dim")]
    groups: list[Group] = [(1, first), (2, best), (3, [(spark(evals, 20, glyphs), "$dim")])]
    if facts.best_loss in evals:
        since = len(evals) - 1 - evals.index(facts.best_loss)
        if since:
            groups.append((4, [(f"{since} since", "$dim")]))
    return labelled("validation", groups, width)


def _rates(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Content:
    groups: list[Group] = []
    room = 16 if width < 100 else 24
    for name, label in (("learning_rate", ""), ("grad_norm", "gradient ")):
        series = snapshot.view.series.get(name)
        if series is not None and len(series):
            value = last_values(snapshot.view, name, 1)[-1]
            now = short_rate(value) if name == "learning_rate" else number(value, 2)
            groups.append(
                (1, [(label, "$dim"), (now, ""), (f"  {spark(overview(series, room), room, glyphs)}", "$dim")])
            )
    return labelled("lr", groups or [(1, [("-", "$dim")])], width)


def _time(snapshot: Snapshot, width: int) -> Content:
    total = last_values(snapshot.view, "step_seconds", 50)
    mean = sum(total) / len(total) if total else 0.0
    if not mean:
        return row("step time", ("-", "$dim"))
    groups: list[Group] = [(1, [(f"{mean:.2f}" if mean < 100 else f"{mean:.0f}", ""), (" s", "$dim")])]
    for rank, (name, label) in enumerate(
        (
            ("backward_seconds", "backward"),
            ("forward_seconds", "forward"),
            ("data_seconds", "data"),
            ("optimizer_seconds", "optimizer"),
        )
    ):
        values = last_values(snapshot.view, name, 50)
        if values:
            share = 100 * sum(values) / len(values) / mean
            groups.append((2 + rank, [(f"{label} ", "$dim"), (f"{share:.0f}", ""), (" %", "$dim")]))
    return labelled("step time", groups, width)


def _so_far(snapshot: Snapshot, width: int) -> Content:
    view, facts = snapshot.view, snapshot.facts
    groups: list[Group] = [(1, [(clock(facts.elapsed_s), "")])]
    tokens = last_values(view, "tokens", 1)
    if tokens:
        groups.append((2, [("tokens ", "$dim"), (human_count(tokens[-1]), "")]))
    groups.append((3, [("checkpoints ", "$dim"), (str(len(view.checkpoints)), "")]))
    if facts.epoch is not None:
        groups.append((4, [("epoch ", "$dim"), (f"{facts.epoch:.2f}", "")]))
    return labelled("so far", groups, width)
