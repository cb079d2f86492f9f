"""A trainer from what was built, the same in every process of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuiwiz.base.errors import DriftError
from tuiwiz.bundle.digest import digest
from tuiwiz.data.types import Prepared, Rows
from tuiwiz.executor import checkpoint
from tuiwiz.executor.build import Built
from tuiwiz.executor.checkpoint import Progress
from tuiwiz.executor.course import make_course
from tuiwiz.executor.crew import Crew
from tuiwiz.executor.device import Device
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.limits import TimeLimit
from tuiwiz.executor.loop import Trainer
from tuiwiz.executor.record import Recorder
from tuiwiz.executor.small_states import optimizer_at
from tuiwiz.executor.speedups import keeping_activations
from tuiwiz.spec.bundle import Adjustment, Bundle


def put_back(
    path: Path, bundle: Bundle, built: Built, device: Device, adjustments: tuple[Adjustment, ...]
) -> tuple[Any, Progress]:
    """Weights, states and random streams of the checkpoint in `path`; returns the optimizer it was saved with, and the
    loop's counters.

    Raises:
        DriftError: the checkpoint is that of another bundle.
    """
    step = checkpoint.step_of(path)
    optimizer = optimizer_at(bundle, adjustments, step, built.trained, device) or built.optimizer
    progress = checkpoint.load(path, built.trained, optimizer, built.scaler)
    if progress.digest != digest(bundle):
        raise DriftError(
            "the bundle in this run folder was changed since its last checkpoint",
            hint="put the old bundle.toml back, or start a new run with the changed one",
        )
    return optimizer, progress


def trainer_of(
    bundle: Bundle,
    built: Built,
    prepared: Prepared,
    own_rows: Sequence[Rows | None],
    device: Device,
    recorder: Recorder,
    interrupts: Interrupts,
    crew: Crew,
    *,
    optimizer: Any,
    progress: Progress,
    adjustments: tuple[Adjustment, ...],
    micro: int,
    planned: int,
    total: int,
    **more: Any,
) -> Trainer:
    """`planned` steps were in the bundle, `total` are left of requests; `more` is what process 0 alone has to do."""
    own: dict[str, Any] = {
        "held_out": Rows(),
        "evaluation_steps": frozenset(),
        "checkpoint_every": total,
        "sample": lambda step: None,
        "generated": dict,
        "after_step": lambda step: None,
        **more,
    }
    return Trainer(
        bundle=bundle,
        device=device,
        model=built.model,
        objective=built.objective,
        weights=built.trained,
        optimizer=optimizer,
        scaler=built.scaler,
        autocast=built.autocast,
        train_rows=prepared.train,
        total=total,
        micro=micro,
        micro_tokens=bundle.batch.micro_tokens,
        recorder=recorder,
        interrupts=interrupts,
        progress=progress,
        course=make_course(bundle, planned, list(built.trained), prepared.train, own_rows),
        limit=TimeLimit(bundle.schedule, progress.wall_s),
        pissa=built.pissa,
        keeping=keeping_activations(bundle),
        adjustments=adjustments,
        recomputes=bundle.memory.gradient_checkpointing,
        crew=crew,
        **own,
    )
