"""The files of a folder as one set: in the order of their names, and none of them missing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tuiwiz.data import stream as streams

_NUMBERED = re.compile(r"(\d{3,})-of-(\d{3,})")
STATE_FILE = "state.json"


def complete(path: Path, files: Sequence[Path]) -> None:
    """Shards that say how many they are (`train-00000-of-00003`), or that the folder's own list names, are all there.

    Raises:
        InvalidError: at least one is missing.
    """
    seen: dict[tuple[Path, str, int], set[int]] = defaultdict(set)
    for file in files:
        if match := _NUMBERED.search(file.name):
            kind = file.name[: match.start()] + "*" + file.name[match.end() :]
            seen[file.parent, kind, int(match[2])].add(int(match[1]))
    for (_, kind, total), numbers in seen.items():
        first = 0 if 0 in numbers else 1
        missing = sorted(set(range(first, total + first)) - numbers)
        if missing:
            shown = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
            _refuse(path, f"{len(numbers)} of {total} shards of {kind} are here; missing: {shown}")
    for folder in {file.parent for file in files}:
        absent = [name for name in _listed(folder / STATE_FILE) if not (folder / name).is_file()]
        if absent:
            _refuse(path, f"{absent[0]}, which {STATE_FILE} names, is missing")


def _refuse(path: Path, message: str) -> None:
    raise streams.refuse(path, message, hint="fetch the set again: a part of it would be trained on unnoticed")


def _listed(state: Path) -> list[str]:
    """Names of data files in the `state.json` that `datasets.save_to_disk` writes; none where there is no such file."""
    try:
        found = msgspec.json.decode(state.read_bytes())
        return [str(one["filename"]) for one in found["_data_files"]]
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return []
