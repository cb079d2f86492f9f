"""Held-out loss, in a way that leaves no trace in the training after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from tuiwiz.data.types import Rows
from tuiwiz.executor.batching import collate
from tuiwiz.executor.device import Device
from tuiwiz.executor.objectives.causal import CausalObjective

TOKENS = 2048
"""Tokens of one evaluation pass, padding included; rows of similar length share one."""


@contextmanager
def dropout_off(model: nn.Module) -> Iterator[None]:
    """Switch off dropout and nothing else.

    `model.eval()` would let bitsandbytes repack 4-bit weights and would switch off gradient checkpointing; leaving the
    rest in training mode keeps every later step the same, bit for bit. Attention modules hold their share as a number.
    """
    modules = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.training]
    shares = [
        (module, module.attention_dropout)
        for module in model.modules()
        if isinstance(getattr(module, "attention_dropout", None), float) and module.attention_dropout
    ]
    for module in modules:
        module.eval()
    for owner, _ in shares:
        owner.attention_dropout = 0.0  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in modules:
            module.train()
        for owner, share in shares:
            owner.attention_dropout = share


def evaluate(
    model: Any,
    objective: CausalObjective,
    rows: Rows,
    device: Device,
    autocast: Callable[[], Any],
    progress: Callable[[int, int], None],
    row_losses: list[float] | None = None,
) -> dict[str, float]:
    """Mean cross-entropy over all supervised tokens of `rows`, and the share of rows whose every supervised token is
    the argmax given the tokens before it (for short answers the exact match of greedy generation, for the price of a
    loss). `row_losses` receives each row's summed loss."""
    lengths = rows.lengths_of(range(len(rows)))
    total = torch.zeros((), dtype=torch.float64)
    supervised = exact = done = 0
    by_row = torch.zeros(len(rows), dtype=torch.float64)
    with torch.inference_mode(), dropout_off(model), autocast():
        for batch in _batches(lengths):
            micro = collate(rows, [[index] for index in batch], device.where)
            loss = objective(micro)
            total += loss.total.double().cpu()
            supervised += micro.supervised
            wrong = torch.bincount(micro.row_of[~loss.right], minlength=micro.rows)
            exact += int((wrong == 0).sum())
            if row_losses is not None:
                summed = torch.bincount(micro.row_of, weights=loss.losses.double(), minlength=micro.rows)
                by_row[batch] = summed.cpu()
            done += len(batch)
            progress(done, len(rows))
    if row_losses is not None:
        row_losses[:] = by_row.tolist()
    mean = float(total) / max(1, supervised)
    return {"loss": mean, "exact_match": exact / max(1, len(rows))}


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Row indexes, longest first, so that padded tokens stay under `TOKENS`."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batch: list[int] = []
    for index in order:
        if batch and lengths[batch[0]] * (len(batch) + 1) > TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def evaluation_steps(total: int, every: int, train_tokens: int, held_out_tokens: int) -> list[int]:
    """Steps after which to evaluate: 0, then every `every`, and the last.

    Those in between are thinned so that they take less than a fifth of the run; a step of training costs about 2.5
    times the forward pass of an evaluation on the same tokens. Decided by counts and not by clocks, so that the same
    bundle is evaluated at the same steps everywhere.
    """
    between = list(range(every, total, every))
    affordable = int(0.25 * 2.5 * train_tokens / max(1, held_out_tokens))
    if len(between) > affordable:
        between = [round(total * (i + 1) / (affordable + 1)) for i in range(affordable)]
    return sorted({0, *(step for step in between if 0 < step < total), total})
