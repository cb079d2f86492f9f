"""SHA-256 of files, remembered by path, size and time of change, so that a large model is read once."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tuiwiz.base import places
from tuiwiz.base.files import sha256_file, write_atomic
from tuiwiz.base.text import is_utf8

MOST_REMEMBERED = 4096


class _Known(msgspec.Struct, frozen=True):
    size: int
    mtime_ns: int
    sha256: str


def cached_sha256(path: Path) -> str:
    """Hex SHA-256 of `path`; from memory while its size and time of change are the remembered ones.

    Raises:
        OSError: the file cannot be read.
    """
    path = path.resolve()
    if not is_utf8(str(path)):
        # The memory is a text file.
        return sha256_file(path)
    status = path.stat()
    known = _load()
    entry = known.get(str(path))
    if entry is not None and (entry.size, entry.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return entry.sha256
    digest = sha256_file(path)
    known.pop(str(path), None)
    known[str(path)] = _Known(status.st_size, status.st_mtime_ns, digest)
    _store(known)
    return digest


def _file() -> Path:
    return places.cache() / "hashes.json"


def _load() -> dict[str, _Known]:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=dict[str, _Known])
    except (OSError, msgspec.DecodeError):
        return {}


def _store(known: dict[str, _Known]) -> None:
    newest = dict(list(known.items())[-MOST_REMEMBERED:])
    try:
        write_atomic(_file(), msgspec.json.encode(newest))
    except OSError:
        # Only a cache: without it the file is read again next time.
        pass
