"""What tells the architectures apart, as far as memory is concerned."""

from __future__ import annotations

from typing import Literal

import msgspec


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Tensors of one decoder layer beyond the seven matrices of Llama.

    `norms`: RMS norms a layer; `norm_tensors` is 2 where they have a bias too. `qk_norm`: a norm on queries and keys,
    per head or over the full width. `fused_*`: matrices that are one tensor. `softcap`: final logits are capped.
    """

    gated: bool = True
    qkv_bias: bool = False
    qk_norm: Literal["none", "head", "full"] = "none"
    norms: int = 2
    norm_tensors: int = 1
    fused_qkv: bool = False
    fused_gate_up: bool = False
    softcap: bool = False
    shared_gate: bool = False
    tied: bool = False
    """Default of `tie_word_embeddings`; configs leave out what equals the default."""
    head_dim: int = 0
    """Default of `head_dim`; 0 is hidden / heads."""


FAMILIES: dict[str, Family] = {
    "llama": Family(),
    "mistral": Family(),
    "ministral": Family(),
    "smollm3": Family(tied=True),
    "granite": Family(),
    "internlm3": Family(head_dim=128),
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(qk_norm="head", head_dim=128),
    "gemma": Family(tied=True, head_dim=256),
    "gemma2": Family(tied=True, head_dim=256, norms=4, softcap=True),
    "gemma3_text": Family(tied=True, head_dim=256, norms=4, qk_norm="head"),
    "phi3": Family(fused_qkv=True, fused_gate_up=True),
    "olmo2": Family(qk_norm="full"),
    "glm": Family(fused_gate_up=True, qkv_bias=True, head_dim=128),
    "glm4": Family(fused_gate_up=True, qkv_bias=True, norms=4, head_dim=128),
    "mixtral": Family(),
    "granitemoe": Family(),
    "qwen2_moe": Family(qkv_bias=True, shared_gate=True),
    "qwen3_moe": Family(qk_norm="head", head_dim=128),
}
"""By `model_type` of config.json."""

UNKNOWN = Family()
"""Any other architecture is taken for a Llama; its shape says that it is not exact."""
