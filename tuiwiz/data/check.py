"""What `tuiwiz data check` says about a file: accepted or refused, as what, how much of it, and every defect."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.problems import Problem
from tuiwiz.data.duplicates import VALIDATION_ROWS, NearDuplicates
from tuiwiz.data.encode import BYTES_PER_TOKEN
from tuiwiz.data.fix import Fixed, check_output, fix
from tuiwiz.data.leaks import leaks
from tuiwiz.data.load import Loader, Progress, Settings
from tuiwiz.data.render import Renderer
from tuiwiz.data.sets import Share, across, mixed_lengths, open_sets, sequences_of, share_words, shares_of, weighted
from tuiwiz.data.sniff import sniff
from tuiwiz.data.source import open_source
from tuiwiz.data.split import automatic_size, resolution
from tuiwiz.data.types import Lengths
from tuiwiz.spec.data import WeightedPath


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The document of `data check --json`. Token counts are estimates where `estimated`, and 0 in a refusal.

    `sequences` is how many rows of tokens come out: usable rows without the over-long ones, or blocks of running text.
    Of several sets `rows` and `usable_rows` are sums, tokens, lengths and `sequences` those of a pass over the mix, and
    `sets` says what it takes of each; format and mapping are the first one's.
    """

    ok: bool
    format: str
    mapping: dict[str, str]
    rows: int
    usable_rows: int
    tokens: int
    supervised_tokens: int
    lengths: Lengths
    problems: list[Problem]
    sequences: int = 0
    classes: int | None = None
    tokenizer: str = ""
    estimated: bool = False
    template: str = ""
    max_length: int = 0
    fix: Fixed | None = None
    sets: list[Share] = []


def check(
    path: Path,
    settings: Settings,
    renderer: Renderer | None = None,
    *,
    validation: Path | None = None,
    tokenizer: str = "",
    progress: Progress | None = None,
    fixed: Path | None = None,
    sets: Sequence[WeightedPath] = (),
) -> Report:
    """Read all of `path` and judge it. Bad data is reported, never raised. Without a renderer tokens are estimated.

    An accepted set is cleaned into the file `fixed` where one is named. `sets` are the sets of a mix, `path` the first.

    Raises:
        UsageError: `fixed` cannot be written to.
    """
    if fixed is not None:
        check_output(path, fixed)
    renderer = renderer or Renderer(None)
    sets = sets or (WeightedPath(path=str(path)),)
    loaders: list[Loader] = []
    try:
        loaders = open_sets(sets, Path(), settings, renderer, NearDuplicates(), progress)
        for one in loaders:
            deque(one.rows(), maxlen=0)
        problems = [problem for one in loaders for problem in one.problems()] + across(loaders)
    except TuiwizError as error:
        return _refused(path, settings, loaders[0] if loaders else None, error, tokenizer)
    loader, shares = loaders[0], shares_of(loaders, sets)
    total = sum(share.rows for share in shares)
    if len(loaders) > 1:
        problems += [share_words(one.path, one.rows, one.usable_rows, total) for one in shares]
    held_from = loader.examination.usable if weighted(sets) else sum(one.examination.usable for one in loaders)
    problems += _split_facts(loader, held_from, validation, settings, renderer)
    if renderer.tokens is None:
        message = f"token counts are estimates ({BYTES_PER_TOKEN} bytes a token): no tokenizer is at hand"
        hint = "name a model folder to count exactly"
        problems.append(Problem(severity="info", message=message, hint=hint, path=str(path)))
    return Report(
        ok=not any(problem.severity == "error" for problem in problems),
        format=loader.format,
        mapping=dict(loader.sniffed.mapping),
        rows=sum(one.examination.rows for one in loaders),
        usable_rows=sum(one.examination.usable for one in loaders),
        tokens=sum(share.tokens for share in shares),
        supervised_tokens=sum(share.supervised_tokens for share in shares),
        lengths=mixed_lengths(loaders, shares) if len(loaders) > 1 else loader.lengths(),
        problems=problems,
        sequences=sequences_of(loaders, shares),
        classes=len({label for one in loaders for label in one.examination.labels.rows}) or None,
        tokenizer=tokenizer,
        estimated=renderer.tokens is None,
        template=renderer.template.name,
        max_length=settings.max_length,
        fix=fix(loader, fixed) if fixed is not None else None,
        sets=shares if len(loaders) > 1 else [],
    )


def _refused(path: Path, settings: Settings, loader: Loader | None, error: TuiwizError, tokenizer: str) -> Report:
    if loader is not None:
        format, mapping, rows = loader.format, dict(loader.sniffed.mapping), loader.examination.rows
    else:
        sniffed = sniff(path, format=settings.format, mapping=settings.mapping, task=settings.task)
        format, mapping = sniffed.format, sniffed.mapping
        rows = _count(path)
    return Report(
        ok=False,
        format=format,
        mapping=mapping,
        rows=rows,
        usable_rows=loader.examination.usable if loader else 0,
        tokens=0,
        supervised_tokens=0,
        lengths=Lengths(),
        problems=list(error.problems),
        tokenizer=tokenizer,
        max_length=settings.max_length,
    )


def _count(path: Path) -> int:
    """Rows of a file in no known format; 0 when it cannot be read."""
    try:
        return sum(1 for _ in open_source(path).read())
    except TuiwizError:
        return 0


def _split_facts(
    loader: Loader, count: int, validation: Path | None, settings: Settings, renderer: Renderer
) -> list[Problem]:
    """What is held out of `count` rows, or what is odd about the validation file."""
    path = str(loader.source.path)
    if validation is not None:
        return _validation_facts(loader, validation, settings, renderer)
    if loader.source.container == "text":
        return []
    held = automatic_size(count)
    if not held:
        message = (
            f"{count} row{'s are' if count != 1 else ' is'} too few to hold any out: training will not be measured"
        )
        return [Problem(severity="info", message=message, hint="give more rows or a validation file", path=path)]
    share = f"±{100 * resolution(held):.0f} points"
    message = f"{held:,} rows would be held out for validation; a share measured on them is known to {share}"
    return [Problem(severity="info", message=message, path=path)]


def _validation_facts(loader: Loader, validation: Path, settings: Settings, renderer: Renderer) -> list[Problem]:
    path = str(validation)
    try:
        other = Loader(validation, settings, renderer, near=loader.examination.near, first_row=VALIDATION_ROWS)
        deque(other.rows(), maxlen=0)
    except TuiwizError as error:
        return list(error.problems)
    found = [p for p in other.problems() if p.severity != "info"]
    found += leaks(loader.examination, other.examination, path)
    usable, rows = other.examination.usable, other.examination.rows
    share = f"±{100 * resolution(usable):.0f} points"
    message = f"validation: {usable:,} of {rows:,} rows can be used; a share measured on them is known to {share}"
    return [*found, Problem(severity="info", message=message, path=path)]
