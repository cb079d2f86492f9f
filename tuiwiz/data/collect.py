"""All encoded rows of one or several sets, with what is needed to tell them apart: whose they are and what is alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.data.duplicates import prompt_key
from tuiwiz.data.labels import MOST_CLASSES, class_names, coded, places_of
from tuiwiz.data.load import Loader
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Rows

SET_BITS = 34
"""`owners` of set number n start at n << 34: no set has more rows."""
_BLOCK = 1 << (SET_BITS - 1)


class Collected(msgspec.Struct):
    """Rows of all sets, one after the other.

    `keys[i]` is equal for rows that must not straddle training and validation. `owners[i]` is the source row that row i
    came from (several where an over-long one was split), its set's number above; blocks of running text have one each.
    `names` are the classes.
    """

    rows: Rows
    keys: list[int]
    owners: list[int]
    names: tuple[str, ...] = ()

    def set_of(self, index: int) -> int:
        """The number of the set that row `index` came from."""
        return self.owners[index] >> SET_BITS

    def take(self, indexes: Sequence[int]) -> Collected:
        return Collected(
            self.rows.take(indexes), [self.keys[i] for i in indexes], [self.owners[i] for i in indexes], self.names
        )


def collect(loaders: Sequence[Loader], names: tuple[str, ...] | None = None) -> Collected:
    """Read every set to its end. Labels become places in `names`, by default the classes of these rows.

    Raises:
        InvalidError: a set cannot be used, or no row has a label that can be learnt.
    """
    rows = Rows()
    found = Collected(rows, [], [])
    labels: list[Any] = []
    lines: list[int] = []
    for number, loader in enumerate(loaders):
        running = loader.source.container == "text"
        for one in loader.rows():
            rows.append(one.tokens.row, one.tokens.ids, one.tokens.trained)
            if one.other is not None:
                rows.append_other(one.other.row, one.other.ids, one.other.trained)
            count = len(found.keys)
            # Blocks of running text are all unlike, also where several begin in the same piece of the file.
            found.keys.append(count if running else prompt_key(one.example))
            found.owners.append((number << SET_BITS) + (_BLOCK + count if running else one.example.row))
            if one.example.label is not None:
                labels.append(one.example.label)
                lines.append(one.example.line)
    task = loaders[0].settings.task
    if task == "kto":
        rows.labels = [(float(label),) for label in labels]
    return _code(found, labels, lines, loaders, names) if task == "classify" else found


def _code(
    found: Collected, labels: list[Any], lines: list[int], loaders: Sequence[Loader], names: tuple[str, ...] | None
) -> Collected:
    kind = loaders[0].settings.labels or "single"
    names = class_names(labels, kind) if names is None else names
    if len(names) > MOST_CLASSES:
        hint = 'task.labels = "regression" learns a number'
        raise InvalidError(f"the rows have {len(names):,} different labels", hint=hint)
    found.names = names
    known = places_of(names)
    kept = []
    for index, label in enumerate(labels):
        try:
            found.rows.labels.append(coded(label, kind, known))
            kept.append(index)
        except RowError as error:
            found.rows.labels.append(())
            loaders[found.set_of(index)].reject(found.owners[index] & (_BLOCK - 1), lines[index], error)
    if not kept:
        problems = [problem for loader in loaders for problem in loader.problems()]
        raise InvalidError("no row has a label that can be learnt", problems=problems)
    return found if len(kept) == len(labels) else found.take(kept)
