"""Model bands: the sizes between which published settings change."""

from __future__ import annotations

import re

import msgspec

_SIZE = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,4})?)\s*([bBmM])")


class Band(msgspec.Struct, frozen=True):
    """Models with `least <= parameters < below`."""

    name: str
    least: float
    below: float
    words: str


BANDS: tuple[Band, ...] = (
    Band("XS", 0.0, 0.8e9, "below 0.8B"),
    Band("S", 0.8e9, 4.5e9, "0.8-4.5B"),
    Band("M", 4.5e9, 10e9, "4.5-10B"),
    Band("L", 10e9, 20e9, "10-20B"),
    Band("XL", 20e9, 40e9, "20-40B"),
    Band("XXL", 40e9, float("inf"), "40B and more"),
)
BAND_NAMES: tuple[str, ...] = tuple(band.name for band in BANDS)


def band_of(parameters: float) -> str:
    """The band of a model with so many parameters (all of them, experts included)."""
    return next(band.name for band in BANDS if parameters < band.below)


def band_words(name: str) -> str:
    """`4.5-10B` for `M`."""
    return next(band.words for band in BANDS if band.name == name)


def parse_size(text: str) -> float | None:
    """Parameters from `8B`, `0.5b`, `135M`; None when `text` is no size."""
    match = _SIZE.fullmatch(text.strip())
    return None if match is None else float(match[1]) * (1e9 if match[2] in "bB" else 1e6)
