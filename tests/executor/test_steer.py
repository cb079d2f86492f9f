"""Requests that change a run's length and how often it is evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.training import ask_to_resume, curve, make_run, of_kind, own_signals, run_here, write_rows
from tuiwiz.events.control import request
from tuiwiz.events.fold import view_of
from tuiwiz.events.types import Adjusted, Control, Eval, Metric, RunStarted
from tuiwiz.executor import train
from tuiwiz.executor.steer import steps_every
from tuiwiz.spec.optimizer import Schedule
from tuiwiz.spec.rates import rate_factor


def test_a_longer_run_trains_and_evaluates_to_its_new_end_under_a_stretched_schedule(
    tmp_path: Path, tiny_model: Path
) -> None:
    write_rows(tmp_path / "held.jsonl", 4, start=100)
    folder = make_run(tmp_path, tiny_model, schedule__steps=6, schedule__warmup=0, validation__path="held.jsonl")
    folder.control.mkdir()
    request(folder, "extend", steps=4)
    events = run_here(folder)
    assert [(one.key, one.from_, one.to) for one in of_kind(events, Adjusted)] == [("steps", 6, 10)]
    assert of_kind(events, Metric)[-1].step == 10 and of_kind(events, Eval)[-1].step == 10
    assert view_of(folder).steps == 10
    rates = [rate for (rate,) in curve(events, "learning_rate").values()]
    schedule = Schedule(steps=6, warmup=0)
    # The request is taken after the first step.
    wanted = [1e-3 * rate_factor(step, 6 if step == 0 else 10, schedule) for step in range(10)]
    assert rates == wanted


def test_another_cadence_holds_from_then_on_and_survives_a_stop(tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "held.jsonl", 4, start=100)
    settings: dict[str, Any] = {"schedule__steps": 12, "evaluation__every": 12, "validation__path": "held.jsonl"}
    folder = make_run(tmp_path, tiny_model, **settings)
    folder.control.mkdir()
    request(folder, "cadence", steps=3)
    request(folder, "extend", steps=2)
    request(folder, "stop")
    with own_signals():
        assert train.run(folder.path) == 7
    ask_to_resume(folder, tmp_path)
    events = run_here(folder)
    assert [one.step for one in of_kind(events, Eval)] == [0, 3, 6, 9, 12, 14]
    assert of_kind(events, RunStarted)[-1].steps == 14


def test_a_request_without_a_number_of_steps_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    folder = make_run(tmp_path, tiny_model, schedule__steps=2)
    folder.control.mkdir()
    request(folder, "extend")
    events = run_here(folder)
    assert [one.answer for one in of_kind(events, Control)] == ["refused: it names no number of steps"]
    assert not of_kind(events, Adjusted)


def test_steps_to_evaluate_at_are_multiples_and_the_last() -> None:
    assert steps_every(5, 7, 18) == {10, 15, 18}
    assert steps_every(5, 17, 18) == {18}
