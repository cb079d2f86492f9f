"""All runs in short, fast: what is known of runs that are over is remembered, and told from the folders anew whenever a
folder has changed or the index is gone."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from tuiwiz.base.files import write_atomic
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs.names import run_root
from tuiwiz.runs.notes import read_notes
from tuiwiz.runs.registry import RunInfo, folders, info

INDEX = "index.json"
VERSION = 1
_OVER = ("finished", "stopped", "failed", "crashed")
"""States that only a new attempt changes, which writes into the folder."""


class _Entry(msgspec.Struct, frozen=True):
    signature: tuple[int, ...]
    info: RunInfo


class _Index(msgspec.Struct, frozen=True):
    version: int
    runs: dict[str, _Entry]


def list_runs() -> list[RunInfo]:
    """All runs in short, newest first."""
    known, fresh = _load(), {}
    found: list[RunInfo] = []
    for folder in folders():
        key = str(folder.path)
        signature = _signature(folder)
        entry = known.get(key)
        if entry is None or entry.signature != signature or entry.info.state not in _OVER:
            entry = _Entry(signature, info(folder))
        fresh[key] = entry
        written = read_notes(folder.path)
        one = entry.info
        if (written.note, written.tags) != (one.note, one.tags):
            one = msgspec.structs.replace(one, note=written.note, tags=written.tags)
        found.append(one)
    if fresh != known:
        _store(fresh)
    return found


def _signature(folder: RunFolder) -> tuple[int, ...]:
    """Sizes and times of the files from which a run's state is told; 0 for those that are not there."""
    found: list[int] = []
    for path in (folder.events, folder.exit, folder.pid, folder.job):
        try:
            status = os.stat(path)
            found += [status.st_size, status.st_mtime_ns]
        except OSError:
            found += [0, 0]
    return tuple(found)


def _file() -> Path:
    return run_root() / INDEX


def _load() -> dict[str, _Entry]:
    try:
        index = msgspec.json.decode(_file().read_bytes(), type=_Index)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return index.runs if index.version == VERSION else {}


def _store(runs: dict[str, _Entry]) -> None:
    try:
        write_atomic(_file(), msgspec.json.encode(_Index(VERSION, runs)))
    except OSError:
        # Only a shortcut: where it cannot be kept, the folders are read next time.
        pass
