"""What a rule sees: the folded run, its bundle where it can be read, and how its process ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tuiwiz.doctor import stats
from tuiwiz.events.process import Exit
from tuiwiz.events.view import RunView
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.derive import warmup_steps

MOST_POINTS = 1000
"""Points of a series that rules look at; longer ones are thinned, so that a judgement costs the same."""


@dataclass(frozen=True)
class Case:
    """One run to be judged. Everything is derived; nothing is read from disk."""

    view: RunView
    bundle: Bundle | None = None
    exit: Exit | None = None

    def series(self, name: str) -> list[float]:
        """A metric in order, thinned to the points of `steps`; empty where it was not written."""
        found = self.view.series.get(name)
        if found is None:
            return []
        return list(found.y[:: self._stride(len(found))])

    def _stride(self, count: int) -> int:
        return max(1, math.ceil(count / MOST_POINTS))

    @cached_property
    def steps(self) -> list[float]:
        found = self.view.series.get("loss")
        return list(found.x[:: self._stride(len(found))]) if found is not None else []

    @cached_property
    def loss(self) -> list[float]:
        return self.series("loss")

    @cached_property
    def finite_loss(self) -> list[float]:
        return [value for value in self.loss if math.isfinite(value)]

    @cached_property
    def grad_norm(self) -> list[float]:
        return self.series("grad_norm")

    @cached_property
    def rate(self) -> list[float]:
        return self.series("learning_rate")

    @property
    def peak_rate(self) -> float:
        """The highest learning rate so far; the bundle's where nothing was recorded."""
        seen = max((value for value in self.rate if math.isfinite(value)), default=0.0)
        asked = self.bundle.optimizer.learning_rate if self.bundle is not None else 0.0
        return max(seen, asked)

    @cached_property
    def smooth(self) -> list[float]:
        return stats.ema(self.loss)

    @cached_property
    def noise(self) -> float:
        """Robust deviation of the loss from its own mean, over the whole run."""
        return stats.spread([a - b for a, b in zip(self.loss, self.smooth, strict=True) if math.isfinite(a)])

    @cached_property
    def joint_spikes(self) -> list[int]:
        """Points where loss and gradient norm spike within two steps of each other."""
        grads = stats.spikes(self.grad_norm)
        return [at for at in stats.spikes(self.loss) if any(abs(at - other) <= 2 for other in grads)]

    @property
    def count(self) -> int:
        return len(self.loss)

    @property
    def total(self) -> int:
        """Planned steps."""
        return self.view.steps or int(self.steps[-1] if self.steps else 0)

    @property
    def done_share(self) -> float:
        return self.view.step / self.total if self.total else 0.0

    @property
    def warmup(self) -> int:
        return warmup_steps(self.bundle.schedule.warmup, self.total) if self.bundle is not None else 0

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch; 0 where unknown."""
        return self.view.started.steps_per_epoch if self.view.started is not None else 0

    @property
    def method(self) -> str:
        if self.bundle is not None:
            return self.bundle.adapter.method
        return self.view.started.method if self.view.started is not None else ""

    @property
    def task(self) -> str:
        """The kind of the task; empty where unknown."""
        if self.bundle is not None:
            return self.bundle.task.kind
        return self.view.started.task if self.view.started is not None else ""

    @property
    def learns_text(self) -> bool:
        """Whether the loss is that of tokens, as far as known."""
        return self.task in ("", "chat", "instruct", "pretrain")

    @property
    def instructed(self) -> bool:
        """Whether the model was taught to answer before, going by its name."""
        name = (self.view.started.model if self.view.started is not None else "").lower()
        return any(word in name for word in ("instruct", "chat", "-it"))

    @cached_property
    def evals(self) -> list[tuple[int, float]]:
        """Step and held-out loss of every evaluation that gave a number."""
        found = [(event.step, event.metrics.get("loss", math.nan)) for event in self.view.evals]
        return [(step, loss) for step, loss in found if math.isfinite(loss)]

    @cached_property
    def start(self) -> float:
        """The loss before any update: that of the first step, or held out before it, whichever is higher; nan where
        nothing is known of it (a resumed run whose beginning is gone)."""
        held = [loss for step, loss in self.evals[:1] if step == 0]
        first = [loss for step, loss in zip(self.steps[:1], self.loss, strict=False) if step == 1]
        return max((value for value in (*held, *first) if math.isfinite(value)), default=math.nan)

    def smooth_at(self, step: float) -> float:
        """The smoothed training loss at a step."""
        before = [index for index, at in enumerate(self.steps) if at <= step]
        return self.smooth[before[-1]] if before else math.nan

    def drop(self) -> float:
        """How far the training loss has fallen, as a share of its beginning: medians of the first and last points."""
        values = self.finite_loss
        each = max(5, math.ceil(0.05 * len(values)))
        first, last = stats.median(values[:each]), stats.median(values[-each:])
        return (first - last) / first if first else math.nan

    def tail(self, values: Sequence[float], share: float) -> list[float]:
        return list(values[int(len(values) * (1 - share)) :])
