"""A transformers configuration for a model: its own config.json, or one made of its shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuiwiz.base.errors import InvalidError
from tuiwiz.catalog.shapes import ModelShape


def config_in(folder: Path) -> Any:
    """The configuration of the model in a folder.

    Raises:
        InvalidError: transformers cannot read it.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidError(
            f"transformers cannot read {folder / 'config.json'}: {str(error).splitlines()[0]}"
        ) from error


def config_of(shape: ModelShape) -> Any:
    """The configuration of a known architecture with these widths.

    Raises:
        InvalidError: the architecture is not one whose tensors are known.
    """
    from transformers import AutoConfig

    if not shape.exact:
        raise InvalidError(
            f"the architecture {shape.architecture} cannot be simulated without its files",
            hint="plan with the model's folder",
        )
    values: dict[str, Any] = {
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.intermediate,
        "vocab_size": shape.vocab,
        "tie_word_embeddings": shape.tied,
        "max_position_embeddings": shape.context or 131_072,
        "pad_token_id": 0,
    }
    if shape.qkv_bias is not None:
        values["attention_bias"] = shape.qkv_bias
    if shape.experts:
        values |= {
            "num_local_experts": shape.experts,
            "num_experts": shape.experts,
            "num_experts_per_tok": shape.active_experts,
            "moe_intermediate_size": shape.expert_intermediate,
        }
        if shape.shared_intermediate:
            values["shared_expert_intermediate_size"] = shape.shared_intermediate
    return AutoConfig.for_model(shape.architecture, **values)
