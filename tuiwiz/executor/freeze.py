"""Which weights of the whole model are trained (`full`, `freeze`), and in which type each is held."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tuiwiz.base.errors import InvalidError
from tuiwiz.executor.device import Device
from tuiwiz.executor.heads import head_modules
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.parts import as_words, is_embedding, select
from tuiwiz.spec.task import HEAD_TASKS


def freeze(model: nn.Module, bundle: Bundle, device: Device) -> None:
    """Train only `adapter.trainable` and new heads, in fp32; what is frozen stays in the compute type.

    Raises:
        InvalidError: the set names nothing of this model.
    """
    names = [name for name, _ in model.named_parameters()]
    chosen = set(select(bundle.adapter.trainable, names))
    if bundle.task.kind in HEAD_TASKS:
        # New weights that nobody trained yet.
        parts = tuple(f"{name}." for name in head_modules(model))
        chosen |= {name for name in names if name.startswith(parts)}
    if bundle.adapter.new_tokens and not any(is_embedding(name) for name in chosen):
        raise InvalidError(
            "adapter.new_tokens get embeddings that adapter.trainable leaves untrained",
            hint='add "embeddings" to adapter.trainable',
        )
    if not chosen:
        words = ", ".join(as_words(bundle.adapter.trainable))
        raise InvalidError(
            f"adapter.trainable = {words} names nothing of this model",
            hint='use "layers[-25%:]", "head", "embeddings", "norms" or a pattern such as "*.q_proj.*"; '
            "a model whose head is its embedding has no head of its own",
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
        parameter.data = parameter.data.to(torch.float32 if name in chosen else device.compute)


RESIDUAL_DROPOUTS = (
    "resid_pdrop", "residual_dropout", "hidden_dropout", "hidden_dropout_prob", "dropout", "dropout_rate",
)  # fmt: skip
"""Config entries by which architectures call the dropout of what a layer adds to its residual stream."""


def residual_dropout_of(config: Any) -> str:
    """The config's name for residual dropout, or an empty string where the architecture has none."""
    return next((name for name in RESIDUAL_DROPOUTS if isinstance(getattr(config, name, None), int | float)), "")


def with_residual_dropout(config: Any, share: float) -> Any:
    """The config with this share of residual dropout.

    Raises:
        InvalidError: the architecture has no such dropout.
    """
    text = config.get_text_config()
    name = residual_dropout_of(text)
    if not name:
        raise InvalidError(
            f"{text.model_type} has no residual dropout: regularization.residual_dropout would change nothing",
            hint="remove it; weight decay, adapter.dropout (with adapters) and NEFTune work on every model",
        )
    setattr(text, name, float(share))
    return config
