"""Folding: pieces equal the whole, a resumed run reads as one run, values that are no numbers leave gaps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.streams import Recorder, finished_run, training
from tuiwiz.events import types
from tuiwiz.events.fold import fold
from tuiwiz.events.reader import EventReader
from tuiwiz.events.series import Series
from tuiwiz.events.view import RunView


def decoded(recorder: Recorder) -> list[types.Event]:
    return [msgspec.json.decode(line, type=types.Event) for line in recorder.lines]


def facts(view: RunView) -> dict[str, Any]:
    """Everything in a view that can be compared."""
    series = {name: (list(one.x), list(one.y)) for name, one in view.series.items()}
    names = ("started", "stage", "step", "steps", "events", "metrics", "evals", "checkpoints", "samples", "closing")
    return {"series": series, **{name: getattr(view, name) for name in names}}


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 400), attempts=st.lists(st.integers(0, 50), max_size=3))
def test_pieces_of_any_size_give_the_same_view(size: int, attempts: list[int]) -> None:
    recorder = Recorder()
    training(recorder, steps=60, until=50, every=10)
    for number, step in enumerate(attempts, 2):
        training(recorder, steps=60, until=min(60, step + 9), every=10, from_step=step, attempt=number)
    events = decoded(recorder)
    whole, pieces = fold(RunView(), events), RunView()
    for start in range(0, len(events), size):
        fold(pieces, events[start : start + size])
    assert facts(pieces) == facts(whole)


def test_a_resumed_run_reads_as_one_run() -> None:
    recorder = Recorder()
    training(recorder, steps=60, until=50, every=10)
    training(recorder, steps=60, until=60, every=10, from_step=40, attempt=2)
    view = fold(RunView(), decoded(recorder))
    assert list(view.series["loss"].x) == list(range(1, 61))
    assert [event.step for event in view.evals] == [0, 10, 20, 30, 40, 50, 60]
    assert [event.step for event in view.checkpoints] == [10, 20, 30, 40, 50, 60]
    assert view.started is not None and view.started.attempt == 2


def test_an_attempt_from_the_start_forgets_everything_before_it() -> None:
    recorder = Recorder()
    training(recorder, steps=60, until=50, every=10)
    training(recorder, steps=60, until=5, every=10, attempt=2)
    view = fold(RunView(), decoded(recorder))
    assert list(view.series["loss"].x) == [1, 2, 3, 4, 5]
    assert [event.step for event in view.evals] == [0]
    assert view.checkpoints == [] and view.step == 5


def test_the_end_is_void_as_soon_as_a_new_attempt_says_its_first_word(tmp_path: Path) -> None:
    events = EventReader(finished_run(tmp_path / "run").events).read(100_000)
    view = fold(RunView(), events)
    assert view.summary is not None and view.closing is not None
    fold(view, [types.Heartbeat(seq=1, t=1.0)])
    assert view.closing is not None, "a late heartbeat of the same attempt changes nothing"
    fold(view, [types.Stage(seq=2, t=2.0, name="loading")])
    assert view.closing is None and view.summary is None


def test_a_loss_that_is_no_number_leaves_a_gap_and_never_is_the_best() -> None:
    view = RunView()
    for step, loss in enumerate([2.0, math.nan, 1.0, math.inf], 1):
        fold(view, [types.Metric(seq=0, t=float(step), step=step, metrics={"loss": loss})])
        fold(view, [types.Eval(seq=0, t=float(step), step=step, metrics={"loss": loss}, rows=1)])
    low, high = view.series["loss"].columns(1, 4, 4)
    assert [low[0], low[2]] == [2.0, 1.0] and math.isnan(low[1]) and math.isnan(high[3])
    assert view.best_eval is not None and view.best_eval.step == 3


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=700),
    start=st.floats(-5, 700),
    width=st.floats(0.1, 800),
    n=st.integers(1, 90),
    cut=st.integers(0, 900),
    more=st.lists(st.floats(allow_nan=True, width=32), max_size=100),
)
def test_columns_hold_the_extremes_of_their_points(
    values: list[float], start: float, width: float, n: int, cut: int, more: list[float]
) -> None:
    series = Series()
    for x, y in enumerate(values):
        series.append(x, y)
        if x % 97 == 0:
            # Looked at while it grows, as a live screen does.
            series.columns(0, x, 3)
            series.columns(start, start + width, n)
    if cut < len(values):
        series.drop_from(cut)
        values = values[:cut]
        for y in more:
            series.append(len(values), y)
            values = [*values, y]
    end = start + width
    lows, highs = series.columns(start, end, n)
    assert len(lows) == len(highs) == n
    edges = [start + (end - start) * i / n for i in range(n)] + [math.inf]
    for i in range(n):
        inside = [y for x, y in enumerate(values) if edges[i] <= x < edges[i + 1] and x <= end and math.isfinite(y)]
        if inside:
            assert (lows[i], highs[i]) == (min(inside), max(inside))
        else:
            assert math.isnan(lows[i]) and math.isnan(highs[i])


@pytest.mark.parametrize("history", [2_000, 50_000])
def test_a_window_is_drawn_again_for_the_points_that_are_new(history: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in looks at points, which do not depend on the machine: the same few for any history."""
    series = Series()
    for x in range(history):
        series.append(x, math.sin(x))
    window = (0.0, 1.25 * history, 200)
    series.columns(*window)
    looked: list[int] = []
    span = Series.span

    def counted(self: Series, start: int, stop: int) -> tuple[float, float]:
        looked.append(stop - start)
        return span(self, start, stop)

    monkeypatch.setattr(Series, "span", counted)
    for x in range(history, history + 10):
        series.append(x, 2.0 + x)
        highs = series.columns(*window)[1]
        assert max(value for value in highs if math.isfinite(value)) == 2.0 + x
    assert len(looked) <= 30
    looked.clear()
    series.columns(*window)
    assert not looked


def test_a_point_at_an_old_place_replaces_what_follows() -> None:
    series = Series()
    for x in range(100):
        series.append(x, float(x))
    series.append(50, -1.0)
    assert len(series) == 51 and series.last == -1.0
    assert series.span(0, 51) == (-1.0, 49.0)
