"""Names and shapes of stored parameters, read from the headers of safetensors files without loading a weight."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec

LARGEST_HEADER = 100 << 20
"""Bytes, as the format allows at most."""


def parameter_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of all parameters in the files of `folder`; empty where there is nothing readable.

    A layer that shares another's weight, such as a head that is the embedding, is not stored and not named.
    """
    try:
        found = {name: shape for file in sorted(folder.glob("*.safetensors")) for name, shape in _header(file).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return {}
    return dict(sorted(found.items()))


def _header(file: Path) -> dict[str, tuple[int, ...]]:
    with file.open("rb") as opened:
        (size,) = struct.unpack("<Q", opened.read(8))
        if size > LARGEST_HEADER:
            raise ValueError(f"a header of {size} bytes")
        header = msgspec.json.decode(opened.read(size))
    return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
