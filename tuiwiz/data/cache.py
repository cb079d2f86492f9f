"""Tokenised rows kept from one start to the next, under a key of everything that decides them.

The key holds the bytes of data, template and tokenizer, every setting that matters, the versions of the libraries that
render and tokenise, and the source code of this room: a stale hit would need a collision of SHA-256. What is kept is
only ever a copy: a damaged, foreign or missing file means that the work is done again.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base import places
from tuiwiz.base.files import write_atomic
from tuiwiz.base.problems import Problem
from tuiwiz.base.units import GIB
from tuiwiz.data.types import DataProfile, Prepared, Rows

LEAST_TOKENS = 50_000
"""Smaller sets are tokenised faster than their file is found."""
MOST_FILES, MOST_BYTES = 64, 8 * GIB
_LIBRARIES = ("tokenizers", "jinja2", "msgspec", "rensa")


class _Kept(msgspec.Struct):
    train: dict[str, Any]
    validation: dict[str, Any]
    profile: DataProfile
    problems: tuple[Problem, ...]
    fingerprint: str
    hashes: dict[str, str]
    template: str
    labels: tuple[str, ...]


def folder() -> Path:
    return places.cache() / "tokens"


def key_of(values: Any) -> str:
    """Hex SHA-256 over `values` (plain data), library versions and this room's code."""
    document = msgspec.json.encode([values, code_version()], order="deterministic")
    return hashlib.sha256(document).hexdigest()


def load(key: str) -> Prepared | None:
    """The rows kept under `key`; None where there are none or they cannot be read."""
    path = folder() / f"{key}.rows"
    try:
        data = path.read_bytes()
        if len(data) < 4 or zlib.crc32(memoryview(data)[4:]) != int.from_bytes(data[:4], "big"):
            return None
        kept = msgspec.msgpack.decode(memoryview(data)[4:], type=_Kept)
        prepared = Prepared(
            train=Rows.of_parts(kept.train),
            validation=Rows.of_parts(kept.validation),
            profile=kept.profile,
            problems=kept.problems,
            fingerprint=kept.fingerprint,
            hashes=kept.hashes,
            template=kept.template,
            labels=kept.labels,
        )
        os.utime(path)  # the newest used are kept longest
    except (OSError, msgspec.DecodeError, ValueError, KeyError):
        return None
    return prepared


def store(key: str, prepared: Prepared) -> None:
    """Keep rows under `key`, where they are worth it and the disk has room."""
    if prepared.profile.tokens < LEAST_TOKENS:
        return
    kept = _Kept(
        train=prepared.train.parts(),
        validation=prepared.validation.parts(),
        profile=prepared.profile,
        problems=prepared.problems,
        fingerprint=prepared.fingerprint,
        hashes=prepared.hashes,
        template=prepared.template,
        labels=prepared.labels,
    )
    data = msgspec.msgpack.encode(kept)
    try:
        write_atomic(folder() / f"{key}.rows", zlib.crc32(data).to_bytes(4, "big") + data)
        _prune()
    except OSError:
        # Only a cache: without it the work is done again next time.
        pass


def _prune() -> None:
    """Remove the longest unused files beyond the limits."""
    files = [(path.stat().st_mtime, path.stat().st_size, path) for path in folder().glob("*.rows")]
    total = 0
    for count, (_, size, path) in enumerate(sorted(files, reverse=True), 1):
        total += size
        if count > 1 and (count > MOST_FILES or total > MOST_BYTES):
            path.unlink(missing_ok=True)


@cache
def code_version() -> str:
    """Versions of the libraries and a hash of the code that make rows out of data."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    for name in _LIBRARIES:
        try:
            digest.update(f"{name}={version(name)}\n".encode())
        except PackageNotFoundError:
            digest.update(f"{name}=?\n".encode())
    return digest.hexdigest()
