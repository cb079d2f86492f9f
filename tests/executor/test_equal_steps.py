"""How a step is cut, packed or recomputed changes nothing that is learnt; nor does looking in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.executor.support import copies, evaluated, make_run, watch_gradients
from tuiwiz.executor.loop import optimizer_step
from tuiwiz.executor.trainer import Trainer

METHODS = {
    "lora": {},
    "rslora": {"adapter__variant": '"rslora"'},
    "full": {"adapter__method": '"full"', "adapter__rank": "16", "adapter__alpha": "32.0"},
}
WAYS = {
    "1 x 4": {"batch__micro": "1"},
    "2 x 2": {"batch__micro": "2"},
    "3 + 1": {"batch__micro": "3"},
    "packed": {"batch__micro": "4", "data__packing": "true"},
    "packed, one by one": {"batch__micro": "1", "data__packing": "true"},
    "recomputed": {"batch__micro": "2", "memory__gradient_checkpointing": "true"},
    "all logits at once": {"batch__micro": "4", "memory__fused_loss": "false"},
    "attention by hand": {"batch__micro": "4", "model__attention": '"eager"'},
}


def rows_of_every_length(folder: Path) -> None:
    """Rows of 1 to 20 words, so that padding and packing have something to do."""
    rows = [{"question": f"What is {i}?", "answer": " ".join(["It is four."] * (1 + i % 7))} for i in range(24)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def one_step(run: Trainer) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of the first step; LoRA's B is moved off zero first, so that A has a gradient too."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, value in run.weights.items():
            if ".lora_B." in name:
                value.copy_(0.05 * torch.randn_like(value))
    gradients = watch_gradients(run)
    metrics = optimizer_step(run, [0, 5, 9, 13])
    return metrics["loss"], gradients()


def far(one: torch.Tensor, other: torch.Tensor) -> float:
    """Relative distance of two tensors."""
    return float((one - other).norm() / other.norm())


def prepared_run(folder: Path, model: Path, **values: str) -> Trainer:
    """A run whose data file has rows of every length."""
    folder.mkdir(parents=True)
    rows = folder / "lengths"
    rows.mkdir()
    rows_of_every_length(rows)
    return make_run(folder, model, steps=6, **{"data__train": '"lengths/rows.jsonl"', **values})


@pytest.mark.parametrize("method", METHODS)
def test_loss_and_gradients_do_not_depend_on_the_way(tmp_path: Path, tiny_model: Path, method: str) -> None:
    whole = prepared_run(tmp_path / "whole", tiny_model, batch__micro="4", **METHODS[method])
    loss, gradients = one_step(whole)
    assert gradients and all(bool(value.any()) for value in gradients.values())
    everything = torch.cat([value.flatten() for value in gradients.values()])
    for number, (way, values) in enumerate(WAYS.items()):
        run = prepared_run(tmp_path / str(number), tiny_model, **{**METHODS[method], **values})
        other_loss, others = one_step(run)
        assert other_loss == pytest.approx(loss, rel=1e-6), way
        together = torch.cat([others[name].flatten() for name in gradients])
        assert far(together, everything) <= 1e-5, way
        worst = max(far(others[name], gradients[name]) for name in gradients)
        assert worst <= 5e-5, way


def test_an_evaluation_in_between_changes_no_later_step(tmp_path: Path, tiny_model: Path) -> None:
    found = []
    for looked in (False, True):
        run = make_run(tmp_path / str(looked), tiny_model, adapter__dropout="0.3")
        losses = []
        for step in range(4):
            if looked:
                evaluated(run)
            losses.append(optimizer_step(run, [4 * step + i for i in range(4)])["loss"])
            run.progress.step += 1
        found.append((losses, copies(run)))
    (losses, weights), (losses_looked, weights_looked) = found
    assert losses == losses_looked
    assert all(torch.equal(weights[name], weights_looked[name]) for name in weights)


def test_an_evaluation_is_the_same_twice_and_without_dropout(tmp_path: Path, tiny_model: Path) -> None:
    run = make_run(tmp_path, tiny_model, adapter__dropout="0.5")
    optimizer_step(run, [0, 1, 2, 3])
    first = evaluated(run)
    assert first == evaluated(run)
    assert 0 < first["loss"] < 20 and 0 <= first["exact_match"] <= 1


def test_only_supervised_tokens_count_for_the_loss(tmp_path: Path, tiny_model: Path) -> None:
    """The step's loss is the mean over its supervised tokens, not a mean of means of rows of unlike length."""
    run = prepared_run(tmp_path / "a", tiny_model, batch__micro="1")
    indexes = [0, 5, 9, 13]
    total = 0.0
    tokens = 0
    for index in indexes:
        row = run.train_rows[index]
        ids = torch.tensor([list(row.input_ids)])
        with torch.no_grad():
            logits = run.model(input_ids=ids).logits[0].log_softmax(-1)
        for place in range(1, len(row.input_ids)):
            if row.trained[place]:
                total -= float(logits[place - 1, row.input_ids[place]])
                tokens += 1
    metrics = optimizer_step(run, indexes)
    assert metrics["supervised_tokens"] == tokens
    assert metrics["loss"] == pytest.approx(total / tokens, rel=1e-5)
