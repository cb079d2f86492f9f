"""What identifies prepared rows: a changed byte of data, template or tokenizer, or another length, is another set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.files import sha256_file
from tuiwiz.data.load import Loader, Settings
from tuiwiz.data.render import Renderer
from tuiwiz.data.source import open_source
from tuiwiz.spec.bundle import Bundle

VERSION = 1
"""Raised whenever the same inputs would give other tokens or marks than before."""


def fingerprint(
    bundle: Bundle, settings: Settings, loaders: Sequence[Loader], renderer: Renderer, validation: Path | None
) -> tuple[str, dict[str, str]]:
    """The hex SHA-256 of everything that decides the rows, and the hashes of its parts: train (of several sets: over
    their hashes), validation, template, tokenizer."""
    digests = [loader.source.digest() for loader in loaders]
    train = digests[0] if len(digests) == 1 else text_hash(" ".join(digests))
    hashes = {"train": train, "template": text_hash(renderer.template.text)}
    if renderer.tokens is not None:
        hashes["tokenizer"] = sha256_file(renderer.tokens.folder / "tokenizer.json")
    if validation is not None:
        hashes["validation"] = open_source(validation).digest()
    first = loaders[0]
    values: dict[str, Any] = {
        "version": VERSION,
        "hashes": hashes,
        "format": first.format,
        "mapping": dict(first.sniffed.mapping),
        "split": first.source.split,
        "settings": settings,
    }
    mixed = len(loaders) > 1 or bundle.data.balance != "none"
    if mixed:
        sets = bundle.data.train if isinstance(bundle.data.train, tuple) else ()
        values["mix"] = [digests, [one.weight for one in sets], bundle.data.balance, bundle.seed]
    document = msgspec.json.encode(values, order="deterministic")
    return hashlib.sha256(document).hexdigest(), hashes


def text_hash(text: str) -> str:
    """Hex SHA-256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
