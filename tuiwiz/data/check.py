"""What `tuiwiz data check` says about a file: accepted or refused, as what, how much of it, and every defect."""

from __future__ import annotations

from collections import deque
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
from tuiwiz.data.sniff import sniff
from tuiwiz.data.source import open_source
from tuiwiz.data.split import automatic_size, resolution
from tuiwiz.data.types import Lengths


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The document of `data check --json`. Token counts are estimates where `estimated`, and 0 in a refusal.

    `sequences` is how many rows of tokens come out: usable rows without the over-long ones, or blocks of running text.
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


def check(
    path: Path,
    settings: Settings,
    renderer: Renderer | None = None,
    *,
    validation: Path | None = None,
    tokenizer: str = "",
    progress: Progress | None = None,
    fixed: Path | None = None,
) -> Report:
    """Read all of `path` and judge it. Bad data is reported, never raised. Without a renderer tokens are estimated.

    An accepted set is cleaned into the file `fixed` where one is named.

    Raises:
        UsageError: `fixed` cannot be written to.
    """
    if fixed is not None:
        check_output(path, fixed)
    renderer = renderer or Renderer(None)
    loader: Loader | None = None
    try:
        loader = Loader(path, settings, renderer, progress=progress, near=NearDuplicates())
        deque(loader.rows(), maxlen=0)
    except TuiwizError as error:
        return _refused(path, settings, loader, error, tokenizer)
    problems = loader.problems()
    problems += _split_facts(loader, validation, settings, renderer)
    if renderer.tokens is None:
        message = f"token counts are estimates ({BYTES_PER_TOKEN} bytes a token): no tokenizer is at hand"
        hint = "name a model folder to count exactly"
        problems.append(Problem(severity="info", message=message, hint=hint, path=str(path)))
    return Report(
        ok=not any(problem.severity == "error" for problem in problems),
        format=loader.format,
        mapping=dict(loader.sniffed.mapping),
        rows=loader.examination.rows,
        usable_rows=loader.examination.usable,
        tokens=loader.tally.tokens,
        supervised_tokens=loader.tally.supervised,
        lengths=loader.lengths(),
        problems=problems,
        sequences=loader.tally.sequences,
        classes=len(loader.examination.labels) or None,
        tokenizer=tokenizer,
        estimated=renderer.tokens is None,
        template=renderer.template.name,
        max_length=settings.max_length,
        fix=fix(loader, fixed) if fixed is not None else None,
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


def _split_facts(loader: Loader, validation: Path | None, settings: Settings, renderer: Renderer) -> list[Problem]:
    path = str(loader.source.path)
    if validation is not None:
        return _validation_facts(loader, validation, settings, renderer)
    if loader.source.container == "text":
        return []
    held = automatic_size(loader.examination.usable)
    if not held:
        count = loader.examination.usable
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
