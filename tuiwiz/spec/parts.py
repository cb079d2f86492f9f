"""Names for parts of a model, by which trainable sets are chosen: words over the names of its parameters.

all         everything                      adapters    LoRA matrices
head        the output layer                embeddings  token (and position) embeddings
norms       normalisation layers            layers[a:b] a slice of the layers, as in Python; `layers[-25%:]` is the
                                            last quarter, at least one layer
a pattern with * or ?, such as *.q_proj.*, is matched against whole names
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

WORDS = ("all", "adapters", "head", "embeddings", "norms")

_SLICE = re.compile(r"^layers\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\]$")
_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.")
_EMBEDDING = re.compile(r"(?:^|\.)(?:embed_tokens|embed_positions|embed_in|wte|wpe|embeddings|\w+_embeddings)\.")
_HEAD = re.compile(r"(?:^|\.)(?:lm_head|embed_out|score|classifier|classification_head)\.")
_NORM = re.compile(r"(?:^|\.)(?:\w*norm\w*|ln_\w+|\w*LayerNorm)\.", re.IGNORECASE)
_ADAPTER = re.compile(r"\.lora_\w+\.")


def as_words(wanted: str | Sequence[str]) -> tuple[str, ...]:
    """A trainable set as words; in a text they are separated by commas."""
    parts = wanted.split(",") if isinstance(wanted, str) else wanted
    return tuple(part.strip() for part in parts if part.strip())


def problem_of(word: str) -> str:
    """What is wrong with a word by itself, or an empty string."""
    if word in WORDS or _SLICE.match(word) or "*" in word or "?" in word:
        return ""
    return f'"{word}" is no part of a model'


def is_embedding(name: str) -> bool:
    return "lora_embedding" in name or (_EMBEDDING.search(name) is not None and _NORM.search(name) is None)


def is_head(name: str) -> bool:
    return _HEAD.search(name) is not None


def layers_of(names: Iterable[str]) -> int:
    """How many numbered layers the names speak of."""
    return max((int(found[1]) + 1 for name in names if (found := _LAYER.search(name))), default=0)


def select(wanted: str | Sequence[str], names: Sequence[str]) -> list[str]:
    """The names that any of the words means, in order."""
    words = as_words(wanted)
    count = layers_of(names)
    return [name for name in names if any(_means(word, name, count) for word in words)]


def _means(word: str, name: str, layers: int) -> bool:
    match word:
        case "all":
            return True
        case "adapters":
            return _ADAPTER.search(name) is not None
        case "head":
            return is_head(name)
        case "embeddings":
            return is_embedding(name)
        case "norms":
            return _NORM.search(name) is not None
    if found := _SLICE.match(word):
        layer = _LAYER.search(name)
        start, stop = _place(found["start"], layers, 0), _place(found["stop"], layers, layers)
        return layer is not None and start <= int(layer[1]) < stop
    return fnmatchcase(name, word)


def _place(text: str | None, layers: int, default: int) -> int:
    """A slice's bound as a layer; a share is rounded, but to no less than one layer."""
    if text is None:
        return default
    if text.endswith("%"):
        share = int(text[:-1])
        number = (max(1, round(abs(share) * layers / 100)) if share else 0) * (-1 if share < 0 else 1)
    else:
        number = int(text)
    return max(0, layers + number) if number < 0 else min(number, layers)
