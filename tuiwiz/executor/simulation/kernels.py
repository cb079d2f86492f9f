"""Where CUDA kernels take other memory than the meta device shows: attention, softmax, dropout, 4-bit products."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tuiwiz.executor.simulation.autocast import MetaAutocast, autocast_for_meta
from tuiwiz.executor.simulation.replaced import replaced

FUSED, EXPANDED = "one_kernel", "one_kernel_all_heads"
"""Attention that never builds the scores. The second sees keys and values once a query head: older cards."""
LEAST_ROWS_TO_UNPACK = 256
"""Rows of input above which a 4-bit weight is unpacked whole for a product rather than on the fly."""
HALVES = (torch.bfloat16, torch.float16)


def _bytes_of_unpacked(args: tuple[Any, ...], result: Any) -> int:
    """bitsandbytes: the whole weight in 16 bits, and its scales in 32, where the input has many rows."""
    inputs, (outputs, width) = args[0], args[2]
    rows = inputs.numel() // inputs.shape[-1]
    if rows <= LEAST_ROWS_TO_UNPACK:
        return 0
    return int(outputs * width * inputs.element_size() + math.ceil(outputs * width / 64) * 4)


def _bytes_of_flash_backward(args: tuple[Any, ...], result: Any) -> int:
    """The fp32 gradient of the queries and, for grouped heads, those of keys and values of every query head."""
    query, key = args[1], args[2]
    rows, heads, length, width = query.shape
    wide, long = -(-width // 32) * 32, -(-length // 128) * 128
    size = rows * heads * long * (wide + 1) * 4
    if key.shape[1] != heads:
        size += 2 * rows * heads * key.shape[2] * width * query.element_size()
    return int(size)


def _bytes_of_input(args: tuple[Any, ...], result: Any) -> int:
    """log-sum-exp and the gradient of softmax compute an intermediate of the size of their input."""
    return int(args[0].numel() * args[0].element_size())


WORKSPACES = {
    "aten.logsumexp.default": _bytes_of_input,
    "aten._scaled_dot_product_flash_attention_backward.default": _bytes_of_flash_backward,
    "bitsandbytes.gemm_4bit.default": _bytes_of_unpacked,
    "aten._softmax_backward_data.default": _bytes_of_input,
}


@contextmanager
def cuda_kernels() -> Iterator[None]:
    """What CUDA does where the meta device takes another path."""
    softmax, dropout = functional.softmax, functional.dropout

    def half_softmax(x: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
        if dtype is torch.float32 and x.dtype in HALVES and x.is_meta:
            # One kernel reads 16 bits and writes 32: there is no fp32 copy of the input.
            return torch.ops.aten._softmax(x, dim, True)  # type: ignore[no-any-return]
        return softmax(x, dim, _stacklevel, dtype)

    def fused_dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if training and 0 < p < 1 and x.is_meta:
            # The mask takes a byte an element; it is no noise in the type of the input.
            return torch.native_dropout(x, p, True)[0]
        return dropout(x, p, training, inplace)

    _register_attention()
    with ExitStack() as stack:
        stack.enter_context(autocast_for_meta())
        stack.enter_context(replaced(functional, "softmax", half_softmax))
        stack.enter_context(replaced(functional, "dropout", fused_dropout))
        yield


def _register_attention() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    for name, function in ((FUSED, _fused_attention), (EXPANDED, _expanded_attention)):
        AttentionInterface.register(name, function)
        ALL_MASK_ATTENTION_FUNCTIONS.register(name, lambda *args, **kwargs: None)


def _halved(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Under autocast, and where fp32 norms made wide inputs, attention runs in 16 bits."""
    active = MetaAutocast.active
    return tuple(one.to(active.dtype) if active is not None and one.dtype not in HALVES else one for one in tensors)


def _fused_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Any,
    dropout: float = 0.0,
    scaling: Any = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """q [b, h, n, d], k and v [b, h_kv, n, d] -> [b, n, h, d]; keeps the inputs, the output and a number a row."""
    query, key, value = _halved(query, key, value)
    out = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, dropout, True, scale=scaling)[0]
    return out.transpose(1, 2).contiguous(), None


def _expanded_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Any,
    dropout: float = 0.0,
    scaling: Any = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """As above, by the kernel that has no grouped heads: keys and values are repeated before."""
    query, key, value = _halved(query, key, value)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    out = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, None, True, dropout, True, scale=scaling
    )[0]
    return out.transpose(1, 2).contiguous(), None
