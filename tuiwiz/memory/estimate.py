"""Peak memory of a run, item by item, in closed form: no torch, some microseconds.

The peak is the largest of the moments of one optimizer step. At each moment the same things are held (weights, adapter,
optimizer states) and others differ (activations, logits, gradients, working space). Of the largest moment the items are
told, and they sum to the total. Method and evidence: activations as in Korthikanti et al., arXiv 2205.05198, with what
this package's executor really saves; checkpointing, arXiv 1604.06174; NF4 with double quantisation, arXiv 2305.14314.
"""

from __future__ import annotations

import msgspec

from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.activations import saved
from tuiwiz.memory.overhead import context_bytes, reserve_bytes, uncertainty
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import CHUNK, OURS, Stack

ITEMS = (
    "weights",
    "quantization_constants",
    "adapter",
    "gradients",
    "optimizer",
    "activations",
    "logits",
    "temporary",
    "communication",
    "context",
    "reserve",
)
LOSS, LAYER, FIRST_LAYER, STEP = (
    "the loss of the longest batch",
    "the backward pass of one layer",
    "the last layer of the backward pass",
    "the optimizer step",
)
SMALL_TENSOR = 4096
"""Elements below which 8-bit optimizers keep fp32 states."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. `items` has every name of `ITEMS`, sums to `total_bytes`, and describes the moment `limiting`.

    `allocated_bytes` is the total without context and reserve: what an allocator counts.
    """

    items: dict[str, int]
    total_bytes: int
    low_bytes: int
    high_bytes: int
    allocated_bytes: int
    limiting: str


class Static(msgspec.Struct, frozen=True):
    """What is held through the whole step, in bytes; `trained` in elements."""

    weights: float
    constants: float
    adapter: float
    optimizer: float
    gradients: float
    trained: int


def estimate(shape: ModelShape, setting: Setting, device: Device, stack: Stack = OURS) -> Estimate:
    """The peak of an optimizer step on its longest rows."""
    held = static(shape, setting, stack)
    kept = saved(shape, setting, stack)
    found = moments(shape, setting, stack)
    limiting = max(found, key=lambda name: sum(found[name].values()))
    items = dict.fromkeys(ITEMS, 0.0)
    items |= {"weights": held.weights, "quantization_constants": held.constants}
    items |= {"adapter": held.adapter, "optimizer": held.optimizer}
    items |= found[limiting]
    allocated = sum(items.values())
    items["context"] = context_bytes(shape, setting, device)
    items["reserve"] = reserve_bytes(items, shape, setting, device, shape.layers * kept.layer)
    whole = {name: round(size) for name, size in items.items()}
    total = sum(whole.values())
    low, high = uncertainty(shape, device)
    return Estimate(
        items=whole,
        total_bytes=total,
        low_bytes=round(total - low * (total - whole["weights"])),
        high_bytes=round(total + high * (total - whole["weights"])),
        allocated_bytes=round(allocated),
        limiting=limiting,
    )


def static(shape: ModelShape, setting: Setting, stack: Stack) -> Static:
    """Weights, adapter, optimizer states and gradients."""
    full = setting.method == "full"
    base = stack.masters_bytes if full else setting.compute_bytes
    wide = 4 if stack.wide_norms and setting.method == "qlora" else base
    quantised = setting.method == "qlora"
    # bitsandbytes and PEFT see linear layers only: experts stay as they are and get no adapter.
    small = shape.linear_parameters - shape.expert_parameters if quantised else 0
    linear = 0.5 * small + base * (shape.linear_parameters - small)
    # One fp32 scale for 64 weights; quantised again, one byte for 64 and an fp32 for 256 of those.
    scale = (1 / 64 + 4 / (64 * 256)) if setting.double_quantised else 4 / 64
    norms = 4 if stack.wide_norms and not full else base
    weights = linear + shape.embedding_parameters * wide + shape.small_parameters * norms
    trained = shape.parameters if full else setting.rank * shape.parameters_per_rank(setting.targets, experts=False)
    size = stack.masters_bytes if full else stack.adapter_bytes
    return Static(
        weights=weights,
        constants=small * scale,
        adapter=0.0 if full else trained * size,
        optimizer=trained * _state_bytes(setting, size),
        gradients=trained * size,
        trained=trained,
    )


def _state_bytes(setting: Setting, size: int) -> float:
    """Bytes of optimizer state for one trained element of `size` bytes."""
    return {
        "adamw": 2.0 * size,
        "adamw_8bit": 2 + 2 * 4 / 256,
        # Paged states live in host memory where the card is full, so they never decide whether a run fits.
        "paged_adamw_8bit": 0.0,
        "paged_adamw_32bit": 0.0,
        "sgd": size if setting.momentum else 0.0,
        # One buffer; Adafactor keeps a row and a column of a matrix.
        "lion": size,
        "adafactor": 0.05 * size,
    }.get(setting.optimizer, 2.0 * size)


def held_bytes(held: Static) -> float:
    """Bytes that are there at every moment."""
    return held.weights + held.constants + held.adapter + held.optimizer


def moments(shape: ModelShape, setting: Setting, stack: Stack) -> dict[str, dict[str, float]]:
    """What comes on top of `held_bytes` at the moments of a step that can be its peak, item by item."""
    held, kept = static(shape, setting, stack), saved(shape, setting, stack)
    full = setting.method == "full"
    store = kept.checkpoint if setting.checkpointing else shape.layers * kept.layer
    # From the second micro-batch on, the gradients of the first are there all along.
    earlier = held.gradients if setting.accumulation > 1 and stack.accumulates else 0.0
    logits = loss_bytes(shape, setting, stack)
    found = {
        LOSS: {
            "activations": store + kept.final,
            "logits": logits,
            "temporary": kept.compute_copies,
            "gradients": earlier,
        },
        STEP: {"gradients": held.gradients, "temporary": held.optimizer / 2 if stack.foreach else 0.0},
    }
    if setting.checkpointing:
        head = shape.vocab * shape.hidden * stack.masters_bytes if full else held.gradients / shape.layers
        found[LAYER] = {
            "activations": kept.checkpoint + kept.layer,
            "temporary": kept.working,
            "gradients": max(earlier, head),
        }
    else:
        found[LAYER] = {
            "activations": store,
            "temporary": kept.working_of_mlp + kept.compute_copies,
            "gradients": earlier,
        }
    if full:
        found[FIRST_LAYER] = {
            "activations": kept.checkpoint / shape.layers + kept.layer,
            "temporary": kept.working,
            "gradients": held.gradients,
        }
    return found


def loss_bytes(shape: ModelShape, setting: Setting, stack: Stack) -> float:
    """Logits, their gradient and, where the head is trained, the fp32 gradient that the loss makes of it."""
    compute, vocab, tokens = setting.compute_bytes, shape.vocab, setting.tokens
    capped = 4 if shape.family.softcap else 0
    full = setting.method == "full"
    if stack.loss == "chunked" and setting.fused_loss:
        positions = tokens * setting.supervised
        chunk = min(CHUNK, positions) * vocab
        later = min(CHUNK, max(0, positions - CHUNK)) * vocab
        wide = 0 if compute == 4 else compute
        stream = stack.masters_bytes if full else compute
        # fp32 logits and the intermediate of their log-sum-exp; of the chunk before, its gradient in both types.
        first = max(chunk * (8 + capped), later * (8 + capped) + (chunk * (4 + wide + capped) if later else 0))
        second = chunk * max(4 + wide + capped, 4 + 3 * capped)
        rows = positions * shape.hidden * 2 * stream
        if not full:
            return max(first, second) + rows
        # The head in the compute type and its gradient's sum; then one chunk's share of it in both types.
        head = vocab * shape.hidden
        return max(first + head * (wide + 4), second + head * (2 * wide + 8)) + rows
    if stack.loss == "chunked":
        # All logits and their gradient in the compute type; fp32 copies of the supervised ones, twice in the backward.
        return tokens * vocab * (2 * compute + capped) + tokens * setting.supervised * vocab * 12
    size = 4 if stack.wide_norms and setting.method == "qlora" else compute
    cast = 0 if size == 4 else 4
    held = size if stack.keeps_logits else 0
    if stack.loss == "shifted" and setting.micro > 1:
        return tokens * vocab * (max(size + cast + 8, held + 12, held + 8 + compute) + capped)
    return tokens * vocab * (max(size + cast + 4, held + 12) + capped)
