"""Drafts on disk, so that a crash or a lost connection costs nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tuiwiz.base import places
from tuiwiz.base.files import write_atomic
from tuiwiz.wizard.draft import Draft

VERSION = 1


class _Saved(msgspec.Struct, kw_only=True):
    version: int
    draft: Draft


def path() -> Path:
    return places.drafts() / "wizard.json"


def save(draft: Draft) -> None:
    """Keep the draft for the next start. A disk that cannot be written loses the draft, never the wizard."""
    try:
        write_atomic(path(), msgspec.json.encode(_Saved(version=VERSION, draft=draft)))
    except OSError:
        return


def load() -> Draft | None:
    """The draft that was left; None where there is none, or one of another version."""
    try:
        data = path().read_bytes()
        found = msgspec.json.decode(data, type=_Saved)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    # No path has a zero byte, and nobody typed one.
    return found.draft if found.version == VERSION and b"\\u0000" not in data else None


def forget() -> None:
    """Remove the draft: its bundle was written, or the user began anew."""
    path().unlink(missing_ok=True)
