"""Whose signatures the user trusts: a list of allowed signers beside the user's own presets."""

from __future__ import annotations

import re
from pathlib import Path

from tuiwiz.base import places
from tuiwiz.base.errors import MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.presets.signature import fingerprint, key_of, signers_of

_NAME = re.compile(r"[\w.@+-]{1,64}")
LARGEST_LIST = 256 * 1024


def path() -> Path:
    return places.presets() / "allowed_signers"


def allowed() -> dict[str, str]:
    """Key -> name."""
    try:
        with path().open(encoding="utf-8", errors="replace") as file:
            return signers_of(file.read(LARGEST_LIST))
    except OSError:
        return {}


def trust(key_file: Path, name: str) -> str:
    """Write a public key under a name into the list; returns its fingerprint.

    Raises:
        UsageError: no key, a bad name, or the name or the key is taken.
        MachineLacksError: the file cannot be read.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a signer", hint="letters, digits and . @ + - _, at most 64")
    try:
        text = key_file.read_text(encoding="utf-8", errors="replace")[:LARGEST_LIST]
    except OSError as error:
        raise MachineLacksError(f"{key_file} cannot be read: {error.strerror or error}") from error
    key = key_of(text)
    known = allowed()
    if known.get(key, name) != name:
        raise UsageError(f"this key is already trusted as {known[key]}", hint=f"edit {path()} to rename it")
    if key not in known:
        if name in known.values():
            raise UsageError(f"{name} is already trusted with another key", hint=f"take the old line out of {path()}")
        before = path().read_text(encoding="utf-8") if path().exists() else ""
        write_atomic(path(), f"{before.rstrip()}\n{name} {key}\n".lstrip())
    return fingerprint(key)
