"""What is written of a study's best trial: a bundle at full length, or a preset, both with the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.places import expanded
from tuiwiz.bundle.change import change
from tuiwiz.bundle.rebase import from_folder, moved
from tuiwiz.bundle.write import write_bundle
from tuiwiz.presets.from_run import preset_of_run
from tuiwiz.presets.preset import PRESET_KEYS, Preset, Result, Why
from tuiwiz.runs.names import slug
from tuiwiz.spec.bundle import Bundle
from tuiwiz.tune.rows import Row, ranked
from tuiwiz.tune.space import shown
from tuiwiz.tune.study import StudyFolder


def winner(folder: StudyFolder) -> Row:
    """The best finished trial.

    Raises:
        UsageError: there is none, or the study compares factors and looks for no best.
    """
    question = folder.question
    if question.method == "ablate":
        raise UsageError("an ablation has verdicts and no winner", hint=f"`tuiwiz tune show {folder.path}` tells them")
    best = next(iter(ranked(folder.rows, lower=question.lower)), None)
    if best is None:
        raise UsageError(
            "no trial is finished: there is no winner", hint=f"`tuiwiz tune join {folder.path}` goes on with the study"
        )
    return best


def evidence(folder: StudyFolder, best: Row) -> str:
    """In one sentence, what the winner won against."""
    question, rows = folder.question, folder.rows
    over = [row for row in rows if row.over]
    text = f"Best of {len(over)} trials of `tune {question.method}`, {question.steps} steps each: "
    text += f"{question.metric} {best.score:.4f}"
    others = [row for row in ranked(rows, lower=question.lower) if row.number != best.number]
    if others and others[0].score is not None:
        text += f", the next {others[0].score:.4f}"
    start = next((row for row in rows if row.label == "preset" and row.score is not None), None)
    if start is not None and start.number != best.number:
        text += f", the bundle as it was {start.score:.4f}"
    return text + "; one seed each"


def write_winner(folder: StudyFolder, out: Path | None) -> tuple[Path, Row]:
    """Write the best trial's settings on the bundle that the study was made from, at full length, with their origin.

    Raises:
        UsageError: no trial is finished, or the file exists.
    """
    best = winner(folder)
    edits = {key: value for key, value in best.edits.items() if key not in ("seed", "schedule.steps")}
    heading = f"{evidence(folder, best)}. Study {folder.path.name}."
    base = Path(folder.question.folder)
    return write_beside(from_folder(folder.given, base), base, edits, f"tune {folder.path.name}", heading, out), best


def preset_of_winner(folder: StudyFolder, result: Result, name: str, path: Path) -> Preset:
    """The bundle that the study was made from with the winner's settings, as a preset; what was searched carries the
    study as its reason and the tried values as its range.

    Raises:
        UsageError: no trial is finished.
    """
    best = winner(folder)
    edits = {key: value for key, value in best.edits.items() if key in PRESET_KEYS and key != "schedule.steps"}
    bundle = change(folder.given, edits, by="tune")
    made = preset_of_run(bundle, result, name, path)
    words = evidence(folder, best)
    source = f"study {folder.path.name} with {bundle.name} on {result.hardware or 'an unnamed device'}"[:200]
    why = {
        key: Why(reason=f"{shown(value)}: {words}", source=source, range=_range(folder, key), grade="B")
        for key, value in edits.items()
    }
    return msgspec.structs.replace(made, base=msgspec.structs.replace(made.base, why={**made.base.why, **why}))


def _range(folder: StudyFolder, key: str) -> tuple[float, float] | None:
    """Least and most value of a key in trials that could be trained."""
    known = [row.edits[key] for row in folder.rows if row.state in ("finished", "pruned") and key in row.edits]
    numbers = [float(value) for value in known if isinstance(value, int | float) and not isinstance(value, bool)]
    return (min(numbers), max(numbers)) if numbers and min(numbers) < max(numbers) else None


def write_beside(bundle: Bundle, base: Path, edits: Mapping[str, Any], by: str, heading: str, out: Path | None) -> Path:
    """Write `bundle`, whose paths start at `base`, with `edits` to `out`, else beside where it came from.

    Raises:
        UsageError: the file exists.
        MachineLacksError: it cannot be written.
    """
    target = expanded(out or base / f"{slug(bundle.name)}-{slug(by)}.toml").absolute()
    if target.exists():
        raise UsageError(f"{target} exists", hint="name another file with -o")
    changed = change(moved(bundle, base, target.parent), edits, by=by)
    text = write_bundle(changed, heading=heading)
    try:
        write_atomic(target, text)
    except OSError as error:
        raise MachineLacksError(f"{target} cannot be written: {error.strerror}", hint="name a file with -o") from error
    return target
