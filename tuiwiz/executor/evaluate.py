"""Held-out loss and metrics, in a way that leaves no trace in the training after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from tuiwiz.data.types import Rows
from tuiwiz.executor.batching import MicroBatch
from tuiwiz.executor.device import Device
from tuiwiz.executor.objectives.objective import Objective, added, joined, mean

TOKENS = 2048
"""Tokens of one evaluation pass, padding included; rows of similar length share one."""


@contextmanager
def dropout_off(model: nn.Module) -> Iterator[None]:
    """Switch off dropout and nothing else.

    `model.eval()` would let bitsandbytes repack 4-bit weights and would switch off gradient checkpointing; leaving the
    rest in training mode keeps every later step the same, bit for bit. Attention modules hold their share as a number.
    """
    modules: list[tuple[Any, float]] = [
        (module, module.p) for module in model.modules() if isinstance(module, nn.Dropout) and module.p
    ]
    shares: list[tuple[Any, float]] = [
        (module, float(module.attention_dropout))  # type: ignore[arg-type]
        for module in model.modules()
        if isinstance(getattr(module, "attention_dropout", None), float) and module.attention_dropout
    ]
    # Some attention modules only read the share off a dropout module, whatever mode that one is in.
    for module, _ in modules:
        module.p = 0.0
    for owner, _ in shares:
        owner.attention_dropout = 0.0
    try:
        yield
    finally:
        for module, share in modules:
            module.p = share
        for owner, share in shares:
            owner.attention_dropout = share


def evaluate(
    model: Any,
    objective: Objective,
    rows: Rows,
    device: Device,
    autocast: Callable[[], Any],
    progress: Callable[[int, int], None],
    keep: Callable[[dict[str, str]], None] = lambda tables: None,
    row_losses: list[float] | None = None,
    tokens: int = TOKENS,
) -> dict[str, float]:
    """The loss over `rows` as if they were one step, and the objective's metrics; `keep` is given its tables and
    `row_losses` each row's summed loss, in one order every time, where the objective knows it."""
    lengths = rows.lengths_of(range(len(rows)))

    def batches() -> Iterator[MicroBatch]:
        return (
            objective.collate(rows, [[index] for index in batch], device.where) for batch in by_length(lengths, tokens)
        )

    totals: dict[str, torch.Tensor] = {}
    counts: list[dict[str, int]] = []
    seen: list[dict[str, torch.Tensor]] = []
    done = 0
    with torch.inference_mode(), dropout_off(model), autocast():
        objective.settle(objective.begin(batches()))
        for micro, indexes in zip(batches(), by_length(lengths, tokens), strict=True):
            outcome = objective(micro)
            for name, part in outcome.parts.items():
                totals[name] = totals.get(name, torch.zeros((), dtype=torch.float64)) + part.double().cpu()
            counts.append(objective.counts(micro))
            seen.append({name: values.cpu() for name, values in outcome.seen.items()})
            done += len(indexes)
            progress(done, len(rows))
        everything = joined(seen)
        keep(objective.tables(everything))
        if row_losses is not None and "row_loss" in everything:
            row_losses[:] = everything["row_loss"].tolist()
        return {"loss": float(mean(totals, added(counts))), **objective.summary(everything)}


def by_length(lengths: list[int], tokens: int = TOKENS) -> Iterator[list[int]]:
    """Row indexes, longest first, so that padded tokens stay under `tokens`."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batch: list[int] = []
    for index in order:
        if batch and lengths[batch[0]] * (len(batch) + 1) > tokens:
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
