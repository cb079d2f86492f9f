"""Events into a view. Folding in pieces of any size gives the same view as folding at once."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader
from tuiwiz.events.series import Series
from tuiwiz.events.view import RunView


def view_of(folder: RunFolder) -> RunView:
    """All events of a run, folded."""
    view, reader = RunView(), EventReader(folder.events)
    while events := reader.read(10_000):
        fold(view, events)
    passed_over(view, reader.skipped)
    return view


def passed_over(view: RunView, lines: int) -> str:
    """Remember how many lines of the file could not be read, and say so in the log; empty where that is no news."""
    if lines <= view.unreadable:
        return ""
    view.unreadable = lines
    said = (
        f"{lines:,} line{'' if lines == 1 else 's'} of events.jsonl could not be read: damaged, or of another version"
    )
    view.log.append(types.Log(seq=view.events, t=view.last_t, level="warning", message=said))
    return said


def fold(view: RunView, events: Iterable[types.Event]) -> RunView:
    """Take `events` into `view` and return it.

    A new attempt (`run_started` with `from_step`) voids the records of earlier attempts beyond that step, so that a
    resumed run reads as one run.
    """
    for event in events:
        view.events += 1
        view.first_t = view.first_t or event.t
        before = view.last_t
        view.last_t = max(view.last_t, event.t)
        match event:
            case types.Metric():
                _metric(view, event)
            case types.RunStarted():
                _started(view, event)
            case types.Stage():
                _stage(view, event, before)
                # A stage after the end is the first sign of a new attempt, long before its `run_started`.
                view.closing = None
            case types.Eval():
                view.evals.append(event)
            case types.Sample():
                view.samples.append(event)
            case types.Checkpoint():
                view.checkpoints.append(event)
            case types.Memory():
                view.memory = event
            case types.Resource():
                _resource(view, event)
            case types.Alert():
                view.alerts.append(event)
            case types.Control():
                view.controls.append(event)
            case types.Adjusted():
                view.adjusted.append(event)
                if event.key == "steps" and isinstance(event.to, int):
                    view.steps = event.to
            case types.Log():
                view.log.append(event)
            case types.Finished() | types.Stopped() | types.Failed():
                view.closing = event
            case types.Heartbeat():
                pass
    return view


def _metric(view: RunView, event: types.Metric) -> None:
    view.step = event.step
    view.metrics.update(event.metrics)
    for name, value in event.metrics.items():
        series = view.series.get(name)
        if series is None:
            series = view.series[name] = Series()
        series.append(event.step, value)
    clock = view.series.setdefault("time", Series())
    clock.append(event.step, event.t)


MOST_BETWEEN_S = 60.0
"""Between two readings; a longer time is a pause or a crash, in which the run took nothing."""


def _resource(view: RunView, event: types.Resource) -> None:
    """Energy as power times the time since the reading before. Of several cards those with most memory in use count,
    one for each process."""
    before, view.resource = view.resource, event
    count = view.started.processes if view.started is not None else 1
    cards = sorted(event.gpus, key=lambda one: -_figure(one.get("used_bytes")))[:count]
    powers = [_figure(card["power_w"]) for card in cards if isinstance(card.get("power_w"), int | float)]
    if not powers:
        return
    since = event.t - before.t if before is not None else 0.0
    spent = sum(powers) * since / 3600 if 0 < since <= MOST_BETWEEN_S else 0.0
    view.energy_wh = (view.energy_wh or 0.0) + spent


def _figure(value: types.Scalar) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _stage(view: RunView, event: types.Stage, before: float) -> None:
    """`before`: when the last event came; between a crash and the next attempt nothing is spent."""
    if view.stage is not None and view.stage.name != event.name:
        spent = max(0.0, before - view.stage_since)
        view.stage_seconds[view.stage.name] = view.stage_seconds.get(view.stage.name, 0.0) + spent
    if view.stage is None or view.stage.name != event.name:
        view.stage_since = event.t
    view.stage = event


def _started(view: RunView, event: types.RunStarted) -> None:
    view.started = event
    view.steps = event.steps or view.steps
    view.closing = None
    view.stage = None
    view.step = event.from_step
    for series in view.series.values():
        if series.x and series.x[-1] > event.from_step:
            series.drop_from(event.from_step + 0.5)
    # What was done at the step itself was done before the attempt began and stays; an attempt from 0 starts anew.
    last = event.from_step if event.from_step else -1
    view.evals = [one for one in view.evals if one.step <= last]
    view.samples = [one for one in view.samples if one.step <= last]
    view.checkpoints = [one for one in view.checkpoints if one.step <= last]
    view.adjusted = [one for one in view.adjusted if one.step <= last]
