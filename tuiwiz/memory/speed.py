"""How fast a setting trains: a roofline of products and memory traffic, with a wide band. Only the order matters."""

from __future__ import annotations

import msgspec

from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.trained import Trained, trained_of

BUSY = {"cuda": 0.58, "cpu": 0.80}
"""Share of the device's dense rate that long inputs reach. A processor's rate in the catalogue is itself measured."""
HALF_SPEED_TOKENS = {"cuda": 500, "cpu": 60}
"""Tokens of a forward pass at which half of that share is reached."""
BAND = 0.35
"""Share by which a prediction may be off, either way."""
FP32_SLOWDOWN = {"cuda": 0.25, "cpu": 0.45}
PADDING = 0.15
"""Padding, as a share of the tokens, of a pass that holds all rows of a step: little, as lengths are often alike."""
LINK = 10e9
"""Bytes a second between two cards in PCIe 4.0 slots; cards with a link of their own are faster."""
STEP_S = {"cuda": 0.01, "cpu": 0.05}
"""Seconds a step that do not depend on its size."""


class Speed(msgspec.Struct, frozen=True):
    """`tokens_per_second` without padding; `step_s` seconds of an optimizer step of full-length rows, `forward_s` those
    of a forward pass over its rows."""

    tokens_per_second: float
    step_s: float
    forward_s: float


def speed(shape: ModelShape, setting: Setting, device: Device) -> Speed:
    """Time of one forward and backward pass of a micro-batch, from products and bytes.

    A token costs 2 products a weight forward, 2 for the input's gradient as far down as anything is trained, and 2 for
    the gradient of a trained weight; checkpointing repeats the forward pass; attention adds 4 x layers x query width x
    length / 2 for every one of them.
    """
    parts = trained_of(shape, setting)
    reached = parts.reached / shape.layers
    passes = 1.0 + reached * (2.0 if setting.checkpointing else 1.0)
    passes += parts.matrices / shape.linear_parameters + setting.strangers
    head = 0.0 if setting.numbers else shape.vocab * shape.hidden * setting.supervised
    per_token = 2 * (shape.active_parameters + head) * passes
    per_token += 2 * shape.layers * shape.query * setting.length * (passes + 0.5)
    if setting.adapts:
        per_token += 6 * setting.rank * shape.parameters_per_rank(setting.targets, experts=False)
    rate = device.flops * BUSY[device.kind] * setting.tokens / (setting.tokens + HALF_SPEED_TOKENS[device.kind])
    if setting.compute == "fp32" and device.bf16:
        rate *= FP32_SLOWDOWN[device.kind]
    products_s = setting.tokens * per_token / rate
    traffic_s = _traffic(shape, setting, passes) / device.bandwidth
    pass_s = max(products_s, traffic_s) + 0.3 * min(products_s, traffic_s)
    # A step's rows are sorted by length, so that padding grows with the share of them that one pass holds.
    padding = 1 + PADDING * (setting.micro - 1) / (setting.micro * setting.accumulation)
    step_s = pass_s * padding * setting.accumulation + STEP_S[device.kind] + _exchange_s(shape, parts, setting)
    return Speed(setting.cards * setting.tokens * setting.accumulation / step_s, step_s, step_s / passes)


def _exchange_s(shape: ModelShape, parts: Trained, setting: Setting) -> float:
    """Gradients in fp32 that go round a ring of cards once a step, each nearly twice."""
    adapters = setting.rank * shape.parameters_per_rank(setting.targets, experts=False)
    return 2 * 4 * (adapters if setting.adapts else parts.parameters) * (1 - 1 / setting.cards) / LINK


def _traffic(shape: ModelShape, setting: Setting, passes: float) -> float:
    """Bytes to and from memory in one forward and backward pass: weights once a pass, dequantised, and activations."""
    weight: float = setting.compute_bytes if setting.adapts else 4
    if setting.method == "qlora":
        weight = 0.5 + 2 * setting.compute_bytes
    weights = shape.linear_parameters * weight * passes
    activations = 14 * shape.layers * shape.hidden * setting.compute_bytes * setting.tokens * passes
    return weights + activations
