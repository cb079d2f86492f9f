"""Text from outside made safe for a terminal: no control sequences, no direction overrides, no markup."""

from __future__ import annotations

import re

# CSI and OSC sequences whole, so that their parameters do not stay behind as visible litter.
_SEQUENCES = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"
    "|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?"
    "|\x1b[PX^_][^\x1b]*(?:\x1b\\\\)?"
    "|\x1b[ -/]*[0-~]"
    "|\x9b[0-?]*[ -/]*[@-~]"
)
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}\ud800-\udfff\u2028\u2029]")

"""What no terminal may get from outside, but line feeds and tabs."""


def clean(text: str) -> str:
    """`text` with terminal control sequences removed and every other control character shown as `\ufffd`.

    Line feeds and tabs stay. Apply before anything from outside reaches a terminal; for Rich or Textual pass the
    result as `Text` or with markup off: brackets are left as they are.
    """
    text = text.replace("\r\n", "\n")
    return CONTROL.sub("\ufffd", _SEQUENCES.sub("", text))


def is_utf8(text: str) -> bool:
    """Whether `text` can be written to a file; names of files that are no UTF-8 reach us with halves of pairs."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


def clean_line(text: str, limit: int = 0) -> str:
    """`clean`, on one line: line breaks become `⏎`, tabs a space; cut with `…` to `limit` characters if not 0."""
    line = clean(text).replace("\n", "⏎").replace("\t", " ")
    if limit and len(line) > limit:
        return line[: max(0, limit - 1)] + "…"
    return line


def terminal_notice(text: str, *, tmux: bool = False) -> str:
    """The bell, and `text` as a notice of the desktop (OSC 9) where the terminal knows that; `tmux` passes it on."""
    words = f"]9;{clean_line(text, 120)}\x07"
    return f"\x07\x1bPtmux;\x1b\x1b{words}\x1b\\" if tmux else f"\x07\x1b{words}"
