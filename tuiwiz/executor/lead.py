"""The process that leads a run, mostly its only one: everything between prepared rows and the last event."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tuiwiz
from tuiwiz.base.errors import ExitCode
from tuiwiz.base.files import write_atomic
from tuiwiz.bundle.digest import digest
from tuiwiz.data.types import Prepared, Rows
from tuiwiz.data.vocabulary import with_new_tokens
from tuiwiz.events import types
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.executor import checkpoint, ladder
from tuiwiz.executor.build import Built, build
from tuiwiz.executor.chance import be_deterministic, seed_everything
from tuiwiz.executor.closing import finish, stop
from tuiwiz.executor.crew import Crew
from tuiwiz.executor.device import Device, choose_cards, choose_device, set_threads
from tuiwiz.executor.disk import check_room
from tuiwiz.executor.evaluate import evaluation_steps
from tuiwiz.executor.following import Start
from tuiwiz.executor.generate import Speech
from tuiwiz.executor.generated import Generated
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.locking import check_lock, locked_threads, resolved_of
from tuiwiz.executor.loop import train
from tuiwiz.executor.memory import planned_micro, report_memory
from tuiwiz.executor.model import load_base
from tuiwiz.executor.muster import mustered
from tuiwiz.executor.packing import prove_packing, without_padding
from tuiwiz.executor.provenance import differences, made_with, resolve, resumed_words, write_environment
from tuiwiz.executor.record import Recorder
from tuiwiz.executor.reference import fill_reference, visited_rows
from tuiwiz.executor.rehearse import rest, worst_of
from tuiwiz.executor.sampling import Sampler
from tuiwiz.executor.speedups import first_loss, refuse_without_cuda, replace_kernels, set_precision
from tuiwiz.executor.steer import steps_every
from tuiwiz.executor.trainer import Trainer, put_back, trainer_of
from tuiwiz.spec.bundle import Bundle, Lock
from tuiwiz.spec.derive import cadence
from tuiwiz.spec.phases import run_steps
from tuiwiz.spec.task import REFERENCE_TASKS

if TYPE_CHECKING:
    from tuiwiz.executor.kept import KeptBase

REPLAYED = "replayed"
"""Reason of the stop of a replay."""
RESTORED = ("weights", "optimizer", "schedule", "random streams", "row order", "counters")


@dataclass(slots=True)
class Given:
    """What is known before the libraries are loaded. `base`: where relative paths start; `weights`: the model's
    folder; `bases`: where the base model comes from in a process that trains several runs."""

    folder: RunFolder
    recorder: Recorder
    interrupts: Interrupts
    bundle: Bundle
    base: Path
    weights: Path
    prepared: Prepared
    own_rows: list[Rows | None]
    job: dict[str, Any]
    bases: KeptBase | None

    @property
    def resume(self) -> bool:
        return bool(self.job.get("resume"))

    @property
    def replay(self) -> int:
        return int(self.job.get("replay") or 0)

    @property
    def rehearsing(self) -> bool:
        return bool(self.job.get("rehearse"))


def lead(given: Given) -> int:
    """Train; returns the exit code. Errors are the caller's to report."""
    bundle = given.bundle
    given.interrupts.check()
    before = resolved_of(given.folder) if given.resume else None
    threads = set_threads(locked_threads(before or bundle), bundle.batch.processes)
    cards = choose_cards(bundle)
    device = choose_device(bundle, cards[0] if cards else None)
    refuse_without_cuda(bundle, device)
    set_precision(bundle)
    lock = check_lock(
        given.folder,
        given.recorder,
        bundle,
        given.base,
        given.weights,
        given.prepared,
        given.own_rows,
        device,
        threads,
        allow=bool(given.job.get("allow_drift")),
    )
    with mustered(bundle, given.folder, device, cards, given.recorder, given.interrupts) as crew:
        seed_everything(bundle.seed)
        be_deterministic()
        load = given.bases or load_base
        built = build(bundle, given.base, given.weights, given.prepared, device, given.recorder, load)
        return _train(given, built, device, threads, crew, lock, before)
    return int(ExitCode.INTERNAL)


def _train(
    given: Given, built: Built, device: Device, threads: int, crew: Crew, lock: Lock, before: Bundle | None
) -> int:
    folder, recorder, interrupts, bundle = given.folder, given.recorder, given.interrupts, given.bundle
    prepared, effective = given.prepared, bundle.batch.effective
    rows = len(prepared.train)
    planned = total = run_steps(bundle, rows)
    if given.rehearsing:
        prepared = worst_of(prepared, effective)
    if bundle.task.kind in REFERENCE_TASKS:

        def tell(done: int, all_rows: int) -> None:
            # On many rows this takes as long as an epoch: requests are answered as between steps.
            interrupts.poll(recorder, lambda: None)
            interrupts.check()
            recorder.stage("measuring", done, all_rows, note="the model before training, on every row")

        visited = visited_rows(bundle, prepared, total)
        fill_reference(folder.path, prepared, visited, built.model, built.objective, built.autocast, tell)

    # What the planner chose for the first attempt holds for all: another micro-batch adds in another order.
    micro = (
        bundle.batch.micro or (before and before.batch.micro) or planned_micro(bundle, prepared.train, given.weights)
    )
    micro = min(micro, -(-effective // crew.size))
    steps = evaluation_steps(
        total,
        cadence(bundle.evaluation.every, total),
        round(prepared.train.tokens * total * effective / max(1, rows)),
        prepared.validation.tokens,
    )
    checkpoint.sweep(folder)
    adjustments = before.adjustments if before is not None else bundle.adjustments
    here = made_with(device, threads, crew.size)
    optimizer, progress = built.optimizer, checkpoint.Progress(digest=digest(bundle), made_with=here)
    path: Path | None = None
    complaints: list[str] = []
    differs: list[str] = []
    if given.resume:
        path, complaints = checkpoint.newest_valid(folder.checkpoints)
        if path is not None:
            taken = before.adjustments if before is not None else ()
            optimizer, progress = put_back(path, bundle, built, device, taken)
            if progress.total:
                steps, total = sorted({*(step for step in steps if step != total), progress.total}), progress.total
            if progress.evaluate_every:
                steps = sorted({0, *steps_every(progress.evaluate_every, progress.step, total)})
            differs = differences(progress.made_with, here)
            progress.made_with = here
        checkpoint.set_aside(folder.checkpoints, newer_than=progress.step)
    crew.tell(Start(micro=micro, total=total, checkpoint=path.name if path else "", adjustments=adjustments))
    crew.spread(built.trained.values())
    milestones = cadence(bundle.checkpoint.milestones, total) if bundle.checkpoint.milestones is not None else 0
    if not given.replay:
        kept = bundle.checkpoint.keep + (total // milestones if milestones else 0)
        check_room(folder, built.trained, bundle, kept=kept)
    resolved = resolve(
        bundle,
        given.base,
        given.weights,
        device,
        micro=micro,
        total=total,
        evaluations=len(prepared.validation) > 0,
        lock=lock,
        adjustments=adjustments,
    )
    earlier = view_of(folder)
    recorder.step = progress.step
    restored = RESTORED if path is not None else ()
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
        device=f"{f'{crew.size} x ' if crew.size > 1 else ''}{device.name}, {device.compute_name}",
        processes=crew.size,
        restored=restored,
        differs=tuple(differs),
        evaluation_steps=tuple(steps) if len(prepared.validation) else (),
    )
    if given.resume:
        for complaint in complaints:
            recorder.alert("damaged_checkpoint", f"a checkpoint could not be used: {complaint}")
        if lost := recorder.missing(progress.events_bytes):
            recorder.alert("events_cut", f"the event file lacks {lost:,} bytes that it had at step {progress.step}")
        recorder.log(resumed_words(progress.step, restored, differs))
    write_environment(folder, device, threads, prepared, bundle)
    write_atomic(folder.resolved, resolved)

    trainer = trainer_of(
        bundle,
        built,
        prepared,
        given.own_rows,
        device,
        recorder,
        interrupts,
        crew,
        optimizer=optimizer,
        progress=progress,
        adjustments=adjustments,
        micro=micro,
        planned=planned,
        total=total,
        held_out=prepared.validation if given.rehearsing or not given.replay else Rows(),
        evaluation_steps=frozenset(steps),
        checkpoint_every=cadence(bundle.checkpoint.every, total) if not given.replay else total,
        milestones=milestones,
    )
    sampler = _make_ready(given, trainer, built, steps, earlier.samples)
    started = time.monotonic()
    reason = train(trainer)
    wall_s = time.monotonic() - started
    if given.rehearsing:
        rest(trainer, sampler, given.weights)
        return int(ExitCode.STOPPED)
    if reason in ("finished", "early", "time"):
        finish(trainer, with_new_tokens(given.weights, bundle.adapter.new_tokens), sampler, reason, wall_s)
        return int(ExitCode.DONE)
    stop(trainer, reason, wall_s)
    return int(ExitCode.STOPPED)


def _make_ready(given: Given, trainer: Trainer, built: Built, steps: list[int], samples: list[types.Sample]) -> Sampler:
    """Prove what was put into the model, and let the trainer speak and be measured."""
    recorder, interrupts, bundle = given.recorder, given.interrupts, given.bundle
    for name in replace_kernels(built.model, bundle, lambda: first_loss(trainer)):
        recorder.log(f"{name} in place: they agree with the model's own on the first batch")
    interrupts.check()
    if bundle.data.packing:
        device = trainer.device
        packed, apart = prove_packing(
            trainer.train_rows, built.model, built.objective, device.where, device.compute, built.autocast
        )
        recorder.log(f"packed rows do not see each other: loss {packed:.4f} packed, {apart:.4f} apart")
    known = (given.bases.remembered,) if given.bases is not None else ()
    trainer.unpadded = bool(trainer.crew.tell(without_padding(trainer, *known)))
    speech = Speech(with_new_tokens(given.weights, bundle.adapter.new_tokens))
    sampler = Sampler(trainer, speech, steps, samples)
    trainer.sample = sampler.at
    trainer.generated = Generated(trainer, speech).metrics

    reported = 0

    def after_step(step: int) -> None:
        nonlocal reported
        if (step == 2 or trainer.adjusted > reported) and (given.rehearsing or not given.replay):
            report_memory(trainer, given.weights)
        reported = trainer.adjusted
        if step == given.replay:
            interrupts.stop_reason = REPLAYED

    trainer.after_step = after_step
    if given.job.get("killed_for_memory"):
        ladder.apply_due(trainer)
        ladder.take_one(trainer, "an earlier attempt was ended by the kernel for memory")
    return sampler
