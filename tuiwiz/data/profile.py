"""Rows and token lengths of a bundle's training set, as far as a moment's reading tells them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tuiwiz.spec.bundle import Bundle

MOST_S = 3.0
"""Seconds of reading after which the rest of a large set is left unread."""


class Profile(msgspec.Struct, frozen=True):
    """`lengths` are tokens (p50, p95, max) of the rows that were read; None where there is nothing to read.

    `rows` is None where not all of them were.
    """

    lengths: dict[str, int] | None = None
    rows: int | None = None
    note: str = ""


def profile(bundle: Bundle, folder: Path, tokenizer: Path | None) -> Profile:
    """Read the training set for up to some seconds. Where it is cut short, the longest row is taken to be the limit."""
    from tuiwiz.base.errors import TuiwizError
    from tuiwiz.data.holdout import training_sets
    from tuiwiz.data.prepare import settings_of, template_choice
    from tuiwiz.data.render import Renderer
    from tuiwiz.data.sets import mixed_lengths, open_sets, sequences_of, shares_of

    sets = training_sets(bundle)
    if not sets or not all((folder / one.path).exists() for one in sets):
        return Profile()
    known = tokenizer if tokenizer is not None and (tokenizer / "tokenizer.json").is_file() else None
    try:
        renderer = Renderer(known, template=template_choice(bundle, folder))
        loaders = open_sets(sets, folder, settings_of(bundle), renderer, None, None)
        stop, whole, count = time.monotonic() + MOST_S, True, 0
        for number, loader in enumerate(loaders, 1):
            # Each set has its part of the time: what is known of the first alone would not be of the mix.
            until = stop - MOST_S * (1 - number / len(loaders))
            for _ in loader.rows():
                count += 1
                if time.monotonic() > until:
                    whole = False
                    break
    except TuiwizError as error:
        return Profile(note=f"the rows were not read: {error.message}")
    shares = shares_of(loaders, sets)
    found = mixed_lengths(loaders, shares)
    if not found.max:
        return Profile()
    limit = bundle.data.max_length
    longest = min(found.max, limit) if whole else limit
    note = "" if known else "lengths are estimates: the model's tokenizer is not on this machine"
    if not whole:
        note = f"lengths of the first {count:,} rows; the longest row is taken to have {limit:,} tokens"
    return Profile(
        {"p50": min(found.p50, limit), "p95": min(found.p95, limit), "max": longest},
        sequences_of(loaders, shares) if whole else None,
        note,
    )


def training_rows(bundle: Bundle, counted: int | None) -> int | None:
    """Rows of an epoch by the bundle's lock, else as counted, less the share that is held out: of sets with weights it
    comes from the first, which the others follow."""
    from tuiwiz.data.holdout import training_sets
    from tuiwiz.data.sets import rows_of_mix, weighted

    sets, rows = training_sets(bundle), counted
    locked = [bundle.lock.rows.get(one.path, 0) for one in sets] if bundle.lock is not None else []
    if locked and all(locked):
        rows = rows_of_mix(sets, locked)
    if not rows or bundle.validation.path is not None:
        return rows
    split = rows * (sets[0].weight or 1) / sum(one.weight or 0 for one in sets) if weighted(sets) else rows
    held_out = round(split * (bundle.validation.fraction or 0.0))
    return max(1, round(rows * (1 - min(held_out, bundle.validation.max_rows or held_out) / split)))
