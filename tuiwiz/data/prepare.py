"""From a bundle's `[data]` and `[validation]` to rows a model can train on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem
from tuiwiz.data.fingerprint import fingerprint
from tuiwiz.data.labels import MOST_CLASSES, class_names, coded, places_of
from tuiwiz.data.load import Loader, Progress, Settings
from tuiwiz.data.render import Renderer
from tuiwiz.data.split import automatic_size, held_out, resolution
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import DataProfile, Example, Prepared, Rows
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.task import LAST_ANSWER_TASKS


def settings_of(bundle: Bundle) -> Settings:
    """The part of a bundle that decides how rows become tokens."""
    data = bundle.data
    return Settings(
        task=bundle.task.kind,
        format=data.format,
        mapping=data.mapping,
        system=data.system,
        train_on=trained_part(bundle.task.kind, data.train_on),
        max_length=data.max_length,
        overlong=data.overlong,
        labels=bundle.task.labels,
    )


def trained_part(task: str, train_on: str) -> str:
    """What `data.train_on` comes to: running text is trained whole, and a preference is about the last answer."""
    if task == "pretrain":
        return "all"
    return "completion" if task in LAST_ANSWER_TASKS else train_on


def template_choice(bundle: Bundle, folder: Path) -> str:
    """`data.template`, with a path in it made relative to the bundle's folder."""
    choice = bundle.data.template
    file = folder / choice
    return str(file) if file.is_file() else choice


def prepare(
    bundle: Bundle,
    folder: Path,
    tokenizer_folder: Path,
    *,
    progress: Progress | None = None,
    tokenizer_name: str = "",
    hold_out: bool = True,
) -> Prepared:
    """Read, check, split and encode the bundle's data; without `hold_out` every row is a training row.

    `folder` is where the bundle's relative paths start; `progress(stage, done, total)` has total 0 where unknown.
    Memory: 5 bytes a token and about 100 a row.

    Raises:
        InvalidError: the data cannot be used; its problems name every bad row.
    """
    if not isinstance(bundle.data.train, str):
        raise InvalidError("several training sets at once are not supported", hint="data.train names one file")
    settings = settings_of(bundle)
    renderer = Renderer(tokenizer_folder, template=template_choice(bundle, folder))
    loader = Loader(folder / bundle.data.train, settings, renderer, progress=progress)
    rows, keys, names = _collect(loader)
    problems = loader.problems()
    validation_path = folder / bundle.validation.path if bundle.validation.path else None
    if not hold_out:
        train, validation, validation_path = rows, Rows(), None
    elif validation_path is not None:
        train = rows
        validation, found = _separate(validation_path, settings, renderer, set(keys), names, bundle, progress)
        problems += found
    else:
        train, validation, found = _split(rows, keys, bundle, str(loader.source.path))
        problems += found
    if not len(train):
        raise InvalidError("no rows are left to train on", hint="hold out fewer rows", problems=problems)
    digest, hashes = fingerprint(settings, loader, renderer, validation_path)
    profile = DataProfile(
        format=loader.format,
        mapping=dict(loader.sniffed.mapping),
        rows=loader.examination.rows,
        usable_rows=loader.examination.usable,
        train_rows=len(train),
        validation_rows=len(validation),
        tokens=loader.tally.tokens,
        supervised_tokens=loader.tally.supervised,
        lengths=loader.lengths(),
        overlong=loader.tally.overlong,
        duplicates=loader.examination.duplicates,
        max_length=settings.max_length,
        template=renderer.template.name,
        tokenizer=tokenizer_name or tokenizer_folder.name,
    )
    return Prepared(
        train=train,
        validation=validation,
        profile=profile,
        problems=tuple(problems),
        fingerprint=digest,
        hashes=hashes,
        template=renderer.template.text,
        labels=names,
    )


def _collect(loader: Loader, names: tuple[str, ...] | None = None) -> tuple[Rows, list[int], tuple[str, ...]]:
    """All rows, the keys by which they are told apart, and the classes: those of the rows unless `names` gives them."""
    rows = Rows()
    keys: list[int] = []
    found_labels: list[Any] = []
    places: list[tuple[int, int]] = []
    for found in loader.rows():
        rows.append(found.tokens.row, found.tokens.ids, found.tokens.trained)
        if found.other is not None:
            rows.append_other(found.other.row, found.other.ids, found.other.trained)
        # Blocks of running text are all unlike, also where several begin in the same piece of the file.
        keys.append(len(keys) if loader.source.container == "text" else prompt_key(found.example))
        if found.example.label is not None:
            found_labels.append(found.example.label)
            places.append((found.example.row, found.example.line))
    if loader.settings.task == "kto":
        rows.labels = [(float(label),) for label in found_labels]
    if loader.settings.task != "classify":
        return rows, keys, ()
    kind = loader.settings.labels or "single"
    names = class_names(found_labels, kind) if names is None else names
    if len(names) > MOST_CLASSES:
        hint = 'task.labels = "regression" learns a number'
        raise InvalidError(f"the rows have {len(names):,} different labels", hint=hint)
    known = places_of(names)
    kept = []
    for index, label in enumerate(found_labels):
        try:
            rows.labels.append(coded(label, kind, known))
            kept.append(index)
        except RowError as error:
            rows.labels.append(())
            loader.reject(*places[index], error)
    if not kept:
        raise InvalidError("no row has a label that can be learnt", problems=loader.problems())
    return (rows, keys, names) if len(kept) == len(keys) else (rows.take(kept), [keys[i] for i in kept], names)


def prompt_key(example: Example) -> int:
    """Equal for rows that must not straddle training and validation: the same document, or the same turns up to the
    last answer, whatever the answer."""
    if example.text is not None:
        return hash(example.text)
    return hash(tuple(str(turn["content"]).strip() for turn in example.messages[:-1] if turn["role"] != "system"))


def _separate(
    path: Path,
    settings: Settings,
    renderer: Renderer,
    trained: set[int],
    names: tuple[str, ...],
    bundle: Bundle,
    progress: Progress | None,
) -> tuple[Rows, list[Problem]]:
    """Validation rows from a file of their own, without those whose prompt is trained on."""
    loader = Loader(path, settings, renderer, progress=progress)
    rows, keys, _ = _collect(loader, names)
    problems = loader.problems()
    kept = [i for i, key in enumerate(keys) if key not in trained or loader.source.container == "text"]
    if len(kept) < len(rows):
        count = len(rows) - len(kept)
        message = (
            f"{count:,} validation row{'s share their' if count > 1 else ' shares its'} prompt with training: left out"
        )
        problems.append(Problem(severity="warning", message=message, path=str(path)))
    if not kept:
        raise InvalidError("every validation row is also trained on", hint="name another validation file")
    kept = _capped(kept, bundle)
    return rows.take(kept), problems


def _split(rows: Rows, keys: list[int], bundle: Bundle, path: str) -> tuple[Rows, Rows, list[Problem]]:
    """Training and validation rows out of one set."""
    fraction = bundle.validation.fraction
    size = automatic_size(len(rows)) if fraction is None else round(fraction * len(rows))
    if fraction and len(rows) > 1:
        size = max(1, size)
    if bundle.validation.max_rows is not None:
        size = min(size, bundle.validation.max_rows)
    chosen = held_out(keys, size, bundle.seed)
    train = rows.take([i for i in range(len(rows)) if i not in chosen])
    validation = rows.take(sorted(chosen))
    if not chosen:
        if fraction == 0:
            return train, validation, []
        reason = "all rows are alike" if size else f"{len(rows)} rows are too few"
        message = f"nothing is held out for validation: {reason}"
        hint = "give a validation file, or validation.fraction"
        return train, validation, [Problem(severity="warning", message=message, hint=hint, path=path)]
    share = f"a share measured on them is known to ±{100 * resolution(len(chosen)):.0f} points"
    message = f"{len(chosen):,} of {len(rows):,} rows are held out for validation by seed {bundle.seed}; {share}"
    return train, validation, [Problem(severity="info", message=message, path=path)]


def _capped(indexes: list[int], bundle: Bundle) -> list[int]:
    most = bundle.validation.max_rows
    if most is None or len(indexes) <= most:
        return indexes
    return sorted(random.Random(bundle.seed).sample(indexes, most))
