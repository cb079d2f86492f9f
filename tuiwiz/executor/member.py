"""Job `member`: a process of a run that shares its steps and obeys process 0."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec

from tuiwiz.base.errors import ExitCode, TuiwizError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.data.phase_rows import phase_rows
from tuiwiz.data.prepare import prepare
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job
from tuiwiz.executor import checkpoint, ladder
from tuiwiz.executor.build import build
from tuiwiz.executor.chance import be_deterministic, seed_everything
from tuiwiz.executor.crew import Crew, meeting_place
from tuiwiz.executor.device import choose_device, set_threads
from tuiwiz.executor.failure import translate
from tuiwiz.executor.following import Start, follow
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.locking import locked_threads, resolved_of
from tuiwiz.executor.muster import CARD, PORT, RANK, SIZE, Word
from tuiwiz.executor.record import Silent
from tuiwiz.executor.reference import fill_reference, visited_rows
from tuiwiz.executor.rehearse import worst_of
from tuiwiz.executor.source import model_folder
from tuiwiz.executor.speedups import first_loss, replace_kernels, set_precision
from tuiwiz.executor.trainer import put_back, trainer_of
from tuiwiz.spec.phases import run_steps
from tuiwiz.spec.task import REFERENCE_TASKS


def run(path: Path) -> int:
    """Take part in the run in `path`; returns the exit code. What goes wrong is told on standard output."""
    words = _deafen()
    crew = Crew(int(os.environ[RANK]), int(os.environ[SIZE]))
    try:
        _train(path, crew)
        return int(ExitCode.DONE)
    except Exception as error:
        known = error if isinstance(error, TuiwizError) else translate(error)
        word = Word(message=known.message, hint=known.hint or "", exit_code=int(known.exit_code))
        os.write(words, msgspec.json.encode(word) + b"\n")
        if known is not error:
            # Into run.log, for whoever looks for the reason.
            sys.excepthook(type(error), error, error.__traceback__)
        return int(known.exit_code)
    finally:
        crew.leave()


def _deafen() -> int:
    """Leave signals to process 0, and keep standard output for the last word; returns its descriptor.

    Batch systems send theirs to every process of a job, and libraries print what they like.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    words = os.dup(1)
    os.dup2(2, 1)
    return words


def _train(path: Path, crew: Crew) -> None:
    folder, job, bundle = RunFolder(path), read_job(path), read_bundle(RunFolder(path).bundle)
    base = Path(job.get("bundle_folder") or path)
    weights = model_folder(bundle, base, lambda what, done, total: None)
    prepared = prepare(bundle, base, weights, tokenizer_name=bundle.model.source)
    own_rows, _ = phase_rows(bundle, base, weights, prepared.validation, tokenizer_name=bundle.model.source)
    before = resolved_of(folder) if job.get("resume") else None
    set_threads(locked_threads(before or bundle), crew.size)
    card = os.environ.get(CARD)
    device = choose_device(bundle, int(card) if card else None)
    crew.join(meeting_place(crew.size, int(os.environ[PORT])), device)
    set_precision(bundle)
    seed_everything(bundle.seed)
    be_deterministic()
    recorder = Silent(folder)
    built = build(bundle, base, weights, prepared, device, recorder)
    planned = run_steps(bundle, len(prepared.train))
    if job.get("rehearse"):
        prepared = worst_of(prepared, bundle.batch.effective)
    start = msgspec.convert(crew.tell(), Start)
    if bundle.task.kind in REFERENCE_TASKS:
        # Process 0 has measured all of them, and its file lies there.
        visited = visited_rows(bundle, prepared, planned)
        fill_reference(path, prepared, visited, built.model, built.objective, built.autocast, lambda done, total: None)
    optimizer, progress = built.optimizer, checkpoint.Progress()
    if start.checkpoint:
        saved = folder.checkpoints / start.checkpoint
        optimizer, progress = put_back(saved, bundle, built, device, start.adjustments)
    crew.spread(built.trained.values())
    trainer = trainer_of(
        bundle,
        built,
        prepared,
        own_rows,
        device,
        recorder,
        Interrupts(),
        crew,
        optimizer=optimizer,
        progress=progress,
        adjustments=start.adjustments,
        micro=start.micro,
        planned=planned,
        total=start.total,
    )
    replace_kernels(built.model, bundle, lambda: first_loss(trainer))
    trainer.unpadded = bool(crew.tell())
    if job.get("killed_for_memory"):
        ladder.apply_due(trainer)
        ladder.take_one(trainer, "an earlier attempt was ended by the kernel for memory")
    follow(trainer)
