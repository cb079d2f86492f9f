"""The model's tokenizer without transformers: exact character offsets, and control tokens told from their spelling."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.text import clean_line

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as Backend

TOKENIZER_FILE = "tokenizer.json"
_TRIMMED = re.compile(r'("trim_offsets"\s*:\s*)true')


class Tokens:
    """A tokenizer folder (`tokenizer.json`, `tokenizer_config.json`), opened.

    Raises:
        InvalidError: the folder has no readable `tokenizer.json`.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        file = folder / TOKENIZER_FILE
        if not file.is_file():
            hint = "a model folder needs tokenizer.json; transformers' save_pretrained of a fast tokenizer writes it"
            raise InvalidError(f"{folder}: no tokenizer.json in this folder", hint=hint)
        # Offsets that leave out leading blanks would leave the first blank of an answer out of training.
        try:
            self._text = _TRIMMED.sub(r"\1false", file.read_text(encoding="utf-8"))
            self._backend: Backend = Tokenizer.from_str(self._text)
        except Exception as error:  # the library raises plain Exception for every defect
            raise InvalidError(
                f"{file}: cannot be read: {clean_line(str(error), 120)}", hint="fetch it again"
            ) from None
        self._backend.no_truncation()
        self._backend.no_padding()
        self._literal: Backend | None = None
        self.folder = folder
        self.config = _config(folder)
        added = self._backend.get_added_tokens_decoder()
        self.special: dict[str, int] = {token.content: id for id, token in added.items() if token.special}
        ordered = sorted(self.special, key=len, reverse=True)
        self.special_pattern = re.compile("|".join(map(re.escape, ordered)) if ordered else r"(?!)")
        self.eos_token = self._named("eos_token")
        self.bos_token = self._named("bos_token")
        self.adds_bos = bool(self.bos_token) and self._backend.encode("").ids[:1] == [self.special.get(self.bos_token)]

    def _named(self, name: str) -> str:
        value = self.config.get(name)
        if isinstance(value, dict):
            value = value.get("content")
        return value if isinstance(value, str) else ""

    @property
    def eos_id(self) -> int | None:
        found: int | None = self._backend.token_to_id(self.eos_token) if self.eos_token else None
        return found

    def variables(self, *, own_template: bool) -> dict[str, Any]:
        """What a chat template sees. Our own templates get a begin token only where the tokenizer itself adds one."""
        names = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
        found = {name: self._named(name) for name in names if self._named(name)}
        if not own_template:
            found["bos_token"] = self.bos_token if self.adds_bos else ""
            found.setdefault("eos_token", "")
        return found

    def encode_batch(self, texts: Sequence[str]) -> list[Encoding]:
        """Encodings with character offsets, nothing added; spelled-out control tokens become control tokens."""
        found: list[Encoding] = self._backend.encode_batch(list(texts), add_special_tokens=False)
        return found

    def encode_fast(self, texts: Sequence[str]) -> list[Encoding]:
        """As `encode_batch`, without offsets."""
        found: list[Encoding] = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return found

    def encode_literal(self, text: str) -> Encoding:
        """`text` as mere text: a control token spelled out in it stays a run of ordinary tokens."""
        return self._mere_text().encode(text, add_special_tokens=False)

    def encode_whole(self, texts: Sequence[str]) -> list[Encoding]:
        """Texts as a reading model takes them: mere text between the tokens that the tokenizer itself puts around."""
        found: list[Encoding] = self._mere_text().encode_batch(list(texts), add_special_tokens=True)
        return found

    def _mere_text(self) -> Backend:
        if self._literal is None:
            from tokenizers import Tokenizer

            self._literal = Tokenizer.from_str(self._text)
            self._literal.no_truncation()
            self._literal.no_padding()
            self._literal.encode_special_tokens = True
        return self._literal

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, control tokens spelled out."""
        found: str = self._backend.decode(list(ids), skip_special_tokens=False)
        return found

    def decode_batch(self, rows: Sequence[Sequence[int]]) -> list[str]:
        found: list[str] = self._backend.decode_batch([list(row) for row in rows], skip_special_tokens=False)
        return found


def _config(folder: Path) -> dict[str, Any]:
    """`tokenizer_config.json` over `special_tokens_map.json`; empty where neither can be read."""
    merged: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        try:
            found = msgspec.json.decode((folder / name).read_bytes())
        except (OSError, msgspec.DecodeError):
            continue
        if isinstance(found, dict):
            merged.update(found)
    return merged
