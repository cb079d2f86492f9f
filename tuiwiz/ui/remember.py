"""What screens remember between two starts: theme and sizes. A file that is damaged or cannot be written is no loss."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from tuiwiz.base import places
from tuiwiz.base.files import write_atomic

NAME = "screen.json"


def load() -> dict[str, Any]:
    """Everything that is remembered; empty where nothing is."""
    try:
        return msgspec.json.decode((places.home() / NAME).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}


def number(name: str, least: int, most: int) -> int | None:
    """A remembered whole number within its bounds, else None."""
    value = load().get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


def keep(name: str, value: Any) -> None:
    """Remember one value; nothing is written where it is known already."""
    known = load()
    if known.get(name) != value:
        with suppress(OSError):
            places.home().mkdir(parents=True, exist_ok=True)
            write_atomic(places.home() / NAME, msgspec.json.encode({**known, name: value}))
