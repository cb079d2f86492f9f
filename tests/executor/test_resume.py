"""A killed run that goes on ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import eventually
from tests.support.training import ask_to_resume, curve, events_of, make_run, of_kind, run_here, run_process, start
from tuiwiz.base.files import sha256_file
from tuiwiz.events import control
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.types import Alert, Checkpoint, Finished, Metric, RunStarted, Stopped

SETTINGS: dict[str, Any] = {
    "adapter__dropout": 0.1,
    "schedule__steps": 12,
    "checkpoint__every": 3,
    "validation__fraction": 0.2,
}


METHODS: dict[str, dict[str, Any]] = {
    "lora, best kept": {"evaluation__every": 2},
    "qlora, packed, recomputed": {
        "adapter__method": "qlora",
        "data__packing": True,
        "memory__gradient_checkpointing": True,
    },
    "full, sgd with momentum": {
        "adapter__method": "full",
        "adapter__rank": None,
        "adapter__dropout": None,
        "optimizer__name": "sgd",
        "optimizer__momentum": 0.9,
    },
    # 64 x 128 and more: smaller tensors keep 32-bit states.
    "8-bit states": {"optimizer__name": "adamw_8bit", "adapter__rank": 64},
    "lamb": {"optimizer__name": "lamb"},
    "adafactor": {"optimizer__name": "adafactor"},
    "schedule-free, evaluated on the way": {
        "optimizer__name": "schedule_free_adamw",
        "schedule__kind": "constant",
        "evaluation__every": 2,
    },
    "muon": {
        "adapter__method": "full",
        "adapter__rank": None,
        "adapter__dropout": None,
        "optimizer__name": "muon",
    },
    "half frozen, with noise and smoothing": {
        "adapter__method": "freeze",
        "adapter__rank": None,
        "adapter__dropout": None,
        "regularization__neftune": 5.0,
        "regularization__label_smoothing": 0.1,
    },
    "pissa": {"adapter__variant": "pissa"},
    "dora, lower rates on plateaus": {
        "adapter__variant": "dora",
        "schedule__kind": "plateau",
        "schedule__plateau_patience": 0,
        "evaluation__min_delta": 0.5,
        "evaluation__every": 2,
        "evaluation__noise_aware": True,
    },
    "paged 32-bit states": {"optimizer__name": "paged_adamw_32bit"},
}


def result_of(run: RunFolder) -> str:
    """Digest of the saved weights; JSON beside them may differ from process to process."""
    adapter = run.adapter / "adapter_model.safetensors"
    return sha256_file(adapter if adapter.exists() else run.model / "model.safetensors")


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_from_a_checkpoint_bit_for_bit(tmp_path: Path, tiny_model: Path, method: str) -> None:
    run = make_run(tmp_path, tiny_model, **{**SETTINGS, "checkpoint__keep": 12, **METHODS[method]})
    events = run_here(run)
    whole, digest = curve(events), result_of(run)
    for path in run.checkpoints.iterdir():
        if int(path.name.removeprefix("step-")) > 6:
            shutil.rmtree(path)
    ask_to_resume(run, tmp_path)
    again = run_here(run)[len(events) :]
    assert of_kind(again, RunStarted)[0].from_step == 6
    assert curve(again) == {step: values for step, values in whole.items() if step > 6}
    assert result_of(run) == digest


def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, tiny_model: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS, "adapter__method": "qlora", "schedule__steps": 40, "checkpoint__every": 3}
    whole = make_run(tmp_path, tiny_model, "whole", **settings)
    killed = make_run(tmp_path, tiny_model, "killed", **settings)
    assert run_process(whole) == 0

    process = start(killed)
    eventually(lambda: any(event.step >= 5 for event in of_kind(events_of(killed), Metric)), within_s=90)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL, "the run was over before it could be killed"
    saved = max(int(path.name.removeprefix("step-")) for path in killed.checkpoints.glob("step-*"))
    ask_to_resume(killed, tmp_path)
    assert run_process(killed) == 0

    events = events_of(killed)
    first, second = of_kind(events, RunStarted)
    assert (first.attempt, first.from_step, second.attempt, second.from_step) == (1, 0, 2, saved)
    assert saved >= 3 and {"optimizer", "random streams"} <= set(second.restored)
    assert curve(events) == curve(events_of(whole)) and len(curve(events)) == 40
    assert result_of(killed) == result_of(whole)
    assert [event.seq for event in events] == sorted({event.seq for event in events})


def test_a_stopped_run_saves_says_so_and_goes_on(tmp_path: Path, tiny_model: Path) -> None:
    stopped = make_run(tmp_path, tiny_model, **{**SETTINGS, "schedule__steps": 40, "checkpoint__every": 40})
    process = start(stopped)
    eventually(lambda: of_kind(events_of(stopped), Metric), within_s=90)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 7
    events = events_of(stopped)
    (event,) = of_kind(events, Stopped)
    assert "SIGTERM" in event.summary["reason"]
    assert event.summary["step"] == len(curve(events)) < 40
    assert (stopped.checkpoint(event.summary["step"]) / "manifest.json").is_file()
    assert not stopped.adapter.exists()

    ask_to_resume(stopped, tmp_path)
    events = run_here(stopped)
    assert of_kind(events, RunStarted)[-1].from_step == event.summary["step"]
    assert sorted(curve(events)) == list(range(1, 41))


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(tmp_path: Path, tiny_model: Path) -> None:
    settings: dict[str, Any] = {**SETTINGS, "checkpoint__every": 1, "checkpoint__keep": 12}
    run = make_run(tmp_path, tiny_model, **settings)
    run_here(run)
    newest = run.checkpoint(12) / "weights.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    (run.checkpoint(11) / "state.json").unlink()
    digest = result_of(run)
    ask_to_resume(run, tmp_path)
    events = run_here(run)
    assert of_kind(events, RunStarted)[-1].from_step == 10
    assert [alert.rule for alert in of_kind(events, Alert)] == ["damaged_checkpoint"] * 2
    assert result_of(run) == digest


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
    run = make_run(tmp_path, tiny_model, **{**SETTINGS, "checkpoint__every": 12, "evaluation__every": 12})
    run.control.mkdir()
    control.request(run, "checkpoint")
    events = run_here(run)
    assert [event.step for event in of_kind(events, Checkpoint)] == [1, 12]
