"""Several runs beside each other: what they reached, what it cost, and the settings that explain it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from tuiwiz.base.errors import TuiwizError, UsageError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.events.axis import Axis, Kind, time_unit
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.view import RunView
from tuiwiz.runs.registry import RunInfo, info
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import flatten

MOST = 8
"""Runs that can be told apart on one chart."""
POINTS = 300
HELD_OUT = "held out"
"""The metric that stands for the evaluations' loss."""


class Differing(msgspec.Struct, frozen=True):
    """One bundle key whose value is not the same in all runs; None where it is unset or the bundle cannot be read."""

    key: str
    values: tuple[Any, ...]


class Compared(msgspec.Struct, frozen=True):
    """`curves`: one list of (x, value) a run, thinned; `notes`: why something could not be compared."""

    runs: tuple[RunInfo, ...]
    metric: str
    align: str
    curves: tuple[tuple[tuple[float, float], ...], ...]
    differences: tuple[Differing, ...]
    notes: tuple[str, ...] = ()


class Loaded(msgspec.Struct, frozen=True):
    """One run, read once: the screen draws it over any axis."""

    folder: RunFolder
    view: RunView
    info: RunInfo


def load(folders: Sequence[RunFolder]) -> list[Loaded]:
    """Read the runs.

    Raises:
        UsageError: fewer than two, more than eight, or one run named twice.
    """
    if len(folders) < 2:
        raise UsageError("one run has nothing to be compared with", hint="name two to eight runs")
    if len(folders) > MOST:
        raise UsageError(f"{len(folders)} runs are too many for one chart", hint=f"name at most {MOST}")
    paths = [folder.path.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise UsageError("a run is named twice", hint="name different runs")
    views = [view_of(folder) for folder in folders]
    return [Loaded(folder, view, info(folder, view)) for folder, view in zip(folders, views, strict=True)]


def metrics_of(runs: Sequence[Loaded]) -> list[str]:
    """What can be drawn of these runs: the held-out loss first, then every metric that one of them has."""
    names = dict.fromkeys(name for run in runs for name in run.view.series if name != "time")
    held = [HELD_OUT] if any(run.view.evals for run in runs) else []
    return [*held, *sorted(names, key=lambda name: (name != "loss", name))]


def unit_of(runs: Sequence[Loaded]) -> tuple[str, float]:
    """One unit of time for all of them."""
    clocks = [run.view.series["time"] for run in runs if "time" in run.view.series]
    return time_unit(max((clock.y[-1] - clock.y[0] for clock in clocks if len(clock)), default=0.0))


def axis_of(run: Loaded, align: Kind, runs: Sequence[Loaded]) -> Axis:
    axis = Axis(align, unit_of(runs))
    axis.take(run.view)
    return axis


def points_of(run: Loaded, metric: str, axis: Axis) -> list[tuple[float, float]]:
    """A metric of one run over an axis, at most about `POINTS` points."""
    if metric == HELD_OUT:
        held = [(axis.place(event.step), event.metrics.get("loss", math.nan)) for event in run.view.evals]
        return [pair for pair in held if math.isfinite(pair[1])]
    series = axis.series(metric)
    if series is None or not len(series):
        return []
    stride = max(1, len(series) // POINTS)
    found = list(zip(series.x[::stride], series.y[::stride], strict=True))
    return [(x, y) for x, y in found if math.isfinite(y)]


def compare(runs: Sequence[Loaded], metric: str, align: Kind) -> Compared:
    """Everything about the runs that a table or a chart shows.

    Raises:
        UsageError: no run has that metric.
    """
    known = metrics_of(runs)
    if metric not in known:
        raise UsageError(f"no run has the metric {metric!r}", hint=f"there are: {', '.join(known[:12])}")
    differing, notes = differences(runs)
    curves = tuple(tuple(points_of(run, metric, axis_of(run, align, runs))) for run in runs)
    return Compared(tuple(run.info for run in runs), metric, align, curves, differing, notes)


def differences(runs: Sequence[Loaded]) -> tuple[tuple[Differing, ...], tuple[str, ...]]:
    """The bundle keys that are not the same everywhere, in the order of the file; and whose bundle cannot be read."""
    bundles: list[Bundle | None] = []
    notes: list[str] = []
    for run in runs:
        try:
            bundles.append(read_bundle(run.folder.bundle))
        except TuiwizError as error:
            bundles.append(None)
            notes.append(f"the bundle of {run.info.name} cannot be read: {error.message}")
    flats = [flatten(bundle) if bundle is not None else {} for bundle in bundles]
    read = [flat for flat in flats if flat]
    if len(read) < 2:
        return (), tuple(notes)
    found = [
        Differing(key, tuple(flat.get(key) for flat in flats))
        for key in read[0]
        if key != "name" and any(flat[key] != read[0][key] for flat in read)
    ]
    return tuple(found), tuple(notes)
