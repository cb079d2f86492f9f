"""A shape where only the number of parameters is known: that of a usual model of this size, and said to be a guess."""

from __future__ import annotations

import math
import re
from pathlib import Path

import msgspec

from tuiwiz.catalog.shapes import ModelShape

_SIZE = re.compile(
    r"(?<![a-z0-9.])(?P<times>\d+x)?(?P<number>\d+(?:[._]\d+)?)(?P<unit>[bm])(?![a-z0-9])", re.IGNORECASE
)
_HEADER_BYTES = 1 << 27
"""No header of a safetensors file is larger."""
_LEAST, _MOST = 1e6, 2e12


def parameters_in_name(name: str) -> float | None:
    """What a name such as `Foo-7B` or `foo_350m` says of its size; None where it says nothing or speaks of experts."""
    found = _SIZE.search(name.rpartition("/")[2])
    if found is None or found["times"]:
        return None
    count = float(found["number"].replace("_", ".")) * (1e9 if found["unit"].lower() == "b" else 1e6)
    return count if _LEAST <= count <= _MOST else None


def parameters_in_files(folder: Path) -> int | None:
    """Elements of all tensors in a folder's safetensors files, from their headers; None where there are none."""
    total = 0
    try:
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                if not 2 <= size <= _HEADER_BYTES:
                    return None
                header = msgspec.json.decode(file.read(size), type=dict[str, dict[str, object]])
            for name, tensor in header.items():
                shape = tensor.get("shape")
                if name != "__metadata__" and isinstance(shape, list):
                    total += math.prod(int(side) for side in shape)
    except (OSError, ValueError, TypeError, msgspec.DecodeError):
        return None
    return total or None


def guessed_shape(parameters: float, name: str, architecture: str = "unknown") -> ModelShape:
    """The dense model of the table that is nearest in size, with as many layers as make the count."""
    from tuiwiz.catalog.models import all_models

    dense = [known.shape for known in all_models() if not known.shape.experts]
    near = min(dense, key=lambda shape: abs(math.log(shape.parameters / parameters)))
    outer = near.parameters - near.linear_parameters
    layers = max(1, round((parameters - outer) / (near.linear_parameters / near.layers)))
    found = msgspec.structs.replace(near, name=name, architecture=architecture, layers=layers, context=0)
    # Where one layer more or less still misses the count, the width of the vocabulary takes up the rest.
    rest = round((parameters - found.parameters) / (near.hidden * (1 if near.tied else 2)))
    return msgspec.structs.replace(found, vocab=max(256, near.vocab + rest), guessed=True)
