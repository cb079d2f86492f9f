"""Simple preference optimisation, https://arxiv.org/abs/2405.14734: no reference model, answers judged by the token.

With a(y) the mean log-probability of the tokens of an answer y, a better answer w and a worse answer l:

    -log sigmoid(beta (a(w) - a(l)) - gamma)

Shapes: [n] for n pairs, in fp32. The rewards that are told are beta a.
"""

from __future__ import annotations

from typing import Any

from torch.nn import functional

from tuiwiz.executor.batching import MicroBatch
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.executor.objectives.objective import Outcome
from tuiwiz.executor.objectives.pairs import PairObjective, outcome
from tuiwiz.executor.objectives.selected import answer_lengths, log_probs, row_sums


class SimpoObjective(PairObjective):
    def __init__(self, model: Any, *, fused: bool, beta: float, gamma: float) -> None:
        self.language = CausalObjective(model, fused=fused)
        self.beta, self.gamma = beta, gamma

    def __call__(self, batch: MicroBatch) -> Outcome:
        sums = row_sums(log_probs(self.language, batch), batch)
        better, worse = (self.beta * sums / answer_lengths(batch)).view(2, -1)
        return outcome(-functional.logsigmoid(better - worse - self.gamma), better, worse)
