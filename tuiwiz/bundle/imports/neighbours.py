"""Files that a configuration names instead of holding their values: looked for near it, read, never run."""

from __future__ import annotations

from pathlib import Path

LARGEST_FILE = 1 << 20
"""Bytes of a configuration."""
SUFFIXES = (".yaml", ".yml", ".json", ".py", ".sh", ".bash", ".txt", ".slurm", ".sbatch")
MOST_FILES = 30
MOST_PARENTS = 8
"""Folders above the configuration's that are looked through: scripts name files from the root of their repository."""


class Neighbours:
    """Reads at most `MOST_FILES` files by relative names; `written` holds those that a script writes itself."""

    def __init__(self, folder: Path | None, written: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.written = written or {}
        self._left = MOST_FILES

    def read(self, name: str, near: Path | None = None) -> tuple[str, Path] | None:
        """Text and path of a file named in one that lies in `near`; None where there is none that can be read."""
        if name in self.written:
            return self.written[name], Path(name)
        start = near or self.folder
        if start is None or not name or Path(name).is_absolute() or Path(name).suffix.lower() not in SUFFIXES:
            return None
        for folder in [start, *start.resolve().parents][:MOST_PARENTS]:
            path = folder / name
            try:
                if path.is_file() and path.stat().st_size <= LARGEST_FILE and self._left > 0:
                    self._left -= 1
                    return path.read_text(encoding="utf-8-sig"), path
            except (OSError, ValueError):
                continue
        return None
