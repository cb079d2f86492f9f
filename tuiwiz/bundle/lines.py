"""On which line of a TOML file a key stands. tomllib does not say, so the text is scanned once, for messages only."""

from __future__ import annotations

import re

MOST_PARTS = 100
"""Of one dotted key; real ones have two or three."""
_BETWEEN_PARTS = str.maketrans("", "", " \t\"'")
_AROUND_KEYS = re.compile(r"[\n,\[\]{}=]")

_HEADER = re.compile(r"^\s*\[\[?\s*([A-Za-z0-9_.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"^\s*((?:[A-Za-z0-9_\-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_\-]+|\"[^\"]*\"|'[^']*'))*)\s*="
)
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_\-]+)")


def line_index(text: str) -> dict[str, int]:
    """Dotted key or table name -> 1-based line of its first appearance. Multi-line strings are skipped."""
    found: dict[str, int] = {}
    table = ""
    closing = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing:
            if closing in line:
                closing = ""
            continue
        header = _HEADER.match(line)
        key = None if header else _KEY.match(line)
        if header:
            table = _dotted(header.group(1))
            found.setdefault(table, number)
        elif key:
            name = _dotted(key.group(1))
            found.setdefault(f"{table}.{name}" if table else name, number)
        for quotes in ('"""', "'''"):
            if line.count(quotes) % 2:
                closing = quotes
    return found


def line_of(index: dict[str, int], key: str) -> int | None:
    """The line of `key`, or of the nearest table around it."""
    while key:
        if key in index:
            return index[key]
        key = key.rpartition(".")[0]
    return None


def _dotted(text: str) -> str:
    return ".".join(a or b or c for a, b, c in _PART.findall(text))


def has_endless_key(text: str) -> bool:
    """Whether a key has so many parts (`a.a.a...`) that reading it takes minutes: tomllib's time grows with the square
    of the parts."""
    bare = text.translate(_BETWEEN_PARTS)
    return any(one.count(".") > MOST_PARTS for one in _AROUND_KEYS.split(bare))
