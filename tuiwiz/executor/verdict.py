"""What an evaluation decides: whether the weights are the best so far, whether the rate falls, whether it is enough."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuiwiz.spec.task import FALLING

if TYPE_CHECKING:
    from tuiwiz.executor.checkpoint import Progress
    from tuiwiz.executor.trainer import Trainer
    from tuiwiz.spec.optimizer import Schedule


@dataclass(frozen=True, slots=True)
class Verdict:
    """`best`: keep these weights; `patience_over`: end the run; `phase_over`: end the phase."""

    best: bool
    patience_over: bool
    phase_over: bool


def judge(run: Trainer, metrics: dict[str, float], row_losses: Sequence[float]) -> Verdict:
    """Enter an evaluation after step 0 into `run.progress`. `row_losses`: each held-out row's summed loss."""
    progress, wanted = run.progress, run.bundle.evaluation
    span = run.course[progress.phase].span
    value = metrics.get(wanted.metric, math.nan)
    best = improves(wanted.metric, value, progress.best_score, wanted.min_delta)
    if best and wanted.noise_aware and progress.best_rows:
        best = exceeds_noise(progress.best_rows, row_losses)
    if best:
        progress.best_score, progress.best_loss, progress.best_step = value, metrics["loss"], progress.step
        progress.without_improvement = 0
        progress.best_rows = list(row_losses) if wanted.noise_aware else []
    else:
        progress.without_improvement += 1
    if improves(wanted.metric, value, progress.phase_best, wanted.min_delta):
        progress.phase_best, progress.phase_stale = value, 0
    else:
        progress.phase_stale += 1
    if span.schedule.kind == "plateau":
        lower_on_plateau(progress, metrics["loss"], span.schedule, wanted.min_delta)
    return Verdict(
        best=best,
        patience_over=wanted.patience is not None and progress.without_improvement >= wanted.patience,
        phase_over=span.patience is not None and progress.phase_stale >= span.patience,
    )


def improves(metric: str, value: float, best: float | None, min_delta: float) -> bool:
    """Whether a score beats the best one by more than the share `min_delta` of it; any number beats none."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    least = abs(best) * min_delta
    return value < best - least if metric in FALLING else value > best + least


def exceeds_noise(before: Sequence[float], now: Sequence[float]) -> bool:
    """Whether rows fell from `before` to `now` by more than one standard error of the paired differences.

    Pairing takes out what makes rows differ from each other, so that even a few rows tell small falls from chance.
    """
    falls = [one - other for one, other in zip(before, now, strict=True)]
    if len(falls) < 2:
        return sum(falls) > 0
    return sum(falls) > math.sqrt(len(falls)) * statistics.stdev(falls)


def lower_on_plateau(progress: Progress, loss: float, schedule: Schedule, min_delta: float) -> None:
    """torch's ReduceLROnPlateau (mode min, relative threshold), its factor kept as a share of the peak rate."""
    if improves("loss", loss, progress.plateau_best, min_delta):
        progress.plateau_best, progress.plateau_stale = loss, 0
    else:
        progress.plateau_stale += 1
    if progress.plateau_stale > schedule.plateau_patience:
        progress.rate_scale = max(progress.rate_scale * schedule.plateau_factor, schedule.min_ratio)
        progress.plateau_stale = 0
