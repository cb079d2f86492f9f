"""Everything that a report says, gathered once from a run folder; the page, the text and the card only lay it out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuiwiz.base.text import clean_line
from tuiwiz.base.units import human_bytes, human_count, human_duration
from tuiwiz.doctor.examine import bundle_of, examine, wrong
from tuiwiz.doctor.finding import Finding
from tuiwiz.doctor.words import shown
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.series import Series
from tuiwiz.events.types import Sample
from tuiwiz.events.view import RunView
from tuiwiz.runs.registry import info
from tuiwiz.spec.keys import flatten

POINTS = 400
"""Points of a curve on the page: more than it has pixels would only make it heavy."""
SMOOTH = 0.9


@dataclass(frozen=True)
class Curve:
    """One line of a chart: points (step, value), drawn as `kind` line, faint or dots."""

    name: str
    kind: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    title: str
    unit: str
    curves: Sequence[Curve]


@dataclass(frozen=True)
class Facts:
    """`summary`: label and text. `memory`: item, predicted and actual bytes. `settings`: key, value, who decided."""

    name: str
    state: str
    summary: Sequence[tuple[str, str]]
    charts: Sequence[Chart]
    samples: Sequence[Sample]
    findings: Sequence[Finding]
    judged: int
    memory: Sequence[tuple[str, int, int]]
    settings: Sequence[tuple[str, str, str]]
    environment: Sequence[tuple[str, str]]
    view: RunView = field(repr=False)


def gather(folder: RunFolder, view: RunView) -> Facts:
    """All facts of a run, whatever of it is there."""
    known = info(folder, view)
    findings = examine(folder, view)
    return Facts(
        name=clean_line(view.name or folder.path.name),
        state=known.state,
        summary=_summary(folder, view, known.state),
        charts=[chart for chart in _charts(view) if any(curve.points for curve in chart.curves)],
        samples=_last_samples(view),
        findings=wrong(findings),
        judged=sum(one.verdict != "unknown" for one in findings),
        memory=_memory(view),
        settings=_settings(folder),
        environment=_environment(folder),
        view=view,
    )


def _summary(folder: RunFolder, view: RunView, state: str) -> list[tuple[str, str]]:
    found, started, got = info(folder, view), view.started, view.summary or {}
    rows: list[tuple[str, str]] = []
    if started is not None:
        rows.append(("task", f"{started.task} with {started.method}"))
        rows.append(("model", started.model))
        rows.append(("rows", f"{started.rows:,} for training, {started.validation_rows:,} held out"))
        rows.append(("device", started.device))
    rows.append(("state", f"{state} at step {view.step:,} of {view.steps:,}"))
    if got.get("message"):
        rows.append(("why", str(got["message"])))
    if view.unreadable:
        rows.append(("events", f"{view.unreadable:,} lines could not be read and are missing here"))
    best = view.best_eval
    if best is not None and view.evals:
        first = view.evals[0].metrics.get("loss", math.nan)
        rows.append(("held-out loss", f"{first:.4f} to {best.metrics['loss']:.4f} at step {best.step}"))
        for name, value in best.metrics.items():
            if name != "loss" and name in view.evals[0].metrics:
                rows.append((name.replace("_", " "), f"{view.evals[0].metrics[name]:.4g} to {value:.4g}"))
    if found.elapsed_s:
        rows.append(("time", human_duration(found.elapsed_s)))
    if found.tokens_per_second:
        tokens = f", {human_count(float(got['tokens']))} in all" if got.get("tokens") else ""
        rows.append(("speed", f"{human_count(found.tokens_per_second)} tokens/s{tokens}"))
    if found.peak_bytes:
        rows.append(("memory", f"{human_bytes(found.peak_bytes)} at most"))
    rows.append(("bundle", (started.digest if started is not None else "")[:16]))
    return [(label, clean_line(text, 400)) for label, text in rows if text]


def _charts(view: RunView) -> list[Chart]:
    held = [(float(event.step), event.metrics["loss"]) for event in view.evals if "loss" in event.metrics]
    loss = thinned(view.series.get("loss"))
    charts = [
        Chart(
            "loss",
            "",
            [
                Curve("train", "faint", loss),
                Curve("train, smoothed", "line", _smoothed(loss)),
                Curve("held out", "dots", held),
            ],
        )
    ]
    for name, title, unit in (
        ("learning_rate", "learning rate", ""),
        ("grad_norm", "gradient norm", ""),
        ("tokens_per_second", "tokens a second", ""),
        ("step_seconds", "seconds a step", "s"),
    ):
        charts.append(Chart(title, unit, [Curve(title, "line", thinned(view.series.get(name)))]))
    return charts


def thinned(series: Series | None) -> list[tuple[float, float]]:
    """At most about `POINTS` points: all of them, else the lowest and highest of each column in turn."""
    if series is None or not len(series):
        return []
    if len(series) <= POINTS:
        return [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y)]
    columns = POINTS // 2
    first, last = series.x[0], series.x[-1]
    low, high = series.columns(first, last, columns)
    width = (last - first) / columns
    points: list[tuple[float, float]] = []
    for index, (a, b) in enumerate(zip(low, high, strict=True)):
        if math.isfinite(a):
            x = round(first + (index + 0.5) * width, 1)
            points += [(x, a)] if a == b else [(x, a), (x, b)]
    return points


def _smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    mean = weight = 0.0
    out = []
    for x, y in points:
        mean, weight = SMOOTH * mean + (1 - SMOOTH) * y, SMOOTH * weight + 1 - SMOOTH
        out.append((x, mean / weight))
    return out


def _last_samples(view: RunView) -> list[Sample]:
    step = max((sample.step for sample in view.samples), default=0)
    return [sample for sample in view.samples if sample.step == step]


def _memory(view: RunView) -> list[tuple[str, int, int]]:
    if view.memory is None:
        return []
    predicted, actual = view.memory.predicted, view.memory.actual
    names = sorted({*predicted, *actual}, key=lambda name: -max(predicted.get(name, 0), actual.get(name, 0)))
    rows = [(name.replace("_", " "), predicted.get(name, 0), actual.get(name, 0)) for name in names]
    return [*rows, ("total", sum(predicted.values()), sum(actual.values()))]


def _settings(folder: RunFolder) -> list[tuple[str, str, str]]:
    bundle = bundle_of(folder)
    if bundle is None:
        return []
    flat = flatten(bundle)
    return [
        (key, clean_line(shown(value), 200), clean_line(bundle.origin.get(key, "")))
        for key, value in flat.items()
        if value is not None and value != [] and value != {}
    ]


def _environment(folder: RunFolder) -> list[tuple[str, str]]:
    try:
        told: Any = json.loads(folder.environment.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return list(_flat("", told)) if isinstance(told, dict) else []


def _flat(prefix: str, tree: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            rows += _flat(f"{prefix}{key}.", value)
        elif value not in (None, "", []):
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            rows.append((clean_line(f"{prefix}{key}"), clean_line(text, 300)))
    return rows
