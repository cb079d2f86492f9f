"""One-row pictures as text: a sparkline and a bar."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tuiwiz.ui.glyphs import UNICODE, Glyphs


def spark(values: Sequence[float], width: int, glyphs: Glyphs = UNICODE) -> str:
    """The last `width` values as levels between their lowest and highest; a NaN is a blank, a constant is half high."""
    shown = list(values[-width:]) if width > 0 else []
    kept = [value for value in shown if math.isfinite(value)]
    if not kept:
        return ""
    low, high = min(kept), max(kept)
    levels = len(glyphs.spark) - 1
    out = []
    for value in shown:
        if not math.isfinite(value):
            out.append(" ")
        elif high == low:
            out.append(glyphs.spark[(levels + 1) // 2])
        else:
            out.append(glyphs.spark[1 + round((value - low) / (high - low) * (levels - 1))])
    return "".join(out)


def progress(share: float, width: int, glyphs: Glyphs = UNICODE) -> tuple[str, str]:
    """The done and the open part of a progress bar `width` cells wide."""
    done = round(min(1.0, max(0.0, share)) * width) if math.isfinite(share) else 0
    return glyphs.bar * done, glyphs.bar_rest * (width - done)
