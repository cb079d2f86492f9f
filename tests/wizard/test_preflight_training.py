"""What `check` knows of optimizers, schedules, phases and the machine before anything is loaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.executor.desk import Desk
from tests.support.tiny import make_encoder
from tests.support.training import make_run, write_rows
from tuiwiz.bundle.read import inspect_bundle
from tuiwiz.spec.model import ENCODERS, positions_of
from tuiwiz.wizard import preflight as room
from tuiwiz.wizard.preflight import preflight


def found(base: Path, model: Path, name: str, **changes: Any) -> dict[str, str]:
    """Key -> message and hint of all problems of a bundle with these changes."""
    folder = make_run(base, model, name, **changes)
    bundle, problems = inspect_bundle(folder.bundle)
    assert bundle is not None, problems
    return {p.key: f"{p.message} | {p.hint}" for p in [*problems, *preflight(bundle, base).problems] if p.key}


def test_what_is_missing_or_too_long_is_told(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "rows.jsonl", 24)
    plain: Any = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "pytorch_optimizer" else plain(name, *rest),
    )
    told = found(tmp_path, tiny_model, "a", optimizer__name="lamb")
    assert "pytorch-optimizer is not installed" in told["optimizer.name"] and "adamw" in told["optimizer.name"]
    told = found(tmp_path, tiny_model, "b", memory__tf32=True)
    assert "memory.tf32 needs a CUDA device" in told["memory.tf32"]
    told = found(tmp_path, tiny_model, "c", schedule__warmup=50, schedule__steps=None, schedule__epochs=2.0)
    assert (
        "a warm-up of 50 steps never ends in a run of" in told["schedule.warmup"] and "0.03" in told["schedule.warmup"]
    )
    told = found(tmp_path, tiny_model, "d", evaluation__patience=3, evaluation__every=2, validation__fraction=0.2)
    assert "2 evaluations in 4 steps cannot use up" in told["evaluation.patience"]
    full = {"adapter__method": "full", "adapter__rank": None}
    told = found(tmp_path, tiny_model, "e", regularization__residual_dropout=0.2, **full)
    assert "llama has no residual dropout" in told["regularization.residual_dropout"]
    told = found(tmp_path, tiny_model, "f", optimizer__name="paged_adamw_8bit")
    assert "paging means nothing on a CPU" in told["optimizer.name"]
    (tmp_path / "mine").symlink_to(tiny_model)
    told = found(tmp_path, Path("mine"), "g", model__revision="main")
    assert "names a commit" in told["model.revision"] and "leave it out" in told["model.revision"]


def test_the_list_of_architectures_without_residual_dropout_is_true() -> None:
    from transformers import CONFIG_MAPPING

    from tuiwiz.executor.freeze import residual_dropout_of

    assert {residual_dropout_of(CONFIG_MAPPING[name]()) for name in room.WITHOUT_RESIDUAL_DROPOUT} == {""}


def test_the_list_of_encoders_is_true() -> None:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    assert set(ENCODERS) <= set(CONFIG_MAPPING.keys())
    assert all(not CONFIG_MAPPING[name]().is_decoder for name in ENCODERS & MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.keys())


def test_an_encoder_is_not_taught_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = make_encoder(tmp_path / "encoder")
    desk = Desk(tmp_path, encoder, monkeypatch)
    told = found(tmp_path, encoder, "a")
    assert 'cannot learn instruct | choose a model that writes, or set task.kind = "classify"' in told["model.source"]
    assert desk.refused(desk.prepare()) == 3


def test_rows_beyond_the_last_position_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path, make_encoder(tmp_path / "encoder"), monkeypatch)
    rows = [{"text": f"{n} apples " * 60, "label": "ab"[n % 2]} for n in range(8)]
    task: dict[str, Any] = {
        "task__kind": "classify",
        "data__train": desk.file("long.jsonl", *rows),
        "data__max_length": 400,
    }
    told = found(tmp_path, desk.model, "a", **task)
    assert "the model has positions for 128 | set data.max_length = 128" in told["data.max_length"]
    assert desk.refused(desk.prepare(**task)) == 3
    desk.run(**{**task, "data__max_length": 128, "data__overlong": "truncate", "schedule__steps": 1})
    assert positions_of({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}) == 512
    assert positions_of({"model_type": "gpt2", "n_positions": 1024}) == 1024
    assert positions_of({"model_type": "llama", "max_position_embeddings": 2048}) == 0


def test_a_moment_that_is_over_is_told(tmp_path: Path, tiny_model: Path) -> None:
    told = found(tmp_path, tiny_model, "a", schedule__stop_by="2020-01-01T08:00")
    assert "is over" in told["schedule.stop_by"]
    assert "schedule.stop_by" not in found(tmp_path, tiny_model, "b", schedule__stop_by="08:00")
