"""How a training program spends memory beyond what the model's shape says.

The same run differs by a factor of two between programs, so that the estimate takes these as arguments. `OURS` is the
executor of this package; the others are there to check the arithmetic against published measurements.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tuiwiz.memory.setting import Setting


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """`loss`: `chunked` runs the head on supervised positions only, a chunk at a time; `padded` and `shifted` build all
    logits, the latter with a copy of them; `fused` runs a kernel over parts of the vocabulary. `adapter_bytes` is the
    size of an adapter's element, `wide_norms` keeps norms, embeddings and head of a quantised model in fp32,
    `keeps_logits` holds the logits through the backward pass and `wide_logits` casts them to fp32 first. `mixed` trains
    adapters under autocast. `fused_adapters` compute in the type of their input and keep no copy of it, whatever type
    they are stored in. `masters_bytes` is the size of an element that `full` trains; `foreach` an optimizer step with a
    copy of the states. `accumulates`: gradients of the first micro-batch are there while the second is computed.
    `expandable`: the allocator grows its segments.
    """

    name: str
    loss: Literal["chunked", "padded", "shifted", "fused"] = "chunked"
    adapter_bytes: int = 4
    fused_adapters: bool = False
    masters_bytes: int = 4
    wide_norms: bool = False
    keeps_logits: bool = False
    wide_logits: bool = False
    mixed: bool = False
    foreach: bool = False
    accumulates: bool = False
    expandable: bool = False

    def autocast(self, setting: Setting) -> bool:
        """Whether fp32 weights are trained while products are computed in 16 bits."""
        if setting.compute == "fp32":
            return False
        return self.mixed or (not setting.adapts and self.masters_bytes == 4)


CHUNK = 256
"""Positions whose logits exist at one time in the executor's chunked loss."""

OURS = Stack(name="tuiwiz", fused_adapters=True, accumulates=True, expandable=True)
PEFT_LOOP = Stack(name="plain loop with PEFT", loss="padded", foreach=True, keeps_logits=True)
"""A plain loop over a PEFT model that holds the model's outputs until the backward pass is done."""
PEFT_KBIT_LOOP = Stack(
    name="plain loop, prepared for k-bit training", loss="padded", foreach=True, keeps_logits=True, wide_norms=True
)
TRAINER = Stack(name="plain Trainer", loss="padded", mixed=True, wide_logits=True)
"""transformers' Trainer with bf16 = true: autocast, outputs cast to fp32 by accelerate, fused AdamW since torch 2.8."""
TRL = Stack(name="TRL 1.16", loss="fused", adapter_bytes=2, mixed=True)
"""TRL with its fused head: adapters in 16 bits, no preparation for k-bit training. No measurement confirms it yet."""
TRL_013 = Stack(name="TRL 0.13", loss="shifted", masters_bytes=2, foreach=True)
"""TRL of early 2025 with transformers 4.48, pure bf16 weights."""
