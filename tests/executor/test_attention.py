"""Attention in blocks gives what torch's own kernel gives, forward and backward, and stands aside where it must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from tests.support.training import curve, make_run, run_here
from tuiwiz.executor import attention, lead
from tuiwiz.executor.attention import BLOCK, KEPT, CausalBlocks
from tuiwiz.executor.device import has_bf16


def inputs(batch: int, length: int, heads: int, shared: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(length)
    shapes = ((batch, heads, length, 16), (batch, shared, length, 16), (batch, shared, length, 16))
    made = [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]
    return made[0], made[1], made[2]


def outcome(out: Tensor, of: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
    weight = torch.linspace(-1, 1, out.numel()).view(out.shape).to(out.dtype)
    return [out.detach(), *torch.autograd.grad(out, of, weight)]


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, KEPT + BLOCK + 5), st.sampled_from([(4, 4), (6, 2), (3, 1)]))
def test_it_equals_torchs_kernel(batch: int, length: int, heads: tuple[int, int]) -> None:
    given_ = inputs(batch, length, *heads, torch.float32)
    mine = outcome(CausalBlocks.apply(*given_, 0.25), given_)  # type: ignore[no-untyped-call]
    torchs = functional.scaled_dot_product_attention(*given_, is_causal=True, enable_gqa=True, scale=0.25)
    for first, second in zip(mine, outcome(torchs, given_), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=2e-5)


def test_in_16_bits_it_is_as_near_to_the_truth_as_torchs_kernel() -> None:
    exact = inputs(2, 200, 6, 2, torch.float32)
    truth = outcome(functional.scaled_dot_product_attention(*exact, is_causal=True, enable_gqa=True), exact)

    def error(found: list[Tensor]) -> list[float]:
        return [float((a.float() - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True)]

    rounded = inputs(2, 200, 6, 2, torch.bfloat16)
    mine = error(outcome(CausalBlocks.apply(*rounded, 0.25), rounded))  # type: ignore[no-untyped-call]
    kernel = functional.scaled_dot_product_attention(*rounded, is_causal=True, enable_gqa=True)
    for own, theirs in zip(mine, error(outcome(kernel, rounded)), strict=True):
        assert own < 1.5 * theirs + 1e-3


class Layer(torch.nn.Module):
    is_causal = True
    num_key_value_groups = 2


@pytest.mark.parametrize("what", ["mask", "dropout", "no gradient", "fp32", "cache", "window"])
def test_it_stands_aside(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    real = CausalBlocks.apply

    def watched(*given: Any) -> Any:
        taken.append(True)
        return real(*given)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(CausalBlocks, "apply", watched)
    layer = Layer()
    dtype = torch.float32 if what == "fp32" else torch.bfloat16
    query, key, value = inputs(1, 8, 4, 2, dtype)
    if what == "no gradient":
        query, key, value = query.detach(), key.detach(), value.detach()
    if what == "cache":
        query = query[:, :, -1:]
    mask = torch.ones(1, 1, 8, 8, dtype=torch.bool).tril() if what == "mask" else None
    more: dict[str, Any] = {"sliding_window": 4} if what == "window" else {}
    out, _ = attention.attention(layer, query, key, value, mask, dropout=0.1 if what == "dropout" else 0.0, **more)
    assert out.shape == (1, query.shape[2], 4, 16) and not taken
    query, key, value = inputs(1, 8, 4, 2, torch.bfloat16)
    attention.attention(layer, query, key, value, None)
    assert taken


def test_rows_behind_each_other_are_rows_apart() -> None:
    query, key, value = inputs(1, 60, 4, 2, torch.bfloat16)
    positions = torch.cat([torch.arange(25), torch.arange(35)])[None]
    mask = torch.ones(1, 1, 60, 60, dtype=torch.bool)
    together, _ = attention.attention(Layer(), query, key, value, mask, position_ids=positions)
    apart = [
        attention.attention(Layer(), query[:, :, part], key[:, :, part], value[:, :, part], None)[0]
        for part in (slice(0, 25), slice(25, 60))
    ]
    assert torch.equal(together, torch.cat(apart, dim=1))


def test_a_step_without_padding_has_the_gradients_of_a_padded_one(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_bf16(torch.device("cpu")):
        pytest.skip("this processor computes in 32 bits")
    curves, tokens = [], []
    for padded in (False, True):
        name = "padded" if padded else "flat"
        folder = make_run(tmp_path, tiny_model, name, model__dtype="bf16", batch__micro=4, schedule__steps=3)
        if padded:
            monkeypatch.setattr(lead, "without_padding", lambda run: False)
        events = run_here(folder)
        curves.append([loss for (loss,) in curve(events, "loss").values()])
        tokens.append([share for (share,) in curve(events, "padding_share").values()])
    assert curves[0] == pytest.approx(curves[1], rel=1e-2)
    assert max(tokens[0]) == 0 < max(tokens[1])
