"""One JSON object that is the whole file: splits, columns, rows under one key, or a single row; or objects that follow
each other, each over several lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from tuiwiz.base.problems import nearest
from tuiwiz.base.text import clean_line
from tuiwiz.base.units import MIB
from tuiwiz.data import stream as streams
from tuiwiz.data.read_json import Values
from tuiwiz.data.types import Row

SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "dev", "eval", "test")
LOOKED_AT_CHARACTERS = 24 * MIB
"""Of an object so much is read to see what it holds, well within a second; rows are then read one by one."""
MOST_KEYS = 10_000
_OWN_ROW = frozenset({"messages", "conversations", "tools"})


class Outline(msgspec.Struct, kw_only=True):
    """What an object holds: `values` by key, lists as far as they were read; `ended` where that was to its end."""

    values: dict[str, Any]
    ended: bool
    more: bool = False
    """Another value follows the object."""


class Layout(msgspec.Struct, kw_only=True):
    """How rows lie in the object: a container's name, the key they lie under, parts with their rows where all are
    known, or the rows themselves."""

    container: str
    key: str = ""
    splits: dict[str, int] = {}
    loaded: list[Any] | None = None


def outline(path: Path, values: Values) -> Outline:
    """Walk the object that begins here, up to `LOOKED_AT_CHARACTERS`.

    Raises:
        InvalidError: it is not well formed, or has more than `MOST_KEYS` keys.
    """
    found: dict[str, Any] = {}
    for key in _keys(values):
        if len(found) >= MOST_KEYS:
            hint = "a data file has a few named columns, or rows in a list: is it exchanged?"
            raise streams.refuse(path, f"is one object with more than {MOST_KEYS:,} keys", hint=hint)
        if values.peek() != "[":
            found[key] = values.value()
            continue
        inside: list[Any] = []
        found[key] = inside
        for row in elements(values):
            inside.append(row.value)
            if values.consumed > LOOKED_AT_CHARACTERS:
                return Outline(values=found, ended=False)
    return Outline(values=found, ended=True, more=bool(values.peek()))


def layout(path: Path, seen: Outline, split: str) -> Layout:
    """Decide what the object is.

    Raises:
        InvalidError: no rows can be got out of it, or there is no such split.
    """
    found = seen.values
    lists = {key: value for key, value in found.items() if isinstance(value, list)}
    heads = [value[0] for value in lists.values() if value]
    rows_inside = bool(heads) and all(isinstance(head, dict) for head in heads)
    if lists and len(lists) == len(found):
        if rows_inside or any(key.casefold() in SPLIT_NAMES for key in lists):
            return _choose_split(path, lists, split, seen.ended)
        if seen.ended:
            return _columns(path, lists)
    inside = [key for key, value in lists.items() if value and isinstance(value[0], dict)]
    if len(inside) == 1 and inside[0] not in _OWN_ROW:
        return Layout(container="json-object", key=inside[0])
    if not seen.ended:
        hint = "save it as JSON lines (pandas: to_json(orient='records', lines=True)) or as Parquet"
        raise streams.refuse(path, "is one object that is too large to be turned into rows", hint=hint)
    if len(found) > 1 and all(isinstance(value, dict) and value for value in found.values()):
        hint = "save a list of rows (pandas: to_json(orient='records', lines=True))"
        raise streams.refuse(path, "is an object of objects, not a list of rows", hint=hint)
    return Layout(container="json-object", loaded=[found])


def _choose_split(path: Path, lists: dict[str, list[Any]], split: str, ended: bool) -> Layout:
    by_name = {key.casefold(): key for key in lists}
    if split and split not in lists and ended:
        close = nearest(split, lists)
        hint = f"did you mean {close}?" if close else f"there are: {', '.join(clean_line(key, 20) for key in lists)}"
        raise streams.refuse(path, f"there is no split '{clean_line(split, 40)}'", hint=hint)
    chosen = split or next((by_name[name] for name in SPLIT_NAMES if name in by_name), next(iter(lists)))
    if not ended and not split and chosen.casefold() in SPLIT_NAMES[2:]:
        first = ", ".join(clean_line(key, 20) for key in list(lists)[:3])
        message = f"the first {LOOKED_AT_CHARACTERS // MIB} MiB hold {first} and no training rows"
        raise streams.refuse(path, message, hint="put `train` first, or save each part as JSON lines")
    sizes = {key: len(value) for key, value in lists.items()} if ended else {}
    return Layout(container="json-splits", key=chosen, splits=sizes)


def _columns(path: Path, lists: dict[str, list[Any]]) -> Layout:
    if len({len(value) for value in lists.values()}) == 1:
        rows = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
        return Layout(container="json-columns", loaded=rows)
    sizes = ", ".join(f"{clean_line(key, 20)} {len(value)}" for key, value in list(lists.items())[:5])
    raise streams.refuse(path, f"an object of columns of different lengths ({sizes})")


def read_under(path: Path, stream: BinaryIO, key: str) -> Iterator[Row]:
    """The rows in the list under `key`, one by one. What follows the list is not looked at.

    Raises:
        InvalidError: the object is not well formed.
    """
    values = Values(path, stream)
    values.peek()
    for found in _keys(values):
        if found != key:
            if values.peek() == "[":
                for _ in elements(values):
                    pass
            else:
                values.value()
            continue
        yield from elements(values)
        return


def read_objects(path: Path, stream: BinaryIO) -> Iterator[Row]:
    """Values one after the other, whatever the lines they begin and end on.

    Raises:
        InvalidError: a value is not well formed.
    """
    values = Values(path, stream)
    number = 0
    while values.peek():
        number += 1
        yield Row(number, values.line, values.value())


def _keys(values: Values) -> Iterator[str]:
    """Every key of the object that begins here; its value is the caller's to read before the next one."""
    values.skip()
    if values.peek() == "}":
        values.skip()
        return
    while True:
        if values.peek() != '"':
            raise values.error("expected a name in double quotes")
        key = values.value()
        if values.peek() != ":":
            raise values.error("expected a colon after the name")
        values.skip()
        values.peek()
        yield key
        after = values.peek()
        if after not in {",", "}"}:
            raise values.error("the object does not end" if not after else "expected a comma or } after the value")
        values.skip()
        if after == "}":
            return


def elements(values: Values) -> Iterator[Row]:
    """The elements of the array that begins here.

    Raises:
        InvalidError: it is not well formed.
    """
    values.skip()
    number = 0
    if values.peek() == "]":
        values.skip()
        return
    while True:
        values.peek()
        line = values.line
        number += 1
        yield Row(number, line, values.value())
        after = values.peek()
        if after not in {",", "]"}:
            raise values.error("the array does not end" if not after else "expected a comma or ] after the element")
        comma = values.line
        values.skip()
        if after == "]":
            return
        if values.peek() == "]":
            raise values.error(f"a comma before the closing bracket (the comma is on line {comma})")


def read_array(path: Path, stream: BinaryIO) -> Iterator[Row]:
    """The elements of one JSON array that is the whole file.

    Raises:
        InvalidError: the array is not well formed.
    """
    values = Values(path, stream)
    values.peek()
    yield from elements(values)
    if values.peek():
        raise values.error("there is more text after the array")
