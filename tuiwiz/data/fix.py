"""A cleaned copy of a set: what cannot be used or repeats is left out, what can be mended is mended, all of it told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError, MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.problems import Problem
from tuiwiz.data.load import Loader
from tuiwiz.data.source import Source
from tuiwiz.data.suspects import CONTROL, EMAIL, SECRET, mended
from tuiwiz.data.types import Row

MOST_LISTED = 10_000
"""Rows that the report lists one by one."""

_MENDERS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("wrong encoding undone", mended),
    ("control characters removed", lambda text: CONTROL.sub("", text)),
    ("secret masked", lambda text: SECRET.sub("[secret]", text)),
    ("e-mail address masked", lambda text: EMAIL.sub("[e-mail]", text) if "@" in text else text),
)


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was done to one row. `line` is 0 where the container has none, `file` the name of a shard."""

    row: int
    line: int
    what: str
    file: str = ""


class Fixed(msgspec.Struct, kw_only=True):
    """The report of a cleaned copy. `changes` counts rows by what was done; `rows` lists the first 10,000 of them."""

    input: str
    output: str
    report: str
    rows_in: int = 0
    rows_out: int = 0
    changes: dict[str, int] = {}
    rows: list[Change] = []

    def note(self, row: int, line: int, what: str) -> None:
        self.changes[what] = self.changes.get(what, 0) + 1
        if len(self.rows) < MOST_LISTED:
            self.rows.append(Change(row, line, what))


def _placed(change: Change, source: Source) -> Change:
    """The change with its row's own file and its number there."""
    file, row = source.place(change.row)
    return Change(row, change.line, change.what, file.name)


def check_output(source: Path, output: Path) -> None:
    """Refuse an output before an hour is spent.

    Raises:
        UsageError: the output is the input, exists, or has no folder.
    """
    if output.exists():
        same = source.exists() and output.samefile(source)
        message = f"{output} is the set itself" if same else f"{output} exists"
        raise UsageError(message, hint="name another file: nothing is written over")
    if not output.resolve().parent.is_dir():
        raise UsageError(f"{output.parent} is no folder", hint="make it first")


def fix(loader: Loader, output: Path) -> Fixed:
    """Write the cleaned copy of a set that `loader` has read to its end, and `NAME.report.json` beside it.

    Rows are written as JSON lines with all their columns, running text as text. A row is left out when it is of no use
    or repeats an earlier one; over-long rows stay, since only a length makes them so; near-duplicates stay, too.

    Raises:
        MachineLacksError: the disk is full or cannot be written.
    """
    running = loader.source.container == "text"
    report = output.with_name(f"{output.stem}.report.json")
    # Names that are no UTF-8 could not be written into it.
    names = [str(path).encode("utf-8", "replace").decode() for path in (loader.source.path, output, report)]
    found = Fixed(input=names[0], output=names[1], report=names[2])
    unfinished = output.with_name(f".{output.name}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            for value in _cleaned(loader, found):
                file.write(value if running else _line(value))
                file.write("\n")
                found.rows_out += 1
        if len(loader.source.files) > 1:
            found.rows = [_placed(change, loader.source) for change in found.rows]
        os.replace(unfinished, output)
        write_atomic(report, msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    except OSError as error:
        raise MachineLacksError(f"{output}: cannot be written: {error.strerror or error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    if not found.rows_out:
        output.unlink()
        raise InvalidError(f"{loader.source.path.name}: no row is left", hint="every row has a defect: see the check")
    return found


def _cleaned(loader: Loader, found: Fixed) -> Iterator[Any]:
    examination = loader.examination
    first = dict(examination.hashes.repeats())
    bad = set(examination.left_out)
    column = loader.sniffed.mapping.get("label", "")
    spellings = examination.labels.variants() if loader.format in {"classification", "multi-label"} else {}
    for row in loader.source.read():
        found.rows_in += 1
        if isinstance(row, Problem):
            found.note(row.row or found.rows_in, row.line or 0, "cannot be read: left out")
        elif row.number in bad:
            found.note(row.number, row.line, "cannot be used: left out")
        elif row.number in first:
            found.note(row.number, row.line, "repeats an earlier row: left out")
        else:
            yield _respelt(_mend(row, found), column, spellings, row, found)


def _mend(row: Row, found: Fixed) -> Any:
    done: set[str] = set()

    def text(value: str) -> str:
        for what, mender in _MENDERS:
            better = mender(value)
            if better != value:
                done.add(what)
                value = better
        return value

    value = _each_text(row.value, text)
    for what in sorted(done):
        found.note(row.number, row.line, what)
    return value


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each_text(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _each_text(item, change) for key, item in value.items()}
    return value


def _respelt(value: Any, column: str, spellings: Mapping[str, str], row: Row, found: Fixed) -> Any:
    """The row with its label in the spelling that most rows use, where the label is a column of its own."""
    if not spellings:
        return value
    place: Any = column
    if isinstance(value, list):
        place = int(column) if column.isdecimal() and int(column) < len(value) else None
    elif not isinstance(value, dict) or column not in value:
        place = None
    if place is None:
        return value
    label = value[place]
    if isinstance(label, list):
        better: Any = list(dict.fromkeys(spellings.get(str(one), one) for one in label))
    else:
        better = spellings.get(str(label), label)
    if better != label:
        value[place] = better
        found.note(row.number, row.line, "label respelt")
    return value


def _line(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode("utf-8")
    except (UnicodeEncodeError, OverflowError, ValueError):
        # NaN and integers beyond 64 bits, which only the standard library writes.
        return json.dumps(value, ensure_ascii=True)
