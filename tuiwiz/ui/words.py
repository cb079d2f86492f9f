"""States of a run as word, symbol and colour, and short numbers; always all three, never colour alone."""

from __future__ import annotations

import math

from tuiwiz.ui.glyphs import Glyphs

_TONES = {
    "starting": "$dim",
    "rehearsing": "$accent",
    "training": "$accent",
    "paused": "$warn",
    "evaluating": "$accent",
    "saving": "$accent",
    "finished": "$good",
    "stopped": "$warn",
    "failed": "$bad",
    "crashed": "$bad",
    "unknown": "$dim",
}

LIVE = frozenset({"starting", "rehearsing", "training", "paused", "evaluating", "saving"})
"""States with a process behind them."""

ENDED = frozenset({"finished", "stopped", "failed", "crashed"})


def tone(state: str) -> str:
    """The style name of a state."""
    return _TONES.get(state, "$dim")


def symbol(state: str, glyphs: Glyphs) -> str:
    """The symbol of a state, one cell (two for `ok` in ASCII)."""
    if state == "finished":
        return glyphs.good
    if state in ("failed", "crashed"):
        return glyphs.bad
    if state == "paused":
        return glyphs.pause
    if state in ("unknown", "stopped", "starting"):
        return glyphs.off
    return glyphs.on


def number(value: float | None, digits: int = 3) -> str:
    """A loss-like number in about four characters; `-` where there is none."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e5):
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.1f}"
    return f"{value:.{digits}f}"


def short_rate(value: float) -> str:
    """A learning rate as people write it: `2.0e-4`."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}" if math.isfinite(value) and value else number(value, 1)


def age(seconds: float) -> str:
    """How long ago, in one unit: `now`, `12 min ago`, `3 h ago`, `5 d ago`."""
    if seconds < 60:
        return "now"
    for limit, size, unit in ((3600, 60, "min"), (86400, 3600, "h"), (86400 * 400, 86400, "d")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds // (86400 * 365))} y ago"


def rough(seconds: float) -> str:
    """A duration in one unit: `40 s`, `5 min`, `3 h`, `2 d`."""
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, round(seconds / size))} {unit}"
    return f"{round(seconds / 86400)} d"


def clock(seconds: float) -> str:
    """A duration in at most seven characters: `8 s`, `6:40`, `3:05 h`, `2.2 d`."""
    if not math.isfinite(seconds):
        return "-"
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 172800:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole / 86400:.1f} d"
