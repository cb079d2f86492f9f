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
    from tuiwiz.data.load import Loader
    from tuiwiz.data.prepare import settings_of, template_choice
    from tuiwiz.data.render import Renderer

    if not isinstance(bundle.data.train, str) or not (folder / bundle.data.train).exists():
        return Profile()
    known = tokenizer if tokenizer is not None and (tokenizer / "tokenizer.json").is_file() else None
    try:
        renderer = Renderer(known, template=template_choice(bundle, folder))
        loader = Loader(folder / bundle.data.train, settings_of(bundle), renderer)
        stop, whole, count = time.monotonic() + MOST_S, True, 0
        for _ in loader.rows():
            count += 1
            if time.monotonic() > stop:
                whole = False
                break
    except TuiwizError as error:
        return Profile(note=f"the rows were not read: {error.message}")
    found = loader.lengths()
    if not found.max:
        return Profile()
    limit = bundle.data.max_length
    longest = min(found.max, limit) if whole else limit
    note = "" if known else "lengths are estimates: the model's tokenizer is not on this machine"
    if not whole:
        note = f"lengths of the first {count:,} rows; the longest row is taken to have {limit:,} tokens"
    return Profile(
        {"p50": min(found.p50, limit), "p95": min(found.p95, limit), "max": longest}, count if whole else None, note
    )


def training_rows(bundle: Bundle, counted: int | None) -> int | None:
    """Training rows by the bundle's lock, else as counted, less the share that is held out."""
    rows = counted
    if bundle.lock is not None and isinstance(bundle.data.train, str):
        rows = bundle.lock.rows.get(bundle.data.train) or rows
    if not rows or bundle.validation.path is not None:
        return rows
    held_out = round(rows * (bundle.validation.fraction or 0.0))
    return max(1, rows - min(held_out, bundle.validation.max_rows or held_out))
