"""What the training loop works with, and how it is put together: the same in every process of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from tuiwiz.base.errors import DriftError
from tuiwiz.bundle.digest import digest
from tuiwiz.data.types import Prepared, Rows
from tuiwiz.executor import checkpoint
from tuiwiz.executor.adapters import PissaStart
from tuiwiz.executor.build import Built
from tuiwiz.executor.checkpoint import Progress
from tuiwiz.executor.course import Stage, make_course
from tuiwiz.executor.crew import ALONE, Crew
from tuiwiz.executor.device import Device
from tuiwiz.executor.evaluate import TOKENS
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.limits import TimeLimit
from tuiwiz.executor.objectives.objective import Objective
from tuiwiz.executor.record import Recorder
from tuiwiz.executor.small_states import optimizer_at
from tuiwiz.executor.soundness import Movement
from tuiwiz.executor.speedups import keeping_activations
from tuiwiz.spec.bundle import Adjustment, Bundle


@dataclass(slots=True)
class Trainer:
    """Everything that the loop works with. Not a base class: the loop below is the only code that uses it."""

    bundle: Bundle
    device: Device
    model: Any
    objective: Objective
    weights: dict[str, nn.Parameter]
    optimizer: Any
    scaler: Any
    autocast: Callable[[], Any]
    train_rows: Rows
    held_out: Rows
    total: int
    micro: int
    evaluation_steps: frozenset[int]
    checkpoint_every: int
    recorder: Recorder
    interrupts: Interrupts
    sample: Callable[[int], None]
    """Answer the held-out prompts after so many steps."""
    generated: Callable[[], dict[str, float]]
    """Metrics of answers that are generated for the held-out rows, where the bundle asks for one."""
    after_step: Callable[[int], None]
    """Called once a finished step, for what is measured only then."""
    progress: Progress = field(default_factory=Progress)
    adjustments: tuple[Adjustment, ...] = ()
    """What the ladder changed in this attempt and in earlier ones; the first `adjusted` of them hold."""
    adjusted: int = 0
    micro_tokens: int | None = None
    """Most tokens of a forward pass, where these and not `micro` decide; `micro` rows always fit then."""
    recomputes: bool = False
    """Whether activations are computed again in the backward pass."""
    evaluation_tokens: int = TOKENS
    unpadded: bool = False
    """Whether the rows of a micro-batch lie behind each other in one sequence."""
    updating: bool = False
    """Whether the optimizer is about to change weights."""
    milestones: int = 0
    """Checkpoints whose step this divides are kept for good; 0: none."""
    course: tuple[Stage, ...] = ()
    """The phases; one over the whole run where nothing else is said."""
    limit: TimeLimit | None = None
    pissa: PissaStart | None = None
    movement: Movement = field(default_factory=Movement)
    keeping: Callable[[], Any] = nullcontext
    """Context of a training pass that says where activations are kept."""
    crew: Crew = ALONE
    """The processes that share a step; this is written from the view of the first."""

    def __post_init__(self) -> None:
        if not self.course:
            self.course = make_course(self.bundle, self.total, list(self.weights), self.train_rows)


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
