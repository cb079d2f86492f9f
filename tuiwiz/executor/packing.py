"""The proof, before the first step of a packed run, that rows in one sequence do not see each other.

Whether they do depends on the model's code and on the attention it uses: where position ids that start anew are not
taken for a new document, the second row of a pack reads the first. So the loss of a few rows is measured both ways.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from tuiwiz.base.errors import InvalidError
from tuiwiz.data.types import Rows
from tuiwiz.executor import attention
from tuiwiz.executor.objectives.causal import CausalObjective

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer

ROWS = 4
TOKENS = 1024
TOLERANCE = {torch.float32: 1e-4}
"""Relative difference of losses that rounding explains; of 16-bit products `COARSE`."""
COARSE = 2e-2


def prove_packing(
    rows: Rows, model: Any, objective: Any, device: torch.device, compute: torch.dtype, autocast: Callable[[], Any]
) -> tuple[float, float]:
    """Loss of a supervised token packed and apart, over up to `ROWS` rows of `TOKENS` tokens at most; weights and
    random streams stay as they are.

    Raises:
        InvalidError: they differ by more than rounding: the rows of a pack see each other.
    """
    chosen = _short_rows(rows)
    if len(chosen) < 2:
        return 0.0, 0.0
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), autocast():
            packed, apart = (
                [_losses(rows, sequences, objective, device) for sequences in ways]
                for ways in ([[chosen]], [[[row]] for row in chosen])
            )
    finally:
        model.train(training)
    one, other = _mean(packed), _mean(apart)
    if not math.isclose(one, other, rel_tol=TOLERANCE.get(compute, COARSE), abs_tol=1e-6):
        raise InvalidError(
            f"packed rows see each other under this model: their loss is {one:.4f} packed and {other:.4f} apart",
            hint="set data.packing = false, or another model.attention",
        )
    return one, other


Remembered = Callable[[str, Callable[[], bool]], bool]
"""(question, how to find out) -> the answer, which may be known already."""


def without_padding(run: Trainer, remembered: Remembered = lambda question, find_out: find_out()) -> bool:
    """Whether micro-batches may be laid out without padding: with the attention that takes rows one by one, for the
    loss of single tokens, and where the proof above holds. NEFTune's noise depends on the length of a sequence."""
    config = run.model.config.get_text_config()
    if (
        run.micro == 1
        or getattr(config, "_attn_implementation", "") != attention.NAME
        or run.device.compute == torch.float32
        or not isinstance(run.objective, CausalObjective)
        or run.bundle.data.packing
        or run.bundle.regularization.neftune
    ):
        return False
    # Adapters add nothing before the first step: what holds for the base model holds for each of them.
    return remembered(f"rows apart, {run.bundle.adapter.variant}", lambda: _proved(run))


def _proved(run: Trainer) -> bool:
    try:
        prove_packing(run.train_rows, run.model, run.objective, run.device.where, run.device.compute, run.autocast)
    except InvalidError:
        return False
    return True


def _short_rows(rows: Rows) -> list[int]:
    lengths = rows.lengths
    ordered = sorted((length, index) for index, length in enumerate(lengths) if length > 1)
    chosen: list[int] = []
    room = TOKENS
    # From the middle down: rows of usual length say more than the very shortest.
    for length, index in reversed(ordered[: max(2, (len(ordered) + 1) // 2)]):
        if length <= room and len(chosen) < ROWS and any(rows[index].trained[1:]):
            chosen.append(index)
            room -= length
    return chosen


def _losses(rows: Rows, sequences: list[list[int]], objective: Any, device: torch.device) -> tuple[float, int]:
    batch = objective.collate(rows, sequences, device)
    return float(objective(batch).parts["tokens"]), batch.supervised


def _mean(found: list[tuple[float, int]]) -> float:
    return sum(loss for loss, _ in found) / max(1, sum(count for _, count in found))
