"""Runs that are killed, stopped twice or fed what is no number, from the folder's own point of view."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.processes import environment, eventually
from tests.support.training import (
    ask_to_resume,
    events_of,
    make_run,
    of_kind,
    own_signals,
    run_here,
    run_process,
    start,
    write_rows,
)
from tuiwiz.base.errors import RunFailedError
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.types import Eval, Failed, Metric, RunStarted, Sample
from tuiwiz.executor import checkpoint, loop, train
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.executor.objectives.objective import Outcome
from tuiwiz.runs.folder import take_up

SETTINGS: dict[str, Any] = {
    "adapter__dropout": 0.2,
    "data__packing": True,
    "validation__path": "held.jsonl",
    "evaluation__every": 4,
    "evaluation__samples": 1,
    "schedule__steps": 20,
    "checkpoint__every": 3,
}


def bits(folder: RunFolder, name: str) -> dict[float, str]:
    """A folded series to the last bit."""
    series = view_of(folder).series[name]
    return {x: float(y).hex() for x, y in zip(series.x, series.y, strict=True)}


def test_killed_and_taken_up_a_run_cannot_be_told_from_one_that_was_not(tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "held.jsonl", 4, start=100)
    whole, killed = (make_run(tmp_path, tiny_model, name, **SETTINGS) for name in ("whole", "killed"))
    assert run_process(whole) == 0
    process = start(killed)
    eventually(lambda: any(event.step >= 5 for event in of_kind(events_of(killed), Metric)), within_s=90)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL, "the run was over before it could be killed"
    ready = take_up(killed)
    assert ready.resume and not ready.done
    assert run_process(killed) == 0

    second = of_kind(events_of(killed), RunStarted)[1]
    assert second.attempt == 2 and second.from_step >= 3
    for name in ("loss", "grad_norm", "learning_rate", "tokens"):
        assert bits(killed, name) == bits(whole, name) and len(bits(whole, name)) == 20, name
    looked = [{e.step: e.metrics["loss"].hex() for e in of_kind(events_of(run), Eval)} for run in (whole, killed)]
    assert looked[0] == looked[1]
    one, other = (load_file(run.adapter / "adapter_model.safetensors") for run in (whole, killed))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert take_up(killed).done


def test_after_a_resume_samples_still_show_what_the_base_model_said(tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "held.jsonl", 4, start=100)
    run = make_run(tmp_path, tiny_model, **SETTINGS)
    with pytest.MonkeyPatch.context() as patch, own_signals(), pytest.raises(RunFailedError):
        plain = loop.optimizer_step

        def failing(trainer: Any, indexes: list[int]) -> dict[str, float]:
            if trainer.progress.step == 7:
                raise RunFailedError("on purpose", hint="none")
            return plain(trainer, indexes)

        patch.setattr(loop, "optimizer_step", failing)
        train.run(run.path)
    (before,) = [event.base for event in of_kind(events_of(run), Sample) if event.step == 0]
    ask_to_resume(run, tmp_path)
    after = [event for event in of_kind(run_here(run), Sample) if event.step > 7]
    assert before and after and all(event.base == before for event in after)


def test_a_run_of_losses_that_are_no_numbers_fails_with_its_code(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, tiny_model, schedule__steps=30, checkpoint__every=2, checkpoint__keep=30)
    plain = CausalObjective.__call__
    passes: list[int] = []

    def breaking(self: CausalObjective, batch: Any) -> Outcome:
        loss = plain(self, batch)
        if torch.is_grad_enabled():
            passes.append(1)
            # Two micro-batches a step: from step 5 on nothing is a number.
            if len(passes) > 8:
                return Outcome({"tokens": loss.total * float("nan")}, loss.seen)
        return loss

    monkeypatch.setattr(CausalObjective, "__call__", breaking)
    with own_signals(), pytest.raises(RunFailedError):
        train.run(run.path)
    closing = events_of(run)[-1]
    assert isinstance(closing, Failed) and closing.summary["exit_code"] == 6 and closing.summary["hint"]
    newest, complaints = checkpoint.newest_valid(run.checkpoints)
    assert newest is not None and not complaints and not run.adapter.exists()
    assert all(bool(value.isfinite().all()) for value in load_file(newest / checkpoint.WEIGHTS).values())


TWICE = """
import os, signal
from tuiwiz.executor.interrupt import Interrupts
interrupts = Interrupts()
interrupts.install()
interrupts.at_borders = True
os.kill(os.getpid(), signal.SIGTERM)
assert interrupts.stop_reason == "asked by SIGTERM"
print("still here", flush=True)
os.kill(os.getpid(), signal.SIGTERM)
print("never", flush=True)
"""


def test_the_first_signal_waits_for_the_step_and_the_second_does_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWICE], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.split("\n")[0]) == (130, "still here"), done.stderr
    assert "never" not in done.stdout
