"""Causal attention for training on processors, in blocks of queries.

    out = softmax(s Q K^T + causal mask) V

torch's fused kernel has a slow backward pass in 16 bits on CPU: this one takes half its time at 300 tokens and a
quarter at 50. Each block of queries meets only the keys up to its end, and in long rows its probabilities are computed
again in the backward pass, so that memory grows with the length and not with its square (as in FlashAttention,
https://arxiv.org/abs/2205.14135). Queries that share a key head are one matrix: keys and values are never repeated.

It stands in only where nothing but causality and the borders of rows masks, and where gradients are asked for:
generation with a cache and evaluation take torch's own kernel. Rows that lie behind each other in one sequence, each
with position ids from 0, are taken one by one.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

NAME = "tuiwiz_blocks"
BLOCK = 384
"""Queries at a time; measured best of 128 to 512 for heads of 64: smaller blocks skip more keys and pay more calls."""
KEPT = 96
"""Tokens of a row up to which probabilities are kept for the backward pass: they are then small beside activations."""


def register() -> str:
    """Make the implementation known to transformers; returns its name for `attn_implementation`."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """query [b, h, n, d], key and value [b, kv, n, d] -> ([b, n, h, d], None), as transformers calls it."""
    documents = [(0, query.shape[2])] if attention_mask is None else _documents(query, more.get("position_ids"))
    plain = (
        bool(documents)
        and dropout == 0.0
        and query.requires_grad
        and query.dtype in (torch.bfloat16, torch.float16)
        and query.shape[2] == key.shape[2]
        and query.shape[3] == value.shape[3]
        and getattr(module, "is_causal", False)
        and not any(more.get(name) is not None for name in ("sliding_window", "softcap", "s_aux"))
    )
    if not plain:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
        )
        return out, None
    scale = scaling if scaling is not None else query.shape[3] ** -0.5
    blocks: list[Tensor] = [
        CausalBlocks.apply(query[:, :, start:end], key[:, :, start:end], value[:, :, start:end], scale)  # type: ignore[no-untyped-call]
        for start, end in documents
    ]
    return torch.cat([block.transpose(1, 2) for block in blocks], dim=1), None


def _documents(query: Tensor, position_ids: Any) -> list[tuple[int, int]]:
    """Where rows begin and end in a lone sequence whose mask parts them by their position ids; empty otherwise."""
    if not isinstance(position_ids, Tensor) or query.shape[0] != 1 or position_ids.shape[-1] != query.shape[2]:
        return []
    starts = (position_ids.reshape(-1) == 0).nonzero()[:, 0].tolist()
    if not starts or starts[0] != 0:
        return []
    return list(zip(starts, [*starts[1:], query.shape[2]], strict=True))


class CausalBlocks(torch.autograd.Function):
    """(q [b, h, n, d], k [b, kv, n, d], v [b, kv, n, d], scale) -> [b, h, n, d]; sums of key gradients in fp32."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        batch, heads, length, width = q.shape
        shared = k.shape[1]
        queries = (q * scale).reshape(batch * shared, heads // shared, length, width)
        keys, values = k.reshape(batch * shared, length, width), v.reshape(batch * shared, length, width)
        out = torch.empty_like(queries)
        kept = []
        for start in range(0, length, BLOCK):
            end = min(start + BLOCK, length)
            _, chances = _block(queries, keys, start, end)
            out[:, :, start:end] = torch.bmm(chances.flatten(1, 2), values[:, :end]).view_as(out[:, :, start:end])
            if length <= KEPT:
                kept.append(chances)
        ctx.save_for_backward(queries, keys, values, *kept)
        ctx.scale, ctx.shapes = scale, (q.shape, k.shape)
        return out.view(q.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        queries, keys, values, *kept = ctx.saved_tensors
        grad = grads[0].reshape(queries.shape)
        length = keys.shape[1]
        to_queries = torch.empty_like(queries)
        to_keys = to_values = None
        for number, start in enumerate(range(0, length, BLOCK)):
            end = min(start + BLOCK, length)
            if kept:
                asked, chances = queries[:, :, start:end].flatten(1, 2), kept[number]
            else:
                asked, chances = _block(queries, keys, start, end)
            back = grad[:, :, start:end].flatten(1, 2)
            to_values = _added(to_values, torch.bmm(chances.flatten(1, 2).transpose(1, 2), back), length)
            to_chances = torch.bmm(back, values[:, :end].transpose(1, 2)).view_as(chances)
            to_scores = torch._softmax_backward_data(to_chances, chances, -1, chances.dtype).flatten(1, 2)
            to_queries[:, :, start:end] = torch.bmm(to_scores, keys[:, :end]).view_as(to_queries[:, :, start:end])
            to_keys = _added(to_keys, torch.bmm(to_scores.transpose(1, 2), asked), length)
        q_shape, k_shape = ctx.shapes
        assert to_keys is not None and to_values is not None
        return (
            to_queries.mul_(ctx.scale).view(q_shape),
            to_keys.to(keys.dtype).view(k_shape),
            to_values.to(values.dtype).view(k_shape),
            None,
        )


def _added(total: Tensor | None, part: Tensor, length: int) -> Tensor:
    """The sum over blocks of key gradients [b kv, end, d]: in fp32, unless one block holds the whole row."""
    if total is None and part.shape[1] == length:
        return part
    if total is None:
        total = torch.zeros(part.shape[0], length, part.shape[2], dtype=torch.float32, device=part.device)
    total[:, : part.shape[1]] += part
    return total


def _block(queries: Tensor, keys: Tensor, start: int, end: int) -> tuple[Tensor, Tensor]:
    """Queries of one block as [b kv, group * m, d], and their probabilities over keys up to its end."""
    count, group, _, _ = queries.shape
    asked = queries[:, :, start:end].flatten(1, 2)
    scores = torch.bmm(asked, keys[:, :end].transpose(1, 2)).view(count, group, end - start, end)
    scores[..., start:end].add_(_later(end - start, scores.dtype, scores.device))
    return asked, torch.softmax(scores, dim=-1)


@lru_cache(maxsize=64)
def _later(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[size, size] with -inf where a key lies behind its query; adding it is faster than filling by a mask."""
    return torch.full((size, size), -math.inf, dtype=dtype, device=device).triu_(1)
