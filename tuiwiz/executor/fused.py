"""Root-mean-square norms and gated feed-forward parts that keep less for the backward pass.

    norm(x) = w * x / sqrt(mean(x^2) + eps)         keeps x and one number a token, not x in fp32 and x normalised
    gated(g, u) = silu(g) * u                       keeps g and u, not silu(g) too

(RMSNorm, https://arxiv.org/abs/1910.07467; SwiGLU, https://arxiv.org/abs/2002.05202.) Architectures differ in small
ways, so a module is taken over only where its own forward, tried on random input, gives the same numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tuiwiz.executor.lora import LoraForward


def slim(model: nn.Module) -> int:
    """Give every norm and gated feed-forward part that agrees the forwards above; returns how many took them."""
    agreed: dict[tuple[str, int], bool] = {}
    count = 0
    for module in model.modules():
        replacement = _replacement(module)
        if replacement is None:
            continue
        key = (type(module).__qualname__, replacement.width)
        if key not in agreed:
            agreed[key] = _agree(module, replacement)
        if agreed[key]:
            module.forward = replacement
            count += 1
    return count


def _replacement(module: Any) -> _Norm | _Gated | None:
    name, weight = type(module).__name__, getattr(module, "weight", None)
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if name.endswith("RMSNorm") and isinstance(weight, Tensor) and weight.ndim == 1 and eps is not None:
        return _Norm(module, float(eps))
    children = {child for child, _ in module.named_children()}
    if name.endswith("MLP") and children == {"gate_proj", "up_proj", "down_proj", "act_fn"}:
        return _Gated(module)
    return None


def _agree(module: Any, replacement: _Norm | _Gated) -> bool:
    """Whether both give the same for random input, up to the rounding of the type."""
    floating = [parameter for parameter in module.parameters() if parameter.is_floating_point()]
    dtype = floating[0].dtype if floating else torch.bfloat16
    device = next(module.parameters()).device
    if device.type == "meta":
        # Nothing can be tried on tensors without content; where only memory is asked for, the usual kinds agree.
        return type(module).__name__.endswith("RMSNorm") or type(module.act_fn).__name__.startswith("SiLU")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, replacement.width, generator=generator).to(device, dtype).requires_grad_()
    mine = replacement(x).detach()
    with torch.no_grad():
        own = module(x)
    # Two roundings may fall apart by one place of the mantissa.
    exact = 4 * torch.finfo(dtype).eps
    return own.dtype == mine.dtype and torch.allclose(own.float(), mine.float(), rtol=exact, atol=exact * 0.1)


class _Norm:
    """Stands in for a norm's `forward`; holds no parameter of its own."""

    def __init__(self, module: Any, eps: float) -> None:
        self._module, self._eps, self._slow = module, eps, module.forward
        self.width = int(module.weight.shape[0])

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype != self._module.weight.dtype or not (x.requires_grad and torch.is_grad_enabled()):
            slow: Tensor = self._slow(x)
            return slow
        out: Tensor = RmsNorm.apply(x, self._module.weight, self._eps)  # type: ignore[no-untyped-call]
        return out


class RmsNorm(torch.autograd.Function):
    """(x [..., h], weight [h], eps) -> [..., h] in the type of x; sums are made in fp32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, scale, weight)
        return (wide * scale).to(x.dtype) * weight

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, Tensor | None, None]:
        x, scale, weight = ctx.saved_tensors
        grad = grads[0].float()
        normed = x.float().mul_(scale)
        to_weight = (grad * normed).flatten(0, -2).sum(0).to(weight.dtype) if ctx.needs_input_grad[1] else None
        grad = grad * weight
        along = (grad * normed).mean(-1, keepdim=True)
        return grad.sub_(normed.mul_(along)).mul_(scale).to(x.dtype), to_weight, None


class _Gated:
    """Stands in for the `forward` of a feed-forward part with `gate_proj`, `up_proj` and `down_proj`."""

    def __init__(self, module: Any) -> None:
        self._module, self._slow = module, module.forward
        self.width = int(module.gate_proj.in_features)

    def __call__(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            slow: Tensor = self._slow(x)
            return slow
        module = self._module
        gate, up, down = module.gate_proj(x), module.up_proj(x), module.down_proj
        # An adapted layer can make its input again from what is kept here.
        out: Tensor | None = down.forward.gated(gate, up) if isinstance(down.forward, LoraForward) else None
        if out is None:
            out = down(SwiGlu.apply(gate, up))  # type: ignore[no-untyped-call]
        return out


class SwiGlu(torch.autograd.Function):
    """(gate [..., m], up [..., m]) -> silu(gate) * up."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        grad = grads[0]
        return torch.ops.aten.silu_backward(grad * up, gate), functional.silu(gate).mul_(grad)
