"""Whole runs that are watched from within: what went through the model, how far weights moved, what was told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.training import events_of, make_run, of_kind, own_signals
from tuiwiz.base.errors import TuiwizError
from tuiwiz.data.tokens import Tokens
from tuiwiz.events import types
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor import lead, train
from tuiwiz.executor.batching import MicroBatch

SGD: dict[str, Any] = {"optimizer__name": "sgd", "optimizer__clip_norm": 0.0, "schedule__warmup": 0}
ONE: dict[str, Any] = {"schedule__steps": 1, "schedule__warmup": 0, "optimizer__clip_norm": 0.0}
FRACTION: dict[str, Any] = {"validation__fraction": 0.25}


@dataclass
class Seen:
    """A run that ended, what its loop held, and the batches that it was trained on."""

    folder: RunFolder
    tokens: Tokens
    trainer: Any = None
    batches: list[MicroBatch] = field(default_factory=list)
    first: dict[str, torch.Tensor] = field(default_factory=dict)
    """The trained weights before the first step."""

    def of(self, kind: type[Any]) -> list[Any]:
        return of_kind(events_of(self.folder), kind)

    def metric(self, name: str) -> list[float]:
        return [event.metrics[name] for event in self.of(types.Metric)]

    @property
    def ids(self) -> list[list[int]]:
        return [row for batch in self.batches for row in batch.input_ids.tolist()]

    @property
    def text(self) -> str:
        return "\n".join(self.tokens.decode_batch(self.ids))

    def tokens_of(self, batches: list[MicroBatch]) -> str:
        return "\n".join(self.tokens.decode_batch([row for batch in batches for row in batch.input_ids.tolist()]))

    @property
    def supervised(self) -> int:
        return sum(batch.supervised for batch in self.batches)

    def moved(self, part: str = "") -> float:
        """How far the trained weights whose names hold `part` went."""
        names = [name for name in self.first if part in name]
        assert names
        return math.sqrt(
            sum(float((self.trainer.weights[name].detach() - self.first[name]).square().sum()) for name in names)
        )

    def states(self, name: str) -> list[torch.Tensor]:
        return [state[name] for state in self.trainer.optimizer.state.values() if name in state]


class Watched:
    """The run's objective; remembers the batches that are trained on."""

    def __init__(self, inner: Any, seen: Seen) -> None:
        self._inner, self._seen = inner, seen

    def __call__(self, batch: MicroBatch) -> Any:
        if torch.is_grad_enabled():
            self._seen.batches.append(batch)
        return self._inner(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Desk:
    """Makes runs in a folder of its own."""

    def __init__(self, base: Path, model: Path, patch: pytest.MonkeyPatch) -> None:
        self.base, self.model, self.patch = base, model, patch
        self._count = 0

    def file(self, name: str, *rows: dict[str, Any]) -> str:
        (self.base / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return name

    def prepare(self, **changes: Any) -> RunFolder:
        self._count += 1
        if "validation__path" not in changes:
            changes = {"validation__fraction": 0.0, **changes}
        return make_run(self.base, self.model, f"run{self._count}", **changes)

    def run(self, *, folder: RunFolder | None = None, **changes: Any) -> Seen:
        seen = Seen(folder or self.prepare(**changes), Tokens(self.model))
        inner: Callable[[Any], str] = vars(lead)["train"]

        def watching(trainer: Any) -> str:
            seen.trainer = trainer
            trainer.objective = Watched(trainer.objective, seen)
            seen.first = {name: value.detach().clone() for name, value in trainer.weights.items()}
            return inner(trainer)

        with pytest.MonkeyPatch.context() as patch, own_signals():
            patch.setattr(lead, "train", watching)
            assert train.run(seen.folder.path) == 0
        return seen

    def refused(self, folder: RunFolder) -> int:
        with own_signals(), pytest.raises(TuiwizError) as caught:
            train.run(folder.path)
        return int(caught.value.exit_code)


SHOWN: dict[str, Callable[[Desk], None]] = {}
"""Key of a bundle -> the check of what it changes in a run."""


def shows(key: str) -> Callable[[Callable[[Desk], None]], Callable[[Desk], None]]:
    """Enter a check into `SHOWN`."""

    def enter(check: Callable[[Desk], None]) -> Callable[[Desk], None]:
        assert key not in SHOWN
        SHOWN[key] = check
        return check

    return enter
