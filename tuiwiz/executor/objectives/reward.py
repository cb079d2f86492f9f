"""Reward model: one number for a whole chat, higher for the better answer (Bradley-Terry).

    -log sigmoid(r(w) - r(l))

for a better chat w and a worse chat l that begin alike (InstructGPT, https://arxiv.org/abs/2203.02155). Shapes: [n] for
n pairs, in fp32.
"""

from __future__ import annotations

from typing import Any

from torch.nn import functional

from tuiwiz.executor.batching import MicroBatch
from tuiwiz.executor.objectives.objective import Outcome
from tuiwiz.executor.objectives.pairs import PairObjective, outcome
from tuiwiz.executor.objectives.scores import Scorer


class RewardObjective(PairObjective):
    def __init__(self, model: Any) -> None:
        self.score = Scorer(model)

    def __call__(self, batch: MicroBatch) -> Outcome:
        better, worse = self.score(batch).view(2, -1)
        return outcome(-functional.logsigmoid(better - worse), better, worse)
