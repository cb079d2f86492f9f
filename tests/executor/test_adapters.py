"""Adapters that are saved are, on the untouched base model, what was trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.executor.desk import Desk
from tests.support.tiny import make_model
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


@pytest.mark.parametrize(("tied", "vocab"), [(True, 400), (False, 400), (True, 512)])
def test_new_tokens_come_back_with_plain_peft(desk: Desk, tied: bool, vocab: int) -> None:
    """Their rows begin as the mean of their pieces', in a head of its own, too, and are in the saved adapter; of 512
    rows some are spare, and the matrix keeps its size."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = make_model(desk.base / "source", tied=tied, vocab=vocab)
    base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    run = desk.run(
        model__source=str(source), adapter__new_tokens=["<call>"], optimizer__learning_rate=1e-2, adapter__rank=2
    )
    pieces = AutoTokenizer.from_pretrained(source).encode("<call>", add_special_tokens=False)
    (new,) = AutoTokenizer.from_pretrained(run.folder.adapter).encode("<call>", add_special_tokens=False)
    assert run.trainer.model.get_input_embeddings().weight.shape[0] == (512 if vocab == 512 else new + 1)
    start = base.get_input_embeddings().weight[pieces].mean(0)
    deltas = [name for name in run.first if "trainable_tokens" in name]
    assert len(deltas) == (1 if tied else 2)
    assert any(torch.allclose(run.first[name][0], start, atol=1e-6) for name in deltas)
    if not tied:
        head = base.get_output_embeddings().weight[pieces].mean(0)
        assert any(torch.allclose(run.first[name][0], head, atol=1e-6) for name in deltas)
    stored = load_file(run.folder.adapter / "adapter_model.safetensors")
    assert max(value.numel() for name, value in stored.items() if "lora" not in name) == 64, "no whole matrix"
    reloaded = AutoPeftModelForCausalLM.from_pretrained(str(run.folder.adapter), dtype=torch.float32)
    with torch.no_grad():
        ids = torch.tensor([[5, 6, new, 7, 8]])
        assert torch.allclose(run.trainer.model(ids).logits, reloaded(ids).logits, atol=2e-5)
    # Continued: the same rows, from where they were.
    more = desk.run(
        model__source=str(source),
        adapter__from=str(run.folder.adapter),
        adapter__new_tokens=["<call>"],
        adapter__rank=None,
    )
    assert all(torch.equal(more.first[name], run.trainer.weights[name]) for name in deltas)
    other = desk.prepare(
        model__source=str(source),
        adapter__from=str(run.folder.adapter),
        adapter__new_tokens=["<else>", "<call>"],
        adapter__rank=None,
    )
    assert desk.refused(other) == 3


def test_pissa_begins_as_the_base_model(desk: Desk, tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    seen: list[torch.Tensor] = []
    plain = desk.prepare(adapter__variant="pissa", adapter__rank=8)
    from tuiwiz.executor import lead

    inner: Callable[[Any], str] = vars(lead)["train"]

    def watching(trainer: Any) -> str:
        seen.append(logits(trainer.model))
        return inner(trainer)

    desk.patch.setattr(lead, "train", watching)
    desk.run(folder=plain)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    assert torch.allclose(seen[0], logits(base), atol=1e-4)


def test_residual_dropout_is_found_where_an_architecture_has_it() -> None:
    from transformers import GPT2Config, LlamaConfig, OPTConfig, PhiConfig

    assert residual_dropout_of(LlamaConfig()) == ""
    assert {residual_dropout_of(kind()) for kind in (GPT2Config, PhiConfig, OPTConfig)} <= set(RESIDUAL_DROPOUTS)
    assert residual_dropout_of(GPT2Config()) == "resid_pdrop"
