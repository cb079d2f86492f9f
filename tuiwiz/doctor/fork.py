"""A new bundle from a run and one finding: the proposed change, its origin, and where it comes from."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tuiwiz.base.errors import InternalError, MachineLacksError, TuiwizError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.places import expanded
from tuiwiz.bundle.change import change
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.rebase import moved
from tuiwiz.bundle.write import write_bundle
from tuiwiz.doctor.finding import Finding
from tuiwiz.doctor.words import change_words, evidence_words
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job
from tuiwiz.events.view import RunView


def fork(folder: RunFolder, finding: Finding, out: Path | None = None, *, start: Path | None = None) -> Path:
    """Write the run's bundle with the finding's change to `out`, or beside the bundle that the run was made from.

    Paths inside are kept working: they are made relative to the new file's folder, or absolute.

    Args:
        start: what `best_weights` found, for a run that goes on from there instead of beginning anew.

    Raises:
        UsageError: the finding proposes no change, or the file exists.
        InvalidError: the run's bundle, or the changed one, has problems.
        MachineLacksError: the file cannot be written.
    """
    if not finding.change:
        raise UsageError(f"{finding.id} proposes no change of the bundle", hint=finding.advice)
    bundle, base = read_bundle(folder.bundle), _base(folder)
    target = expanded(out or base / f"{bundle.name or 'run'}-{finding.rule.replace('_', '-')}.toml").absolute()
    if target.exists():
        raise UsageError(f"{target} exists", hint="name another file with -o")
    by = f"doctor {finding.id} on {folder.path.name}"
    edits = dict(finding.change)
    if start is not None:
        edits["model.source" if start == folder.model else "adapter.from"] = str(start.absolute())
    if start == folder.model and bundle.model.revision is not None:
        edits["model.revision"] = None
    changed = change(moved(bundle, base, target.parent), edits, by=by)
    heading = f"{finding.title}: {evidence_words(finding)}.\nOne change: {change_words(finding)}. From {folder.path}."
    if start is not None:
        heading += f"\nBegins with the best weights of that run, in {start}."
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, write_bundle(changed, why=dict.fromkeys(finding.change, finding.why), heading=heading))
    except OSError as error:
        raise MachineLacksError(f"{target} cannot be written: {error.strerror}", hint="name a file with -o") from error
    return target


def best_weights(folder: RunFolder, view: RunView, finding: Finding) -> Path | None:
    """Where the best weights of a run lie that the finding's new run could begin with; None where there are none.

    What a finished run kept is its best checkpoint. Where the change makes adapters of another form, or the run had
    learnt nothing to begin with, there is nothing to begin with either.
    """
    if any(key.startswith(("adapter.", "model.", "quantization.", "task.")) for key in finding.change):
        return None
    try:
        bundle = read_bundle(folder.bundle)
    except TuiwizError:
        return None
    whole = bundle.adapter.method in ("full", "freeze")
    kept = folder.model if whole else folder.adapter
    if kept.is_dir():
        return kept
    best = view.best_eval
    if whole or bundle.adapter.variant == "pissa" or best is None:
        # The checkpoint of a whole model is no model folder; PiSSA's weights fit a base that it changed itself.
        return None
    there = folder.checkpoint(best.step)
    return there if (there / "manifest.json").is_file() else None


def _base(folder: RunFolder) -> Path:
    """The folder that the bundle's relative paths start in."""
    given = None
    with suppress(InternalError):
        given = read_job(folder.path).get("bundle_folder")
    return Path(given) if given else folder.path
