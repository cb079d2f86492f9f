"""NEFTune's noise is that of transformers and only in training; smoothing reaches both ways of the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.executor.support import CPU, make_run
from tuiwiz.executor.batching import collate, lay_out
from tuiwiz.executor.neftune import add_noise


class Model:
    """As much of a model as the hook asks for."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.embedding = nn.Embedding(20, 6)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding


def test_the_noise_is_that_of_transformers() -> None:
    from transformers.integrations.neftune import neftune_post_forward_hook

    ids = torch.arange(12).view(2, 6)
    ours, theirs = Model(), Model()
    add_noise(ours, 5.0)
    theirs.embedding.neftune_noise_alpha = 5.0  # type: ignore[assignment]
    theirs.embedding.register_forward_hook(neftune_post_forward_hook)
    found = []
    for model in (ours, theirs):
        torch.manual_seed(3)
        found.append(model.embedding(ids))
    assert torch.allclose(found[0], found[1], atol=1e-6) and not torch.equal(found[0], ours.embedding.weight[ids])
    with torch.inference_mode():
        assert torch.equal(ours.embedding(ids), ours.embedding.weight[ids])


def test_the_hook_can_be_taken_off() -> None:
    model = Model()
    add_noise(model, 5.0).remove()
    ids = torch.arange(4)[None]
    assert torch.equal(model.embedding(ids), model.embedding.weight[ids])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_fused_and_plain_loss_agree(tmp_path: Path, tiny_model: Path, smoothing: float) -> None:
    totals: list[Any] = []
    rows: list[torch.Tensor] = []
    for fused in (True, False):
        run = make_run(
            tmp_path / str(fused),
            tiny_model,
            memory__fused_loss=str(fused).lower(),
            regularization__label_smoothing=str(smoothing),
        )
        (sequences,) = lay_out(run.train_rows, range(4), 4, packing=False)
        batch = collate(run.train_rows, sequences, CPU.where)
        totals.append(run.objective(batch))
        with torch.no_grad():
            rows.append(run.objective(batch).seen["row_loss"])
    assert float(totals[0].total.detach()) == pytest.approx(float(totals[1].total.detach()), rel=1e-5)
    assert torch.allclose(rows[0], rows[1], atol=1e-4)
    same = float(totals[0].total.detach()) == pytest.approx(float(rows[0].sum()), rel=1e-5)
    assert same == (smoothing == 0)
