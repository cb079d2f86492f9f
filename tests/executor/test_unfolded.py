"""Constants of 4-bit weights that are dequantised once: the weights are the same to the last bit."""

from __future__ import annotations

import torch
from torch import nn


def test_weights_are_the_same_with_constants_unfolded() -> None:
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    from tuiwiz.executor.model import unfold_constants

    torch.manual_seed(0)
    layer = Linear4bit(256, 512, bias=False, compute_dtype=torch.bfloat16, compress_statistics=True, quant_type="nf4")
    layer.load_state_dict({"weight": torch.randn(512, 256, dtype=torch.bfloat16)})
    layer = layer.to("cpu")
    model, x = nn.Sequential(layer), torch.randn(3, 256, dtype=torch.bfloat16)
    before, out = dequantize_4bit(layer.weight.data, layer.weight.quant_state), layer(x)
    assert layer.weight.quant_state.nested
    assert unfold_constants(model) == 1 and unfold_constants(model) == 0
    assert torch.equal(dequantize_4bit(layer.weight.data, layer.weight.quant_state), before)
    assert torch.equal(layer(x), out)
