"""Classification of whole texts, from scores z [n, k] of a head over k classes.

    single       cross-entropy of softmax(z) with the row's class
    multi        mean over classes of the binary cross-entropy of sigmoid(z) with 0 or 1
    regression   (z - y)^2 with k = 1

as in transformers' models with a head; means over rows. Metrics are counted by hand from what was seen, over all rows
of an evaluation at once (Matthews correlation for k classes: Gorodkin 2004).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tuiwiz.data.types import Rows
from tuiwiz.executor.batching import MicroBatch, collate
from tuiwiz.executor.objectives.objective import Outcome, Plain
from tuiwiz.executor.objectives.scores import Scorer


class ClassifyObjective(Plain):
    """Batches carry `labels`: [n, 1] places of classes or numbers, or [n, k] zeros and ones."""

    def __init__(self, model: Any, *, kind: str, names: Sequence[str]) -> None:
        self.score = Scorer(model)
        self.kind, self.names = kind, tuple(names)

    def collate(self, rows: Rows, sequences: Sequence[Sequence[int]], device: torch.device) -> MicroBatch:
        return collate(rows, sequences, device)

    def counts(self, batch: MicroBatch) -> dict[str, int]:
        return {"rows": batch.rows}

    def __call__(self, batch: MicroBatch) -> Outcome:
        assert batch.labels is not None
        scores, labels = self.score(batch), batch.labels
        if self.kind == "single":
            wanted, found = labels[:, 0].long(), scores.detach().argmax(-1)
            losses = functional.cross_entropy(scores, wanted, reduction="none")
        elif self.kind == "multi":
            wanted, found = labels > 0, scores.detach() > 0
            losses = functional.binary_cross_entropy_with_logits(scores, labels, reduction="none").mean(-1)
        else:
            wanted, found = labels[:, 0], scores[:, 0].detach()
            losses = (scores[:, 0] - wanted) ** 2
        return Outcome({"rows": losses.sum()}, {"row_loss": losses.detach(), "wanted": wanted, "found": found})

    def summary(self, seen: Mapping[str, Tensor]) -> dict[str, float]:
        wanted, found = seen["wanted"], seen["found"]
        if self.kind == "regression":
            return of_numbers(wanted.double(), found.double())
        if self.kind == "multi":
            right = (wanted & found).sum(0)
            return {
                "accuracy": float((wanted == found).all(-1).double().mean()),
                "macro_f1": _macro_f1(right, wanted.sum(0), found.sum(0)),
            }
        table = confusion(wanted, found, len(self.names))
        return {
            "accuracy": float(table.diagonal().sum() / table.sum()),
            "macro_f1": _macro_f1(table.diagonal(), table.sum(1), table.sum(0)),
            "matthews": matthews(table),
        }

    def tables(self, seen: Mapping[str, Tensor]) -> dict[str, str]:
        """`confusion.csv`: a line a true class, a column a found class, rows counted."""
        if self.kind != "single":
            return {}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["true \\ found", *self.names])
        for name, counts in zip(self.names, confusion(seen["wanted"], seen["found"], len(self.names)), strict=True):
            writer.writerow([name, *(int(count) for count in counts)])
        return {"confusion.csv": text.getvalue()}


def confusion(wanted: Tensor, found: Tensor, classes: int) -> Tensor:
    """[k, k] counts of rows by true class (down) and found class (across)."""
    return torch.bincount(wanted * classes + found, minlength=classes * classes).view(classes, classes).double()


def matthews(table: Tensor) -> float:
    """Matthews correlation of a confusion table; 0 where one side has a single class."""
    true, found, rows = table.sum(1), table.sum(0), table.sum()
    right = table.diagonal().sum() * rows - true @ found
    spread = math.sqrt(float(rows**2 - true @ true) * float(rows**2 - found @ found))
    return float(right) / spread if spread else 0.0


def of_numbers(wanted: Tensor, found: Tensor) -> dict[str, float]:
    """Errors and Pearson correlation of numbers [n]; the correlation is 0 where one side does not vary."""
    error = found - wanted
    a, b = wanted - wanted.mean(), found - found.mean()
    spread = math.sqrt(float(a @ a) * float(b @ b))
    return {
        "mean_squared_error": float(error.square().mean()),
        "mean_absolute_error": float(error.abs().mean()),
        "pearson": float(a @ b) / spread if spread else 0.0,
    }


def _macro_f1(right: Tensor, true: Tensor, found: Tensor) -> float:
    """Mean F1 over the classes that occur on either side."""
    both = (true + found).double()
    there = both > 0
    return float((2 * right.double()[there] / both[there]).mean()) if bool(there.any()) else 0.0
