"""Norms and gated parts that keep less: the same numbers, the same gradients, and only where the module agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tuiwiz.executor.fused import RmsNorm, SwiGlu, slim


def test_gradients_are_those_of_the_formulas() -> None:
    x = torch.randn(3, 5, 8, dtype=torch.float64).requires_grad_()
    weight = torch.rand(8, dtype=torch.float64).requires_grad_()

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        return weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)

    wide = x.detach().float().requires_grad_()
    narrow = weight.detach().float().requires_grad_()
    upstream = torch.randn(3, 5, 8, dtype=torch.float64)
    mine = RmsNorm.apply(wide, narrow, 1e-5)  # type: ignore[no-untyped-call]
    found = torch.autograd.grad(mine, (wide, narrow), upstream.float())
    true = torch.autograd.grad(norm(x, weight), (x, weight), upstream)
    for first, second in zip(found, true, strict=True):
        torch.testing.assert_close(first.double(), second, rtol=1e-5, atol=1e-5)
    gate, up = (torch.randn(4, 6, dtype=torch.float64).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(SwiGlu.apply, (gate, up))


def loss_and_gradients(model: Any) -> tuple[Tensor, list[Tensor]]:
    ids = torch.arange(5, 37)[None]
    loss = model(input_ids=ids, labels=ids).loss
    model.zero_grad()
    loss.backward()
    return loss.detach(), [parameter.grad.clone() for parameter in model.parameters()]


def test_a_model_gives_the_same_loss_and_gradients(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    loss, gradients = loss_and_gradients(model)
    layers = model.config.num_hidden_layers
    assert slim(model) == 3 * layers + 1
    again, others = loss_and_gradients(model)
    torch.testing.assert_close(again, loss, rtol=1e-6, atol=0)
    for first, second in zip(others, gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)


def test_less_is_kept_for_the_backward_pass(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM

    def kept(model: Any) -> int:
        seen: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = model(input_ids=torch.arange(5, 69)[None]).logits.float().sum()
        del loss
        return sum(seen.values())

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    before = kept(model)
    slim(model)
    assert kept(model) < 0.9 * before


class ShiftedRMSNorm(nn.Module):
    """Scales by one plus its weight, as one family does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((8,), 0.2))
        self.eps = 1e-6

    def forward(self, x: Tensor) -> Tensor:
        return (1 + self.weight) * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


class ScaledMLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = (nn.Linear(8, 8) for _ in range(3))
        self.act_fn = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))
        return out


@pytest.mark.parametrize("kind", [ShiftedRMSNorm, ScaledMLP])
def test_a_module_of_another_kind_is_left_alone(kind: type[nn.Module]) -> None:
    module = kind()
    x = torch.randn(2, 8).requires_grad_()
    before = module(x)
    assert slim(nn.Sequential(module)) == 0
    assert torch.equal(module(x), before)
