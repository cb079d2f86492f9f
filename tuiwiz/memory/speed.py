"""How fast a setting trains: a roofline of products and memory traffic, with a wide band. Only the order matters."""

from __future__ import annotations

import msgspec

from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.setting import Setting

BUSY = {"cuda": 0.42, "cpu": 0.80}
"""Share of the device's dense rate that long inputs reach. A processor's rate in the catalogue is itself measured."""
HALF_SPEED_TOKENS = {"cuda": 700, "cpu": 60}
"""Tokens of a forward pass at which half of that share is reached."""
BAND = 0.35
"""Share by which a prediction may be off, either way."""
FP32_SLOWDOWN = {"cuda": 0.25, "cpu": 0.45}
STEP_S = {"cuda": 0.01, "cpu": 0.05}
"""Seconds a step that do not depend on its size."""


class Speed(msgspec.Struct, frozen=True):
    """`tokens_per_second` without padding; `step_s` seconds of an optimizer step of full-length rows."""

    tokens_per_second: float
    step_s: float


def speed(shape: ModelShape, setting: Setting, device: Device) -> Speed:
    """Time of one forward and backward pass of a micro-batch, from products and bytes.

    A token costs 2 products a weight forward, 2 for the input's gradient and, in full fine-tuning, 2 for the weight's;
    checkpointing repeats the forward pass; attention adds 4 x layers x query width x length / 2 for every one of them.
    """
    passes = (3.0 if setting.method == "full" else 2.0) + (1.0 if setting.checkpointing else 0.0)
    head = shape.vocab * shape.hidden * setting.supervised
    per_token = 2 * (shape.active_parameters + head) * passes
    per_token += 2 * shape.layers * shape.query * setting.length * (passes + 0.5)
    if setting.method != "full":
        per_token += 6 * setting.rank * shape.parameters_per_rank(setting.targets) / max(1, shape.experts)
    rate = device.flops * BUSY[device.kind] * setting.tokens / (setting.tokens + HALF_SPEED_TOKENS[device.kind])
    if setting.compute == "fp32" and device.bf16:
        rate *= FP32_SLOWDOWN[device.kind]
    products_s = setting.tokens * per_token / rate
    traffic_s = _traffic(shape, setting, passes) / device.bandwidth
    pass_s = max(products_s, traffic_s) + 0.3 * min(products_s, traffic_s)
    # Longer batches of rows of unlike length hold more padding; sorting by length leaves little of it.
    padding = 1 + 0.02 * (setting.micro - 1) / max(1, setting.micro)
    step_s = pass_s * padding * setting.accumulation + STEP_S[device.kind]
    return Speed(setting.tokens * setting.accumulation / step_s, step_s)


def _traffic(shape: ModelShape, setting: Setting, passes: float) -> float:
    """Bytes to and from memory in one forward and backward pass: weights once a pass, dequantised, and activations."""
    weight: float = setting.compute_bytes if setting.method != "full" else 4
    if setting.method == "qlora":
        weight = 0.5 + 2 * setting.compute_bytes
    weights = shape.linear_parameters * weight * passes
    activations = 14 * shape.layers * shape.hidden * setting.compute_bytes * setting.tokens * passes
    return weights + activations
