"""Spans of a run, parts of a model by name, and times to stop by."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.deadline import deadline, seconds_until
from tuiwiz.spec.keys import unflatten
from tuiwiz.spec.parts import problem_of, select
from tuiwiz.spec.phases import patience_of, rate_curve, run_steps, spans
from tuiwiz.spec.training_rules import is_time

SMALL: dict[str, Any] = {"task.kind": "instruct", "model.source": "m", "data.train": "d", "schedule.epochs": 2.0}


def bundle(**changes: Any) -> Bundle:
    flat = SMALL | {key.replace("__", "."): value for key, value in changes.items()}
    return msgspec.convert(unflatten(flat), Bundle)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(1, 500))
def test_shares_cover_the_run_without_gaps(weights: list[int], total: int) -> None:
    stages = [{"name": str(i), "share": w / sum(weights)} for i, w in enumerate(weights)]
    found = spans(bundle(phases=stages), total)
    assert [span.start for span in found] == [sum(s.steps for s in found[:i]) for i in range(len(found))]
    assert sum(span.steps for span in found) == total and all(span.steps >= 0 for span in found)


def test_steps_of_phases_make_the_run() -> None:
    one = bundle(schedule__epochs=None, phases=[{"name": "a", "steps": 7}, {"name": "b", "steps": 3}])
    assert run_steps(one, 1000) == 10 and run_steps(bundle(), 160) == 20
    assert [(span.start, span.steps) for span in spans(one, 10)] == [(0, 7), (7, 3)]


def test_a_phase_changes_what_it_says_and_keeps_the_rest() -> None:
    stages = [
        {"name": "a", "share": 0.5, "schedule": "constant", "warmup": 2, "learning_rate": 0.5},
        {"name": "b", "share": 0.5},
    ]
    first, second = spans(bundle(phases=stages, schedule__min_ratio=0.1, optimizer__learning_rate=0.1), 20)
    assert [first.rate(step) for step in range(4)] == pytest.approx([0.5 / 3, 1 / 3, 0.5, 0.5])
    assert second.schedule.kind == "cosine" and second.rate(10) == pytest.approx(0.01)
    points = rate_curve(bundle(phases=stages), 20, 100)
    assert len(points) == 20 and points[9][1] == pytest.approx(0.5) and points[10][1] < 0.01


def test_patience_is_read_from_until() -> None:
    assert patience_of("plateau:3") == 3
    assert {patience_of(text) for text in (None, "", "plateau", "plateau:0", "plateau:-1", "plateau:x")} == {None}


NAMES = [
    "model.embed_tokens.weight",
    *(
        f"model.layers.{i}.{part}.weight"
        for i in range(8)
        for part in ("self_attn.q_proj", "mlp.up", "input_layernorm")
    ),
    "model.norm.weight",
    "lm_head.weight",
    "base.model.layers.7.q_proj.lora_A.default.weight",
]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ("all", len(NAMES)),
        ("head", 1),
        ("embeddings", 1),
        ("norms", 9),
        ("adapters", 1),
        ("layers[-25%:]", 7),
        ("layers[:2]", 6),
        ("layers[2:3]", 3),
        ("layers[-1%:]", 4),
        ("layers[:]", 25),
        ("layers[9:]", 0),
        ("*.q_proj.*", 9),
        ("head, norms", 10),
        (("layers[:1]", "layers[:1]"), 3),
        ("", 0),
    ],
)
def test_parts_mean_what_they_say(wanted: str | tuple[str, ...], count: int) -> None:
    assert len(select(wanted, NAMES)) == count


def test_words_that_mean_nothing_are_known() -> None:
    for word in ("legs", "layers", "layers[", "layers[1]", "layers[a:b]", "Head"):
        assert problem_of(word), word
    for word in ("head", "layers[-25%:]", "layers[:]", "*bias", "model.?.x"):
        assert not problem_of(word), word


@given(st.text(max_size=12))
def test_no_text_is_a_surprise(text: str) -> None:
    assert isinstance(problem_of(text), str) and isinstance(is_time(text), bool)
    select(text, NAMES)


def test_times_are_read() -> None:
    now = datetime(2026, 11, 24, 15, 30)
    assert deadline("16:00", now) == datetime(2026, 11, 24, 16, 0)
    assert deadline("8:05", now) == datetime(2026, 11, 25, 8, 5), "the next morning"
    assert deadline("2026-12-24T18:00", now) == datetime(2026, 12, 24, 18, 0)
    assert is_time("8:05") and is_time("2026-12-24T18:00+02:00") and not is_time("24:00") and not is_time("2026-12-24")


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_zone_is_not_taken_for_the_local_one(in_berlin: None) -> None:
    now = datetime(2026, 7, 1, 12, 0)
    assert deadline("2026-07-01T18:00Z", now) == datetime(2026, 7, 1, 20, 0)
    assert deadline("2026-07-01T18:00-05:00", now) == datetime(2026, 7, 2, 1, 0)
    assert seconds_until("2026-07-01T18:00+02:00", now) == 6 * 3600
    assert deadline("2026-07-01T18:00", now) == datetime(2026, 7, 1, 18, 0)


def test_a_change_of_clocks_counts(in_berlin: None) -> None:
    assert seconds_until("08:00", datetime(2026, 10, 24, 22, 0)) == 11 * 3600, "that night has 25 hours of clock"


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"])
def test_times_beyond_the_calendar_are_no_times(text: str) -> None:
    assert not is_time(text)
