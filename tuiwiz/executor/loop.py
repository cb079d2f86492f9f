"""The training loop, to be read from top to bottom.

One optimizer step is a fixed set of rows; the loss is summed over micro-batches and divided by the supervised tokens of
the whole step, so that the way a step is cut into micro-batches never changes it. Everything that happens is an event.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tuiwiz.base.errors import RunFailedError
from tuiwiz.data.types import Rows
from tuiwiz.events import types
from tuiwiz.executor import checkpoint
from tuiwiz.executor.batching import Order, collate, lay_out
from tuiwiz.executor.checkpoint import Progress
from tuiwiz.executor.device import Device
from tuiwiz.executor.evaluate import evaluate
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.executor.optim import rate_factor, set_rate
from tuiwiz.executor.record import Recorder
from tuiwiz.spec.bundle import Bundle

SKIPS_IN_A_ROW = 5
SKIPS_IN_ALL = 20
"""Steps with a non-finite loss or gradient after which a run fails."""


@dataclass(slots=True)
class Trainer:
    """Everything that the loop works with. Not a base class: the loop below is the only code that uses it."""

    bundle: Bundle
    device: Device
    model: Any
    objective: CausalObjective
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
    after_step: Callable[[int], None]
    """Called once a finished step, for what is measured only then."""
    progress: Progress = field(default_factory=Progress)
    milestones: int = 0
    """Checkpoints whose step this divides are kept for good; 0: none."""


def train(run: Trainer) -> str:
    """Train from `run.progress.step` to the end; returns why it ended: finished, early, or the reason of a stop.

    Raises:
        RunFailedError: too many steps with a non-finite loss or gradient; the last good checkpoint is kept.
    """
    order = Order(len(run.train_rows), run.bundle.batch.effective, run.bundle.seed)
    progress = run.progress
    if progress.step == 0:
        _evaluate(run)
    run.interrupts.at_borders = True
    run.recorder.stage("training", progress.step, run.total)
    while progress.step < run.total:
        started = time.perf_counter()
        metrics = optimizer_step(run, order.step(progress.step))
        progress.step += 1
        run.recorder.step = progress.step
        progress.elapsed_s += time.perf_counter() - started
        run.recorder.write(types.Metric, step=progress.step, metrics=metrics)
        run.after_step(progress.step)

        if progress.step in run.evaluation_steps and _evaluate(run):
            return "early"
        run.interrupts.poll(run.recorder, lambda: save_checkpoint(run))
        if run.interrupts.evaluate:
            run.interrupts.evaluate = False
            _evaluate(run)
        if run.interrupts.checkpoint or progress.step % run.checkpoint_every == 0 or progress.step == run.total:
            run.interrupts.checkpoint = False
            save_checkpoint(run)
        if run.interrupts.stop_reason and progress.step < run.total:
            save_checkpoint(run)
            return run.interrupts.stop_reason
    return "finished"


def optimizer_step(run: Trainer, indexes: list[int]) -> dict[str, float]:
    """One update of the weights from the rows with these indexes; returns the step's metrics.

    A loss or gradient that is not finite changes nothing: the step is skipped and counted.
    """
    progress, device = run.progress, run.device
    clock = Clock(device)
    layout = lay_out(run.train_rows, indexes, run.micro, packing=run.bundle.data.packing)
    batches = [collate(run.train_rows, sequences, device.where) for sequences in layout]
    supervised = sum(batch.supervised for batch in batches)
    tokens = sum(batch.tokens for batch in batches)
    clock.lap("data")

    total = torch.zeros((), device=device.where)
    for batch in batches:
        with run.autocast():
            loss = run.objective(batch).total / max(1, supervised)
        clock.lap("forward")
        (run.scaler.scale(loss) if run.scaler is not None else loss).backward()
        clock.lap("backward")
        total += loss.detach()

    if run.scaler is not None:
        run.scaler.unscale_(run.optimizer)
    limit = run.bundle.optimizer.clip_norm or math.inf
    norm = float(nn.utils.clip_grad_norm_(list(run.weights.values()), limit))
    value = float(total)
    rate = run.bundle.optimizer.learning_rate * rate_factor(progress.step, run.total, run.bundle.schedule)
    set_rate(run.optimizer, rate)
    if math.isfinite(value) and math.isfinite(norm):
        if progress.step == 0:
            _refuse_dead_weights(run)
        run.scaler.step(run.optimizer) if run.scaler is not None else run.optimizer.step()
        progress.skipped_in_a_row = 0
        progress.last_loss = value
    else:
        _skip(run, value, norm)
    if run.scaler is not None:
        run.scaler.update()
    run.optimizer.zero_grad(set_to_none=True)
    clock.lap("optimizer")

    progress.tokens += tokens
    progress.supervised_tokens += supervised
    allocated, peak = device.memory()
    return {
        "loss": value,
        "grad_norm": norm,
        "learning_rate": rate,
        "epoch": (progress.step + 1) / math.ceil(len(run.train_rows) / run.bundle.batch.effective),
        "tokens": progress.tokens,
        "supervised_tokens": progress.supervised_tokens,
        "tokens_per_second": tokens / clock.total,
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
        path, size = checkpoint.save(folder.checkpoints, run.weights, run.optimizer, run.scaler, progress)
        run.recorder.flush()
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
    run.recorder.stage("evaluating", 0, len(run.held_out))
    metrics = evaluate(
        run.model,
        run.objective,
        run.held_out,
        run.device,
        run.autocast,
        lambda done, total: run.recorder.stage("evaluating", done, total),
    )
    run.recorder.write(types.Eval, step=progress.step, metrics=metrics, rows=len(run.held_out))
    run.sample(progress.step)
    loss = metrics["loss"]
    if progress.step == 0:
        progress.first_loss = loss
        return False
    run.recorder.stage("training", progress.step, run.total)
    least = run.bundle.evaluation.min_delta
    if progress.best_loss is None or loss < progress.best_loss * (1 - least):
        progress.best_loss, progress.best_step, progress.without_improvement = loss, progress.step, 0
        save_checkpoint(run, best=True)
        return False
    progress.without_improvement += 1
    patience = run.bundle.evaluation.patience
    return patience is not None and progress.without_improvement >= patience


def _skip(run: Trainer, loss: float, norm: float) -> None:
    progress = run.progress
    progress.skipped_steps += 1
    progress.skipped_in_a_row += 1
    run.recorder.alert(
        "non_finite",
        f"step {progress.step + 1} was skipped: its loss or gradient is not a finite number",
        loss=str(loss),
        grad_norm=str(norm),
        skipped_steps=progress.skipped_steps,
    )
    if run.scaler is not None and progress.skipped_steps < SKIPS_IN_ALL:
        # A loss scale that is still too large overflows on purpose and is halved.
        progress.skipped_in_a_row = min(progress.skipped_in_a_row, SKIPS_IN_A_ROW - 1)
    if progress.skipped_in_a_row >= SKIPS_IN_A_ROW or progress.skipped_steps >= SKIPS_IN_ALL:
        raise RunFailedError(
            f"the loss or its gradient was not a finite number in {progress.skipped_steps} steps, "
            f"{progress.skipped_in_a_row} of them in a row",
            hint="lower optimizer.learning_rate, or use bf16 or fp32 in place of fp16",
        )


def _refuse_dead_weights(run: Trainer) -> None:
    """A trained matrix without a gradient means a run that would learn less than it says.

    LoRA's A matrices have zero gradient while B is zero, so only B matrices are asked at the first step.
    """
    adapters = any(".lora_B." in name for name in run.weights)
    dead = [
        name
        for name, parameter in run.weights.items()
        if (".lora_B." in name or not adapters) and (parameter.grad is None or not bool(parameter.grad.any()))
    ]
    if not dead:
        return
    if len(dead) > len(run.weights) // 10:
        raise RunFailedError(
            f"{len(dead)} trained tensors get no gradient, such as {dead[0]}: the run would not learn",
            hint='this is a fault of the installed libraries or of this model; try adapter.method = "lora"',
        )
    run.recorder.alert("no_gradient", f"{len(dead)} trained tensors get no gradient at the first step", names=dead[0])
