"""What process 0 says between two steps, and how the others train by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tuiwiz.base.errors import RunFailedError
from tuiwiz.executor import course, ladder
from tuiwiz.executor.checkpoint import Progress
from tuiwiz.executor.optim import for_evaluation
from tuiwiz.spec.bundle import Adjustment

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer


class Order(msgspec.Struct, kw_only=True):
    """Where the run stands and how it goes on; `reason` says why it ends, and is empty where it does not."""

    progress: Progress
    total: int
    reason: str
    evaluations: int
    """How often the weights that are judged were put in place: that moves some optimizers' by a rounding."""
    saved: bool


class Start(msgspec.Struct, kw_only=True):
    """What process 0 found out before the first step. `total`: steps of the run; `checkpoint`: the folder's name, empty
    where none is resumed; `adjustments` that earlier attempts made."""

    micro: int
    total: int
    checkpoint: str
    adjustments: tuple[Adjustment, ...]


def say(run: Trainer, reason: str) -> None:
    """Process 0: tell the others where the run stands, and after a save prove that all have the same weights.

    Raises:
        RunFailedError: the weights of two processes differ.
    """
    crew = run.crew
    if crew.size == 1:
        return
    # Losses of held-out rows are process 0's alone, and many.
    progress = msgspec.structs.replace(run.progress, best_rows=[])
    order = Order(progress=progress, total=run.total, reason=reason, evaluations=crew.evaluations, saved=crew.saved)
    crew.evaluations, crew.saved = 0, False
    crew.tell(order)
    if order.saved:
        _agree(run)


def follow(run: Trainer) -> None:
    """The loop of every process but the first: its share of each step, until it is told that the run ends."""
    from tuiwiz.executor.loop import optimizer_step

    course.begin(run)
    ladder.apply_due(run)
    while not _obey(run):
        indexes = course.rows_of_step(run)
        ladder.step_or_lower(run, lambda rows=indexes: optimizer_step(run, rows))  # type: ignore[misc]
        run.progress.step += 1
        ladder.apply_due(run)


def _obey(run: Trainer) -> str:
    order = msgspec.convert(run.crew.tell(), Order)
    phase, run.progress, run.total = run.progress.phase, order.progress, order.total
    if phase != order.progress.phase:
        course.take_up(run)
    for _ in range(order.evaluations):
        with for_evaluation(run.optimizer):
            pass
    if order.saved:
        _agree(run)
    return order.reason


def _agree(run: Trainer) -> None:
    other = run.crew.apart(run.weights.values())
    if other is not None:
        raise RunFailedError(
            f"process {other} has other weights than process 0 after step {run.progress.step}",
            hint="the same update gave different numbers: unlike cards, or one that is faulty; leave it out by "
            "launch.devices. The checkpoint before this one is sound",
        )
