"""One problem with its place and its way out, and a collector that lets a reader report all of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

Severity = Literal["error", "warning", "info"]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What is wrong, where, and what to do.

    `path` is a file, `line` and `column` are 1-based, `key` is a dotted bundle key, `row` is a 1-based data row.
    """

    message: str
    severity: Severity = "error"
    hint: str = ""
    path: str = ""
    line: int | None = None
    column: int | None = None
    key: str = ""
    row: int | None = None

    def place(self) -> str:
        """`file:line`, `row 3` or the key: the most exact place that is known; empty if none is."""
        if self.path and self.line is not None:
            return f"{self.path}:{self.line}"
        if self.row is not None:
            return f"{self.path} row {self.row}".strip()
        return self.path or self.key


class Problems:
    """Collects problems in the order in which they were found."""

    def __init__(self, found: Iterable[Problem] = ()) -> None:
        self._found: list[Problem] = list(found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, problem: Problem) -> None:
        self._found.append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        self._found.extend(problems)

    def error(self, message: str, *, hint: str = "", key: str = "", path: str = "", line: int | None = None) -> None:
        self.add(Problem(message=message, hint=hint, key=key, path=path, line=line))

    def warning(self, message: str, *, hint: str = "", key: str = "", path: str = "", line: int | None = None) -> None:
        self.add(Problem(severity="warning", message=message, hint=hint, key=key, path=path, line=line))

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(p for p in self._found if p.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(p for p in self._found if p.severity == "warning")

    @property
    def ok(self) -> bool:
        """True when nothing found is an error."""
        return not self.errors


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` was most likely meant to be, or None when nothing is close.

    A dotted key is also compared by its last part, so that `learning_rate` finds `optimizer.learning_rate`.
    """
    options = list(candidates)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if close:
        return close[0]
    last = word.rsplit(".", 1)[-1]
    by_last: dict[str, str] = {}
    for option in options:
        by_last.setdefault(option.rsplit(".", 1)[-1], option)
    close = difflib.get_close_matches(last, by_last, n=1, cutoff=0.7)
    return by_last[close[0]] if close else None
