"""Properties that every estimate has, whatever the model and the setting."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from tuiwiz.catalog.gpus import Device, find_device
from tuiwiz.catalog.models import all_models, find
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.estimate import ITEMS, Estimate, estimate
from tuiwiz.memory.setting import Setting

CPU = Device(name="CPU", kind="cpu", total_bytes=16 << 30, usable_bytes=12 << 30, flops=3e11, bandwidth=2e10, bf16=True)
GPU = find_device("RTX 4090")
replace = msgspec.structs.replace
calm = profile(deadline=None)
"""Other processes may take the machine for a while."""

shapes = st.sampled_from([known.shape for known in all_models()])
devices = st.sampled_from([CPU, GPU])
settings = st.builds(
    Setting,
    method=st.sampled_from(["qlora", "lora", "full", "freeze"]),
    trainable=st.sampled_from(
        [("layers[-25%:]",), ("layers[:2]",), ("embeddings",), ("norms", "head"), ("*.q_proj.*",)]
    ),
    length=st.integers(1, 32_768),
    micro=st.integers(1, 64),
    accumulation=st.integers(1, 64),
    rank=st.integers(1, 512),
    targets=st.sampled_from(["all-linear", ("q_proj", "v_proj")]),
    dropout=st.sampled_from([0.0, 0.1]),
    double_quantised=st.booleans(),
    compute=st.sampled_from(["bf16", "fp16", "fp32"]),
    checkpointing=st.booleans(),
    fused_loss=st.booleans(),
    optimizer=st.sampled_from(["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "sgd"]),
    attention=st.sampled_from(["sdpa", "flash", "eager"]),
)


@calm
@given(shapes, settings, devices)
def test_items_sum_to_the_total_within_its_band(shape: ModelShape, setting: Setting, device: Device) -> None:
    found = estimate(shape, setting, device)
    assert tuple(found.items) == ITEMS
    assert sum(found.items.values()) == found.total_bytes
    assert all(size >= 0 for size in found.items.values())
    assert 0 < found.low_bytes <= found.total_bytes <= found.high_bytes
    assert found.limiting


@calm
@given(shapes, settings, devices, st.sampled_from(["length", "micro", "rank"]), st.integers(1, 100))
def test_more_never_needs_less(shape: ModelShape, setting: Setting, device: Device, field: str, more: int) -> None:
    changes: dict[str, Any] = {field: getattr(setting, field) + more}
    larger = replace(setting, **changes)
    assert estimate(shape, larger, device).total_bytes >= estimate(shape, setting, device).total_bytes


@calm
@given(shapes, settings, devices)
def test_checkpointing_never_keeps_more_activations(shape: ModelShape, setting: Setting, device: Device) -> None:
    on, off = (estimate(shape, replace(setting, checkpointing=value), device) for value in (True, False))
    if on.limiting == off.limiting:
        assert on.items["activations"] <= off.items["activations"]


@calm
@given(shapes, settings, devices)
def test_quantisation_never_makes_weights_larger(shape: ModelShape, setting: Setting, device: Device) -> None:
    def weights(**changes: Any) -> int:
        found = estimate(shape, replace(setting, **changes), device)
        return found.items["weights"] + found.items["quantization_constants"]

    assert weights(method="qlora", double_quantised=True) <= weights(method="qlora", double_quantised=False)
    assert weights(method="qlora") < weights(method="lora") <= weights(method="full")


@calm
@given(shapes, settings)
def test_the_fused_loss_never_needs_more_logits(shape: ModelShape, setting: Setting) -> None:
    def logits(found: Estimate) -> int:
        return found.items["logits"]

    lean = replace(setting, method="lora", length=max(256, setting.length))
    fused, whole = (estimate(shape, replace(lean, fused_loss=value), GPU) for value in (True, False))
    if fused.limiting == whole.limiting:
        assert logits(fused) <= logits(whole)
    assert fused.total_bytes <= whole.total_bytes


def known_shape(name: str) -> ModelShape:
    found = find(name)
    assert found is not None
    return found.shape


def test_weights_of_four_bits_by_hand() -> None:
    shape = known_shape("qwen3-8b")
    found = estimate(shape, Setting(method="qlora"), GPU)
    linear = shape.linear_parameters
    rest = shape.parameters - linear
    assert found.items["weights"] == pytest.approx(linear / 2 + 2 * rest, rel=1e-9)
    assert found.items["quantization_constants"] == pytest.approx(linear * (1 / 64 + 4 / 16384), rel=1e-9)
    assert found.items["adapter"] == 4 * 16 * shape.parameters_per_rank()


def test_full_fine_tuning_holds_four_fp32_copies() -> None:
    shape = known_shape("smollm2-135m-instruct")
    found = estimate(shape, Setting(method="full", length=16, micro=1, accumulation=2), GPU)
    assert found.items["weights"] == 4 * shape.parameters
    assert found.items["optimizer"] == 8 * shape.parameters
    assert found.items["gradients"] == 4 * shape.parameters


def test_activations_of_the_executor_to_the_byte() -> None:
    """Counted by autograd hooks on SmolLM2-135M, LoRA rank 16 on all linear layers, bf16: 22,580 bytes a layer and
    token, with what the loss itself keeps."""
    shape = known_shape("smollm2-135m-instruct")
    found = estimate(shape, Setting(method="lora", length=128, micro=4, attention="flash"), CPU)
    assert found.items["activations"] / (30 * 512) == pytest.approx(22_580, rel=0.01)


def test_experts_are_neither_quantised_nor_adapted() -> None:
    """As bitsandbytes and PEFT do with experts that are one tensor a layer."""
    shape = known_shape("qwen3-30b-a3b")
    found = estimate(shape, Setting(method="qlora"), GPU)
    assert found.items["weights"] > 2 * shape.expert_parameters > 50e9
    assert found.items["adapter"] < 4 * 16 * shape.parameters_per_rank() / 50


def test_what_is_spread_over_cards() -> None:
    shape = known_shape("llama-3.1-8b-instruct")
    base = Setting(method="full", length=512, checkpointing=True)

    def items(sharding: Any, cards: int = 4) -> dict[str, int]:
        return estimate(shape, replace(base, sharding=sharding, cards=cards), GPU).items

    alone, ddp, zero2, fsdp = items("single", 1), items("ddp"), items("zero2"), items("fsdp")
    assert ddp["weights"] == alone["weights"] == zero2["weights"]
    assert ddp["communication"] == 4 * shape.parameters and alone["communication"] == 0
    assert zero2["optimizer"] * 4 == pytest.approx(alone["optimizer"], abs=4)
    assert fsdp["weights"] * 4 == pytest.approx(alone["weights"], abs=4) and fsdp["communication"] > 0
    totals = [sum(one.values()) for one in (ddp, alone, zero2, fsdp)]
    assert totals == sorted(totals, reverse=True)


def test_eight_bits_are_twice_four() -> None:
    shape = known_shape("qwen3-8b")
    four, eight = (estimate(shape, Setting(method="qlora", bits=bits), GPU) for bits in (4, 8))
    assert eight.items["weights"] - four.items["weights"] == shape.linear_parameters / 2
    assert eight.items["quantization_constants"] < four.items["quantization_constants"]


def test_a_pair_is_two_rows() -> None:
    shape = known_shape("qwen3-8b")
    pairs, rows = Setting(method="lora", micro=2, lines=2), Setting(method="lora", micro=4)
    assert estimate(shape, pairs, GPU).items == estimate(shape, rows, GPU).items


def test_freeze_lies_between_adapters_and_all() -> None:
    shape = known_shape("qwen3-8b")

    def found(method: Any, *trainable: str) -> Estimate:
        return estimate(shape, Setting(method=method, length=512, trainable=trainable), GPU)

    last, first, full = found("freeze", "layers[-2:]"), found("freeze", "layers[:2]"), found("full")
    assert found("lora").items["optimizer"] < last.items["optimizer"] == first.items["optimizer"]
    assert last.total_bytes < first.total_bytes < full.total_bytes
    # The backward pass goes down to what is trained: here through two of 36 layers, there through all.
    assert last.items["activations"] < 0.1 * first.items["activations"]
    assert found("freeze", "all").total_bytes == pytest.approx(full.total_bytes, rel=1e-6)


def test_a_head_of_numbers_has_no_logits() -> None:
    shape = known_shape("qwen3-8b")
    words, numbers = (estimate(shape, Setting(method="lora", length=512, numbers=one), GPU) for one in (False, True))
    assert numbers.items["logits"] < words.items["logits"]
    assert words.items["weights"] - numbers.items["weights"] == 2 * shape.head_parameters > 0
