"""Quantised linear layers without weights: bitsandbytes' own modules around tensors of the meta device."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

BLOCK, BLOCK_OF_SCALES = 64, 256
"""Weights that share a scale, and scales that share one when they are quantised again."""


def quantise_linears(model: nn.Module, *, compute: torch.dtype, double: bool, keep: frozenset[str]) -> None:
    """Put 4-bit layers in the place of all linear ones whose last name is not in `keep`."""
    for name, module in list(model.named_modules()):
        parent, _, own = name.rpartition(".")
        if type(module) is nn.Linear and own not in keep:
            setattr(model.get_submodule(parent), own, _four_bit(module, compute, double))
    from transformers.utils.quantization_config import QuantizationMethod

    model.is_loaded_in_4bit = model.is_quantized = True  # type: ignore[assignment]
    model.quantization_method = QuantizationMethod.BITS_AND_BYTES


def constants_of(parameter: Any) -> list[torch.Tensor]:
    """The tensors of a parameter's quantisation state, those of the state inside it as well."""
    state = getattr(parameter, "quant_state", None)
    found: list[torch.Tensor] = []
    while state is not None:
        found += [one for one in (state.absmax, state.code, state.offset) if isinstance(one, torch.Tensor)]
        state = getattr(state, "state2", None)
    return found


def _four_bit(linear: nn.Linear, compute: torch.dtype, double: bool) -> Any:
    from bitsandbytes.functional import QuantState
    from bitsandbytes.nn import Linear4bit, Params4bit

    outputs, inputs = linear.weight.shape
    scales = math.ceil(outputs * inputs / BLOCK)
    made: dict[str, Any] = {"compute_dtype": compute, "quant_type": "nf4", "compress_statistics": double}
    layer = Linear4bit(inputs, outputs, bias=linear.bias is not None, device="meta", **made)
    with torch.device("meta"):
        state = QuantState(
            absmax=torch.empty(scales, dtype=torch.uint8 if double else torch.float32),
            shape=torch.Size((outputs, inputs)),
            code=torch.empty(16),
            blocksize=BLOCK,
            quant_type="nf4",
            dtype=compute,
            offset=torch.empty(()) if double else None,
            state2=QuantState(
                absmax=torch.empty(math.ceil(scales / BLOCK_OF_SCALES)),
                code=torch.empty(256),
                blocksize=BLOCK_OF_SCALES,
                dtype=torch.float32,
            )
            if double
            else None,
        )
        packed = torch.empty(math.ceil(outputs * inputs / 2), 1, dtype=torch.uint8)
    layer.weight = Params4bit(
        packed,
        requires_grad=False,
        quant_state=state,
        blocksize=BLOCK,
        compress_statistics=double,
        quant_type="nf4",
        bnb_quantized=True,
        module=layer,
    )
    layer.quant_state, layer.compute_type_is_set = state, True
    if linear.bias is not None:
        layer.bias = nn.Parameter(torch.empty(outputs, dtype=linear.bias.dtype, device="meta"), requires_grad=False)
    return layer
