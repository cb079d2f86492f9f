"""Runs that share a base model with others before them, bit for bit as runs that read their own."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from tests.executor.test_tasks import FRUITS
from tests.support.training import curve, events_of, make_run, of_kind, own_signals, run_here
from tuiwiz.base.files import sha256_file
from tuiwiz.bundle.read import read_bundle
from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor import train
from tuiwiz.executor.device import choose_device
from tuiwiz.executor.kept import KeptBase
from tuiwiz.executor.model import load_base

QLORA = {"adapter__method": "qlora", "model__dtype": "bf16"}
LABELLED = {"task__kind": "classify", "data__train": "labelled.jsonl"}
EVALUATED = {"validation__fraction": 0.25, "evaluation__every": 2}
KINDS: dict[str, dict[str, Any]] = {
    "dropout": {"adapter__dropout": 0.1},
    "rank and seed": {"adapter__rank": 8, "seed": 7},
    "dora": {"adapter__variant": "dora"},
    "noise": {"regularization__neftune": 5.0},
    "recomputed": {"memory__gradient_checkpointing": True},
    "head": LABELLED,
    "head, another seed": {**LABELLED, "seed": 3},
    "saved modules": {"adapter__modules_to_save": ["embed_tokens"]},
    "tokens": {"adapter__train_tokens": ["apples"]},
    "pissa": {"adapter__variant": "pissa"},
    "4 bits": QLORA,
    "4 bits, dora": {**QLORA, "adapter__variant": "dora"},
    "8 bits": {**QLORA, "quantization__bits": 8},
    "16 bits": {"model__dtype": "bf16"},
    "full": {"adapter__method": "full"},
    "freeze": {"adapter__method": "freeze", "adapter__trainable": ["layers[-50%:]"]},
}


def came_out(folder: RunFolder) -> tuple[Any, ...]:
    """Every loss and gradient norm, every evaluation, and the saved weights."""
    events = events_of(folder)
    scores = [(one.step, one.metrics["loss"]) for one in of_kind(events, types.Eval)]
    result = folder.adapter / "adapter_model.safetensors"
    return curve(events), scores, sha256_file(result if result.exists() else folder.model / "model.safetensors")


def run_with(bases: KeptBase, folder: RunFolder) -> RunFolder:
    with own_signals():
        assert train.run(folder.path, bases) == 0
    return folder


@pytest.fixture
def bases() -> KeptBase:
    return KeptBase()


OFTEN = ("dropout", "head, another seed", "4 bits, dora")
"""Tried in every run of the suite; the others are as good as these until something in the executor changes."""


@pytest.mark.parametrize(
    "kind", [kind if kind in OFTEN else pytest.param(kind, marks=pytest.mark.long) for kind in KINDS]
)
def test_a_run_on_a_kept_base_is_the_run_on_its_own(
    tmp_path: Path, tiny_model: Path, bases: KeptBase, kind: str
) -> None:
    rows = [f'{{"text": "Tom {i} has {FRUITS[i % 3]} today", "label": "{FRUITS[i % 3]}"}}\n' for i in range(24)]
    (tmp_path / "labelled.jsonl").write_text("".join(rows), encoding="utf-8")
    settings: dict[str, Any] = {**EVALUATED, **KINDS[kind]}
    alone = make_run(tmp_path, tiny_model, "alone", **settings)
    run_here(alone)
    # What leaves most behind: another rank, dropout, noise, recomputed activations.
    messy: dict[str, Any] = (
        {"adapter__rank": 2, "adapter__dropout": 0.3} if not kind.startswith(("full", "freeze")) else {}
    )
    mess: dict[str, Any] = {**settings, **messy, "regularization__neftune": 9.0, "memory__gradient_checkpointing": True}
    run_with(bases, make_run(tmp_path, tiny_model, "messy", **mess))
    second = run_with(bases, make_run(tmp_path, tiny_model, "second", **settings))
    assert came_out(second) == came_out(alone)


def test_the_base_is_read_once_and_its_weights_stay(tmp_path: Path, tiny_model: Path) -> None:
    read: list[Any] = []

    def counting(*arguments: Any) -> Any:
        read.append(load_base(*arguments))
        return read[-1]

    bases = KeptBase(counting)
    for number in range(3):
        run_with(bases, make_run(tmp_path, tiny_model, str(number), adapter__rank=4 + number, seed=number + 1))
    assert len(read) == 1
    fresh = {name: value.clone() for name, value in read[0].named_parameters()}
    run_with(bases, make_run(tmp_path, tiny_model, "again"))
    assert all((value == fresh[name]).all() for name, value in read[0].named_parameters())
    assert not any("lora" in name for name, _ in read[0].named_modules())
    # Another base takes its place.
    run_with(bases, make_run(tmp_path, tiny_model, "bf16", model__dtype="bf16"))
    assert len(read) == 2


def test_what_was_found_out_about_a_base_is_not_found_out_again(tmp_path: Path) -> None:
    bases, asks, names = KeptBase(load=lambda folder, bundle, device, labels: nn.Linear(1, 1)), list[str](), count()

    def find_out() -> bool:
        asks.append("rows apart")
        return True

    def asked(**changes: Any) -> int:
        bundle = read_bundle(make_run(tmp_path, tmp_path, name=f"run{next(names)}", **changes).bundle)
        bases(tmp_path, bundle, choose_device(bundle))
        assert bases.remembered("rows apart", find_out)
        return len(asks)

    assert [asked(), asked(adapter__rank=8), asked(model__dtype="bf16")] == [1, 1, 2]
    # A base that is not kept is asked about every time, and so is the next that is.
    assert [asked(adapter__variant="pissa"), asked(adapter__variant="pissa"), asked()] == [3, 4, 5]
