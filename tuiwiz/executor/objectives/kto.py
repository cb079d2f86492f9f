"""Kahneman-Tversky optimisation, https://arxiv.org/abs/2402.01306: answers that are good or bad, without pairs.

With r = log p(y) - log q(y), summed over the tokens of an answer, p the model, q the model before training, and

    z = max(0, mean over the step of log p(y') - log q(y'))

where y' is the answer of another row under the same prompt, the loss of a row is

    w_good (1 - sigmoid(beta (r - z)))    where the answer is good
    w_bad  (1 - sigmoid(beta (z - r)))    where it is bad

z is an estimate of how far the model has moved; no gradient goes through it. It is taken over the whole optimizer step
(an evaluation: over all its rows). Shapes: [n] for n rows, in fp32. The rewards that are told are beta r.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tuiwiz.data.types import Rows
from tuiwiz.executor.batching import MicroBatch, collate_strangers
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.executor.objectives.objective import Outcome, Plain
from tuiwiz.executor.objectives.selected import log_probs, row_sums


class KtoObjective(Plain):
    """Batches carry `labels` [n, 1] (1 good, 0 bad) and `reference` [n, 2]: log q of the answer and of the stranger."""

    def __init__(
        self, model: Any, *, fused: bool, beta: float, desirable_weight: float, undesirable_weight: float
    ) -> None:
        self.model = model
        self.language = CausalObjective(model, fused=fused)
        self.beta, self.good, self.bad = beta, desirable_weight, undesirable_weight
        self.drift = 0.0

    def collate(self, rows: Rows, sequences: Sequence[Sequence[int]], device: torch.device) -> MicroBatch:
        return collate_strangers(rows, sequences, device)

    def counts(self, batch: MicroBatch) -> dict[str, int]:
        return {"rows": batch.rows}

    def measure(self, batch: MicroBatch) -> Tensor:
        """[n, 2] log-probabilities of the answers and of the strangers."""
        assert batch.strange is not None
        return torch.stack([self._sums(batch), self._sums(batch.strange)], dim=1)

    def begin(self, batches: Iterable[MicroBatch]) -> Tensor:
        """Sum and number of what z is the mean of."""
        moved = []
        for batch in batches:
            assert batch.strange is not None and batch.reference is not None
            moved.append(self._sums(batch.strange) - batch.reference[:, 1])
        found = torch.cat(moved) if moved else torch.zeros(0, device=next(self.model.parameters()).device)
        return torch.stack([found.sum(), found.new_tensor(float(found.numel()))])

    def settle(self, sums: Tensor) -> None:
        """z from all rows of the step."""
        self.drift = max(0.0, float(sums[0] / sums[1]))

    def __call__(self, batch: MicroBatch) -> Outcome:
        assert batch.labels is not None and batch.reference is not None
        good = batch.labels[:, 0] > 0
        ratios = self._sums(batch) - batch.reference[:, 0]
        signed = self.beta * (ratios - self.drift) * torch.where(good, 1.0, -1.0)
        losses = torch.where(good, self.good, self.bad) * (1 - torch.sigmoid(signed))
        return Outcome(
            {"rows": losses.sum()}, {"row_loss": losses.detach(), "reward": self.beta * ratios.detach(), "good": good}
        )

    def summary(self, seen: Mapping[str, Tensor]) -> dict[str, float]:
        """The share of rows on their side of z, mean rewards of good and bad answers, and z itself."""
        reward, good = seen["reward"].double(), seen["good"]
        found = {"accuracy": float(((reward > self.beta * self.drift) == good).double().mean()), "drift": self.drift}
        if 0 < int(good.sum()) < len(good):
            better, worse = float(reward[good].mean()), float(reward[~good].mean())
            found |= {"margin": better - worse, "better_reward": better, "worse_reward": worse}
        return found

    def _sums(self, batch: MicroBatch) -> Tensor:
        return row_sums(log_probs(self.language, batch), batch)
