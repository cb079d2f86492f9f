"""A line on the terminal that says how far a long reading has come, and goes when it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tuiwiz.cli.output import is_dumb

LEAST_ROWS = 10_000
"""Smaller sets are read before anybody wonders."""
PERIOD_S = 0.2


class Counting:
    """What is told while data are read. On anything but a terminal nothing is said, so that logs stay lines."""

    def __init__(self, *, quiet: bool) -> None:
        self._shows = not quiet and sys.stderr.isatty() and not is_dumb()
        self._said = 0.0
        self._there = False

    def rows(self, stage: str, done: int, total: int) -> None:
        """As `data.load.Progress`."""
        if done >= LEAST_ROWS:
            self._say(f"{done:,} rows read" if stage in ("read", "cached") else f"{done:,} rows: {stage}")

    def file(self, name: str) -> None:
        """Before a file is hashed."""
        self._say(f"hashing {name}")

    def clear(self) -> None:
        if self._there:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._there = False

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if not self._shows or now - self._said < PERIOD_S:
            return
        self._said, self._there = now, True
        sys.stderr.write(f"\r{text}\x1b[K\r")
        sys.stderr.flush()


@contextmanager
def counting(*, quiet: bool) -> Iterator[Counting]:
    """A counter whose line is gone afterwards, whatever happened."""
    counter = Counting(quiet=quiet)
    try:
        yield counter
    finally:
        counter.clear()
