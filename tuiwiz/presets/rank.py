"""Rank from data: adapters should hold at least as many parameters as there are trained tokens.

"LoRA Without Regret" finds about 2 bits a parameter against about 1 bit a token, so the rule has slack of about 2.
"""

from __future__ import annotations

import math

MOST_RANK = 256
"""Beyond it nobody published a gain."""


def least_rank(trained_tokens: int, parameters_per_rank: int) -> int:
    """r_min = ceil(trained tokens / adapter parameters of one unit of rank), at least 1."""
    return max(1, math.ceil(trained_tokens / max(1, parameters_per_rank)))


def rank_for(published: int, least: int) -> int:
    """The published rank, or the next power of two that holds the data, at most `MOST_RANK`."""
    if least <= published:
        return published
    return max(published, min(MOST_RANK, 1 << (least - 1).bit_length()))
