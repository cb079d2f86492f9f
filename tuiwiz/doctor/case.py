"""What a rule sees: the folded run, its bundle where it can be read, and how its process ended."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tuiwiz.doctor import stats
from tuiwiz.events.process import Exit
from tuiwiz.events.view import RunView
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.derive import warmup_steps
from tuiwiz.spec.phases import spans

LITTLE_KNOWN = 1.5
"""Times the noise of single points, where a run is too short to show more."""
START_SIGMAS = 3.0
MEDIAN_ERROR = 1.25
"""Of a median, against that of a mean."""
EMA_NOISE = 0.23
"""Deviation of the mean of a noise of 1: sqrt((1 - b) / (1 + b)) with b = 0.9."""
PAIRED = ("dpo", "simpo", "orpo", "kto")
QUALITIES = ("accuracy", "macro_f1", "matthews", "pearson", "generated_exact", "exact_match", "rougeL", "chrf")
"""Metrics of evaluations that say how good answers are, whatever the loss says; the first that is there counts."""
FIRST_POINTS = 10
MOST_EPOCHS = 8
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

    @property
    def every_loss(self) -> Sequence[float]:
        """The loss of each step, not thinned; empty where it was not written at every step."""
        found = self.view.series.get("loss")
        if found is None or not len(found) or found.x[-1] - found.x[0] != len(found) - 1:
            return ()
        return found.y

    @cached_property
    def epoch_means(self) -> list[float]:
        """The mean loss over the targets of each whole epoch, nan where one was not finite; empty where steps are
        missing, or rows change between epochs. Weights that do not move give the same number every time."""
        size, losses, trained = self.per_epoch, self.every_loss, self.view.series.get("supervised_tokens")
        other = self.bundle is not None and any(phase.data for phase in self.bundle.phases)
        if other or not size or trained is None or len(trained) != len(losses) or self.steps[:1] != [1]:
            return []
        counts = [trained.y[0], *(b - a for a, b in itertools.pairwise(trained.y))]
        found = []
        for start in range(0, min(len(losses) - size + 1, MOST_EPOCHS * size), size):
            part = range(start, start + size)
            found.append(sum(counts[at] * losses[at] for at in part) / max(1.0, sum(counts[at] for at in part)))
        return found

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

    @cached_property
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
        """Robust deviation of the loss from its own mean, as a share of it: noise grows and falls with the loss."""
        pairs = zip(self.loss, self.smooth, strict=True)
        return stats.spread([a / b - 1 for a, b in pairs if math.isfinite(a) and b > 0])

    @cached_property
    def swing(self) -> float:
        """By what share chance moves the smoothed loss."""
        floor = EMA_NOISE * self.noise
        if not math.isfinite(floor):
            return 0.0
        found = stats.swing(self.smooth)
        return max(floor, found) if math.isfinite(found) else LITTLE_KNOWN * floor

    @cached_property
    def borders(self) -> list[int]:
        """Steps after which other rows are trained on: a new level of the loss is no fault there."""
        if self.bundle is None or not any(phase.data for phase in self.bundle.phases):
            return []
        return [span.start for span in spans(self.bundle, self.total) if span.start]

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
    def whole_texts(self) -> bool:
        """Whether every token is trained on, and not answers alone."""
        return self.task == "pretrain" or (self.bundle is not None and self.bundle.data.train_on == "all")

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
        nothing is known of it (a resumed run whose beginning is gone). One step alone may lie low by chance."""
        held = [loss for step, loss in self.evals[:1] if step == 0]
        first = [loss for step, loss in zip(self.steps[:1], self.loss, strict=False) if step == 1]
        noise = self.noise if math.isfinite(self.noise) else 0.0
        few = stats.median(self.finite_loss[:5])
        likely = [min(max(loss, few), loss * (1 + START_SIGMAS * noise)) for loss in first if math.isfinite(loss)]
        return max((value for value in (*held, *likely) if math.isfinite(value)), default=math.nan)

    def smooth_at(self, step: float) -> float:
        """The smoothed training loss at a step."""
        before = [index for index, at in enumerate(self.steps) if at <= step]
        return self.smooth[before[-1]] if before else math.nan

    def held_at(self, step: float, apart: float = math.inf) -> float:
        """The held-out loss at a step: between its neighbours learning curves are nearly straight in the logarithms of
        step and loss. nan where there are none on both sides, or none so near each other as `apart` steps."""
        for (begin, first), (end, second) in itertools.pairwise(self.evals):
            if begin <= step <= end and end - begin <= apart and min(first, second) > 0:
                share = math.log((step + 1) / (begin + 1)) / max(math.log((end + 1) / (begin + 1)), 1e-9)
                return float(first * (second / first) ** share)
        return math.nan

    def drop(self) -> float:
        """How far the training loss has fallen, as a share of its beginning: medians of the first and last points."""
        values = self.finite_loss
        each = max(5, math.ceil(0.05 * len(values)))
        first, last = stats.median(values[: min(each, FIRST_POINTS)]), stats.median(values[-each:])
        return (first - last) / first if first else math.nan

    def fall(self) -> tuple[float, float]:
        """By what share the training loss falls over the run, and the standard error of that: of all points, along the
        logarithm of the step, over which a learning curve is nearly straight. nan where there are too few."""
        values = [(math.log(at + 5), math.log(loss)) for at, loss in enumerate(self.loss) if loss > 0 < 1 / loss]
        per_unit, error = stats.slope([x for x, _ in values], [y for _, y in values])
        span = math.log(self.count + 5) - math.log(5)
        return -per_unit * span, error * span

    @property
    def quality(self) -> float:
        """How good the answers of the newest evaluation are, between 0 and 1; nan where nothing says it."""
        found = self.view.evals[-1].metrics if self.view.evals else {}
        return next((found[name] for name in QUALITIES if name in found), math.nan)

    def quality_gain(self, since: int) -> float:
        """How much better the answers of the newest evaluation are than those at step `since`; nan where unknown.

        Only what lies beyond the count of two rows is a gain.
        """
        then = next((event for event in self.view.evals if event.step == since), None)
        now = self.view.evals[-1] if self.view.evals else None
        if then is None or now is None:
            return math.nan
        name = next((one for one in QUALITIES if one in now.metrics and one in then.metrics), None)
        if name is None:
            return math.nan
        before = then.metrics[name]
        if name == "accuracy" and not since and self.task in PAIRED:
            # Before training both answers of a pair are as likely as before training: a tie, which counts as wrong.
            before = max(0.5, before)
        gain = now.metrics[name] - before
        return gain if gain > max(0.01, 2 / max(1, now.rows)) else 0.0

    def tail(self, values: Sequence[float], share: float) -> list[float]:
        return list(values[int(len(values) * (1 - share)) :])
