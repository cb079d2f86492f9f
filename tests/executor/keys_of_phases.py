"""What each key of a phase changes in a run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.executor.desk import FRACTION, SGD, Desk, Seen, shows
from tests.executor.keys_of_schedules import moved_parts
from tests.support.training import add_phases
from tuiwiz.events import types

PLAIN: dict[str, Any] = {
    **SGD,
    "schedule__steps": 4,
    "schedule__kind": "constant",
    "schedule__warmup": 0,
    "optimizer__learning_rate": 0.5,
}


def staged(desk: Desk, *phases: dict[str, Any], **changes: Any) -> Seen:
    folder = desk.prepare(**{**PLAIN, **changes})
    add_phases(folder, *phases)
    return desk.run(folder=folder)


def rates(desk: Desk, *phases: dict[str, Any], **changes: Any) -> list[float]:
    return staged(desk, *phases, **changes).metric("learning_rate")


@shows("phases.name")
def _name(desk: Desk) -> None:
    run = staged(desk, {"name": "a", "share": 0.5}, {"name": "slow end", "share": 0.5})
    assert any('phase "slow end" begins' in event.message for event in run.of(types.Log))


@shows("phases.share")
def _share(desk: Desk) -> None:
    found = rates(desk, {"name": "a", "share": 0.25}, {"name": "b", "share": 0.75, "learning_rate": 0.1})
    assert found == pytest.approx([0.5] + [0.1] * 3)


@shows("phases.steps")
def _steps(desk: Desk) -> None:
    stages = ({"name": "a", "steps": 3}, {"name": "b", "steps": 2, "learning_rate": 0.1})
    assert rates(desk, *stages, schedule__steps=None) == pytest.approx([0.5] * 3 + [0.1] * 2)


@shows("phases.learning_rate")
def _learning_rate(desk: Desk) -> None:
    assert rates(desk, {"name": "a", "share": 1.0, "learning_rate": 0.25}) == pytest.approx([0.25] * 4)


@shows("phases.schedule")
def _schedule(desk: Desk) -> None:
    assert rates(desk, {"name": "a", "share": 1.0, "schedule": "linear"}) == pytest.approx([0.5, 0.375, 0.25, 0.125])


@shows("phases.warmup")
def _warmup(desk: Desk) -> None:
    assert rates(desk, {"name": "a", "share": 1.0, "warmup": 1}) == pytest.approx([0.25, 0.5, 0.5, 0.5])


@shows("phases.trainable")
def _trainable(desk: Desk) -> None:
    moved = moved_parts(staged(desk, {"name": "a", "share": 1.0, "trainable": "layers[0:1]"}))
    assert moved and all(".layers.0." in name for name in moved)


@shows("phases.data")
def _data(desk: Desk) -> None:
    desk.file("more.jsonl", *({"prompt": f"what {n}", "completion": "pear"} for n in range(9)))
    run = staged(desk, {"name": "a", "share": 1.0, "data": "more.jsonl"})
    assert all("pear" in text for text in run.tokens.decode_batch(run.ids))


@shows("phases.until")
def _until(desk: Desk) -> None:
    stages = ({"name": "a", "share": 0.75, "until": "plateau:1"}, {"name": "b", "share": 0.25, "learning_rate": 0.1})
    every: dict[str, Any] = {
        "evaluation__every": 1,
        "evaluation__min_delta": 0.9,
        "validation__max_rows": 1,
        "schedule__steps": 8,
        **FRACTION,
    }
    found = rates(desk, *stages, **every)
    assert found[-2:] == pytest.approx([0.1, 0.1]) and len(found) < 8, "the rest is not shared out"
