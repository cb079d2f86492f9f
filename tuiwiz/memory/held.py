"""What is held through the whole step: weights as they are stored, adapters, optimizer states, gradients."""

from __future__ import annotations

import msgspec

from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import Stack
from tuiwiz.memory.trained import Trained, masters_of, trained_of

BUCKET = 1 << 28
"""Elements of a bucket in which gradients are exchanged, at most."""
EXCHANGED = 1 << 25
"""Elements of gradients that our own processes exchange at once."""
FOREACH = ("lion", "lamb", "schedule_free_adamw")
"""Optimizers whose step works on all tensors at once, over a copy of them."""


class Held(msgspec.Struct, frozen=True):
    """Bytes; `trained` in elements. `communication`: buckets of gradients, gathered layers. `step`: what the step of
    the optimizer takes besides. `gradients` is all of them, though they are there from the backward pass on only."""

    weights: float
    constants: float
    adapter: float
    optimizer: float
    gradients: float
    trained: int
    communication: float = 0.0
    step: float = 0.0

    @property
    def total(self) -> float:
        """Bytes that are there at every moment."""
        return self.weights + self.constants + self.adapter + self.optimizer + self.communication


def held(shape: ModelShape, setting: Setting, stack: Stack) -> Held:
    """On one device, by the way the run is spread over several."""
    parts = trained_of(shape, setting)
    base = stack.masters_bytes if setting.method == "full" else setting.compute_bytes
    quantised = setting.method == "qlora"
    wide = 4 if stack.wide_norms and quantised else base
    # bitsandbytes and PEFT see linear layers only: experts stay as they are and get no adapter.
    small = shape.linear_parameters - shape.expert_parameters if quantised else 0
    linear = setting.bits / 8 * small + base * (shape.linear_parameters - small)
    norms = 4 if stack.wide_norms and setting.adapts else base
    adapters = setting.rank * shape.parameters_per_rank(setting.targets, experts=False) if setting.adapts else 0
    trained = parts.parameters + parts.adapters
    size = stack.adapter_bytes if setting.adapts else stack.masters_bytes
    # Frozen parts stay in the compute type; those that are trained are held in that of the masters.
    widened = masters_of(shape, setting).parameters * (size - base) if setting.method == "freeze" else 0
    states = _states(setting, trained, size, parts)
    gradients = float(trained * size)
    copies = gradients if setting.optimizer in FOREACH else states / 2 if stack.foreach else 0.0
    if setting.optimizer == "adafactor" and (parts.embedding or parts.head):
        copies = 2.0 * shape.vocab * shape.hidden * size
    words = shape.embedding_parameters - (shape.head_parameters if setting.numbers else 0)
    alone = Held(
        weights=linear + words * wide + shape.small_parameters * norms + widened,
        constants=_constants(shape, setting, small),
        adapter=float(adapters * size),
        optimizer=states,
        gradients=gradients,
        trained=trained,
        step=copies,
    )
    return _spread(alone, shape, setting, base)


def _constants(shape: ModelShape, setting: Setting, small: int) -> float:
    """4 bits: an fp32 scale for 64 weights; quantised again, one byte for 64 and an fp32 for 256 of those. 8 bits: an
    fp32 scale a row (https://arxiv.org/abs/2208.07339)."""
    if not small:
        return 0.0
    if setting.bits == 8:
        return 4.0 * shape.layers * sum(one.outputs for one in shape.projections if one.copies == 1)
    return small * ((1 / 64 + 4 / (64 * 256)) if setting.double_quantised else 4 / 64)


def _states(setting: Setting, trained: int, size: int, parts: Trained) -> float:
    """Bytes of optimizer states for `trained` elements of `size` bytes."""
    if setting.optimizer == "muon":
        # A momentum for matrices inside the layers, Adam's two for all else.
        outer = parts.parameters - parts.matrices
        return float(size * (trained + outer))
    one = {
        "adamw_8bit": 2 + 2 * 4 / 256,
        # Paged states live in host memory where the card is full, so they never decide whether a run fits.
        "paged_adamw_8bit": 0.0,
        "paged_adamw_32bit": 0.0,
        "sgd": size if setting.momentum else 0.0,
        "lion": size,
        # A row and a column of a matrix.
        "adafactor": 0.01 * size,
    }.get(setting.optimizer, 2.0 * size)
    return trained * one


def _spread(alone: Held, shape: ModelShape, setting: Setting, base: int) -> Held:
    """The share of one of `cards`.

    Our own processes copy a bucket of gradients at a time. DDP keeps everything and a second copy of the gradients in
    buckets; ZeRO-2 parts gradients and states; FSDP and ZeRO-3 part all, and gather two layers and the embedding for
    products (https://arxiv.org/abs/1910.02054).
    """
    cards = setting.cards
    if setting.sharding == "single" or cards <= 1:
        return alone
    bucket = min(alone.gradients, 2.0 * BUCKET * (alone.gradients / max(1, alone.trained)))
    if setting.sharding == "exchange":
        return msgspec.structs.replace(alone, communication=min(alone.gradients, 4.0 * EXCHANGED))
    if setting.sharding == "ddp":
        return msgspec.structs.replace(alone, communication=alone.gradients)
    parted = msgspec.structs.replace(
        alone, optimizer=alone.optimizer / cards, gradients=alone.gradients / cards, step=alone.step / cards
    )
    if setting.sharding == "zero2":
        return msgspec.structs.replace(parted, communication=bucket)
    gathered = base * (2 * shape.linear_parameters / shape.layers + shape.vocab * shape.hidden)
    return msgspec.structs.replace(
        parted,
        weights=alone.weights / cards,
        constants=alone.constants / cards,
        adapter=alone.adapter / cards,
        communication=min(gathered, alone.weights) + bucket / cards,
    )
