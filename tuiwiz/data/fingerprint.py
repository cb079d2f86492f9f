"""What identifies prepared rows: a changed byte of data, template or tokenizer, or another length, is another set."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from tuiwiz.base.files import sha256_file
from tuiwiz.data.load import Loader, Settings
from tuiwiz.data.render import Renderer
from tuiwiz.data.source import open_source

VERSION = 1
"""Raised whenever the same inputs would give other tokens or marks than before."""


def fingerprint(
    settings: Settings, loader: Loader, renderer: Renderer, validation: Path | None
) -> tuple[str, dict[str, str]]:
    """The hex SHA-256 of everything that decides the rows, and the hashes of its parts: train, validation, template,
    tokenizer."""
    hashes = {"train": loader.source.digest(), "template": text_hash(renderer.template.text)}
    if renderer.tokens is not None:
        hashes["tokenizer"] = sha256_file(renderer.tokens.folder / "tokenizer.json")
    if validation is not None:
        hashes["validation"] = open_source(validation).digest()
    values = {
        "version": VERSION,
        "hashes": hashes,
        "format": loader.format,
        "mapping": dict(loader.sniffed.mapping),
        "split": loader.source.split,
        "settings": settings,
    }
    document = msgspec.json.encode(values, order="deterministic")
    return hashlib.sha256(document).hexdigest(), hashes


def text_hash(text: str) -> str:
    """Hex SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
