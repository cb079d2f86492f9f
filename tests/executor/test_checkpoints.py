"""Checkpoints on disk: room before anything is written, damage found and set aside, and what a resume says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support.training import ask_to_resume, events_of, make_run, of_kind, own_signals, run_here
from tuiwiz.base.errors import MachineLacksError
from tuiwiz.base.files import sha256_file
from tuiwiz.events.types import Alert, Checkpoint, Failed, Log, RunStarted
from tuiwiz.executor import checkpoint, disk, train
from tuiwiz.executor.checkpoint import Progress
from tuiwiz.executor.provenance import differences

SETTINGS: dict[str, Any] = {
    "validation__fraction": 0.0,
    "schedule__steps": 6,
    "checkpoint__every": 2,
    "checkpoint__keep": 4,
}


def full(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free, total=free, used=0))


def saved(folder: Path, step: int, value: float = 1.0) -> tuple[Path, torch.nn.Parameter]:
    weight = torch.nn.Parameter(torch.full((4, 4), value))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    path, _ = checkpoint.save(folder, {"w": weight}, optimizer, None, Progress(step=step))
    return path, weight


class Paged(torch.optim.AdamW):
    """As bitsandbytes has it: states are made by `get_state_buffer`, and come back from a file as any tensors."""

    is_paged = True

    def get_state_buffer(self, parameter: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        room = torch.zeros_like(parameter, dtype=dtype)
        room.is_paged = True  # type: ignore[attr-defined]
        return room


def test_states_that_may_be_paged_out_may_be_so_after_a_resume(tmp_path: Path) -> None:
    weights = {"w": torch.nn.Parameter(torch.arange(4.0))}
    optimizer = Paged(weights.values())
    optimizer.state[weights["w"]] = {"step": torch.tensor(1.0), "state1": torch.rand(4), "state2": torch.rand(4)}
    path, _ = checkpoint.save(tmp_path, weights, optimizer, None, Progress(step=1))
    other = Paged(weights.values())
    checkpoint.load(path, weights, other, None)
    for name in ("state1", "state2"):
        found = other.state[weights["w"]][name]
        assert torch.equal(found, optimizer.state[weights["w"]][name]) and found.is_paged


def test_a_run_whose_checkpoints_will_not_fit_does_not_start(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, tiny_model, **SETTINGS)
    full(monkeypatch, 3 << 20)
    with own_signals(), pytest.raises(MachineLacksError, match="are free") as caught:
        train.run(run.path)
    assert "checkpoint.keep" in caught.value.hint
    closing = events_of(run)[-1]
    assert isinstance(closing, Failed) and closing.summary["exit_code"] == 8
    assert not list(run.path.glob("checkpoints/*"))


def test_the_forecast_is_what_a_checkpoint_takes(tmp_path: Path, tiny_model: Path) -> None:
    from tuiwiz.bundle.read import read_bundle

    for number, (name, state) in enumerate({"adamw": 8.0, "sgd": 0.0}.items()):
        run = make_run(tmp_path, tiny_model, f"run{number}", optimizer__name=name, **SETTINGS)
        size = of_kind(run_here(run), Checkpoint)[-1].bytes
        bundle = read_bundle(run.bundle)
        trained = int(size / (4 + state))
        forecast = disk.checkpoint_bytes({"w": torch.nn.Parameter(torch.empty(trained))}, bundle)
        assert size <= forecast <= size + disk.SLACK_BYTES + 1


def test_without_room_for_the_next_one_the_last_one_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = saved(tmp_path, 1)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    full(monkeypatch, 1000)
    with pytest.raises(MachineLacksError, match="disk is full"):
        saved(tmp_path, 2)
    assert [one.name for one in tmp_path.iterdir()] == ["step-1"]
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, checkpoint.OPTIMIZER, checkpoint.STATE, checkpoint.MANIFEST])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "gone"])
def test_every_damaged_file_is_found(tmp_path: Path, name: str, harm: str) -> None:
    saved(tmp_path, 1)
    path, _ = saved(tmp_path, 2)
    content = bytearray((path / name).read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 0x10
    elif harm == "cut":
        del content[len(content) // 2 :]
    elif harm == "empty":
        content.clear()
    (path / name).write_bytes(content)
    if harm == "gone":
        (path / name).unlink()
    found, complaints = checkpoint.newest_valid(tmp_path)
    assert found == tmp_path / "step-1" and len(complaints) == 1 and "step-2" in complaints[0]


def test_any_single_flipped_bit_is_found(tmp_path: Path) -> None:
    path, _ = saved(tmp_path, 1)
    for name in (checkpoint.WEIGHTS, checkpoint.OPTIMIZER):
        whole = (path / name).read_bytes()
        for at in range(0, len(whole), 7):
            content = bytearray(whole)
            content[at] ^= 1 << (at % 8)
            (path / name).write_bytes(content)
            assert checkpoint.newest_valid(tmp_path)[0] is None, (name, at)
        (path / name).write_bytes(whole)
    assert checkpoint.newest_valid(tmp_path)[0] == path


def test_a_damaged_one_is_set_aside_and_saved_anew(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, **SETTINGS)
    run_here(run)
    (run.checkpoint(6) / checkpoint.WEIGHTS).write_bytes(b"")
    ask_to_resume(run, tmp_path)
    events = run_here(run)
    assert of_kind(events, RunStarted)[-1].from_step == 4
    assert any("step-6" in alert.message for alert in of_kind(events, Alert))
    assert checkpoint.newest_valid(run.checkpoints) == (run.checkpoint(6), [])
    assert not list(run.checkpoints.glob("damaged*")), "gone as soon as there is a newer one"


def test_milestones_the_best_and_the_newest_stay(tmp_path: Path) -> None:
    for step in range(1, 11):
        saved(tmp_path, step)
        checkpoint.retire(tmp_path, keep=2, best=2, milestones=4)
    assert sorted(int(path.name[5:]) for path in tmp_path.iterdir()) == [2, 4, 8, 9, 10]


def test_a_resume_says_what_is_back_and_what_differs(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, **SETTINGS)
    run_here(run)

    def resumed() -> tuple[RunStarted, str]:
        shutil.rmtree(run.checkpoint(6))
        ask_to_resume(run, tmp_path)
        events = run_here(run)
        said = [event.message for event in of_kind(events, Log) if event.message.startswith("resumed")]
        return of_kind(events, RunStarted)[-1], said[-1]

    started, said = resumed()
    assert {"weights", "optimizer", "random streams"} <= set(started.restored) and started.differs == ()
    assert "bit for bit" in said and "not" not in said
    state = run.checkpoint(4) / checkpoint.STATE
    content = json.loads(state.read_text())
    content["progress"]["made_with"] |= {"torch": "1.0.0", "device": "Cray-1", "processes": "8"}
    state.write_text(json.dumps(content))
    manifest = run.checkpoint(4) / checkpoint.MANIFEST
    hashes = json.loads(manifest.read_text())
    hashes["sha256"][checkpoint.STATE] = sha256_file(state)
    manifest.write_text(json.dumps(hashes))
    started, said = resumed()
    assert len(started.differs) == 3 and "will not be the same bit for bit" in said
    assert all(word in said for word in ("torch 1.0.0, now", "device Cray-1, now", "processes 8, now 1"))


def test_what_was_not_recorded_is_not_compared() -> None:
    assert differences({}, {"torch": "2"}) == []
    assert differences({"torch": "1", "gone": "x"}, {"torch": "2"}) == ["torch 1, now 2"]
