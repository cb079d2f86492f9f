"""What a device holds besides tensors: libraries, and what an allocator cannot use."""

from __future__ import annotations

from collections.abc import Mapping

from tuiwiz.base.units import GIB, MIB
from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import Stack
from typing import Any

CUDA_CONTEXT = 0.5 * GIB
"""Driver, kernels and cuBLAS workspaces: 0.14 GiB on a T4, up to 1 on an A100."""
PYTHON_AND_LIBRARIES = 450 * MIB
"""Resident pages of Python with torch, transformers, peft and bitsandbytes on a processor, measured."""
MOVING = ("activations", "logits", "temporary")
"""Items that come and go in every step, and so leave gaps."""
CUDA_GAPS = 0.10
CPU_GAPS = {"qlora": 1.05, "lora": 1.05, "full": 0.42}
"""Of a C library's heap, as a share of what moves, measured: short-lived copies between kept blocks leave holes."""
CPU_GAPS_OF_PASSING = {"qlora": 0.83, "lora": 0.52, "full": 0.4}


def cuda_context_bytes(device: Device | None) -> float:
    """Driver and kernels on a card."""
    return CUDA_CONTEXT


def reserved_bytes(shape: ModelShape, setting: Setting, stack: Stack, found: Any) -> float:
    return found.allocated_bytes


def context_bytes(shape: ModelShape, setting: Setting, device: Device) -> float:
    """What the libraries themselves hold; on a processor also the weights file.

    A 4-bit model is made from it, and as long as one tensor (the embedding) lies in the file, all its pages stay.
    """
    if device.kind == "cuda":
        return CUDA_CONTEXT
    mapped = 2 * (shape.linear_parameters - shape.expert_parameters) if setting.method == "qlora" else 0
    return PYTHON_AND_LIBRARIES + mapped


def reserve_bytes(items: Mapping[str, float], setting: Setting, device: Device, passing: float) -> float:
    """Gaps between blocks: small with CUDA's expandable segments, larger in a C library's heap.

    `passing`: bytes that all layers save in one pass. Checkpointing does not keep them, but they leave holes.
    """
    moving = sum(items[name] for name in MOVING)
    if device.kind == "cuda":
        return CUDA_GAPS * (moving + items["gradients"]) + 64 * MIB
    if setting.checkpointing:
        return CPU_GAPS[setting.method] * moving + CPU_GAPS_OF_PASSING[setting.method] * passing
    return CPU_GAPS[setting.method] * moving


def uncertainty(shape: ModelShape, device: Device) -> tuple[float, float]:
    """How far the part beyond the weights may lie below and above, as shares of it."""
    low, high = (0.10, 0.12) if device.kind == "cuda" else (0.15, 0.18)
    if not shape.exact:
        return low + 0.15, high + 0.30
    if shape.experts:
        # How tokens spread over experts is not known before.
        return low + 0.10, high + 0.20
    return low, high
