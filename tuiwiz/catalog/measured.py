"""What rehearsals measured on this machine: one JSON object a line in the user's data folder."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from tuiwiz.base import places

FILE = "measured.jsonl"


def keep(measurement: dict[str, Any]) -> None:
    """Append one; a folder that cannot be written loses it, which no run depends on."""
    with suppress(OSError):
        places.catalog().mkdir(parents=True, exist_ok=True)
        with (places.catalog() / FILE).open("ab") as file:
            file.write(msgspec.json.encode(measurement) + b"\n")


def kept() -> list[dict[str, Any]]:
    """All that were kept, oldest first; lines that are none are left out."""
    found: list[dict[str, Any]] = []
    with suppress(OSError):
        for line in (places.catalog() / FILE).read_bytes().splitlines():
            with suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line, type=dict[str, Any]))
    return found
