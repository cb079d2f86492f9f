"""Memory by item against what the device has, in two lines of text and one bar."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from tuiwiz.base.units import GIB
from tuiwiz.ui.glyphs import Glyphs

NAMES = {
    "weights": "weights",
    "quantization_constants": "constants",
    "adapter": "adapter",
    "gradients": "gradients",
    "optimizer": "optimizer",
    "activations": "activations",
    "logits": "logits",
    "temporary": "workspace",
    "communication": "communication",
    "context": "context",
    "reserve": "reserve",
}
LEAST = 0.005
"""Items below this share of the total are not named."""


def items_line(items: Mapping[str, int], width: int, glyphs: Glyphs) -> Content:
    """`weights 5.6  activations 1.9 ...` in GiB, largest first, on as many lines as it takes."""
    total = sum(items.values()) or 1
    named = sorted((item for item in items.items() if item[1] / total >= LEAST), key=lambda item: -item[1])
    lines: list[Content] = []
    line, used = Content("  "), 2
    for name, size in named:
        word = f"{NAMES.get(name, name)} "
        figure = f"{size / GIB:.1f}" if size >= 0.05 * GIB else f"{size / GIB:.2f}"
        length = len(word) + len(figure) + 3
        if used + length > width and used > 2:
            lines.append(line)
            line, used = Content("  "), 2
        line = Content.assemble(line, (word, "$dim"), (figure, "bold"), "   ")
        used += length
    return Content("\n").join([*lines, line])


def budget_bar(items: Mapping[str, int], usable: int, width: int, glyphs: Glyphs) -> Content:
    """`0 ━━━━━━━──────── 23.6 GiB`: what is needed against what is usable, with an arrow where it goes beyond."""
    needed = sum(items.values())
    label = f" {usable / GIB:.1f} GiB"
    room = max(8, width - len(label) - 6)
    share = needed / max(1, usable)
    filled = min(room, round(share * room))
    style = "$good" if share <= 0.95 else "$warn" if share <= 1 else "$bad"
    over = f" {glyphs.arrow}" if share > 1 else ""
    return Content.assemble(
        ("  0 ", "$dim"),
        (glyphs.bar * filled, style),
        (glyphs.bar_rest * (room - filled), "$faint"),
        (over, style),
        (label, "$dim"),
    )
