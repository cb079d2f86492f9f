"""From a bundle's `[data]` and `[validation]` to rows a model can train on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.hashes import cached_sha256
from tuiwiz.base.problems import Problem
from tuiwiz.data import cache, mix
from tuiwiz.data.collect import Collected, collect
from tuiwiz.data.duplicates import NearDuplicates
from tuiwiz.data.fingerprint import fingerprint
from tuiwiz.data.holdout import separate, split, training_sets
from tuiwiz.data.load import Loader, Progress, Settings, quantiles
from tuiwiz.data.render import Renderer
from tuiwiz.data.sets import across, open_sets, share_words
from tuiwiz.data.source import open_source
from tuiwiz.data.tokens import TOKENIZER_FILE
from tuiwiz.data.types import DataProfile, Prepared, Rows
from tuiwiz.data.vocabulary import with_new_tokens
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.model import positions_of
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
    """Read, check, split, mix and encode the bundle's data; without `hold_out` every row is a training row.

    `folder` is where the bundle's relative paths start; `progress(stage, done, total)` has total 0 where unknown.
    Memory: 5 bytes a token and about 100 a row.

    Raises:
        InvalidError: the data cannot be used; its problems name every bad row.
    """
    settings = settings_of(bundle)
    words = with_new_tokens(tokenizer_folder, bundle.adapter.new_tokens)
    renderer = Renderer(words, template=template_choice(bundle, folder))
    name = tokenizer_name or tokenizer_folder.name
    key = _cache_key(bundle, folder, settings, renderer, hold_out, name)
    kept = cache.load(key)
    if kept is not None:
        if progress is not None:
            progress("cached", kept.profile.rows, kept.profile.rows)
        _find_room(kept, tokenizer_folder)
        return msgspec.structs.replace(kept, cached=True)
    prepared = _prepare(bundle, folder, settings, renderer, progress, hold_out, name)
    cache.store(key, prepared)
    _find_room(prepared, tokenizer_folder)
    return prepared


def _find_room(prepared: Prepared, model: Path) -> None:
    """Refuse rows that go beyond the positions of the model whose tokenizer read them, where those have an end."""
    try:
        config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    most = positions_of(config) if isinstance(config, dict) else 0
    longest = max((max(rows.lengths, default=0) for rows in (prepared.train, prepared.validation)), default=0)
    if 0 < most < longest:
        message = f"rows of up to {longest:,} tokens, and the model has positions for {most:,}"
        hint = f"set data.max_length = {most}, and data.overlong says what becomes of longer rows"
        problem = Problem(message=message, key="data.max_length", hint=hint)
        raise InvalidError(message, hint=hint, problems=[problem])


def _cache_key(bundle: Bundle, folder: Path, settings: Settings, renderer: Renderer, hold_out: bool, name: str) -> str:
    """Over everything that decides the prepared rows and what is said about them."""
    assert renderer.tokens is not None
    sets = training_sets(bundle)
    files = [folder / one.path for one in sets] + ([folder / bundle.validation.path] if bundle.validation.path else [])
    return cache.key_of(
        {
            "files": [[str(file), open_source(file).digest()] for file in files],
            "weights": [one.weight for one in sets],
            "balance": bundle.data.balance,
            "settings": settings,
            "template": [renderer.template.text, renderer.template.name, renderer.own_template],
            # A template that writes the date writes another one tomorrow.
            "day": date.today().isoformat() if "strftime_now" in renderer.template.text else "",
            "tokenizer": cached_sha256(renderer.tokens.folder / TOKENIZER_FILE),
            "variables": renderer.tokens.config,
            "name": name,
            "validation": bundle.validation,
            "seed": bundle.seed,
            "hold_out": hold_out,
        }
    )


def _prepare(
    bundle: Bundle,
    folder: Path,
    settings: Settings,
    renderer: Renderer,
    progress: Progress | None,
    hold_out: bool,
    tokenizer_name: str,
) -> Prepared:
    near = NearDuplicates(bundle.seed)
    loaders = open_sets(training_sets(bundle), folder, settings, renderer, near, progress)
    found = collect(loaders)
    if progress is not None:
        # Rows that are alike and the split take their time where there are many.
        progress("comparing", len(found.rows), len(found.rows))
    problems = [problem for loader in loaders for problem in loader.problems()]
    problems += across(loaders)
    path = str(loaders[0].source.path)
    validation_path = folder / bundle.validation.path if bundle.validation.path else None
    train, validation = list(range(len(found.rows))), Rows()
    if not hold_out:
        validation_path = None
    elif validation_path is not None:
        validation, notes = separate(validation_path, settings, renderer, loaders[0], found, bundle, progress)
        problems += notes
    else:
        train, chosen, notes = split(found, _near_groups(loaders, near), bundle, path)
        validation = found.rows.take(chosen)
        problems += notes
    train, notes = _mixed(found, train, bundle, loaders)
    problems += notes
    if not train:
        raise InvalidError("no rows are left to train on", hint="hold out fewer rows", problems=problems)
    digest, hashes = fingerprint(bundle, settings, loaders, renderer, validation_path)
    return Prepared(
        # Most sets are trained on as they are: no second copy then.
        train=found.rows if train == list(range(len(found.rows))) else found.rows.take(train),
        validation=validation,
        profile=_profile(loaders, settings, len(train), len(validation), renderer, tokenizer_name),
        problems=tuple(problems),
        fingerprint=digest,
        hashes=hashes,
        template=renderer.template.text,
        labels=found.names,
    )


def _near_groups(loaders: Sequence[Loader], near: NearDuplicates) -> list[list[int]]:
    return loaders[0].examination.near_groups if len(loaders) == 1 else near.groups()


def _profile(
    loaders: Sequence[Loader], settings: Settings, train: int, validation: int, renderer: Renderer, tokenizer: str
) -> DataProfile:
    lengths: Counter[int] = Counter()
    for loader in loaders:
        lengths.update(loader.tally.lengths)
    return DataProfile(
        format=loaders[0].format,
        mapping=dict(loaders[0].sniffed.mapping),
        rows=sum(loader.examination.rows for loader in loaders),
        usable_rows=sum(loader.examination.usable for loader in loaders),
        train_rows=train,
        validation_rows=validation,
        tokens=sum(loader.tally.tokens for loader in loaders),
        supervised_tokens=sum(loader.tally.supervised for loader in loaders),
        lengths=quantiles(lengths),
        overlong=sum(loader.tally.overlong for loader in loaders),
        duplicates=sum(loader.examination.duplicates for loader in loaders),
        max_length=settings.max_length,
        template=renderer.template.name,
        tokenizer=tokenizer,
    )


def _mixed(
    found: Collected, train: list[int], bundle: Bundle, loaders: Sequence[Loader]
) -> tuple[list[int], list[Problem]]:
    """Training rows as often as an epoch has them: sets by weight, then classes evened out."""
    sets = training_sets(bundle)
    problems: list[Problem] = []
    if len(sets) > 1:
        members: list[list[int]] = [[] for _ in sets]
        for index in train:
            members[found.set_of(index)].append(index)
        parts = mix.shares(members, [one.weight for one in sets], bundle.seed)
        train = [index for part in parts for index in part]
        for one, had, part in zip(sets, members, parts, strict=True):
            problems.append(share_words(one.path, len(part), len(had), len(train)))
    if bundle.data.balance != "none" and found.rows.labels:
        before = len(train)
        classes = [found.rows.labels[index] for index in train]
        train = mix.balanced(train, classes, bundle.data.balance, bundle.seed)
        message = f"classes evened out ({bundle.data.balance}): {before:,} training rows became {len(train):,}"
        problems.append(Problem(severity="info", message=message, key="data.balance"))
    return train, problems
