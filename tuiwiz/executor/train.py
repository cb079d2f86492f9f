"""Job `train`: from a run folder with a bundle to a trained adapter or model, told as events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuiwiz.base.errors import ExitCode
from tuiwiz.bundle.read import read_bundle
from tuiwiz.data.phase_rows import phase_rows
from tuiwiz.data.prepare import prepare
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job
from tuiwiz.events.process import write_process
from tuiwiz.executor.interrupt import Interrupts
from tuiwiz.executor.record import Recorder
from tuiwiz.executor.source import model_folder
from tuiwiz.executor.tracking.feed import Feed
from tuiwiz.executor.tracking.trackers import openers

if TYPE_CHECKING:
    from tuiwiz.executor.kept import KeptBase


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
        recorder.stage("loading", note="libraries")
        from tuiwiz.executor.lead import Given, lead

        return lead(Given(folder, recorder, interrupts, bundle, base, weights, prepared, own_rows, job, bases))
    return int(ExitCode.INTERNAL)
