"""The training forward of LoRA layers as one autograd function.

    y = x W^T + c + s (d A^T) B^T,    d = dropout(x),  A [r, in],  B [out, r],  s = alpha / r

peft computes the same in several steps, casts x to the adapters' fp32 and keeps that copy for every layer. Here the
products are made in the type of x with A and B cast down, so that only x itself (which q, k and v share) and d A^T are
kept, and gradients of the fp32 adapters come back in fp32. 4-bit weights are unpacked for the forward and again for
the backward product, never kept. Where x = silu(g) * u, as in front of the last matrix of a gated feed-forward part,
g and u are kept anyway: x is made from them again. (LoRA, https://arxiv.org/abs/2106.09685; QLoRA, arXiv 2305.14314.)

Without gradients peft's own forward runs, which is also what a reloaded adapter will run.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def speed_up(model: nn.Module) -> int:
    """Give every plain LoRA layer of `model` the forward above; returns how many took it."""
    from peft.tuners.lora.layer import LoraLayer

    count = 0
    for module in model.modules():
        if isinstance(module, LoraLayer) and _is_plain(module):
            module.forward = LoraForward(module)
            count += 1
    return count


def _is_plain(module: Any) -> bool:
    """One adapter, no variant, over a linear layer of 16 or 32 bits or of 4."""
    if len(module.active_adapters) != 1 or module.lora_variant or any(module.lora_bias.values()):
        return False
    base = module.get_base_layer()
    linear = type(base) is nn.Linear or type(base).__name__ == "Linear4bit"
    return linear and module.active_adapters[0] in module.lora_A and not getattr(module, "fan_in_fan_out", False)


class LoraForward:
    """Stands in for a layer's `forward`; holds no parameter of its own."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._slow = module.forward
        self._name = module.active_adapters[0]

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args or kwargs or not self._fast:
            out: Tensor = self._slow(x, *args, **kwargs)
            return out
        dropped = self._module.lora_dropout[self._name](x)
        result: Tensor = LoraProduct.apply(x, dropped, *self._parts)  # type: ignore[no-untyped-call]
        return result

    def gated(self, gate: Tensor, up: Tensor) -> Tensor | None:
        """The product of silu(gate) * up; None where this layer needs that input for itself."""
        dropout = self._module.lora_dropout[self._name]
        if not self._fast or (self._module.training and not isinstance(dropout, nn.Identity)):
            return None
        result: Tensor = GatedLoraProduct.apply(gate, up, *self._parts)  # type: ignore[no-untyped-call]
        return result

    @property
    def _fast(self) -> bool:
        return torch.is_grad_enabled() and not self._module.disable_adapters and not self._module.merged

    @property
    def _parts(self) -> tuple[Tensor, Tensor, float, Any]:
        module, name = self._module, self._name
        return module.lora_A[name].weight, module.lora_B[name].weight, module.scaling[name], module.get_base_layer()


class LoraProduct(torch.autograd.Function):
    """(x [..., in], d [..., in], A, B, s, frozen base layer) -> y [..., out]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: Tensor, a: Tensor, b: Tensor, scale: float, base: Any) -> Tensor:
        out, inner = _product(x, dropped, a, b, scale, base)
        ctx.save_for_backward(dropped.reshape(-1, dropped.shape[-1]), inner, a, b)
        ctx.base, ctx.scale, ctx.shape, ctx.same = base, scale, x.shape, dropped is x
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor, None, None]:
        small, inner, a, b = ctx.saved_tensors
        grad = grads[0].reshape(-1, grads[0].shape[-1])
        back, grad_a, grad_b = _adapter_gradients(grad, small, inner, b, ctx.scale)
        down = a.to(grad.dtype)
        grad_x = grad_dropped = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ _weight(ctx.base, grad.dtype)
            if ctx.same:
                grad_x.addmm_(back, down, alpha=ctx.scale)
            grad_x = grad_x.view(ctx.shape)
        if ctx.needs_input_grad[1] and not ctx.same:
            grad_dropped = (back @ down).mul_(ctx.scale).view(ctx.shape)
        return grad_x, grad_dropped, grad_a, grad_b, None, None


class GatedLoraProduct(torch.autograd.Function):
    """(gate [..., in], up [..., in], A, B, s, frozen base layer) -> the product of silu(gate) * up, [..., out]."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, a: Tensor, b: Tensor, scale: float, base: Any) -> Tensor:
        x = functional.silu(gate).mul_(up)
        out, inner = _product(x, x, a, b, scale, base)
        ctx.save_for_backward(gate, up, inner, a, b)
        ctx.base, ctx.scale = base, scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        gate, up, inner, a, b = ctx.saved_tensors
        grad = grads[0].reshape(-1, grads[0].shape[-1])
        active = functional.silu(gate)
        x = (active * up).reshape(-1, up.shape[-1])
        back, grad_a, grad_b = _adapter_gradients(grad, x, inner, b, ctx.scale)
        del x
        grad_x = grad @ _weight(ctx.base, grad.dtype)
        grad_x = grad_x.addmm_(back, a.to(grad.dtype), alpha=ctx.scale).view(gate.shape)
        grad_up = active.mul_(grad_x)
        return torch.ops.aten.silu_backward(grad_x.mul_(up), gate), grad_up, grad_a, grad_b, None, None


def _product(x: Tensor, dropped: Tensor, a: Tensor, b: Tensor, scale: float, base: Any) -> tuple[Tensor, Tensor]:
    """y [..., out] and d A^T [tokens, r]."""
    inner = dropped.reshape(-1, dropped.shape[-1]) @ a.to(x.dtype).T
    out = functional.linear(x.reshape(-1, x.shape[-1]), _weight(base, x.dtype), _bias(base, x.dtype))
    out.addmm_(inner, b.to(x.dtype).T, alpha=scale)
    return out.view(*x.shape[:-1], out.shape[-1]), inner


def _adapter_gradients(
    grad: Tensor, small: Tensor, inner: Tensor, b: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """grad B [tokens, r], and the gradients of A and B in fp32."""
    back = grad @ b.to(grad.dtype)
    return back, (back.T @ small).float().mul_(scale), (grad.T @ inner).float().mul_(scale)


def _weight(base: Any, dtype: torch.dtype) -> Tensor:
    """The frozen weight [out, in] in `dtype`, unpacked where it is stored in 4 bits."""
    state = getattr(base.weight, "quant_state", None)
    if state is None:
        found: Tensor = base.weight.data.to(dtype)
        return found
    from bitsandbytes.functional import dequantize_4bit

    unpacked: Tensor = dequantize_4bit(base.weight.data, state)
    return unpacked.to(dtype)


def _bias(base: Any, dtype: torch.dtype) -> Tensor | None:
    return None if base.bias is None else base.bias.data.to(dtype)
