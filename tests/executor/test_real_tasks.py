"""Every task on real data: a few steps of a tiny model lower the held-out loss; the long ones have a real model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.training import make_run, of_kind, run_here
from tuiwiz.catalog import embedded
from tuiwiz.events import types

SETS: dict[str, tuple[str, str, dict[str, Any]]] = {
    # Name -> task, file, changes.
    "chat": ("chat", "sharegpt-en/dummy_conversation.json", {}),
    "instruct": ("instruct", "gsm8k/train.jsonl", {"data__max_length": 512}),
    "pretrain": ("pretrain", "tinyshakespeare/input.txt", {"data__train_on": "all", "data__max_length": 64}),
    "dpo": ("dpo", "preference-en/dpo_en_demo.json", {"optimizer__learning_rate": 5e-3}),
    "orpo": ("orpo", "preference-en/dpo_en_demo.json", {}),
    "simpo": ("simpo", "preference-en/dpo_en_demo.json", {}),
    "reward": ("reward", "preference-en/dpo_en_demo.json", {"optimizer__learning_rate": 1e-3}),
    "kto": ("kto", "kto-en/kto_en_demo.json", {"optimizer__learning_rate": 5e-3}),
    "classify": ("classify", "banking77/train.csv", {"optimizer__learning_rate": 3e-3, "schedule__steps": 60}),
}
SHORT: dict[str, Any] = {
    "data__max_length": 256,
    "data__overlong": "truncate",
    "validation__max_rows": 24,
    "adapter__rank": 8,
    "optimizer__learning_rate": 1e-2,
    "schedule__steps": 16,
    "batch__effective": 16,
    "batch__micro": 8,
    "evaluation__every": 1.0,
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", SETS)
def test_a_tiny_model_learns_from_real_rows(tmp_path: Path, tiny_model: Path, real_data: Path, name: str) -> None:
    task, file, changes = SETS[name]
    run = make_run(
        tmp_path, tiny_model, **{**SHORT, "task__kind": task, "data__train": str(real_data / file), **changes}
    )
    evals = [event.metrics for event in of_kind(run_here(run), types.Eval)]
    assert evals[-1]["loss"] < evals[0]["loss"]


REAL: dict[str, dict[str, Any]] = {
    "dpo": {"optimizer__learning_rate": 2e-4},
    "kto": {"optimizer__learning_rate": 2e-4},
    "orpo": {"optimizer__learning_rate": 2e-4},
    "simpo": {"optimizer__learning_rate": 1e-4},
    "reward": {"optimizer__learning_rate": 2e-4},
}


@pytest.mark.long
@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_a_real_model_learns_a_preference(tmp_path: Path, real_data: Path, name: str) -> None:
    if not embedded.is_ready():
        pytest.skip("`tuiwiz models get` brings the model")
    task, file, _ = SETS[name]
    changes = {**SHORT, "batch__effective": 8, "batch__micro": 4, "schedule__steps": 12, "model__dtype": "auto"}
    data = {"task__kind": task, "data__train": str(real_data / file)}
    evals = of_kind(run_here(make_run(tmp_path, embedded.folder(), **{**changes, **data, **REAL[name]})), types.Eval)
    assert evals[-1].metrics["loss"] < evals[0].metrics["loss"]
    assert evals[-1].metrics["margin"] > evals[0].metrics["margin"]
