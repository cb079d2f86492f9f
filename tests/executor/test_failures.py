"""What a run says when it cannot go on: one `failed` event, the documented exit code, nothing half-written."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.support.training import events_of, make_run, of_kind, own_signals, run_here, run_process
from tuiwiz.base.errors import InvalidError, MachineLacksError, TuiwizError
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.types import Failed
from tuiwiz.executor import checkpoint, train
from tuiwiz.executor.failure import translate


def failure_of(folder: RunFolder) -> tuple[TuiwizError, dict[str, Any]]:
    """Train a run that must fail; returns the error and the summary of its last event."""
    with own_signals(), pytest.raises(TuiwizError) as caught:
        train.run(folder.path)
    events = events_of(folder)
    assert isinstance(events[-1], Failed) and len(of_kind(events, Failed)) == 1
    summary = events[-1].summary
    assert summary["exit_code"] == int(caught.value.exit_code)
    return caught.value, summary


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "rows.jsonl"),
        ("", "empty"),
        ("[1, 2]\n[3]\n", "rows.jsonl"),
        ('{"colour": "red", "shape": "round"}\n', "colour"),
        ("not json at all\n", "rows.jsonl"),
    ],
    ids=["missing", "empty", "no object", "unknown columns", "no JSON"],
)
def test_bad_data_is_told_before_a_model_is_loaded(
    tmp_path: Path, tiny_model: Path, content: str | None, words: str
) -> None:
    run = make_run(tmp_path, tiny_model)
    (tmp_path / "rows.jsonl").unlink()
    if content is not None:
        (tmp_path / "rows.jsonl").write_text(content, encoding="utf-8")
    error, summary = failure_of(run)
    assert isinstance(error, InvalidError) and summary["exit_code"] == 3
    told = " ".join([summary["message"], *(f"{p['message']} {p['place']} {p['hint']}" for p in summary["problems"])])
    assert words in told
    assert not run.checkpoints.exists() and not run.adapter.exists() and not run.resolved.exists()


@pytest.mark.parametrize("missing", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_model_folder_that_lacks_a_file_is_told(tmp_path: Path, tiny_model: Path, missing: str) -> None:
    broken = tmp_path / "model"
    shutil.copytree(tiny_model, broken)
    (broken / missing).unlink()
    error, summary = failure_of(make_run(tmp_path, broken))
    assert isinstance(error, InvalidError) and summary["exit_code"] == 3
    assert summary["hint"] and "Traceback" not in summary["message"]


def test_damaged_weights_are_told(tmp_path: Path, tiny_model: Path) -> None:
    broken = tmp_path / "model"
    shutil.copytree(tiny_model, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    _, summary = failure_of(make_run(tmp_path, broken))
    assert summary["exit_code"] == 3 and "internal" not in summary["message"]


def test_targets_that_the_model_has_not_are_told(tmp_path: Path, tiny_model: Path) -> None:
    error, summary = failure_of(make_run(tmp_path, tiny_model, adapter__targets=["nonsense_proj"]))
    assert isinstance(error, InvalidError) and "adapter.targets" in summary["message"]


def test_a_failing_process_says_one_sentence_and_exits_with_its_code(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model)
    (tmp_path / "rows.jsonl").unlink()
    assert run_process(run) == 3
    assert "Traceback" not in run.log.read_text(encoding="utf-8")


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_fills_in_a_checkpoint_leaves_the_one_before(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, tiny_model, checkpoint__every=1, checkpoint__keep=4, schedule__steps=4)

    def filling(tensors: Any, path: Path) -> None:
        save_file(tensors, path)
        if ".step-3." in str(path) and path.name == checkpoint.OPTIMIZER:
            full_disk()

    monkeypatch.setattr(checkpoint, "save_file", filling)
    error, summary = failure_of(run)
    assert isinstance(error, MachineLacksError) and summary["exit_code"] == 8
    assert "disk is full" in summary["message"] and "resume" in summary["hint"]
    assert {path.name for path in run.checkpoints.iterdir()} == {"step-1", "step-2"}
    newest, complaints = checkpoint.newest_valid(run.checkpoints)
    assert newest == run.checkpoint(2) and not complaints


def test_a_disk_that_fills_with_the_result_leaves_no_half_adapter(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, tiny_model)
    monkeypatch.setattr("tuiwiz.executor.closing.shutil.copyfile", full_disk)
    _, summary = failure_of(run)
    assert summary["exit_code"] == 8
    assert not run.adapter.exists() and not list(run.path.glob(".adapter*"))


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 4, "out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), 4, "out of memory"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
            4,
            "out of memory",
        ),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 8, "/x"),
        (RuntimeError("shape mismatch\nmore"), 6, "shape mismatch"),
        (KeyError("x"), 1, "internal error"),
    ],
)
def test_errors_of_libraries_become_a_sentence_and_a_code(error: BaseException, code: int, words: str) -> None:
    told = translate(error)
    assert int(told.exit_code) == code and words in told.message and told.hint and "\n" not in told.message


def test_memory_that_runs_out_in_a_step_is_told_with_a_way_out(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuiwiz.executor import loop

    run = make_run(tmp_path, tiny_model, memory__oom="fail")

    def out_of_memory(*_: Any) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(loop, "optimizer_step", out_of_memory)
    _, summary = failure_of(run)
    assert summary["exit_code"] == 4 and "batch.micro" in summary["hint"]


def test_an_adapter_to_continue_from_that_is_not_there_is_told(tmp_path: Path, tiny_model: Path) -> None:
    _, summary = failure_of(make_run(tmp_path, tiny_model, adapter__from="nowhere"))
    assert summary["exit_code"] == 3 and "nowhere" in summary["message"]


def test_a_run_that_went_well_leaves_nothing_aside(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model)
    run_here(run)
    assert not [path for path in run.path.rglob("*") if ".tmp" in path.name]
