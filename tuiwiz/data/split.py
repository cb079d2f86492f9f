"""Which rows are held out: seeded, of a sensible size, in the classes' proportions, and never a row whose like is also
trained on."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence

FEWEST_ROWS = 20
"""Below this many rows nothing is held out unless asked for: neither part would be worth its name."""

_SHARE, _LEAST, _MOST, _LARGEST_SHARE = 0.05, 32, 512, 0.2


def automatic_size(rows: int) -> int:
    """Rows to hold out when the bundle does not say: 5 %, at least 32 and at most 512, and never above 20 %.

    32 rows tell a falling loss from a rising one; beyond 512 an evaluation costs more than its narrower interval is
    worth (the interval shrinks with the square root of the rows).
    """
    if rows < FEWEST_ROWS:
        return 0
    return min(max(round(_SHARE * rows), _LEAST), _MOST, math.floor(_LARGEST_SHARE * rows))


def resolution(rows: int) -> float:
    """Half the width of a 95 % interval of a share (such as exact match) measured on `rows` rows, at its widest."""
    return 1.96 * math.sqrt(0.25 / rows) if rows else 1.0


def held_out(
    keys: Sequence[int],
    size: int,
    seed: int,
    *,
    owners: Sequence[int] | None = None,
    near: Sequence[Collection[int]] = (),
    classes: Sequence[Hashable] | None = None,
    labels: Sequence[frozenset[int]] | None = None,
    among: Collection[int] | None = None,
) -> set[int]:
    """Indexes of about `size` rows to hold out, chosen by `seed`.

    `keys` are equal for rows that must not straddle (the same row or the same prompt twice); such rows all stay in
    training. Rows with one `owner` (pieces of one source row) go together. `near` are groups of owners that say nearly
    the same: they are held out, whole, only where the other rows are too few. With `classes` (one of each row) every
    class gives its share, and none its last row; so with `labels`, where a row has any number of them. Only rows
    `among` some are held out, by default any. Fewer than `size` come back when too few rows are unlike all others; at
    least one row stays.
    """
    allowed = set(range(len(keys)) if among is None else among)
    size = min(size, len(allowed) - 1)
    if size <= 0:
        return set()
    owners = range(len(keys)) if owners is None else owners
    pieces: dict[int, list[int]] = defaultdict(list)
    for index, owner in enumerate(owners):
        pieces[owner].append(index)
    times = Counter(keys[indexes[0]] for indexes in pieces.values())
    single = {
        owner for owner, indexes in pieces.items() if times[keys[indexes[0]]] == 1 and allowed.issuperset(indexes)
    }
    alike = {owner for group in near for owner in group}
    draw = random.Random(seed)
    units = [pieces[owner] for owner in pieces if owner in single and owner not in alike]
    draw.shuffle(units)
    if labels is not None:
        return _spread(units, size, labels, allowed)
    chosen = _fill(units, size) if classes is None else _stratified(units, size, classes, allowed)
    if len(chosen) < size and classes is None:
        whole = [group for group in near if all(owner in single for owner in group)]
        groups = [[index for owner in sorted(group) for index in pieces[owner]] for group in whole]
        draw.shuffle(groups)
        chosen |= _fill(groups, size - len(chosen))
    return chosen


def _fill(units: Sequence[Sequence[int]], size: int) -> set[int]:
    """Whole units in order, as long as they fit."""
    chosen: set[int] = set()
    for unit in units:
        if len(unit) <= size - len(chosen):
            chosen.update(unit)
        if len(chosen) == size:
            break
    return chosen


def _stratified(
    units: Sequence[Sequence[int]], size: int, classes: Sequence[Hashable], allowed: Collection[int]
) -> set[int]:
    """Of each class its share of `size`, rounded by largest remainder, the rarest class first where equal."""
    rows = Counter(classes[index] for index in allowed)
    by_class: dict[Hashable, list[Sequence[int]]] = defaultdict(list)
    for unit in units:
        by_class[classes[unit[0]]].append(unit)
    most = {one: min(sum(map(len, by_class[one])), rows[one] - 1) for one in rows}
    exact = {one: size * count / len(allowed) for one, count in rows.items()}
    quota = {one: min(math.floor(share), most[one]) for one, share in exact.items()}
    order = sorted(rows, key=lambda one: (quota[one] - exact[one], rows[one], str(one)))
    while sum(quota.values()) < size:
        open_classes = [one for one in order if quota[one] < most[one]]
        if not open_classes:
            break
        for one in open_classes[: size - sum(quota.values())]:
            quota[one] += 1
    return {index for one, count in quota.items() for index in _fill(by_class[one], count)}


_NONE = frozenset({-1})
"""Rows without a label are a kind of their own."""


def _spread(
    units: Sequence[Sequence[int]], size: int, labels: Sequence[frozenset[int]], allowed: Collection[int]
) -> set[int]:
    """Rows that have of each label about its share of `size`: the rarest label is served first, since the rows that
    have it also have frequent ones (iterative stratification, Sechidis and others 2011)."""
    rows = Counter(label for index in allowed for label in labels[index] or _NONE)
    share = {label: size * count / len(allowed) for label, count in rows.items()}
    had: Counter[int] = Counter()
    chosen: set[int] = set()

    def take(unit: Sequence[int], most: dict[int, int]) -> None:
        gained = Counter(label for index in unit for label in labels[index] or _NONE)
        fits = len(unit) <= size - len(chosen) and chosen.isdisjoint(unit)
        if fits and all(had[label] + count <= most[label] for label, count in gained.items()):
            chosen.update(unit)
            had.update(gained)

    of_label: dict[int, list[Sequence[int]]] = defaultdict(list)
    for unit in units:
        for label in labels[unit[0]] or _NONE:
            of_label[label].append(unit)
    rarest = sorted(rows, key=lambda label: (rows[label], label))
    # What is left over after the exact shares goes to frequent labels, which one more row distorts least.
    for over in (0, 1, size):
        most = {label: min(math.ceil(share[label]) + over, count - 1) for label, count in rows.items()}
        for label in reversed(rarest) if over else rarest:
            enough = min(most[label], round(share[label])) if not over else most[label]
            for unit in of_label[label]:
                if len(chosen) == size or had[label] >= enough:
                    break
                take(unit, most)
    return chosen
