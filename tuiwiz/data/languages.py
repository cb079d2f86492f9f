"""Which languages a set is written in: by script, and for the Latin script by common words. A rough count, and said to
be one: languages that share a script and are not in the table are counted under the script's name."""

from __future__ import annotations

import re
from collections import Counter

_ALL_ROWS, _EVERY = 2_000, 50
_LOOKED_AT_CHARACTERS = 300

_SCRIPTS: tuple[tuple[str, int, re.Pattern[str]], ...] = tuple(
    (name, 2 if name in {"Chinese", "Japanese", "Korean"} else 1, re.compile(f"[{ranges}]"))
    for name, ranges in (
        ("Latin script", "A-Za-z\u00c0-\u024f\u1e00-\u1eff"),
        ("Japanese", "\u3040-\u30ff"),
        ("Chinese", "\u4e00-\u9fff"),
        ("Korean", "\uac00-\ud7a3\u1100-\u11ff"),
        ("Cyrillic script", "\u0400-\u04ff"),
        ("Arabic script", "\u0600-\u06ff"),
        ("Hebrew", "\u0590-\u05ff"),
        ("Devanagari script", "\u0900-\u097f"),
        ("Bengali", "\u0980-\u09ff"),
        ("Tamil", "\u0b80-\u0bff"),
        ("Thai", "\u0e00-\u0e7f"),
        ("Greek", "\u0370-\u03ff"),
        ("Georgian", "\u10a0-\u10ff"),
        ("Armenian", "\u0530-\u058f"),
        ("Ethiopic script", "\u1200-\u137f"),
    )
)
_WORDS: dict[str, frozenset[str]] = {
    tongue: frozenset(words.split())
    for tongue, words in (
        (
            "English",
            "the and of to in is that it you for with what how are this be my can do did was have not on i at by",
        ),
        ("German", "der die das und ist nicht ein eine ich sie mit von zu auf wie den für kann im mein was wir haben"),
        ("French", "le la les et est des une dans que pour pas vous qui sur du au je ne mon comment un en ce il elle"),
        ("Spanish", "el los las es una que por con para se del no en como más mi qué cómo yo un la de hola está su"),
        ("Portuguese", "os as é uma que não com para se do da em como um meu minha você eu por são seu"),
        ("Italian", "il gli è una che di non per con del della sono come un mio ho cosa questo nel si le"),
        ("Dutch", "de het een en is van niet dat ik je met voor op zijn hoe wat mijn kan aan ook"),
        ("Polish", "nie się na jest że do jak co ale za po czy mam moja dla są tak"),
        ("Turkish", "bir ve bu için ne daha ile çok olarak mi var nasıl gibi ben mı sen"),
        ("Vietnamese", "là và của có không được một cho này những để với trong các người bạn tôi"),
        ("Indonesian", "yang dan di untuk dengan ini itu tidak dari adalah dalam pada saya anda apa bagaimana"),
    )
}
_TOKEN = re.compile(r"[^\W\d_]+")


class Languages:
    """Counts rows by language: all of the first 2,000, then one in 50."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self._seen = 0

    def add(self, text: str) -> None:
        self._seen += 1
        if self._seen > _ALL_ROWS and self._seen % _EVERY:
            return
        name = language(text[:_LOOKED_AT_CHARACTERS])
        if name:
            self.rows[name] += 1

    def describe(self) -> str:
        """`English 84 %, Chinese 16 %`; empty when nothing could be told."""
        total = self.rows.total()
        return ", ".join(
            f"{name} {100 * count / total:.0f} %" if count * 100 >= total else f"{name} under 1 %"
            for name, count in self.rows.most_common(6)
        )


def language(text: str) -> str:
    """The language or script that most of the letters belong to; empty for a text without letters."""
    # A Chinese or Korean character says about as much as two Latin letters.
    counts = (
        [] if text.isascii() else [(len(pattern.findall(text)) * weight, name) for name, weight, pattern in _SCRIPTS]
    )
    most, name = max(counts, default=(1, "Latin script"))
    if not most:
        return ""
    if name == "Chinese" and any(script == "Japanese" and count for count, script in counts):
        return "Japanese"
    if name != "Latin script":
        return name
    words = _TOKEN.findall(text.lower())
    hits = sorted(((sum(map(known.__contains__, words)), tongue) for tongue, known in _WORDS.items()), reverse=True)
    if hits[0][0] > hits[1][0]:
        return hits[0][1]
    return "Latin script" if words else ""
