"""The training loop, to be read from top to bottom.

One optimizer step is a fixed set of rows; the loss is summed over micro-batches and divided by the supervised tokens of
the whole step, so that the way a step is cut into micro-batches never changes it. Everything that happens is an event.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tuiwiz.base.files import write_atomic
from tuiwiz.data.types import Rows
from tuiwiz.events import types
from tuiwiz.executor import checkpoint, course, ladder
from tuiwiz.executor.adapters import PissaStart
from tuiwiz.executor.batching import flat, lay_out
from tuiwiz.executor.checkpoint import Progress
from tuiwiz.executor.course import Stage, make_course
from tuiwiz.executor.device import Device
from tuiwiz.executor.evaluate import TOKENS, evaluate
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.limits import TimeLimit
from tuiwiz.executor.objectives.objective import Objective, added, joined, mean
from tuiwiz.executor.optim import for_evaluation, set_rate
from tuiwiz.executor.record import Recorder
from tuiwiz.executor.soundness import Movement, refuse_dead_weights, skip
from tuiwiz.executor.steer import steer
from tuiwiz.executor.verdict import judge
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

    def __post_init__(self) -> None:
        if not self.course:
            self.course = make_course(self.bundle, self.total, list(self.weights), self.train_rows)


def train(run: Trainer) -> str:
    """Train from `run.progress.step` to the end; returns why it ended: finished, early, time, or what stopped it.

    Raises:
        RunFailedError: too many steps with a non-finite loss or gradient; the last good checkpoint is kept.
    """
    progress = run.progress
    course.begin(run)
    ladder.apply_due(run)
    if progress.step == 0:
        _evaluate(run)
    run.interrupts.at_borders = True
    run.recorder.stage("training", progress.step, run.total)
    while progress.step < run.total:
        started = time.perf_counter()
        indexes = course.rows_of_step(run)
        metrics = ladder.step_or_lower(run, lambda rows=indexes: optimizer_step(run, rows))  # type: ignore[misc]
        progress.step += 1
        ladder.apply_due(run)
        run.recorder.step = progress.step
        progress.elapsed_s += time.perf_counter() - started
        run.recorder.write(types.Metric, step=progress.step, metrics=metrics)
        run.after_step(progress.step)

        if progress.step in run.evaluation_steps and _evaluate(run):
            return "early"
        course.after_step(run)
        run.interrupts.poll(run.recorder, lambda: save_checkpoint(run))
        steer(run)
        if run.interrupts.evaluate:
            run.interrupts.evaluate = False
            _evaluate(run)
        if run.interrupts.checkpoint or progress.step % run.checkpoint_every == 0 or progress.step == run.total:
            run.interrupts.checkpoint = False
            save_checkpoint(run)
        if run.interrupts.stop_reason and progress.step < run.total:
            save_checkpoint(run)
            return run.interrupts.stop_reason
        if progress.step < run.total and _out_of_time(run, time.perf_counter() - started):
            return "time"
    return "finished"


def optimizer_step(run: Trainer, indexes: list[int]) -> dict[str, float]:
    """One update of the weights from the rows with these indexes; returns the step's metrics.

    A loss or gradient that is not finite changes nothing: the step is skipped and counted.
    """
    progress, device = run.progress, run.device
    clock = Clock(device)
    layout = lay_out(run.train_rows, indexes, run.micro, packing=run.bundle.data.packing, tokens=run.micro_tokens)
    layout = flat(layout) if run.unpadded else layout
    batches = [run.objective.collate(run.train_rows, sequences, device.where) for sequences in layout]
    counts = added(run.objective.counts(batch) for batch in batches)
    supervised = sum(batch.supervised for batch in batches)
    tokens = sum(batch.tokens for batch in batches)
    padded = sum(batch.input_ids.numel() for batch in batches)
    clock.lap("data")

    total = torch.zeros((), device=device.where)
    seen: list[dict[str, torch.Tensor]] = []
    with torch.no_grad(), run.autocast():
        run.objective.begin(batches)
    for batch in batches:
        with run.autocast(), run.keeping():
            outcome = run.objective(batch)
        loss = mean(outcome.parts, counts)
        seen.append(outcome.seen)
        clock.lap("forward")
        (run.scaler.scale(loss) if run.scaler is not None else loss).backward()
        clock.lap("backward")
        total += loss.detach()

    if run.scaler is not None:
        run.scaler.unscale_(run.optimizer)
    limit = run.bundle.optimizer.clip_norm or math.inf
    norm = float(nn.utils.clip_grad_norm_(list(run.weights.values()), limit))
    value = float(total)
    rate = course.rate_of(run)
    set_rate(run.optimizer, rate)
    if math.isfinite(value) and math.isfinite(norm):
        refuse_dead_weights(run)
        run.movement.look(run, rate)
        run.updating = True
        run.scaler.step(run.optimizer) if run.scaler is not None else run.optimizer.step()
        run.updating = False
        progress.skipped_in_a_row = 0
        progress.last_loss = value
    else:
        skip(run, value, norm)
    if run.scaler is not None:
        run.scaler.update()
    run.optimizer.zero_grad(set_to_none=True)
    clock.lap("optimizer")

    progress.tokens += tokens
    progress.supervised_tokens += supervised
    allocated, peak = device.memory()
    return {
        "loss": value,
        **(run.objective.summary(joined(seen)) if run.objective.tells else {}),
        "grad_norm": norm,
        "learning_rate": rate,
        "epoch": course.epoch_after_step(run),
        "tokens": progress.tokens,
        "supervised_tokens": progress.supervised_tokens,
        "tokens_per_second": tokens / clock.total,
        "padding_share": 1 - tokens / max(1, padded),
        "step_seconds": clock.total,
        **{f"{name}_seconds": seconds for name, seconds in clock.laps.items()},
        "allocated_bytes": allocated,
        "peak_bytes": peak,
    }


def save_checkpoint(run: Trainer, *, best: bool = False) -> None:
    """Save at the present step, unless that was done already; retire old ones."""
    progress, folder = run.progress, run.recorder.folder
    if not folder.checkpoint(progress.step).exists():
        run.recorder.stage("saving")
        progress.events_bytes = run.recorder.flush()
        path, size = ladder.save_or_release(
            run, lambda: checkpoint.save(folder.checkpoints, run.weights, run.optimizer, run.scaler, progress)
        )
        relative = path.relative_to(folder.path).as_posix()
        run.recorder.write(types.Checkpoint, step=progress.step, path=relative, bytes=size, best=best)
        run.recorder.stage("training", progress.step, run.total)
    keep = run.bundle.checkpoint.keep
    checkpoint.retire(folder.checkpoints, keep=keep, best=progress.best_step, milestones=run.milestones)


class Clock:
    """Seconds of each part of a step; waits for the device, so that work is counted where it was asked for."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._start = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        self._device.synchronize()
        now = time.perf_counter()
        self.laps[name] = self.laps.get(name, 0.0) + now - self._last
        self._last = now

    @property
    def total(self) -> float:
        return max(1e-9, self._last - self._start)


def _evaluate(run: Trainer) -> bool:
    """Evaluate and sample at the present step; True when patience has run out."""
    progress = run.progress
    if not len(run.held_out):
        return False
    started = time.perf_counter()
    run.recorder.stage("evaluating", 0, len(run.held_out))
    row_losses: list[float] = []
    tables: dict[str, str] = {}

    def measure() -> dict[str, float]:
        found = evaluate(
            run.model,
            run.objective,
            run.held_out,
            run.device,
            run.autocast,
            lambda done, total: run.recorder.stage("evaluating", done, total),
            tables.update,
            row_losses,
            tokens=run.evaluation_tokens,
        )
        return found | run.generated()

    with run.device.apart(), for_evaluation(run.optimizer):
        metrics = ladder.evaluate_or_lower(run, measure)
        run.recorder.write(types.Eval, step=progress.step, metrics=metrics, rows=len(run.held_out))
        run.sample(progress.step)
    if run.limit is not None:
        run.limit.evaluation_s = time.perf_counter() - started
    if progress.step == 0:
        progress.first_loss, progress.first_score = metrics["loss"], metrics.get(run.bundle.evaluation.metric)
        return False
    run.recorder.stage("training", progress.step, run.total)
    verdict = judge(run, metrics, row_losses)
    if verdict.best:
        for name, text in tables.items():
            write_atomic(run.recorder.folder.path / name, text)
        save_checkpoint(run, best=True)
    if verdict.phase_over:
        course.after_step(run, plateau=True)
    return verdict.patience_over


def _out_of_time(run: Trainer, step_s: float) -> bool:
    """Whether another step would end too late; if so the weights as they are get their evaluation and checkpoint."""
    if run.limit is None:
        return False
    run.progress.wall_s = run.limit.spent_s
    reason = run.limit.reached(step_s)
    if not reason:
        return False
    run.recorder.log(f"{reason} reached after step {run.progress.step} of {run.total}")
    if run.progress.step not in run.evaluation_steps:
        _evaluate(run)
    save_checkpoint(run)
    return True
