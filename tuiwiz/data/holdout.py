"""Training and validation rows: out of one set, or validation from a file of its own, without what is trained on."""

from __future__ import annotations

import random
from pathlib import Path

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem
from tuiwiz.data.collect import Collected, collect
from tuiwiz.data.duplicates import VALIDATION_ROWS
from tuiwiz.data.leaks import near_rows
from tuiwiz.data.load import Loader, Progress, Settings
from tuiwiz.data.render import Renderer
from tuiwiz.data.split import automatic_size, held_out, resolution
from tuiwiz.data.types import Rows
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import WeightedPath


def training_sets(bundle: Bundle) -> tuple[WeightedPath, ...]:
    """`data.train` as a list of sets; a single file has no weight."""
    train = bundle.data.train
    return (WeightedPath(path=train),) if isinstance(train, str) else train


def separate(
    path: Path,
    settings: Settings,
    renderer: Renderer,
    training: Loader,
    trained: Collected,
    bundle: Bundle,
    progress: Progress | None,
) -> tuple[Rows, list[Problem]]:
    """Validation rows from a file of their own, without those whose prompt is trained on."""
    near = training.examination.near
    loader = Loader(path, settings, renderer, progress=progress, near=near, first_row=VALIDATION_ROWS)
    found = collect([loader], trained.names)
    problems = loader.problems()
    known = set(trained.keys)
    running = loader.source.container == "text"
    kept = [i for i, key in enumerate(found.keys) if running or key not in known]
    if len(kept) < len(found.keys):
        count = len(found.keys) - len(kept)
        message = (
            f"{count:,} validation row{'s share their' if count > 1 else ' shares its'} prompt with training: left out"
        )
        problems.append(Problem(severity="warning", message=message, path=str(path)))
    if not kept:
        raise InvalidError("every validation row is also trained on", hint="name another validation file")
    left_out = set(found.owners) - {found.owners[i] for i in kept}
    alike = near_rows(training.examination, left_out)
    if alike:
        say = "rows say" if len(alike) > 1 else "row says"
        message = f"{len(alike):,} validation {say} nearly the same as a training row: results on them flatter"
        problem = Problem(severity="warning", message=message, path=str(path), row=alike[0])
        problems.append(loader.source.placed(problem))
    most = bundle.validation.max_rows
    if most is not None and len(kept) > most:
        kept = sorted(random.Random(bundle.seed).sample(kept, most))
    return found.rows.take(kept), problems


def split(
    found: Collected, near: list[list[int]], bundle: Bundle, path: str
) -> tuple[list[int], list[int], list[Problem]]:
    """Indexes of training and of validation rows out of one set; where sets are weighted, out of the first."""
    sets = training_sets(bundle)
    weighted = len(sets) > 1 and all(one.weight is not None for one in sets)
    rows = [i for i in range(len(found.keys)) if not weighted or not found.set_of(i)]
    fraction = bundle.validation.fraction
    size = automatic_size(len(rows)) if fraction is None else round(fraction * len(rows))
    if fraction and len(rows) > 1:
        size = max(1, size)
    if bundle.validation.max_rows is not None:
        size = min(size, bundle.validation.max_rows)
    classes, labels = _classes(found, bundle), _labels(found, bundle)
    chosen = held_out(
        found.keys, size, bundle.seed, owners=found.owners, near=near, classes=classes, labels=labels, among=rows
    )
    train = [i for i in range(len(found.keys)) if i not in chosen]
    if not chosen:
        if fraction == 0:
            return train, [], []
        reason = "all rows are alike" if size else f"{len(rows)} rows are too few"
        message = f"nothing is held out for validation: {reason}"
        hint = "give a validation file, or validation.fraction"
        return train, [], [Problem(severity="warning", message=message, hint=hint, path=path)]
    share = f"a share measured on them is known to ±{100 * resolution(len(chosen)):.0f} points"
    how = "in the classes' proportions, " if classes is not None or labels is not None else ""
    message = f"{len(chosen):,} of {len(rows):,} rows are held out for validation {how}by seed {bundle.seed}; {share}"
    return train, sorted(chosen), [Problem(severity="info", message=message, path=path)]


def _classes(found: Collected, bundle: Bundle) -> list[tuple[float, ...]] | None:
    """What the split keeps in proportion: single labels and verdicts."""
    single = bundle.task.kind == "classify" and (bundle.task.labels or "single") == "single"
    return found.rows.labels if single or bundle.task.kind == "kto" else None


def _labels(found: Collected, bundle: Bundle) -> list[frozenset[int]] | None:
    """The places of each row's labels, where a row may have several."""
    if bundle.task.kind != "classify" or bundle.task.labels != "multi":
        return None
    return [frozenset(place for place, has in enumerate(row) if has) for row in found.rows.labels]
