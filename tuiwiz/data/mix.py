"""How often each row is trained on in an epoch: several sets in given shares, and classes evened out. Seeded."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence


def shares(sets: Sequence[Sequence[int]], weights: Sequence[float | None], seed: int) -> list[list[int]]:
    """Row indexes of each set as often as an epoch trains on them.

    Without weights every row of every set comes once. With weights the first set comes whole, and every other set gives
    as many rows as its weight asks for beside it: a seeded sample where it has more, all of its rows again and again
    (none of them twice more often than another) where it has fewer.
    """
    if any(weight is None for weight in weights):
        return [list(one) for one in sets]
    found = [list(sets[0])]
    for number, (one, weight) in enumerate(zip(sets[1:], weights[1:], strict=True), 1):
        wanted = round(len(sets[0]) * (weight or 0) / (weights[0] or 1))
        found.append(times(one, wanted, random.Random(f"{seed} {number}")) if one else [])
    return found


def balanced(rows: Sequence[int], classes: Sequence[Hashable], way: str, seed: int) -> list[int]:
    """`rows` with classes of one size: `up` repeats rows of small classes until they have as many as the largest,
    `down` leaves out rows of large ones until they have as few as the smallest. `classes[i]` is that of `rows[i]`."""
    by_class: dict[Hashable, list[int]] = defaultdict(list)
    for row, one in zip(rows, classes, strict=True):
        by_class[one].append(row)
    sizes = [len(members) for members in by_class.values()]
    wanted = max(sizes) if way == "up" else min(sizes)
    draw = random.Random(f"{seed} {way}")
    return sorted(row for members in by_class.values() for row in times(members, wanted, draw))


def times(rows: Sequence[int], wanted: int, draw: random.Random) -> list[int]:
    """`wanted` of `rows` in order, each as often as any other or once more."""
    whole, rest = divmod(wanted, len(rows))
    return sorted([*rows] * whole + draw.sample(list(rows), rest))
