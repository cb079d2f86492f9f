"""The options that every search of `tuiwiz tune` has, written once."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tuiwiz.tune.study import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Searching:
    """What they say; `None` where nothing was said."""

    out: Path | None = None
    share: float = 0.15
    trials: int | None = None
    hours: float | None = None
    tokens: int | None = None
    until: str | None = None
    storage: str = "sqlite"
    dry: bool = False
    as_json: bool = False

    @property
    def budget(self) -> Budget:
        from tuiwiz.tune.study import Budget

        return Budget(trials=self.trials, hours=self.hours, tokens=self.tokens, until=self.until)


OPTIONS: dict[str, Any] = {
    "out": typer.Option(None, "--out", metavar="DIR", help="The study's folder; else one among the user's."),
    "share": typer.Option(0.15, "--share", help="Share of the rows that a trial sees; 0.1 to 0.2 rank settings well."),
    "trials": typer.Option(None, "--trials", help="At most so many trials."),
    "hours": typer.Option(None, "--hours", help="At most so many hours of trials."),
    "tokens": typer.Option(None, "--tokens", help="At most so many trained tokens."),
    "until": typer.Option(None, "--until", metavar="TIME", help="No trial that would end after 08:00 begins."),
    "storage": typer.Option("sqlite", "--storage", help="sqlite, journal, or the URL of a database."),
    "dry": typer.Option(False, "--dry-run", help="Say how long it takes and what it can decide, and leave."),
    "as_json": typer.Option(False, "--json", help="One JSON document."),
}


def searching(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose last argument `shared` is a `Searching`, as one that has each of its options."""
    hints = typing.get_type_hints(command) | typing.get_type_hints(Searching)
    own = [one for one in inspect.signature(command).parameters.values() if one.name != "shared"]
    names = [field.name for field in fields(Searching)]
    common = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=OPTIONS[name]) for name in names]
    parameters = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[one.name]) for one in (*own, *common)
    ]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        shared = Searching(**{name: given.pop(name) for name in names})
        command(**given, shared=shared)

    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_options
