"""Job `train`: from a run folder with a bundle to a trained adapter or model, told as events."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tuiwiz
from tuiwiz.base.errors import DriftError, ExitCode
from tuiwiz.base.files import write_atomic
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.read import read_bundle
from tuiwiz.data.phase_rows import phase_rows
from tuiwiz.data.prepare import prepare
from tuiwiz.data.types import Prepared, Rows
from tuiwiz.data.vocabulary import with_new_tokens
from tuiwiz.events import types
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job
from tuiwiz.events.process import write_process
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.record import Recorder
from tuiwiz.executor.source import model_folder
from tuiwiz.executor.tracking.feed import Feed
from tuiwiz.executor.tracking.trackers import openers
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.derive import cadence
from tuiwiz.spec.phases import run_steps
from tuiwiz.spec.task import REFERENCE_TASKS

if TYPE_CHECKING:
    from tuiwiz.executor.kept import KeptBase

REPLAYED = "replayed"
"""Reason of the stop of a replay."""


def run(path: Path, bases: KeptBase | None = None) -> int:
    """Train the run in `path`; returns the exit code. Errors are the caller's to report.

    `bases`: where the base model comes from in a process that trains several runs.
    """
    from tuiwiz.executor.failure import reporting

    folder = RunFolder(path)
    job = read_job(path)
    interrupts = Interrupts()
    with Recorder(folder) as recorder, reporting(recorder):
        interrupts.install()
        recorder.stage("loading", note="model files")
        # After the first event, and only by whom the event file belongs to.
        write_process(folder.pid)
        folder.control.mkdir(exist_ok=True)
        bundle = read_bundle(folder.bundle)
        recorder.feed = Feed(openers(bundle, path), recorder.log)
        base = Path(job.get("bundle_folder") or path)
        weights = model_folder(bundle, base, lambda what, done, total: recorder.stage(what, done, total))
        recorder.stage("tokenizing")
        prepared = prepare(
            bundle,
            base,
            weights,
            progress=lambda what, done, total: recorder.stage("tokenizing", done, total, what),
            tokenizer_name=bundle.model.source,
        )
        if prepared.cached:
            recorder.log(f"tokenised rows of an earlier start are used again ({prepared.fingerprint[:12]})")
        own_rows, notes = phase_rows(bundle, base, weights, prepared.validation, tokenizer_name=bundle.model.source)
        for problem in (*prepared.problems, *notes):
            place = problem.place()
            level = "warning" if problem.severity != "info" else "info"
            recorder.log(f"{place + ': ' if place else ''}{problem.message}", level)
        return _train(folder, recorder, interrupts, bundle, base, weights, prepared, own_rows, job, bases)
    return int(ExitCode.INTERNAL)


def _train(
    folder: RunFolder,
    recorder: Recorder,
    interrupts: Interrupts,
    bundle: Bundle,
    base: Path,
    weights: Path,
    prepared: Prepared,
    own_rows: list[Rows | None],
    job: dict[str, Any],
    bases: KeptBase | None,
) -> int:
    resume, replay, rehearsing = bool(job.get("resume")), int(job.get("replay") or 0), bool(job.get("rehearse"))
    recorder.stage("loading", note="libraries")
    from tuiwiz.executor import checkpoint, ladder
    from tuiwiz.executor.build import build
    from tuiwiz.executor.chance import be_deterministic, seed_everything
    from tuiwiz.executor.closing import finish, stop
    from tuiwiz.executor.course import make_course
    from tuiwiz.executor.device import choose_device, set_threads
    from tuiwiz.executor.disk import check_room
    from tuiwiz.executor.evaluate import evaluation_steps
    from tuiwiz.executor.generate import Speech
    from tuiwiz.executor.generated import Generated
    from tuiwiz.executor.limits import TimeLimit
    from tuiwiz.executor.locking import check_lock, locked_threads, resolved_of
    from tuiwiz.executor.loop import Trainer, train
    from tuiwiz.executor.memory import planned_micro, report_memory
    from tuiwiz.executor.model import load_base
    from tuiwiz.executor.packing import prove_packing, without_padding
    from tuiwiz.executor.provenance import differences, made_with, resolve, resumed_words, write_environment
    from tuiwiz.executor.reference import fill_reference, visited_rows
    from tuiwiz.executor.rehearse import rest, worst_of
    from tuiwiz.executor.sampling import Sampler
    from tuiwiz.executor.small_states import optimizer_at
    from tuiwiz.executor.speedups import (
        first_loss,
        keeping_activations,
        refuse_without_cuda,
        replace_kernels,
        set_precision,
    )
    from tuiwiz.executor.steer import steps_every

    interrupts.check()
    before = resolved_of(folder) if resume else None
    threads = set_threads(locked_threads(before or bundle))
    device = choose_device(bundle)
    refuse_without_cuda(bundle, device)
    set_precision(bundle)
    allow = bool(job.get("allow_drift"))
    lock = check_lock(folder, recorder, bundle, base, weights, prepared, own_rows, device, threads, allow=allow)
    seed_everything(bundle.seed)
    be_deterministic()
    built = build(bundle, base, weights, prepared, device, recorder, bases or load_base)
    model, trained, optimizer, objective = built.model, built.trained, built.optimizer, built.objective
    rows, effective = len(prepared.train), bundle.batch.effective
    planned = total = run_steps(bundle, rows)
    if rehearsing:
        prepared = worst_of(prepared, effective)
    if bundle.task.kind in REFERENCE_TASKS:

        def tell(done: int, all_rows: int) -> None:
            # On many rows this takes as long as an epoch: requests are answered as between steps.
            interrupts.poll(recorder, lambda: None)
            interrupts.check()
            recorder.stage("measuring", done, all_rows, note="the model before training, on every row")

        visited = visited_rows(bundle, prepared, total)
        fill_reference(folder.path, prepared, visited, model, objective, built.autocast, tell)

    # What the planner chose for the first attempt holds for all: another micro-batch adds in another order.
    micro = bundle.batch.micro or (before and before.batch.micro) or planned_micro(bundle, prepared.train, weights)
    steps = evaluation_steps(
        total,
        cadence(bundle.evaluation.every, total),
        round(prepared.train.tokens * total * effective / max(1, rows)),
        prepared.validation.tokens,
    )
    checkpoint.sweep(folder)
    restored: tuple[str, ...] = ()
    differs: list[str] = []
    here = made_with(device, threads)
    progress = checkpoint.Progress(digest=digest(bundle), made_with=here)
    if resume:
        path, complaints = checkpoint.newest_valid(folder.checkpoints)
        if path is not None:
            taken = before.adjustments if before is not None else ()
            optimizer = optimizer_at(bundle, taken, checkpoint.step_of(path), trained, device) or optimizer
            progress = checkpoint.load(path, trained, optimizer, built.scaler)
            if progress.digest != digest(bundle):
                raise DriftError(
                    "the bundle in this run folder was changed since its last checkpoint",
                    hint="put the old bundle.toml back, or start a new run with the changed one",
                )
            if progress.total:
                steps, total = sorted({*(step for step in steps if step != total), progress.total}), progress.total
            if progress.evaluate_every:
                steps = sorted({0, *steps_every(progress.evaluate_every, progress.step, total)})
            restored = ("weights", "optimizer", "schedule", "random streams", "row order", "counters")
            differs = differences(progress.made_with, here)
            progress.made_with = here
        checkpoint.set_aside(folder.checkpoints, newer_than=progress.step)
    milestones = cadence(bundle.checkpoint.milestones, total) if bundle.checkpoint.milestones is not None else 0
    if not replay:
        kept = bundle.checkpoint.keep + (total // milestones if milestones else 0)
        check_room(folder, trained, bundle, kept=kept)
    adjustments = before.adjustments if before is not None else bundle.adjustments
    resolved = resolve(
        bundle,
        base,
        weights,
        device,
        micro=micro,
        total=total,
        evaluations=len(prepared.validation) > 0,
        lock=lock,
        adjustments=adjustments,
    )
    earlier = view_of(folder)
    recorder.step = progress.step
    recorder.write(
        types.RunStarted,
        attempt=(earlier.started.attempt if earlier.started is not None else 0) + 1,
        from_step=progress.step,
        steps=total,
        name=bundle.name,
        digest=digest(bundle),
        pid=os.getpid(),
        host=socket.gethostname(),
        version=tuiwiz.__version__,
        method=bundle.adapter.method,
        task=bundle.task.kind,
        model=bundle.model.source,
        rows=rows,
        validation_rows=len(prepared.validation),
        steps_per_epoch=-(-rows // effective),
        effective=effective,
        device=f"{device.name}, {device.compute_name}",
        restored=restored,
        differs=tuple(differs),
        evaluation_steps=tuple(steps) if len(prepared.validation) else (),
    )
    if resume:
        for complaint in complaints:
            recorder.alert("damaged_checkpoint", f"a checkpoint could not be used: {complaint}")
        if lost := recorder.missing(progress.events_bytes):
            recorder.alert("events_cut", f"the event file lacks {lost:,} bytes that it had at step {progress.step}")
        recorder.log(resumed_words(progress.step, restored, differs))
    write_environment(folder, device, threads, prepared, bundle)
    write_atomic(folder.resolved, resolved)

    trainer = Trainer(
        bundle=bundle,
        device=device,
        model=model,
        objective=objective,
        weights=trained,
        optimizer=optimizer,
        scaler=built.scaler,
        autocast=built.autocast,
        train_rows=prepared.train,
        held_out=prepared.validation if rehearsing or not replay else Rows(),
        total=total,
        micro=micro,
        micro_tokens=bundle.batch.micro_tokens,
        evaluation_steps=frozenset(steps),
        checkpoint_every=cadence(bundle.checkpoint.every, total) if not replay else total,
        milestones=milestones,
        recorder=recorder,
        interrupts=interrupts,
        sample=lambda step: None,
        generated=dict,
        after_step=lambda step: None,
        progress=progress,
        course=make_course(bundle, planned, list(trained), prepared.train, own_rows),
        limit=TimeLimit(bundle.schedule, progress.wall_s),
        pissa=built.pissa,
        keeping=keeping_activations(bundle),
        adjustments=adjustments,
        recomputes=bundle.memory.gradient_checkpointing,
    )
    for name in replace_kernels(model, bundle, lambda: first_loss(trainer)):
        recorder.log(f"{name} in place: they agree with the model's own on the first batch")
    interrupts.check()
    if bundle.data.packing:
        packed, apart = prove_packing(prepared.train, model, objective, device.where, device.compute, built.autocast)
        recorder.log(f"packed rows do not see each other: loss {packed:.4f} packed, {apart:.4f} apart")
    trainer.unpadded = without_padding(trainer, bases.remembered) if bases is not None else without_padding(trainer)
    words = with_new_tokens(weights, bundle.adapter.new_tokens)
    speech = Speech(words)
    sampler = Sampler(trainer, speech, steps, earlier.samples)
    trainer.sample = sampler.at
    trainer.generated = Generated(trainer, speech).metrics

    reported = 0

    def after_step(step: int) -> None:
        nonlocal reported
        if (step == 2 or trainer.adjusted > reported) and (rehearsing or not replay):
            report_memory(trainer, weights)
        reported = trainer.adjusted
        if step == replay:
            interrupts.stop_reason = REPLAYED

    trainer.after_step = after_step
    if job.get("killed_for_memory"):
        ladder.apply_due(trainer)
        ladder.take_one(trainer, "an earlier attempt was ended by the kernel for memory")
    started = time.monotonic()
    reason = train(trainer)
    wall_s = time.monotonic() - started
    if rehearsing:
        rest(trainer, sampler, weights)
        return int(ExitCode.STOPPED)
    if reason in ("finished", "early", "time"):
        finish(trainer, words, sampler, reason, wall_s)
        return int(ExitCode.DONE)
    stop(trainer, reason, wall_s)
    return int(ExitCode.STOPPED)
