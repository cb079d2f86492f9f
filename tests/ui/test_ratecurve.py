"""The picture of the learning rate in Settings."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import unflatten
from tuiwiz.ui.glyphs import ASCII, UNICODE
from tuiwiz.ui.widgets.ratecurve import HIGH, LOW, rate_lines, shows_rate

SMALL: dict[str, Any] = {"task.kind": "instruct", "model.source": "m", "data.train": "d", "schedule.epochs": 1.0}


def bundle(**changes: Any) -> Bundle:
    flat = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return msgspec.convert(unflatten(flat), Bundle)


def dots(line: str) -> list[int]:
    return [index for index, char in enumerate(line) if char not in " \u2800"]


def test_a_falling_rate_falls_and_is_told_in_words() -> None:
    lines = [line.plain for line in rate_lines(bundle(schedule__kind="linear", schedule__warmup=10), 200, 60, UNICODE)]
    assert len(lines) == LOW + 1 and all(len(line) <= 60 for line in lines[:LOW])
    assert max(dots(lines[0])) < max(dots(lines[LOW - 1]))
    assert "0.0002 at step 11" in lines[-1] and "of 200" in lines[-1]


@pytest.mark.parametrize("kind", ["constant", "cosine_restarts", "one_cycle", "plateau", "warmup_stable_decay"])
def test_every_kind_is_drawn_in_both_sizes_and_alphabets(kind: str) -> None:
    for glyphs in (UNICODE, ASCII):
        lines = rate_lines(bundle(schedule__kind=kind), 50, 70, glyphs, large=True)
        assert len(lines) == HIGH + 1
    assert all(ord(char) < 128 for line in lines for char in line.plain)


def test_phases_have_borders_and_rates_of_their_own() -> None:
    stages = [
        {"name": "a", "share": 0.5, "learning_rate": 1e-2, "schedule": "constant", "warmup": 0},
        {"name": "b", "share": 0.5, "learning_rate": 1e-4, "schedule": "constant", "warmup": 0},
    ]
    lines = [line.plain for line in rate_lines(bundle(phases=stages), 100, 60, UNICODE)]
    half = len(lines[0]) // 2
    first = [index for index in dots(lines[0]) if index > 8]
    assert first and sum(index < half + 6 for index in first) >= len(first) - 2


def test_nothing_is_drawn_where_there_is_nothing_to_draw() -> None:
    assert rate_lines(bundle(), 1, 60, UNICODE) == [] == rate_lines(bundle(), 100, 10, UNICODE)
    assert shows_rate("schedule.warmup") and not shows_rate("adapter.rank") and not shows_rate("schedule.max_hours")
