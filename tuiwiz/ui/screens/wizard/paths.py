"""Completion of paths while they are typed: the right arrow takes what is offered."""

from __future__ import annotations

from pathlib import Path

from textual.suggester import Suggester

from tuiwiz.base.places import expanded

MOST = 500
"""Entries of a folder that are looked at."""


class PathSuggester(Suggester):
    """Offers the first file or folder, by name, that goes on from what is typed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._folder = folder

    async def get_suggestion(self, value: str) -> str | None:
        found = candidates(value, self._folder, limit=1)
        return found[0] if found else None


def candidates(typed: str, folder: Path, *, limit: int) -> list[str]:
    """Paths that go on from `typed`, folders with a slash at the end; hidden ones only when asked for."""
    if not typed:
        return []
    head, slash, start = typed.rpartition("/")
    parent = folder / expanded(head + slash) if slash else folder
    try:
        entries = sorted(entry for _, entry in zip(range(MOST), parent.iterdir(), strict=False))
    except OSError:
        return []
    found = []
    for entry in entries:
        if entry.name.startswith(start) and (start.startswith(".") or not entry.name.startswith(".")):
            found.append(f"{head}{slash}{entry.name}{'/' if entry.is_dir() else ''}")
            if len(found) == limit:
                break
    return found
