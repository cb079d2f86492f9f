"""Fits, tight or no: in three zones, as a prediction of memory is no promise."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["fits", "tight", "no"]

TIGHT_FROM = 0.95
"""Of twelve published runs at the edge of a T4, all below this share completed, all above 1 failed, and of those in
between two of three completed."""


def verdict(total_bytes: int, usable_bytes: int) -> Verdict:
    if total_bytes <= TIGHT_FROM * usable_bytes:
        return "fits"
    return "tight" if total_bytes <= usable_bytes else "no"


def fits_in(total_bytes: int, usable_bytes: int) -> bool:
    """Whether a choice may be offered: with room to spare, not only on paper."""
    return verdict(total_bytes, usable_bytes) == "fits"
