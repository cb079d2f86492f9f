"""Which rows are held out: seeded, of a sensible size, and never a row whose like is also trained on."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

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


def held_out(keys: Sequence[int], size: int, seed: int) -> set[int]:
    """Indexes of `size` rows to hold out, chosen by `seed`.

    `keys` are equal for rows that must not straddle (the same row or the same prompt twice); such rows all stay in
    training, so fewer than `size` indexes come back when too few rows are unlike all others. At least one row stays.
    """
    count = Counter(keys)
    candidates = [i for i, key in enumerate(keys) if count[key] == 1]
    size = min(size, len(candidates), max(0, len(keys) - 1))
    return set(random.Random(seed).sample(candidates, size)) if size > 0 else set()
