"""Losses of answers and of classes, and their gradients, are those of TRL and of transformers on the same batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.executor.support import CPU, make_run
from tests.executor.test_against_trl import eight, gradients, ours, same, theirs, trainer_of
from tests.support.tiny import make_encoder
from tuiwiz.executor.trainer import Trainer

KINDS: dict[str, list[Any]] = {
    "single": ["fruit", "tool", "fruit", "animal"],
    "multi": [["fruit"], ["tool", "animal"], ["animal"], ["fruit", "tool"]],
    "regression": [0.5, -1.25, 3.0, 0.0],
}


def moved(run: Trainer) -> Trainer:
    """The run, its adapters away from the base model, so that all of them have gradients."""
    torch.manual_seed(5)
    with torch.no_grad():
        for name, value in run.weights.items():
            if ".lora_B." in name:
                value.copy_(0.1 * torch.randn_like(value))
    return run


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("fused", ["true", "false"])
def test_sft(tmp_path: Path, tiny_model: Path, fused: str, smoothing: float) -> None:
    """TRL's `SFTTrainer.compute_loss`, with label smoothing as transformers' `LabelSmoother` where it is on.

    transformers spreads the smoothed share over all tokens as this does; its padding counts for nothing.
    """
    from transformers.trainer_pt_utils import LabelSmoother

    run = moved(
        make_run(tmp_path, tiny_model, memory__fused_loss=fused, regularization__label_smoothing=str(smoothing))
    )
    mine = ours(run, micro=3)
    batch = eight(run)
    labels = torch.full(batch.input_ids.shape, -100)
    labels.view(-1)[batch.predicting + 1] = batch.targets
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.mask, "labels": labels}
    if smoothing:
        out = run.model(input_ids=batch.input_ids, attention_mask=batch.mask)
        wanted = LabelSmoother(epsilon=smoothing)(out, labels, shift_labels=True)
    else:
        from trl.trainer.sft_trainer import SFTTrainer

        made = trainer_of(SFTTrainer, run, aux_loss_enabled=False, loss_type="nll", compute_loss_func=None)
        wanted = sft_loss(made, run, inputs)
    same(mine[:2], theirs(run, wanted))


def sft_loss(made: Any, run: Trainer, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """What SFTTrainer hands on to transformers: the model's own loss over `num_items_in_batch` supervised tokens."""
    count = int((inputs["labels"][:, 1:] != -100).sum())
    from transformers import Trainer as Reference

    for name, value in {
        "label_smoother": None,
        "model_accepts_loss_kwargs": True,
        "compute_loss_func": None,
    }.items():
        object.__setattr__(made, name, value)
    made.args.average_tokens_across_devices = False
    made.args.past_index = -1
    found: torch.Tensor = Reference.compute_loss(made, run.model, dict(inputs), num_items_in_batch=torch.tensor(count))
    return found


@pytest.mark.parametrize("reads", ["left to right", "both ways"])
@pytest.mark.parametrize("kind", KINDS)
def test_classify(tmp_path: Path, tiny_model: Path, kind: str, reads: str) -> None:
    labels = KINDS[kind]
    key = "labels" if kind == "multi" else "label"
    rows = [{"text": f"the row of number {i} " + "and so on " * (i % 5), key: labels[i % 4]} for i in range(12)]
    (tmp_path / "classes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    model = make_encoder(tmp_path / "encoder") if reads == "both ways" else tiny_model
    run = moved(
        make_run(
            tmp_path,
            model,
            task__kind='"classify"',
            task__labels=f'"{kind}"',
            data__train='"classes.jsonl"',
            data__train_on='"assistant"',
            validation__fraction="0.0",
        )
    )
    run.model.eval()
    mine = ours(run, micro=3)
    batch = eight(run)
    assert batch.labels is not None
    wanted = batch.labels if kind == "multi" else batch.labels[:, 0]
    # transformers finds the last token by the padding id: one that no row ends in.
    run.model.get_base_model().config.pad_token_id = 0
    out = run.model(
        input_ids=batch.input_ids, attention_mask=batch.mask, labels=wanted.long() if kind == "single" else wanted
    )
    same(mine[:2], theirs(run, out.loss))
    assert gradients(run).keys() == mine[1].keys() and CPU.compute == torch.float32
