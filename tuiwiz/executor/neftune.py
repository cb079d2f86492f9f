"""NEFTune: uniform noise on the input embeddings while training (https://arxiv.org/abs/2310.05914)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


def add_noise(model: Any, alpha: float) -> Any:
    """Add alpha / sqrt(tokens x size) x uniform(-1, 1) to the embeddings of training passes; returns the handle.

    Passes without gradients (evaluations, samples, reference models) see none of it.
    """

    def hook(module: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return out
        limit = alpha / math.sqrt(out.shape[1] * out.shape[2])
        return out + torch.zeros_like(out).uniform_(-limit, limit)

    return model.get_input_embeddings().register_forward_hook(hook)
