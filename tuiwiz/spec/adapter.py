"""`[adapter]` and `[quantization]`: what is trained on top of what."""

from __future__ import annotations

from typing import Literal

import msgspec

from tuiwiz.spec.section import Section

Method = Literal["qlora", "lora", "full", "freeze"]
Variant = Literal["plain", "rslora", "dora", "pissa", "loraplus"]
PLANNED: tuple[Method, ...] = ("qlora", "lora", "full")
"""Methods that presets speak of and the planner offers; it knows `freeze`, too, whose needs depend on its parts."""


class Adapter(Section, frozen=True, kw_only=True):
    method: Method = "qlora"
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    variant: Variant = "plain"
    rank_pattern: dict[str, int] = {}
    modules_to_save: tuple[str, ...] = ()
    train_tokens: tuple[str, ...] = ()
    loraplus_ratio: float = 16.0
    trainable: str | tuple[str, ...] = "layers[-25%:]"
    from_: str | None = msgspec.field(name="from", default=None)


class Quantization(Section, frozen=True, kw_only=True):
    bits: Literal[4, 8] = 4
    type: Literal["nf4", "fp4"] = "nf4"
    double: bool = True
    compute_dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
