"""What a bundle names and a model has not is told by `check`, and what `check` lets pass the run carries out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from safetensors.numpy import save_file

from tests.executor.desk import Desk
from tests.support.tiny import make_model
from tests.support.training import add_phases, make_run, write_rows
from tuiwiz.bundle.read import inspect_bundle
from tuiwiz.wizard.continued import continued
from tuiwiz.wizard.preflight import preflight

FREEZE: dict[str, Any] = {"adapter__method": "freeze", "adapter__rank": None}


def errors(base: Path, bundle: Path) -> dict[str, str]:
    """Key -> message and hint of what `check` refuses."""
    read, problems = inspect_bundle(bundle)
    found = [*problems, *(preflight(read, base).problems if read is not None and problems.ok else ())]
    return {problem.key: f"{problem.message} | {problem.hint}" for problem in found if problem.severity == "error"}


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "target": ({"adapter__targets": ["q_proj", "v_prj"]}, "adapter.targets", "did you mean v_proj?"),
    "module": ({"adapter__modules_to_save": ["lm_hed"]}, "adapter.modules_to_save", 'no module "lm_hed"'),
    "adapter": ({"adapter__from": "nowhere"}, "adapter.from", "no adapter_config.json"),
    "part": ({**FREEZE, "adapter__trainable": "layers[7:]"}, "adapter.trainable", "names nothing of this model"),
    "tied head": ({**FREEZE, "adapter__trainable": "head"}, "adapter.trainable", "names nothing of this model"),
    "strangers": ({**FREEZE, "adapter__new_tokens": ["<t>"]}, "adapter.new_tokens", 'add "embeddings"'),
    "known token": ({"adapter__new_tokens": ["<|im_end|>"]}, "adapter.new_tokens", "has '<|im_end|>' already"),
    "twice": ({"adapter__new_tokens": ["<t>", "<t>"]}, "adapter.new_tokens", "names a token twice"),
    "no matrix": ({"adapter__targets": ["norm"]}, "adapter.targets", "modules_to_save"),
    "container": ({"adapter__targets": ["q_proj", "self_attn"]}, "adapter.targets", "no matrix that adapters fit on"),
    "embedding": ({"adapter__targets": ["embed_tokens"]}, "adapter.targets", "adapter.train_tokens"),
    "everything": ({"adapter__modules_to_save": ["layers"]}, "adapter.modules_to_save", "holds every layer"),
    "token": ({"adapter__train_tokens": ["nope"]}, "adapter.train_tokens", "adapter.new_tokens adds it"),
    "head of words": (
        {"task__kind": "classify", "data__train": "classes.jsonl", "adapter__modules_to_save": ["lm_head"]},
        "adapter.modules_to_save",
        'no module "lm_head"',
    ),
    "numbers": (
        {"task__kind": "classify", "task__labels": "regression", "data__train": "classes.jsonl"},
        "data.train",
        "no row has a label",
    ),
    "8 bits": (
        {"adapter__method": "qlora", "adapter__variant": "dora", "quantization__bits": 8},
        "adapter.variant",
        "quantization.bits = 4",
    ),
    "no head": (
        {"adapter__method": "full", "adapter__rank": None, "optimizer__head_ratio": 3.0},
        "optimizer.head_ratio",
        "it is the embedding in this model",
    ),
    "frozen embedding": (
        {**FREEZE, "optimizer__embedding_ratio": 3.0},
        "optimizer.embedding_ratio",
        "adapter.trainable leaves it as it is",
    ),
    "card": ({"launch__devices": "x"}, "launch.devices", '"auto", or a list'),
    "states": ({"memory__offload": "optimizer"}, "memory.offload", "paged_adamw_8bit"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_there_is_told_before_the_run(tmp_path: Path, tiny_model: Path, case: str) -> None:
    write_rows(tmp_path / "rows.jsonl", 24)
    rows = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(8)]
    (tmp_path / "classes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes, key, words = CASES[case]
    found = errors(tmp_path, make_run(tmp_path, tiny_model, **changes).bundle)
    assert any(words in text for text in found.values()) and (key in found or case == "known token"), found


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ({"share": 1.0, "data": "nowhere.jsonl"}, "no such file"),
        ({"share": 1.0, "data": "pairs.jsonl"}, "does not fit the task"),
        ({"share": 1.0, "trainable": "head"}, "would train nothing"),
        ({"share": 1.0, "trainable": "layers[9:]"}, "would train nothing"),
        ({"share": float("nan")}, "add up to nan"),
        ({"share": 1.0, "warmup": float("nan")}, "a warm-up of nan"),
        ({"share": 1.0, "data": " "}, "an empty path"),
    ],
)
def test_a_phase_that_cannot_be_is_told(tmp_path: Path, tiny_model: Path, phase: dict[str, Any], words: str) -> None:
    write_rows(tmp_path / "rows.jsonl", 24)
    pair = {"prompt": "a?", "chosen": "b", "rejected": "c"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    folder = make_run(tmp_path, tiny_model)
    text = "".join(f"{key} = {json.dumps(value).replace('NaN', 'nan')}\n" for key, value in phase.items())
    folder.bundle.write_text(folder.bundle.read_text() + f'\n[[phases]]\nname = "one"\n{text}')
    found = errors(tmp_path, folder.bundle)
    assert any(words in told for told in found.values()), found


@pytest.mark.parametrize(("width", "told"), [(384, False), (256, True)])
def test_an_adapter_of_an_encoder_goes_on_where_the_models_file_leaves_out_the_prefix(
    tmp_path: Path, width: int, told: bool
) -> None:
    matrix = "base_model.model.bert.encoder.layer.0.output.dense.lora_A.weight"
    tensors = {
        matrix: numpy.zeros((8, width), "float32"),
        "base_model.model.classifier.bias": numpy.zeros(77, "float32"),
    }
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text('{"r": 8, "lora_alpha": 16, "task_type": "SEQ_CLS"}')
    changes: dict[str, Any] = {"task__kind": "classify", "adapter__from": str(tmp_path)}
    bundle, _ = inspect_bundle(make_run(tmp_path, tmp_path, **changes).bundle)
    assert bundle is not None
    shapes = {"encoder.layer.0.output.dense.weight": (384, 384)}
    found = [problem.message for problem in continued(bundle, tmp_path, shapes) if problem.severity == "error"]
    assert any("another model" in message for message in found) is told


def test_an_adapter_of_another_model_is_told(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path, tiny_model, monkeypatch)
    other = make_model(tmp_path / "wide", hidden=32)
    saved = desk.run(model__source=str(other)).folder.adapter
    folder = desk.prepare(adapter__from=str(saved), adapter__rank=None)
    assert "is of another model" in errors(tmp_path, folder.bundle)["adapter.from"]
    assert desk.refused(folder) == 3


def test_what_the_adapter_overrules_is_said(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path, tiny_model, monkeypatch)
    saved = desk.run(adapter__rank=4).folder.adapter
    bundle, _ = inspect_bundle(desk.prepare(adapter__from=str(saved), adapter__rank=8).bundle)
    assert bundle is not None
    told = {problem.key: problem.message for problem in preflight(bundle, tmp_path).problems}
    assert "adapter.rank = 8 changes nothing" in told["adapter.rank"]


def test_a_copy_of_a_shared_matrix_is_told(tmp_path: Path, tiny_model: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 24)
    untied = make_model(tmp_path / "untied", tied=False)
    told = []
    for number, (model, saved) in enumerate(
        [(tiny_model, ["lm_head"]), (tiny_model, ["embed_tokens", "lm_head"]), (untied, ["lm_head"])]
    ):
        folder = make_run(tmp_path, model, f"run{number}", adapter__modules_to_save=saved)
        bundle, _ = inspect_bundle(folder.bundle)
        assert bundle is not None
        found = preflight(bundle, tmp_path).problems
        told.append(any("are one matrix" in one.message and one.severity == "warning" for one in found))
    assert told == [True, False, False]


OVERRULED: dict[str, tuple[dict[str, Any], str]] = {
    "variant": ({"adapter__variant": "dora"}, "adapter.variant"),
    "targets": ({"adapter__targets": ["q_proj"]}, "adapter.targets"),
    "saved": ({"adapter__modules_to_save": ["lm_head"]}, "adapter.modules_to_save"),
    "tokens": ({"adapter__train_tokens": ["<|im_end|>"]}, "adapter.train_tokens"),
    "task": ({"task__kind": "classify", "data__train": "classes.jsonl"}, "adapter.from"),
}


def test_an_adapter_of_another_form_or_task_is_told(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, tiny_model, monkeypatch)
    rows = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(8)]
    desk.file("classes.jsonl", *rows)
    first = desk.run(adapter__rank=4)
    saved, step = str(first.folder.adapter), first.trainer.progress.step
    for changes, key in OVERRULED.values():
        folder = desk.prepare(adapter__from=saved, **changes)
        assert key in errors(tmp_path, folder.bundle), changes
        if key in ("adapter.from", "adapter.train_tokens"):
            assert desk.refused(folder) == 3
    assert errors(tmp_path, desk.prepare(adapter__from=saved, adapter__variant="loraplus").bundle) == {}
    checkpoint = str(first.folder.checkpoints / f"step-{step}")
    assert errors(tmp_path, desk.prepare(adapter__from=checkpoint, adapter__rank=4).bundle) == {}
    told = errors(tmp_path, desk.prepare(adapter__from=checkpoint, adapter__rank=8).bundle)
    assert "set adapter.rank = 4" in told["adapter.from"]


def test_phases_that_check_lets_pass_run(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path, tiny_model, monkeypatch)
    write_rows(tmp_path / "other.jsonl", 6, start=40)
    folder = desk.prepare(schedule__steps=4)
    stages = [
        {"name": "a", "share": 0.5, "trainable": "layers[0:1]", "data": "other.jsonl"},
        {"name": "b", "share": 0.5, "trainable": "adapters"},
    ]
    add_phases(folder, *stages)
    assert not errors(tmp_path, folder.bundle)
    desk.run(folder=folder)
