"""The card of a row of published measurements, and what its driver held."""

from __future__ import annotations

import re

from tuiwiz.base.errors import TuiwizError
from tuiwiz.catalog.gpus import Device, find_device, known_card

Row = dict[str, str]


def device_of(row: Row) -> Device | None:
    """The card that a row names in a column of its own or in its notes."""
    for column in ("gpu", "card", "device", "gpu_name"):
        if row.get(column, "").strip():
            try:
                return find_device(row[column])
            except TuiwizError:
                return None
    text = " ".join(row.get(name, "") for name in ("notes", "source"))
    found = re.search(
        r"(?i)\b(tesla t4|t4|(?:rtx )?[345]0[5-9]0(?: ti)?|a100[_ -]?\d*|h100|h200|l40s?|l4|a10g?|v100|a6000)", text
    )
    return known_card(found[1].replace("_", " ")) if found else None


def context_of(row: Row) -> float | None:
    found = re.search(r"context ([\d.]+) MiB", row.get("notes", ""))
    return float(found[1]) / 1024 if found else None
