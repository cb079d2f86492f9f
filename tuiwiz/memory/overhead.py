"""What a device holds besides tensors: libraries, and what an allocator cannot use."""

from __future__ import annotations

from collections.abc import Mapping

from tuiwiz.base.units import GIB, MIB
from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import CHUNK
from tuiwiz.memory.trained import trained_of

CUDA_CONTEXT = 0.5 * GIB
"""Driver and kernels: read from the driver where a card is here; half a GiB to one on an A100."""
SMALL_CONTEXT = 0.14 * GIB
"""On a T4, measured by others."""
PYTHON_AND_LIBRARIES = 590 * MIB
"""Resident pages of Python with torch, transformers, peft and bitsandbytes on a processor, a tokenizer and rows that
were read, measured as the peak of a run of a model of 0.1 million parameters on few tokens: 609 MiB."""
COMPILED_PRODUCTS, MORE_PRODUCTS = 80 * MIB, 150 * MIB
"""What oneDNN keeps of the products that it compiled on a processor, one for each shape, 64 in each of its two caches
(see `runs/launch.py`): the same model on rows of many lengths took 675 MiB, and 737 to 758 where all of it is trained,
since products for the gradient of a weight are compiled too; an encoder, whose attention is products as well, as much
more. With caches of 1024 entries it was 1,549."""
ROOM = 110 * MIB
"""Of a processor's libraries: what reading files and model left free in the heap. A step's first tensors lie in it, so
that SmolLM2-135M took 962 MiB on 64 tokens and not the 1,078 that a sum would give."""
MOVING = ("activations", "logits", "temporary")
"""Items that come and go in every step, and so leave gaps."""
PAGES = 32 * MIB
"""Rounding of CUDA segments."""
CUDA_GAPS = 0.02
"""Of what moves: batches of other lengths than the last leave gaps between expandable segments' blocks."""
CPU_GAPS = {"qlora": 1.15, "lora": 1.15, "full": 1.25}
CPU_GAPS_OF_PASSING = {"qlora": 0.52, "lora": 0.52, "full": 1.0}
"""Of a C library's heap, as shares of what all layers save in one pass, measured with SmolLM2-135M: short-lived copies
between kept blocks leave holes, fewer where checkpointing keeps little. With them runs of a tiny model, a MiniLM and
SmolLM2 in fresh processes, of one length and of many, come out between -3 and +17 %, and ten earlier ones within 9."""


def cuda_context_bytes(device: Device | None) -> float:
    """Driver and kernels on a card; more on large ones, which have more of everything."""
    return SMALL_CONTEXT if device is not None and device.name == "T4" else CUDA_CONTEXT


def context_bytes(shape: ModelShape, setting: Setting, device: Device) -> float:
    """What the libraries themselves hold."""
    if device.kind == "cuda":
        return CUDA_CONTEXT
    return PYTHON_AND_LIBRARIES + (COMPILED_PRODUCTS if setting.adapts and shape.exact else MORE_PRODUCTS)


def overhead(
    items: Mapping[str, float], shape: ModelShape, setting: Setting, device: Device, passing: float
) -> tuple[float, float]:
    """Bytes of `context` and `reserve` beside the other `items`; of `passing` see `reserve_bytes`."""
    context, gaps = context_bytes(shape, setting, device), reserve_bytes(items, shape, setting, device, passing)
    if device.kind == "cuda":
        return context, gaps
    room = min(ROOM, gaps + items["gradients"] + sum(items[name] for name in MOVING))
    return context - max(0.0, room - gaps), max(0.0, gaps - room)


def reserve_bytes(
    items: Mapping[str, float], shape: ModelShape, setting: Setting, device: Device, passing: float
) -> float:
    """Gaps between blocks. `passing`: bytes that all layers save in one pass, kept or not.

    Expandable CUDA segments keep one hole of the largest blocks: a chunk of logits, or the head's gradient.
    """
    if device.kind == "cuda":
        chunk = min(CHUNK, setting.tokens * setting.supervised) * shape.vocab * 4
        head = shape.vocab * shape.hidden * 4 if trained_of(shape, setting).head else 0
        return CUDA_GAPS * sum(items[name] for name in MOVING) + max(chunk, head) + PAGES
    method = setting.method if setting.adapts else "full"
    return (CPU_GAPS_OF_PASSING if setting.checkpointing else CPU_GAPS)[method] * passing


def uncertainty(shape: ModelShape, device: Device) -> tuple[float, float]:
    """How far the part beyond the weights may lie below and above, as shares of it."""
    low, high = (0.10, 0.12) if device.kind == "cuda" else (0.15, 0.18)
    if shape.guessed:
        return low + 0.40, high + 0.80
    if not shape.exact:
        return low + 0.15, high + 0.30
    if shape.experts:
        # How tokens spread over experts is not known before.
        return low + 0.10, high + 0.20
    return low, high
