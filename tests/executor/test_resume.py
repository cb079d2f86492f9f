"""A killed run that goes on ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.processes import eventually
from tests.support.training import ask_to_resume, curve, events_of, make_run, of_kind, run_here, run_process, start
from tuiwiz.base.files import sha256_file
from tuiwiz.events import control
from tuiwiz.events.types import Alert, Checkpoint, Finished, Metric, RunStarted, Stopped

SETTINGS = {"adapter__dropout": 0.1, "schedule__steps": 12, "checkpoint__every": 3, "validation__fraction": 0.2}
ADAPTER = "adapter/adapter_model.safetensors"


@pytest.mark.parametrize(
    "extra",
    [
        {"adapter__method": "lora"},
        {"adapter__method": "qlora", "data__packing": True, "memory__gradient_checkpointing": True},
        {"adapter__method": "full", "adapter__rank": None, "adapter__dropout": None, "optimizer__name": "sgd"},
        {"optimizer__name": "adamw_8bit"},
    ],
    ids=["lora", "qlora packed checkpointing", "full sgd", "8 bit"],
)
def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, tiny_model: Path, extra: dict[str, object]) -> None:
    settings = {**SETTINGS, **extra}
    whole = make_run(tmp_path, tiny_model, "whole", **settings)
    killed = make_run(tmp_path, tiny_model, "killed", **settings)
    assert run_process(whole) == 0

    process = start(killed)
    eventually(lambda: any(event.step >= 5 for event in of_kind(events_of(killed), Metric)), within_s=90)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL, "the run was over before it could be killed"
    saved = max(int(path.name[5:]) for path in killed.checkpoints.glob("step-*"))
    ask_to_resume(killed, tmp_path)
    assert run_process(killed) == 0

    events = events_of(killed)
    first, second = of_kind(events, RunStarted)
    assert (first.attempt, first.from_step, second.attempt, second.from_step) == (1, 0, 2, saved)
    assert saved > 0 and {"optimizer", "random streams"} <= set(second.restored)
    assert curve(events) == curve(events_of(whole)) and len(curve(events)) == 12
    result = "model/model.safetensors" if extra.get("adapter__method") == "full" else ADAPTER
    assert sha256_file(killed.path / result) == sha256_file(whole.path / result)
    assert [event.seq for event in events] == sorted({event.seq for event in events})


def test_a_stopped_run_saves_says_so_and_goes_on(tmp_path: Path, tiny_model: Path) -> None:
    whole = make_run(tmp_path, tiny_model, "whole", **SETTINGS)
    assert run_process(whole) == 0
    stopped = make_run(tmp_path, tiny_model, "stopped", **{**SETTINGS, "schedule__steps": 12})
    process = start(stopped)
    eventually(lambda: of_kind(events_of(stopped), Metric), within_s=90)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 7
    (event,) = of_kind(events_of(stopped), Stopped)
    assert "SIGTERM" in event.summary["reason"]
    assert (stopped.checkpoint(event.summary["step"]) / "manifest.json").is_file()
    assert not stopped.adapter.exists()

    ask_to_resume(stopped, tmp_path)
    assert run_process(stopped) == 0
    assert curve(events_of(stopped)) == curve(events_of(whole))
    assert sha256_file(stopped.path / ADAPTER) == sha256_file(whole.path / ADAPTER)


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(tmp_path: Path, tiny_model: Path) -> None:
    settings = {**SETTINGS, "validation__fraction": None, "checkpoint__keep": 3}
    run = make_run(tmp_path, tiny_model, **settings)
    run_here(run)
    newest = run.checkpoint(12) / "weights.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    (run.checkpoint(9) / "state.json").unlink()
    digest = sha256_file(run.path / ADAPTER)
    ask_to_resume(run, tmp_path)
    events = run_here(run)
    assert of_kind(events, RunStarted)[-1].from_step == 6
    assert [alert.rule for alert in of_kind(events, Alert)] == ["damaged_checkpoint"] * 2
    assert sha256_file(run.path / ADAPTER) == digest


def test_checkpoints_are_retired_but_for_the_newest_and_the_best(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, **{**SETTINGS, "checkpoint__every": 2, "checkpoint__keep": 2})
    events = run_here(run)
    best = of_kind(events, Finished)[0].summary["best_step"]
    kept = {int(path.name[5:]) for path in run.checkpoints.iterdir()}
    assert kept >= {12, best} and len(kept) <= 3
    assert {event.step for event in of_kind(events, Checkpoint)} >= {2, 4, 6, 8, 10, 12}
    assert of_kind(events, Finished)[0].summary["artifact_step"] == best
    state = json.loads((run.checkpoint(12) / "state.json").read_text(encoding="utf-8"))
    assert state["progress"]["step"] == 12


def test_requests_are_answered_at_step_borders(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, **{**SETTINGS, "checkpoint__every": 12, "validation__fraction": None})
    run.control.mkdir()
    control.request(run, "checkpoint")
    events = run_here(run)
    assert [event.step for event in of_kind(events, Checkpoint)] == [1, 12]
