"""What every objective offers the loop: batches from rows, a loss in parts, and metrics of what was seen.

A loss is a sum of parts, each of which is summed over a micro-batch and divided by its count over the whole optimizer
step: how a step is cut into micro-batches never changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tuiwiz.data.types import Rows
from tuiwiz.executor.batching import MicroBatch


@dataclass(frozen=True, slots=True)
class Outcome:
    """`parts`: sums in fp32, differentiable, by the names of `counts`. `seen`: one entry a row and name, detached; in
    evaluations `row_loss` is among them, what a row alone adds."""

    parts: dict[str, Tensor]
    seen: dict[str, Tensor]

    @property
    def total(self) -> Tensor:
        return torch.stack(list(self.parts.values())).sum()


class Objective(Protocol):
    """One loss under one model."""

    @property
    def tells(self) -> bool:
        """Whether metrics of training steps are worth an event."""

    def collate(self, rows: Rows, sequences: Sequence[Sequence[int]], device: torch.device) -> MicroBatch:
        """The micro-batch of rows with these indexes."""

    def begin(self, batches: Iterable[MicroBatch]) -> Tensor:
        """Called before the first batch of a step or an evaluation, without gradients, for what depends on all of it:
        sums [k] over these batches."""

    def settle(self, sums: Tensor) -> None:
        """Take what `begin` gave, added over all processes that share the step."""

    def counts(self, batch: MicroBatch) -> dict[str, int]:
        """What a batch adds to the divisor of each part."""

    def __call__(self, batch: MicroBatch) -> Outcome: ...

    def summary(self, seen: Mapping[str, Tensor]) -> dict[str, float]:
        """Metrics of all rows that were seen."""

    def tables(self, seen: Mapping[str, Tensor]) -> dict[str, str]:
        """Files worth keeping beside the metrics: name -> content."""


def mean(parts: Mapping[str, Tensor], counts: Mapping[str, int]) -> Tensor:
    """The loss of parts that were summed, given the counts of a whole step."""
    return torch.stack([part / max(1, counts[name]) for name, part in parts.items()]).sum()


def added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts of several batches together."""
    found: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            found[name] = found.get(name, 0) + count
    return found


def joined(seen: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """What was seen in several batches, one after the other."""
    return {name: torch.cat([one[name] for one in seen]) for name in (seen[0] if seen else ())}


class Plain:
    """The usual answers, for objectives that need no others."""

    tells = True

    def begin(self, batches: Iterable[MicroBatch]) -> Tensor:
        """Nothing depends on more than one row."""
        return torch.zeros(0)

    def settle(self, sums: Tensor) -> None:
        """Nothing."""

    def tables(self, seen: Mapping[str, Tensor]) -> dict[str, str]:
        return {}
