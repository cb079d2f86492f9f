"""Arithmetic that follows from a bundle and the number of training rows. Pure, and the only place for it, so that
the wizard, the planner and the executor cannot disagree."""

from __future__ import annotations

import math


def steps_per_epoch(rows: int, effective: int) -> int:
    """Optimizer steps of one epoch; the last may hold fewer rows."""
    return math.ceil(rows / effective)


def total_steps(rows: int, effective: int, epochs: float | None, steps: int | None) -> int:
    """T: `steps` where given, else epochs x ceil(rows / effective), at least 1."""
    if steps is not None:
        return steps
    return max(1, math.ceil((epochs if epochs is not None else 1.0) * steps_per_epoch(rows, effective) - 1e-9))


def warmup_steps(warmup: float, total: int) -> int:
    """Warm-up steps from `schedule.warmup`.

    1 or more is steps. A ratio up to 0.1 gives min(max(round(ratio x T), 5), T // 10), so that a short run neither
    starts at full rate nor spends itself warming up; a larger ratio was asked for and is taken at its word; 0 is none.
    """
    if warmup <= 0:
        return 0
    if warmup >= 1:
        return round(warmup)
    if warmup > 0.1:
        return round(warmup * total)
    return min(max(round(warmup * total), 5), total // 10)


def cadence(every: float, total: int) -> int:
    """Steps between two evaluations or checkpoints: `every` below 1 is a share of the run."""
    return max(1, round(every * total)) if every < 1 else round(every)


def accumulation(effective: int, micro: int, processes: int = 1) -> int:
    """Micro-batches of one optimizer step on one process; the last may be smaller."""
    return math.ceil(effective / (micro * processes))
