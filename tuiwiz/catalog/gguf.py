"""A model's shape from the header of a GGUF file, which is not trusted: every count and length is bounded.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.text import clean_line
from tuiwiz.catalog.config import shape_of
from tuiwiz.catalog.shapes import ModelShape

MOST_ENTRIES = 4096
MOST_TEXT = 1 << 20
MOST_ELEMENTS = 1 << 22
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_ARCHITECTURES = {"qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "gemma3": "gemma3_text"}
_KEYS = {
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "context_length": "max_position_embeddings",
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
}


def read_gguf_shape(path: Path) -> ModelShape:
    """The shape that a GGUF file's metadata gives.

    Raises:
        InvalidError: it is no GGUF file, is cut short, or holds counts that no model has.
    """
    try:
        with path.open("rb") as file:
            metadata, tensors = _header(file, path)
    except OSError as error:
        raise InvalidError(f"{path} cannot be read: {error.strerror or error}") from error
    except (struct.error, UnicodeDecodeError, OverflowError) as error:
        raise InvalidError(f"{path} is a damaged GGUF file: its header ends early") from error
    architecture = clean_line(str(metadata.get("general.architecture") or "unknown"))
    config: dict[str, Any] = {"model_type": _ARCHITECTURES.get(architecture, architecture)}
    for key, name in _KEYS.items():
        value = metadata.get(f"{architecture}.{key}")
        if isinstance(value, int) and value > 0:
            config[name] = value
    vocab = metadata.get("tokenizer.ggml.tokens") or metadata.get(f"{architecture}.vocab_size")
    if isinstance(vocab, int):
        config["vocab_size"] = vocab
    # The head is left out of the file where it is the embedding.
    config["tie_word_embeddings"] = "output.weight" not in tensors
    return shape_of(config, clean_line(path.stem), where=str(path))


def _header(file: BinaryIO, path: Path) -> tuple[dict[str, Any], set[str]]:
    magic, version, tensors, entries = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF":
        raise InvalidError(f"{path} is no GGUF file", hint="name a model folder or a *.gguf file")
    if version not in (2, 3):
        raise InvalidError(f"{path} has GGUF version {version}, which is not known here", hint="2 and 3 are read")
    if entries > MOST_ENTRIES or tensors > MOST_ELEMENTS:
        raise InvalidError(f"{path} claims {entries} metadata entries and {tensors} tensors: it is damaged")
    metadata = {}
    for _ in range(entries):
        key = _text(file, path)
        (kind,) = struct.unpack("<I", file.read(4))
        metadata[key] = _value(file, kind, path)
    names = set()
    for _ in range(tensors):
        names.add(_text(file, path))
        (dimensions,) = struct.unpack("<I", file.read(4))
        if dimensions > 8:
            raise InvalidError(f"{path} has a tensor of {dimensions} dimensions: it is damaged")
        file.read(8 * dimensions + 12)
    return metadata, names


def _text(file: BinaryIO, path: Path) -> str:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > MOST_TEXT:
        raise InvalidError(f"{path} has a text of {length} bytes in its header: it is damaged")
    raw = file.read(length)
    if len(raw) != length:
        raise struct.error("cut short")
    return raw.decode("utf-8", errors="replace")


def _value(file: BinaryIO, kind: int, path: Path) -> Any:
    """A value; of an array only its length, as only vocabularies and the like are arrays."""
    if kind in _SCALARS:
        form = "<" + _SCALARS[kind]
        return struct.unpack(form, file.read(struct.calcsize(form)))[0]
    if kind == _TEXT:
        return _text(file, path)
    if kind != _ARRAY:
        raise InvalidError(f"{path} has a metadata value of unknown type {kind}: it is damaged")
    inner, count = struct.unpack("<IQ", file.read(12))
    if count > MOST_ELEMENTS:
        raise InvalidError(f"{path} has an array of {count} elements in its header: it is damaged")
    if inner in _SCALARS:
        size = struct.calcsize("<" + _SCALARS[inner]) * count
        if len(file.read(size)) != size:
            raise struct.error("cut short")
    elif inner == _TEXT:
        for _ in range(count):
            _text(file, path)
    else:
        raise InvalidError(f"{path} has an array of arrays in its header, which no model has")
    return count
