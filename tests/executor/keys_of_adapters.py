"""What the keys of adapter variants, of what is trained beside adapters, and of freezing change in a run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from tests.executor.desk import ONE, SGD, Desk, Seen, shows
from tests.executor.keys_of_schedules import moved_parts
from tests.support.tiny import make_model


@shows("adapter.rank_pattern")
def _adapter_rank_pattern(desk: Desk) -> None:
    folder = desk.prepare(adapter__rank=4)
    folder.bundle.write_text(folder.bundle.read_text() + "\n[adapter.rank_pattern]\nq_proj = 3\n")
    run = desk.run(folder=folder)
    ranks = {name.split(".")[-4]: value.shape[0] for name, value in run.first.items() if "lora_A" in name}
    assert ranks["q_proj"] == 3 and {rank for name, rank in ranks.items() if name != "q_proj"} == {4}


@shows("adapter.modules_to_save")
def _adapter_modules_to_save(desk: Desk) -> None:
    run = desk.run(adapter__modules_to_save=["lm_head"])
    assert run.moved("lm_head") > 0
    saved = load_file(run.folder.adapter / "adapter_model.safetensors")
    assert any("lm_head" in name and value.shape == (512, 64) for name, value in saved.items())
    assert desk.refused(desk.prepare(adapter__modules_to_save=["nothing"])) == 3


@shows("adapter.train_tokens")
def _adapter_train_tokens(desk: Desk) -> None:
    run = desk.run(adapter__train_tokens=["<|im_end|>", "<|im_start|>"], adapter__targets=["q_proj"])
    assert [tuple(value.shape) for name, value in run.first.items() if "trainable_tokens" in name] == [(2, 64)]
    assert run.moved("trainable_tokens") > 0
    assert desk.refused(desk.prepare(adapter__train_tokens=["<|none|>"])) == 3


@shows("adapter.new_tokens")
def _adapter_new_tokens(desk: Desk) -> None:
    desk.file("tools.jsonl", *({"prompt": f"call {n}", "completion": f"<tool>{n}</tool>"} for n in range(8)))
    run = desk.run(data__train="tools.jsonl", adapter__new_tokens=["<tool>", "</tool>"])
    saved = AutoTokenizer.from_pretrained(run.folder.adapter)
    marks = [saved.encode(token, add_special_tokens=False) for token in ("<tool>", "</tool>")]
    assert [len(ids) for ids in marks] == [1, 1], "each is one id"
    assert all(ids[0] in row for row in run.ids for ids in marks)
    assert [tuple(value.shape) for name, value in run.first.items() if "trainable_tokens" in name] == [(2, 64)]
    assert run.moved("trainable_tokens") > 0
    assert desk.refused(desk.prepare(adapter__new_tokens=["<|im_end|>"])) == 3


@shows("adapter.loraplus_ratio")
def _adapter_loraplus_ratio(desk: Desk) -> None:
    once = {**ONE, **SGD, "adapter__variant": "loraplus", "schedule__steps": 1}
    one, other = (desk.run(adapter__loraplus_ratio=ratio, **once) for ratio in (1.0, 8.0))
    assert other.moved("lora_B") == pytest.approx(8 * one.moved("lora_B"), rel=1e-3)


@shows("adapter.trainable")
def _adapter_trainable(desk: Desk) -> None:
    deep = str(make_model(desk.base / "deep", layers=4))
    for wanted, found in {
        "layers[-25%:]": {"3"},
        "layers[:2]": {"0", "1"},
        "norms, *.q_proj.*": {"0", "1", "2", "3", "norm"},
    }.items():
        run = desk.run(model__source=deep, adapter__method="freeze", adapter__rank=None, adapter__trainable=wanted)
        assert {name.split(".")[2] if ".layers." in name else "norm" for name in moved_parts(run)} == found, wanted
        assert len(moved_parts(run)) == len(run.first), "all that is trained moves"
    saved = load_file(run.folder.model / "model.safetensors")
    before = load_file(desk.base / "deep" / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], saved[name])}
    assert changed == {name for name in before if "norm" in name or "q_proj" in name}


@shows("adapter.variant")
def _adapter_variant(desk: Desk) -> None:
    runs: dict[str, Any] = {
        word: desk.run(adapter__variant=word) for word in ("plain", "rslora", "dora", "pissa", "loraplus")
    }
    layers = {word: _layer(run.trainer.model) for word, run in runs.items()}
    assert layers["rslora"].scaling["default"] == pytest.approx(2 * layers["plain"].scaling["default"])
    assert any("lora_magnitude_vector" in name for name in runs["dora"].first)
    assert runs["dora"].moved("lora_magnitude_vector") > 0
    assert float(runs["pissa"].first[_name(runs["pissa"], "lora_B")].abs().sum()) > 0, "PiSSA does not start at zero"
    assert runs["loraplus"].moved("lora_B") > 4 * runs["plain"].moved("lora_B")
    # alpha / sqrt(r) in place of alpha / r.
    one, other = (desk.run(adapter__variant=variant, **ONE) for variant in ("plain", "rslora"))
    assert other.metric("grad_norm")[0] == pytest.approx(2 * one.metric("grad_norm")[0], rel=1e-4)


@shows("quantization.bits")
def _quantization_bits(desk: Desk) -> None:
    kinds = {}
    for bits in (4, 8):
        run = desk.run(adapter__method="qlora", quantization__bits=bits)
        kinds[bits] = {type(p).__name__ for p in run.trainer.model.parameters() if not p.requires_grad}
        assert run.moved("lora_B") > 0
    assert "Params4bit" in kinds[4] and "Int8Params" in kinds[8]


def _layer(model: Any) -> Any:
    return next(module for name, module in model.named_modules() if name.endswith("q_proj"))


def _name(run: Seen, part: str) -> str:
    return next(name for name in run.first if part in name)
