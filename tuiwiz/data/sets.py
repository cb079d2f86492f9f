"""Several training sets: opened one after the other, what a pass takes of each, and what they have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem, Severity
from tuiwiz.data.collect import SET_BITS
from tuiwiz.data.duplicates import NearDuplicates
from tuiwiz.data.load import Loader, Progress, Settings, quantiles
from tuiwiz.data.onesided import one_sided, uneven
from tuiwiz.data.render import Renderer
from tuiwiz.data.types import Lengths
from tuiwiz.spec.data import WeightedPath

MOST_REPEATS = 4
"""Rows that come more often in an epoch are learnt by heart rather than learnt from."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass over the mix takes of one set, before anything is held out: `rows` of its `usable_rows` (more where
    they come again; lines, where all sets are running text), and their tokens."""

    path: str
    weight: float | None
    usable_rows: int
    rows: int
    tokens: int
    supervised_tokens: int


def weighted(sets: Sequence[WeightedPath]) -> bool:
    """Whether the first set comes whole and the others as their weights ask beside it; rows are then held out of the
    first alone."""
    return len(sets) > 1 and all(one.weight is not None for one in sets)


def rows_of_mix(sets: Sequence[WeightedPath], rows: Sequence[int]) -> int:
    """Rows of a pass over sets that have so many."""
    if not weighted(sets):
        return sum(rows)
    return rows[0] + sum(round(rows[0] * (one.weight or 0) / (sets[0].weight or 1)) for one in sets[1:])


def open_sets(
    sets: Sequence[WeightedPath],
    folder: Path,
    settings: Settings,
    renderer: Renderer,
    near: NearDuplicates | None,
    progress: Progress | None,
) -> list[Loader]:
    """A loader for each training set. Format and mapping of the bundle are the first set's; another set that they do
    not fit is recognised by itself.

    Raises:
        InvalidError: a set is in no known format, or does not fit the task.
    """
    loaders: list[Loader] = []
    alone = len(sets) == 1
    for number, one in enumerate(sets):
        path, own = folder / one.path, settings
        if number and (settings.format != "auto" or settings.mapping):
            try:
                Loader(path, settings, renderer)
            except InvalidError:
                own = msgspec.structs.replace(settings, format="auto", mapping={})
        first = number << SET_BITS
        loaders.append(Loader(path, own, renderer, progress=progress, near=near, first_row=first, alone=alone))
    return loaders


def shares_of(loaders: Sequence[Loader], sets: Sequence[WeightedPath]) -> list[Share]:
    """What a pass takes of sets that were read: all of each, or the first whole and the others by weight beside it."""
    by_weight = weighted(sets)
    # How many blocks running text makes depends on their length: tokens say how large it is.
    running = all(loader.source.container == "text" for loader in loaders)
    sizes = [loader.tally.tokens if running else loader.tally.sequences for loader in loaders]
    found = []
    for number, (one, loader) in enumerate(zip(sets, loaders, strict=True)):
        wanted = float(sizes[number])
        if number and by_weight:
            wanted = sizes[0] * (one.weight or 0) / (sets[0].weight or 1)
        times = wanted / sizes[number] if sizes[number] else 0.0
        have = loader.examination.usable if running else loader.tally.sequences
        found.append(
            Share(
                path=one.path,
                weight=one.weight,
                usable_rows=have,
                rows=round(have * times),
                tokens=round(loader.tally.tokens * times),
                supervised_tokens=round(loader.tally.supervised * times),
            )
        )
    return found


def sequences_of(loaders: Sequence[Loader], shares: Sequence[Share]) -> int:
    """Rows of tokens in a pass: usable rows without the over-long ones, or blocks of running text."""
    return sum(
        round(loader.tally.sequences * share.rows / max(1, share.usable_rows))
        for loader, share in zip(loaders, shares, strict=True)
    )


def mixed_lengths(loaders: Sequence[Loader], shares: Sequence[Share]) -> Lengths:
    """Quantiles over the rows of a pass."""
    scale = 1000  # rows are counted in thousandths, since few of a set may stand for one
    lengths: Counter[int] = Counter()
    for loader, share in zip(loaders, shares, strict=True):
        for length, count in loader.tally.lengths.items():
            lengths[length] += max(1, round(scale * count * share.rows / max(1, share.usable_rows)))
    return quantiles(lengths)


def share_words(path: str, rows: int, had: int, total: int) -> Problem:
    """How many of `total` rows a set gives to an epoch, from `had` of its own."""
    message = f"{path}: {rows:,} rows an epoch ({100 * rows / max(1, total):.0f} %), from {had:,} training rows"
    again = rows / max(1, had)
    severity: Severity = "warning" if again > MOST_REPEATS else "info"
    hint = f"each comes about {again:.0f} times an epoch: more rows, or a lower weight" if again > 1 else ""
    return Problem(severity=severity, message=message, hint=hint, key="data.train")


def across(loaders: Sequence[Loader]) -> list[Problem]:
    """What is wrong with sets that were read and none of them shows alone: rows that two of them hold.

    Raises:
        InvalidError: all rows of all sets say the same.
    """
    if len(loaders) == 1:
        return []
    lacking = one_sided(loaders)
    if lacking is not None:
        raise InvalidError(lacking.message, hint=lacking.hint, problems=[lacking])
    found = uneven(loaders)
    for number, loader in enumerate(loaders):
        for earlier in loaders[:number]:
            rows = sorted(set(earlier.examination.hashes.shared(loader.examination.hashes)))
            if rows:
                have = f"{len(rows):,} row{'s are' if len(rows) > 1 else ' is'}"
                first = loader.source.row_words(rows[0])
                message = f"{have} in {earlier.source.path.name} too, word for word (first: {first})"
                hint = "they weigh double: remove them from one of the sets if that is unmeant"
                path = str(loader.source.path)
                problem = Problem(severity="warning", message=message, hint=hint, path=path, row=rows[0])
                found.append(loader.source.placed(problem))
    return found
