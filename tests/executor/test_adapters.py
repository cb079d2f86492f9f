"""Adapters that are saved are, on the untouched base model, what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.executor.desk import Desk
from tuiwiz.executor.freeze import RESIDUAL_DROPOUTS, residual_dropout_of


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, tiny_model, monkeypatch)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(5, 25)[None]).logits
    return found


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"adapter__variant": "rslora"},
    "dora": {"adapter__variant": "dora"},
    "pissa": {"adapter__variant": "pissa"},
    "loraplus": {"adapter__variant": "loraplus"},
    "head": {"adapter__modules_to_save": ["lm_head"]},
    "tokens": {"adapter__train_tokens": ["<|im_end|>"]},
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_saved_is_what_was_trained(desk: Desk, tiny_model: Path, case: str) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    run = desk.run(optimizer__learning_rate=1e-2, **CASES[case])
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    before = logits(base)
    reloaded = PeftModel.from_pretrained(base, str(run.folder.adapter))
    trained = logits(run.trainer.model)
    assert torch.allclose(trained, logits(reloaded), atol=2e-5)
    assert not torch.allclose(trained, before, atol=1e-3)


def test_pissa_begins_as_the_base_model(desk: Desk, tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    seen: list[torch.Tensor] = []
    plain = desk.prepare(adapter__variant="pissa", adapter__rank=8)
    from tuiwiz.executor import loop

    inner = loop.train

    def watching(trainer: Any) -> str:
        seen.append(logits(trainer.model))
        return inner(trainer)

    desk.patch.setattr(loop, "train", watching)
    desk.run(folder=plain)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    assert torch.allclose(seen[0], logits(base), atol=1e-4)


def test_residual_dropout_is_found_where_an_architecture_has_it() -> None:
    from transformers import GPT2Config, LlamaConfig, OPTConfig, PhiConfig

    assert residual_dropout_of(LlamaConfig()) == ""
    assert {residual_dropout_of(kind()) for kind in (GPT2Config, PhiConfig, OPTConfig)} <= set(RESIDUAL_DROPOUTS)
    assert residual_dropout_of(GPT2Config()) == "resid_pdrop"
