"""Contradictions of optimizer, schedule, phases, adapters and stopping are found, each with the way out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import unflatten
from tuiwiz.spec.needs import libraries, without_cuda
from tuiwiz.spec.rules import check

SMALL: dict[str, Any] = {"task.kind": "instruct", "model.source": "m", "data.train": "d", "schedule.epochs": 1.0}
FULL = {"adapter.method": "full"}
HALVES: list[dict[str, Any]] = [{"name": "a", "share": 0.5}, {"name": "b", "share": 0.5}]


def bundle(changes: dict[str, Any]) -> Bundle:
    return msgspec.convert(unflatten(SMALL | changes), Bundle)


def problems(changes: dict[str, Any], severity: str) -> list[str]:
    return [f"{p.key}: {p.message} | {p.hint}" for p in check(bundle(changes)) if p.severity == severity]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"schedule.cycles": 5}, "schedule.cycles", "cosine_restarts"),
    ({"schedule.power": 3.0}, "schedule.power", "polynomial"),
    ({"schedule.decay": 0.5}, "schedule.decay", "warmup_stable_decay"),
    ({"schedule.plateau_factor": 0.1}, "schedule.plateau_factor", "plateau"),
    ({"schedule.plateau_patience": 9}, "schedule.plateau_patience", "plateau"),
    ({"schedule.kind": "plateau", "validation.fraction": 0.0}, "schedule.kind", "validation.fraction"),
    ({"schedule.kind": "inverse_sqrt", "schedule.min_ratio": 0.1}, "schedule.min_ratio", "cosine"),
    ({"schedule.stop_by": "25:99"}, "schedule.stop_by", "08:00"),
    ({"schedule.stop_by": "tomorrow"}, "schedule.stop_by", "08:00"),
    ({"optimizer.nesterov": True}, "optimizer.nesterov", "sgd"),
    ({"optimizer.name": "sgd", "optimizer.nesterov": True}, "optimizer.nesterov", "momentum = 0.9"),
    ({"optimizer.name": "lion", "optimizer.epsilon": 1e-6}, "optimizer.epsilon", "leave it out"),
    ({"optimizer.name": "adafactor", "optimizer.betas": [0.8, 0.9]}, "optimizer.betas", "leave it out"),
    ({"optimizer.name": "muon"}, "optimizer.name", "adamw"),
    ({"optimizer.name": "muon", **FULL, "model.dtype": "fp16"}, "optimizer.name", "bf16"),
    ({"optimizer.name": "schedule_free_adamw"}, "schedule.kind", "constant"),
    ({"optimizer.embedding_ratio": 0.5}, "optimizer.embedding_ratio", "modules_to_save"),
    ({"optimizer.head_ratio": 0.5}, "optimizer.head_ratio", "modules_to_save"),
    ({"adapter.loraplus_ratio": 4.0}, "adapter.loraplus_ratio", "loraplus"),
    ({"adapter.trainable": "head"}, "adapter.trainable", "freeze"),
    ({"adapter.method": "freeze", "adapter.trainable": "hed"}, "adapter.trainable", "layers[-25%:]"),
    ({"adapter.method": "freeze", "adapter.rank": 8}, "adapter.rank", "lora"),
    ({"adapter.variant": "pissa"}, "adapter.variant", "lora"),
    ({"adapter.variant": "pissa", "adapter.method": "lora", "adapter.from": "x"}, "adapter.variant", "adapter.from"),
    ({"adapter.rank_pattern": {"q_proj": 0}}, "adapter.rank_pattern", "q_proj = 8"),
    ({"adapter.modules_to_save": ["lm_head"], **FULL}, "adapter.modules_to_save", "lora"),
    (
        {"adapter.targets": ["q_proj", "v_proj"], "adapter.modules_to_save": ["q_proj"]},
        "adapter.modules_to_save",
        "one of the two",
    ),
    ({"quantization.bits": 8, "quantization.type": "fp4"}, "quantization.type", "bits = 4"),
    ({"quantization.bits": 8, **FULL}, "quantization.bits", "qlora"),
    ({"regularization.residual_dropout": 0.1}, "regularization.residual_dropout", "full"),
    ({"regularization.residual_dropout": 0.999, **FULL}, "regularization.residual_dropout", "0.1 to 0.3"),
    ({"regularization.label_smoothing": 0.95}, "regularization.label_smoothing", "0.1"),
    ({"adapter.dropout": 0.9}, "adapter.dropout", "0.05"),
    ({"model.source": "./m", "model.revision": "main"}, "model.revision", "ORG/NAME"),
    ({"model.source": "/models/m", "model.revision": "main"}, "model.revision", "leave it out"),
    ({"evaluation.patience": 2, "validation.fraction": 0.0}, "evaluation.patience", "validation.fraction"),
    ({"evaluation.noise_aware": True, "evaluation.metric": "exact_match"}, "evaluation.noise_aware", "min_delta"),
    ({"phases": [{"name": "a", "share": 0.5}]}, "phases", "add up to 1"),
    ({"phases": [{"name": "a"}]}, "phases", "share"),
    ({"phases": [{"name": "a", "share": 0.5}, {"name": "b", "steps": 5}]}, "phases", "share"),
    ({"phases": [{"name": "a", "steps": 5}]}, "phases", "keep one"),
    ({"phases": [{"name": "a", "share": 1.0, "trainable": "legs"}]}, "phases", "layers[-25%:]"),
    ({"phases": [{"name": "a", "share": 1.0, "trainable": []}]}, "phases", "name a part"),
    ({"phases": [{"name": "a", "share": 1.0, "learning_rate": -1.0}]}, "phases", "1e-4"),
    ({"phases": [{"name": "a", "share": 1.0, "warmup": -1.0}]}, "phases", "0 or more"),
    ({"phases": [{"name": "a", "share": 1.0, "until": "bored"}]}, "phases", "plateau:3"),
    ({"phases": [{**HALVES[0], "until": "plateau:2"}, HALVES[1]], "validation.fraction": 0.0}, "phases", "fraction"),
    ({"phases": [HALVES[0], HALVES[0]]}, "phases", "log"),
    ({"schedule.epochs": None, "phases": [{"name": "a", "steps": 5, "warmup": 9.0}]}, "phases", "0.03"),
    ({"task.kind": "dpo", "phases": [{"name": "a", "share": 1.0, "data": "x"}]}, "phases", "adapter.from"),
]


@pytest.mark.parametrize(("changes", "key", "way_out"), REFUSED)
def test_it_is_refused_with_the_way_out(changes: dict[str, Any], key: str, way_out: str) -> None:
    found = problems(changes, "error")
    assert any(text.startswith(f"{key}: ") and way_out in text.partition(" | ")[2] for text in found), found


WARNED: list[tuple[dict[str, Any], str]] = [
    ({"optimizer.name": "lion", "optimizer.learning_rate": 1e-4}, "optimizer.betas"),
    ({"optimizer.name": "lion", "optimizer.learning_rate": 1e-3}, "optimizer.learning_rate"),
    ({"optimizer.name": "lamb"}, "optimizer.name"),
    ({"adapter.dropout": 0.6}, "adapter.dropout"),
    ({"optimizer.betas": [0.999, 0.9]}, "optimizer.betas"),
    ({"task.kind": "classify", "data.system": "You are kind."}, "data.system"),
    ({"task.kind": "pretrain", "data.train_on": "all", "data.template": "chatml"}, "data.template"),
    ({"validation.fraction": 0.0, "validation.max_rows": 9}, "validation.max_rows"),
    ({"validation.fraction": 0.0, "evaluation.metric": "chrf"}, "evaluation.metric"),
    ({"regularization.residual_dropout": 0.6, **FULL}, "regularization.residual_dropout"),
]


@pytest.mark.parametrize(("changes", "key"), WARNED)
def test_it_is_warned_about(changes: dict[str, Any], key: str) -> None:
    assert any(text.startswith(f"{key}: ") for text in problems(changes, "warning"))
    assert problems(changes, "error") == []


FINE: list[dict[str, Any]] = [
    {"optimizer.name": "schedule_free_adamw", "schedule.kind": "constant"},
    {"optimizer.name": "muon", **FULL},
    {"adapter.method": "freeze"},
    {"adapter.method": "freeze", "adapter.trainable": "norms, layers[-2:], *.q_proj.*"},
    {"quantization.bits": 8},
    {"task.kind": "classify", "optimizer.head_ratio": 5.0},
    {"adapter.new_tokens": ["<tool>"], "optimizer.embedding_ratio": 2.0},
    {"regularization.residual_dropout": 0.3, **FULL},
    {"model.source": "org/model", "model.revision": "main"},
    {"phases": HALVES},
    {"schedule.epochs": None, "phases": [{"name": "a", "steps": 5}, {"name": "b", "steps": 9, "until": "plateau:2"}]},
    {"schedule.stop_by": "08:00"},
    {"schedule.stop_by": "2030-01-01T08:00"},
    {"schedule.plateau_factor": 0.1, "phases": [{"name": "a", "share": 1.0, "schedule": "plateau"}]},
]


@pytest.mark.parametrize("changes", FINE)
def test_it_is_taken(changes: dict[str, Any]) -> None:
    assert problems(changes, "error") == []


def test_what_a_machine_needs_is_asked_for() -> None:
    one = bundle({"optimizer.name": "lamb", "tracking.wandb": True, "memory.liger": True, "memory.tf32": True})
    assert [name for name, _, _ in libraries(one)] == [
        "peft",
        "bitsandbytes",
        "pytorch_optimizer",
        "wandb",
        "liger_kernel",
    ]
    assert [problem.key for problem in without_cuda(one)] == ["memory.liger", "memory.tf32"]
    assert all(problem.hint for problem in without_cuda(one))
    assert list(libraries(bundle(FULL))) == [] == list(without_cuda(bundle(FULL)))
