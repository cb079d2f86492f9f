"""Reads a model's shape from its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.text import clean_line
from tuiwiz.catalog.families import FAMILIES, UNKNOWN
from tuiwiz.catalog.guess import guessed_shape, parameters_in_files
from tuiwiz.catalog.shapes import ModelShape

MOST_BYTES = 1 << 20
"""No config.json is larger."""
_ALIASES: dict[str, tuple[str, ...]] = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads"),
    "intermediate_size": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"),
    "vocab_size": ("vocab_size", "padded_vocab_size"),
}
_DEFAULTS: dict[str, dict[str, int]] = {
    # What `save_pretrained` leaves out of the text part of a Gemma 3 config, as it equals the class's default.
    "gemma3_text": {"num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 262_208},
}


def read_shape(folder: Path, name: str = "") -> ModelShape:
    """The shape of the model in a folder with a config.json, named after the folder unless `name` is given.

    Of an architecture whose configuration gives no widths it is a guess from the number of parameters in the files.

    Raises:
        InvalidError: there is no config.json, it is no JSON object, or it does not give the widths.
    """
    path = folder / "config.json"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InvalidError(f"{path} is too large to be a model's configuration")
        config = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise InvalidError(
            f"{folder} has no readable config.json", hint="a model folder holds config.json and *.safetensors"
        ) from error
    except msgspec.DecodeError as error:
        raise InvalidError(f"{path} is no JSON: {error}") from error
    if not isinstance(config, dict):
        raise InvalidError(f"{path} holds no JSON object")
    name = name or clean_line(folder.name)
    try:
        return shape_of(config, name, where=str(path))
    except InvalidError:
        architecture = clean_line(str(config.get("model_type") or "unknown"))
        count = parameters_in_files(folder) if architecture not in FAMILIES else None
        if count is None:
            raise
        return guessed_shape(count, name, architecture)


def shape_of(config: Mapping[str, Any], name: str, *, where: str = "the configuration") -> ModelShape:
    """The shape that a parsed config.json describes; of a model with more than text, its language model's.

    Raises:
        InvalidError: a width is missing or no positive number.
    """
    inner = config.get("text_config")
    text = {**config, **inner} if isinstance(inner, dict) else dict(config)
    architecture = clean_line(str(text.get("model_type") or "unknown"))
    if architecture == "gemma3":
        architecture = "gemma3_text"
    text = {**_DEFAULTS.get(architecture, {}), **{key: value for key, value in text.items() if value is not None}}
    family = FAMILIES.get(architecture, UNKNOWN)

    def number(key: str, default: int | None = None) -> int:
        found = next((text[alias] for alias in _ALIASES.get(key, (key,)) if alias in text), default)
        if isinstance(found, list) and found:
            found = max((item for item in found if type(item) is int), default=None)
        if type(found) is not int or not 0 < found < 1 << 40:
            raise InvalidError(f"{where} has no usable {key}", hint="is it the configuration of a language model?")
        return found

    hidden, heads = number("hidden_size"), number("num_attention_heads")
    experts = next(
        (text[key] for key in ("num_local_experts", "num_experts", "n_routed_experts") if type(text.get(key)) is int), 0
    )
    intermediate = number("intermediate_size", 4 * hidden)
    bias = text.get("attention_bias")
    return ModelShape(
        name=name,
        architecture=architecture,
        hidden=hidden,
        layers=number("num_hidden_layers"),
        heads=heads,
        kv_heads=number("num_key_value_heads", number("multi_query_group_num", heads)),
        head_dim=number("head_dim", family.head_dim or hidden // heads or 1),
        intermediate=intermediate,
        vocab=number("vocab_size"),
        tied=bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", family.tied))),
        qkv_bias=bias if isinstance(bias, bool) and architecture not in ("qwen2", "qwen2_moe") else None,
        experts=max(0, experts),
        active_experts=number("num_experts_per_tok", 2) if experts > 0 else 0,
        expert_intermediate=number("moe_intermediate_size", intermediate) if experts > 0 else 0,
        shared_intermediate=number("shared_expert_intermediate_size", 1)
        if experts > 0 and text.get("shared_expert_intermediate_size")
        else 0,
        context=number("max_position_embeddings", 1) if text.get("max_position_embeddings") else 0,
    )
