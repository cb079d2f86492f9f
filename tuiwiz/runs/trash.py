"""Removed runs: moved aside within their own disk, to `.tuiwiz-trash/<when>/<name>` beside where they lay.

The place of an entry says where it came from, so there is no list of them that could be lost.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from tuiwiz.base.errors import MachineLacksError, UsageError
from tuiwiz.base.problems import nearest
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs.names import ever_registered, register, run_root

TRASH = ".tuiwiz-trash"


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the trash. `at` is when it was removed, in seconds since the epoch."""

    name: str
    original: Path
    place: Path
    at: float

    def size_bytes(self) -> int:
        return sum(path.lstat().st_size for path in self.place.rglob("*") if path.is_file())


def refuse_no_run(folder: RunFolder) -> None:
    """Refuse a folder that holds a bundle and nothing that a run has written: it may be somebody's whole project.

    Raises:
        UsageError: it is none.
    """
    if not folder.job.is_file() and not folder.events.is_file():
        raise UsageError(f"{folder.path} holds a bundle and no run", hint="a run folder, or the whole name of a run")


def remove(folder: Path) -> Removed:
    """Move a run to the trash.

    Raises:
        UsageError: it is no run.
        MachineLacksError: its parent folder cannot be written.
    """
    refuse_no_run(RunFolder(folder))
    with suppress(OSError):
        # Else nobody would look beside it for what was removed.
        register(folder)
    at = time.time_ns()
    place = folder.parent / TRASH / str(at) / folder.name
    try:
        place.parent.mkdir(parents=True)
        os.rename(folder, place)
    except OSError as error:
        raise MachineLacksError(
            f"{folder} cannot be moved: {error.strerror or error}", hint="its parent folder must be writable"
        ) from error
    return Removed(name=folder.name, original=folder, place=place, at=at / 1e9)


def removed() -> list[Removed]:
    """Everything in the trash, the last removed first."""
    parents = dict.fromkeys([run_root(), *(path.parent for path in ever_registered())])
    found: list[Removed] = []
    for parent in parents:
        for when in _listed(parent / TRASH):
            if when.name.isdigit():
                found += [
                    Removed(name=place.name, original=parent / place.name, place=place, at=int(when.name) / 1e9)
                    for place in _listed(when)
                ]
    return sorted(found, key=lambda one: one.at, reverse=True)


def restore(name: str | None) -> Path:
    """Bring the last removed run, or the last of that name, back to where it lay.

    Raises:
        UsageError: there is none, or something else lies there now.
        MachineLacksError: the folder cannot be written.
    """
    known = removed()
    found = next((one for one in known if name in (None, one.name)), None)
    if found is None:
        close = nearest(name or "", [one.name for one in known])
        hint = f"did you mean {close}?" if close else "`tuiwiz runs trash` lists what was removed"
        raise UsageError(f"there is no removed run{f' {name!r}' if name else ''}", hint=hint)
    if found.original.exists():
        raise UsageError(f"{found.original} is there again", hint=f"the removed one lies in {found.place}")
    try:
        os.rename(found.place, found.original)
        found.place.parent.rmdir()
        register(found.original)
    except OSError as error:
        raise MachineLacksError(f"{found.original} cannot be written: {error.strerror or error}") from error
    return found.original


def empty() -> int:
    """Delete everything in the trash; returns how many runs that were."""
    known = removed()
    for one in known:
        shutil.rmtree(one.place.parent, ignore_errors=True)
    return len(known)


def _listed(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []
