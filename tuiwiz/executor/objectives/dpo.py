"""Direct preference optimisation, https://arxiv.org/abs/2305.18290.

For a prompt with a better answer w and a worse answer l, summed log-probabilities of their tokens log p under the model
and log q under the model as it was before training, and

    d = (log p(w) - log q(w)) - (log p(l) - log q(l))

the loss of a pair is one of

    sigmoid   -log sigmoid(beta d)
    ipo       (d' - 1 / (2 beta))^2, where d' is d with each answer's difference divided by its tokens
              (https://arxiv.org/abs/2310.12036; the division as its authors use it)
    robust    (-(1 - e) log sigmoid(beta d) + e log sigmoid(-beta d)) / (1 - 2 e), unbiased where a share e of the pairs
              is the wrong way round (https://arxiv.org/abs/2403.00409)

Shapes: all values are [n] for n pairs, in fp32. The rewards that are told are beta (log p - log q).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from tuiwiz.executor.batching import MicroBatch
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.executor.objectives.objective import Outcome
from tuiwiz.executor.objectives.pairs import PairObjective, outcome
from tuiwiz.executor.objectives.selected import answer_lengths, log_probs, row_sums


class DpoObjective(PairObjective):
    """Batches carry `reference` [n, 2]: the log q of the better and of the worse answer of each pair."""

    def __init__(self, model: Any, *, fused: bool, beta: float, loss: str, label_smoothing: float) -> None:
        self.language = CausalObjective(model, fused=fused)
        self.beta, self.loss, self.noise = beta, loss, label_smoothing

    def measure(self, batch: MicroBatch) -> Tensor:
        """[n, 2] log-probabilities of the better and the worse answers."""
        return row_sums(log_probs(self.language, batch), batch).view(2, -1).T

    def __call__(self, batch: MicroBatch) -> Outcome:
        assert batch.reference is not None
        ratios = self.measure(batch) - batch.reference
        rewards = self.beta * ratios
        if self.loss == "ipo":
            each = ratios / answer_lengths(batch).view(2, -1).T
            losses = (each[:, 0] - each[:, 1] - 1 / (2 * self.beta)) ** 2
        else:
            margin = rewards[:, 0] - rewards[:, 1]
            losses = -functional.logsigmoid(margin)
            if self.loss == "robust":
                flipped = functional.logsigmoid(-margin)
                losses = ((1 - self.noise) * losses + self.noise * flipped) / (1 - 2 * self.noise)
        return outcome(losses, rewards[:, 0], rewards[:, 1])
