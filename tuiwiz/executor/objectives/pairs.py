"""What the objectives over pairs share: batches of better and worse answers, and how well they are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tuiwiz.data.types import Rows
from tuiwiz.executor.batching import MicroBatch, collate_pairs
from tuiwiz.executor.objectives.objective import Outcome, Plain


class PairObjective(Plain):
    """A batch holds n better answers and then their n worse ones; the loss is a mean over pairs."""

    def collate(self, rows: Rows, sequences: Sequence[Sequence[int]], device: torch.device) -> MicroBatch:
        return collate_pairs(rows, sequences, device)

    def counts(self, batch: MicroBatch) -> dict[str, int]:
        return {"pairs": batch.rows // 2}

    def summary(self, seen: Mapping[str, Tensor]) -> dict[str, float]:
        """The share of pairs told apart, and mean rewards: what the loss compares, by its own definition."""
        return told_apart(seen["better"], seen["worse"])


def outcome(losses: Tensor, better: Tensor, worse: Tensor) -> Outcome:
    """Losses [n] of pairs, and the rewards [n] of both answers."""
    rewards = {"better": better.detach().float(), "worse": worse.detach().float()}
    return Outcome({"pairs": losses.sum()}, {"row_loss": losses.detach(), **rewards})


def told_apart(better: Tensor, worse: Tensor) -> dict[str, float]:
    return {
        "accuracy": float((better > worse).double().mean()),
        "margin": float((better - worse).double().mean()),
        "better_reward": float(better.double().mean()),
        "worse_reward": float(worse.double().mean()),
    }
