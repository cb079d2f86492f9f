"""Every glyph that is not ASCII, with an ASCII twin, so that a bare console shows the same facts."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of glyphs. All are one cell wide except `spark`, which holds one level a cell,
    and three of the ASCII twins."""

    ascii: bool = False
    rule: str = "─"
    axis: str = "┤"
    axis_line: str = "│"
    corner: str = "└"
    base: str = "─"
    tick: str = "┬"
    epoch: str = "│"
    eval: str = "◆"
    best: str = "★"
    checkpoint: str = "▾"
    cross: str = "┼"
    up: str = "▴"
    down: str = "▾"
    bullet: str = "·"
    select: str = "▸"
    on: str = "●"
    off: str = "○"
    good: str = "✓"
    bad: str = "✗"
    warn: str = "!"
    pause: str = "‖"
    ellipsis: str = "…"
    band: str = "±"
    degree: str = "°"
    arrow: str = "→"
    spark: str = " ▁▂▃▄▅▆▇█"
    bar: str = "━"
    bar_rest: str = "─"


UNICODE = Glyphs()
ASCII = Glyphs(
    ascii=True,
    rule="-",
    axis="|",
    axis_line="|",
    corner="+",
    base="-",
    tick="+",
    epoch=":",
    eval="O",
    best="*",
    checkpoint="v",
    cross="+",
    up="^",
    down="v",
    bullet="-",
    select=">",
    on="*",
    off="o",
    good="ok",
    bad="x",
    warn="!",
    pause="=",
    ellipsis=".",
    band="+-",
    degree=" ",
    arrow=">",
    spark=" _.-~=*#@",
    bar="#",
    bar_rest=".",
)


def wants_ascii(flag: bool | None = None) -> bool:
    """Whether to draw in ASCII: asked for by `flag` or TUIWIZ_ASCII, or the terminal's encoding is not UTF-8."""
    if flag is not None:
        return flag
    if os.environ.get("TUIWIZ_ASCII", "") not in ("", "0"):
        return True
    encoding = (getattr(sys.__stderr__, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "")
    return encoding not in ("utf8", "utf8sig")


def to_ascii(text: str) -> str:
    """`text` with what a bare console cannot show replaced: known glyphs by their twins, the rest by `?`."""
    if text.isascii():
        return text
    return text.translate(_TWINS).encode("ascii", "replace").decode("ascii")


_TWINS = {
    ord(char): twin
    for name in Glyphs.__dataclass_fields__
    if name not in ("ascii", "spark")
    for char, twin in [(getattr(UNICODE, name), getattr(ASCII, name))]
    if len(char) == 1
} | {ord("⏎"): " ", ord("–"): "-", ord("≥"): ">", ord("“"): '"', ord("”"): '"', ord("’"): "'"}
