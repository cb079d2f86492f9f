"""Streams that lack something: another writer's, damaged ones, a run that has just begun. Every rule has an answer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import pytest

from tests.doctor.judged import STREAMS, events_of
from tuiwiz.bundle.read import read_bundle
from tuiwiz.doctor.case import Case
from tuiwiz.doctor.examine import diagnose
from tuiwiz.doctor.rules import ALL
from tuiwiz.events import types
from tuiwiz.events.fold import fold
from tuiwiz.events.view import RunView

NAMES = (
    "healthy-lora",
    "frozen-full",
    "healthy-dpo",
    "healthy-classify",
    "y-classes-x60",
    "y-kto",
    "demo-1",
)
KINDS = (types.Eval, types.RunStarted, types.Memory, types.Stage, types.Resource, types.Metric, types.Finished)
Stream = list[types.Event]


def changed(events: Stream, change: dict[str, float], gone: set[str]) -> Stream:
    def of(metrics: dict[str, float]) -> dict[str, float]:
        return {name: change.get(name, value) for name, value in metrics.items() if name not in gone}

    return [
        msgspec.structs.replace(event, metrics=of(event.metrics))
        if isinstance(event, types.Metric | types.Eval)
        else event
        for event in events
    ]


def lacking(events: Stream) -> Iterator[tuple[str, Stream]]:
    names = sorted({name for event in events if isinstance(event, types.Metric) for name in event.metrics})
    for name in names:
        yield f"no {name}", changed(events, {}, {name})
        yield f"{name} alone", changed(events, {}, set(names) - {name})
        without = changed(events, {}, {name})
        yield f"{name} in half of the steps", [(without if at % 2 else events)[at] for at in range(len(events))]
    for kind in KINDS:
        yield f"no {kind.__name__}", [event for event in events if not isinstance(event, kind)]
    for value in (0.0, math.nan, math.inf):
        yield f"all {value}", changed(events, dict.fromkeys(names, value), set())
    for count in (0, 1, 4, 12, 40, len(events) // 2):
        yield f"the first {count}", events[:count]
    yield "every third", events[::3]


@pytest.mark.parametrize("name", NAMES)
def test_no_rule_stumbles_over_what_is_missing(name: str) -> None:
    events, bundle = events_of(name), read_bundle(STREAMS / f"{name}.toml")
    for what, stream in [*lacking(events), ("no bundle", events)]:
        view = fold(RunView(), stream)
        try:
            found = diagnose(Case(view, None if what == "no bundle" else bundle))
        except Exception as error:
            pytest.fail(f"{what}: {type(error).__name__}: {error}")
        assert [one.id for one in found] == [rule.id for rule in ALL]
