"""The training loop, to be read from top to bottom.

One optimizer step is a fixed set of rows; the loss is summed over micro-batches and divided by the supervised tokens of
the whole step, so that the way a step is cut into micro-batches never changes it. Everything that happens is an event.
"""

from __future__ import annotations

import math
import time

import torch
from torch import nn

from tuiwiz.base.files import write_atomic
from tuiwiz.events import types
from tuiwiz.executor import checkpoint, course, following, ladder
from tuiwiz.executor.batching import flat, lay_out
from tuiwiz.executor.clock import Clock
from tuiwiz.executor.evaluate import evaluate
from tuiwiz.executor.objectives.objective import added, joined, mean
from tuiwiz.executor.optim import for_evaluation, set_rate
from tuiwiz.executor.soundness import refuse_dead_weights, skip
from tuiwiz.executor.steer import steer
from tuiwiz.executor.trainer import Trainer
from tuiwiz.executor.verdict import judge


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
    reason = "" if progress.step < run.total else "finished"
    following.say(run, reason)
    while not reason:
        started = time.perf_counter()
        indexes = course.rows_of_step(run)
        metrics = ladder.step_or_lower(run, lambda rows=indexes: optimizer_step(run, rows))  # type: ignore[misc]
        progress.step += 1
        ladder.apply_due(run)
        run.recorder.step = progress.step
        progress.elapsed_s += time.perf_counter() - started
        run.recorder.write(types.Metric, step=progress.step, metrics=metrics)
        run.after_step(progress.step)
        reason = _between(run, started) or ("finished" if progress.step >= run.total else "")
        following.say(run, reason)
    return reason


def _between(run: Trainer, started: float) -> str:
    """What is due and what was asked for between two steps; returns why the run ends here, empty where it goes on."""
    progress = run.progress
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
    return "time" if progress.step < run.total and _out_of_time(run, time.perf_counter() - started) else ""


def optimizer_step(run: Trainer, indexes: list[int]) -> dict[str, float]:
    """One update of the weights from the rows with these indexes; returns the step's metrics.

    A loss or gradient that is not finite changes nothing: the step is skipped and counted.
    """
    progress, device, crew = run.progress, run.device, run.crew
    clock = Clock(device)
    crew.begin_step(run.bundle.seed, progress.step)
    packing, parts = run.bundle.data.packing, crew.size
    layout = lay_out(run.train_rows, indexes, run.micro, packing=packing, tokens=run.micro_tokens, parts=parts)
    layout = crew.share(flat(layout) if run.unpadded else layout)
    batches = [run.objective.collate(run.train_rows, sequences, device.where) for sequences in layout]
    counts = crew.counted(added(run.objective.counts(batch) for batch in batches))
    sizes = {
        "supervised": sum(batch.supervised for batch in batches),
        "tokens": sum(batch.tokens for batch in batches),
        "padded": sum(batch.input_ids.numel() for batch in batches),
    }
    supervised, tokens, padded = crew.counted(sizes).values()
    clock.lap("data")

    total = torch.zeros((), device=device.where)
    seen: list[dict[str, torch.Tensor]] = []
    with ladder.together(crew), torch.no_grad(), run.autocast():
        sums = run.objective.begin(batches)
    run.objective.settle(crew.summed(sums))
    with ladder.together(crew):
        for batch in batches:
            with run.autocast(), run.keeping():
                outcome = run.objective(batch)
            loss = mean(outcome.parts, counts)
            seen.append(outcome.seen)
            clock.lap("forward")
            (run.scaler.scale(loss) if run.scaler is not None else loss).backward()
            clock.lap("backward")
            total += loss.detach()
    if crew.size > 1:
        crew.exchange(run.weights.values())
        crew.summed(total)
        clock.lap("exchange")

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
        **(run.objective.summary(crew.seen(joined(seen))) if run.objective.tells else {}),
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
        run.crew.saved = True
        run.recorder.stage("training", progress.step, run.total)
    keep = run.bundle.checkpoint.keep
    checkpoint.retire(folder.checkpoints, keep=keep, best=progress.best_step, milestones=run.milestones)


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

    run.crew.evaluations += 1
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
