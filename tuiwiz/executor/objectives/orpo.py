"""Odds-ratio preference optimisation, https://arxiv.org/abs/2403.07691: supervised tuning and preference in one loss.

With a(y) the mean log-probability of the tokens of an answer y and o(y) = a(y) - log(1 - exp a(y)) its log-odds, the
loss is

    mean over tokens of the better rows of -log p   +   mean over pairs of -lambda log sigmoid(o(w) - o(l))

The first mean goes over prompt and answer, as in the authors' code. Shapes: log-probabilities [s] of tokens, [n] of
pairs, in fp32. The rewards that are told are lambda a.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tuiwiz.data.types import Rows
from tuiwiz.executor.batching import MicroBatch, collate_pairs
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.executor.objectives.objective import Outcome
from tuiwiz.executor.objectives.pairs import PairObjective, outcome
from tuiwiz.executor.objectives.selected import answer_lengths, log_probs, row_sums


class OrpoObjective(PairObjective):
    def __init__(self, model: Any, *, fused: bool, weight: float) -> None:
        self.language = CausalObjective(model, fused=fused)
        self.weight = weight

    def collate(self, rows: Rows, sequences: Sequence[Sequence[int]], device: torch.device) -> MicroBatch:
        return collate_pairs(rows, sequences, device, whole=True)

    def counts(self, batch: MicroBatch) -> dict[str, int]:
        return {"tokens": int((batch.row_of < batch.rows // 2).sum()), **super().counts(batch)}

    def __call__(self, batch: MicroBatch) -> Outcome:
        assert batch.answered is not None
        tokens = log_probs(self.language, batch)
        better, worse = (row_sums(tokens * batch.answered, batch) / answer_lengths(batch)).view(2, -1)
        odds = (better - worse) - (_log_one_minus_exp(better) - _log_one_minus_exp(worse))
        pairs = outcome(-self.weight * functional.logsigmoid(odds), self.weight * better, self.weight * worse)
        spoken = -tokens[batch.row_of < batch.rows // 2].sum()
        return Outcome({"tokens": spoken, **pairs.parts}, pairs.seen)


def _log_one_minus_exp(values: Tensor) -> Tensor:
    """log(1 - exp x) for x < 0, precise on both sides of -log 2."""
    return torch.where(values < -math.log(2), torch.log1p(-torch.exp(values)), torch.log(-torch.expm1(values)))
