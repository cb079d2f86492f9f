"""What is odd about one text: leftovers, damage, secrets. Cheap tests first, since nearly every text is clean."""

from __future__ import annotations

import re
from collections.abc import Iterator

Oddity = tuple[str, str]
"""Kind of oddity, and what to show of it. A secret is never shown whole."""

PLACEHOLDER = re.compile(
    r"\{\{\s*([A-Za-z_][\w .-]{0,30})\s*\}\}"
    r"|\[(?:your|insert|company|recipient|customer|client|enter)[ _'’][^\]\n]{1,40}\]"
    r"|<(?:YOUR|INSERT)[ _-][A-Z _-]{2,30}>",
    re.IGNORECASE,
)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

# Bytes 0x80 to 0xBF as Latin-1 and Windows-1252 show them.
_CONTINUED = "\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018\u2019"
_CONTINUED += "\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178"
MOJIBAKE = re.compile(
    f"[\u00c2\u00c3][{_CONTINUED}]"
    f"|\u00e2[\u20ac\u0080\u201a\u0082\u201e\u0084][{_CONTINUED}]"
    f"|(?:[\u00d0\u00d1][{_CONTINUED}]){{3,}}"
    f"|(?:[\u00e3-\u00e9][{_CONTINUED}]{{2}}){{3,}}"
    f"|\u00f0[\u0178\u009f][{_CONTINUED}]{{2}}"
)
"""UTF-8 that was read as Latin-1 or Windows-1252."""

SECRET = re.compile(
    r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bAIza[0-9A-Za-z_-]{35}"
    r"|\bhf_[A-Za-z0-9]{30,}"
    r"|\bglpat-[A-Za-z0-9_-]{20,}|\bsk_live_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{36}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:[\s\S]{0,8000}?-----END (?:[A-Z]+ )*PRIVATE KEY-----)?"
)
EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@(?!example\.)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b"
)

_MARKERS = (
    "<|im_start|>",
    "<|start_header_id|>",
    "<start_of_turn>",
    "[INST]",
    "### Instruction:",
    "### Response:",
    "<|user|>",
    "<|assistant|>",
    "<｜User｜>",
    "<|begin_of_text|>",
)
"""What chat templates write: in a row's own text it says that the row was already rendered once."""

_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd\u00c2\u00c3\u00d0\u00d1\u00e2-\u00e9\u00f0]")


def oddities(text: str) -> Iterator[Oddity]:
    """At most one of each kind: placeholder, control, damage, secret, email, marker."""
    # ASCII texts, the most of all, skip everything that only others can have.
    odd = _ODD.search(text) if not text.isascii() or not text.isprintable() else None
    if odd is not None:
        if match := CONTROL.search(text):
            yield "control", f"U+{ord(match[0]):04X}"
        if "\ufffd" in text:
            yield "damage", "\ufffd"
        elif match := MOJIBAKE.search(text):
            yield "damage", match[0]
    if ("{{" in text or "[" in text or "<" in text) and (match := PLACEHOLDER.search(text)):
        yield "placeholder", match[0]
    if "@" in text and (match := EMAIL.search(text)):
        yield "email", masked(match[0])
    if _may_hold_a_secret(text) and (match := SECRET.search(text)):
        yield "secret", masked(match[0])
    if "<" in text or "[INST]" in text or "###" in text:
        for marker in _MARKERS:
            if marker in text:
                yield "marker", marker
                break


def _may_hold_a_secret(text: str) -> bool:
    # Spelt out: a loop over the beginnings would take longer than all other looks at a clean text together.
    return (
        ("_" in text and ("hf_" in text or "sk_live_" in text or "npm_" in text or "gh" in text))
        or ("-" in text and ("sk-" in text or "xox" in text or "glpat-" in text or "-----BEGIN" in text))
        or "AKIA" in text
        or "AIza" in text
        or "eyJ" in text
    )


def masked(text: str) -> str:
    """The start of a secret or an address, enough to find it by."""
    if text.startswith("-----BEGIN"):
        return "a private key"
    name, at, domain = text.partition("@")
    return f"{name[:2]}…@{domain}" if at else f"{text[:6]}…"


def mended(text: str) -> str:
    """`text` with characters that were read in a wrong encoding put right, where that can be undone."""
    if text.isascii():
        return text
    return MOJIBAKE.sub(lambda match: _undone(match[0]), text)


def _undone(run: str) -> str:
    data = bytearray()
    for char in run:
        try:
            data += char.encode("cp1252")
        except UnicodeEncodeError:
            data += char.encode("latin-1", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return run
