"""Requests that change how long a run is and how often it is evaluated; kept in checkpoints, told as `adjusted`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuiwiz.events import types
from tuiwiz.spec.task import REFERENCE_TASKS

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer


def steer(run: Trainer) -> None:
    """Carry out what was asked since the last step. The schedule, or that of the last phase, spans the new length."""
    asked, progress = run.interrupts, run.progress
    if asked.extend and run.bundle.task.kind in REFERENCE_TASKS and run.total < run.course[0].order.per_epoch:
        asked.extend = 0
        run.recorder.log(
            "not made longer: it would meet rows on which the model before training was never measured", "warning"
        )
    if asked.extend:
        before, run.total = run.total, run.total + asked.extend
        asked.extend, progress.total = 0, run.total
        # The last step is always evaluated; the old last one no longer has to be.
        run.evaluation_steps = frozenset(step for step in run.evaluation_steps if step != before) | {run.total}
        _tell(run, "steps", before, run.total, "asked by request; the schedule spans the new length")
        if progress.evaluate_every:
            run.evaluation_steps = steps_every(progress.evaluate_every, progress.step, run.total)
    if asked.cadence:
        before_every = progress.evaluate_every or None
        progress.evaluate_every, asked.cadence = asked.cadence, 0
        run.evaluation_steps = steps_every(progress.evaluate_every, progress.step, run.total)
        _tell(run, "evaluation.every", before_every, progress.evaluate_every, "asked by request")


def steps_every(every: int, done: int, total: int) -> frozenset[int]:
    """After which of the steps to come to evaluate: each multiple of `every`, and the last."""
    return frozenset({*range((done // every + 1) * every, total, every), total})


def _tell(run: Trainer, key: str, before: int | None, after: int, reason: str) -> None:
    run.recorder.write(types.Adjusted, step=run.progress.step, key=key, from_=before, to=after, reason=reason)
