"""Numbers for people: bytes, durations, counts, and reading sizes that people type."""

from __future__ import annotations

import math
import re

KIB = 1024
MIB = 1024**2
GIB = 1024**3

_SIZE = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(B|KB|KiB|K|MB|MiB|M|GB|GiB|G|TB|TiB|T)?\s*$", re.IGNORECASE)
_FACTOR = {
    "": GIB,
    "b": 1,
    "kb": 1000,
    "kib": KIB,
    "k": KIB,
    "mb": 1000**2,
    "mib": MIB,
    "m": MIB,
    "gb": 1000**3,
    "gib": GIB,
    "g": GIB,
    "tb": 1000**4,
    "tib": 1024**4,
    "t": 1024**4,
}


def parse_bytes(text: str) -> int | None:
    """Bytes from `24`, `24GiB`, `24 GB`, `800 MiB`; a bare number is GiB. None when `text` is no size."""
    match = _SIZE.match(text)
    if match is None:
        return None
    value = float(match.group(1)) * _FACTOR[(match.group(2) or "").lower()]
    return int(value) if math.isfinite(value) else None


def gib(size_bytes: float, digits: int = 1) -> str:
    """`11.9 GiB`."""
    return f"{size_bytes / GIB:.{digits}f} GiB"


def human_bytes(size_bytes: float) -> str:
    """The largest binary unit that keeps the number at 1 or more: `93.0 MiB`."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def human_duration(seconds: float) -> str:
    """`8 s`, `6 min 40 s`, `3 h 05 min`, `2 d 04 h`."""
    if not math.isfinite(seconds):
        return "unknown"
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def human_count(value: float) -> str:
    """`950`, `12.3 k`, `1.1 M`, `7.2 B`."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e3 if unit == "k" else limit)
            return f"{scaled:.1f} {unit}"
    return f"{value:,.0f}"


def human_number(value: float) -> str:
    """Short and without loss of meaning: `2e-4`, `0.05`, `1.5`, `32`."""
    if value == 0 or not math.isfinite(value):
        return str(value) if not math.isfinite(value) else "0"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.6g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
