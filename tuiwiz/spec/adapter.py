"""`[adapter]` and `[quantization]`: what is trained on top of what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
    new_tokens: tuple[str, ...] = ()
    loraplus_ratio: float = 16.0
    trainable: str | tuple[str, ...] = "layers[-25%:]"
    from_: str | None = msgspec.field(name="from", default=None)


class Quantization(Section, frozen=True, kw_only=True):
    bits: Literal[4, 8] = 4
    type: Literal["nf4", "fp4"] = "nf4"
    double: bool = True
    compute_dtype: Literal["auto", "bf16", "fp16", "fp32"] = "auto"


def unknown_modules(adapter: Adapter, modules: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(key, word) of everything that `adapter` names and a model with these full module names has not.

    Names are read as peft reads them: a whole name or its end for targets and modules to save, a pattern for the end of
    a name for ranks. peft passes over what it does not find.
    """
    asked = {
        "adapter.targets": () if isinstance(adapter.targets, str) else adapter.targets,
        "adapter.modules_to_save": adapter.modules_to_save,
    }
    for key, words in asked.items():
        for word in words:
            if not any(name == word or name.endswith(f".{word}") for name in modules):
                yield key, word
    for pattern in adapter.rank_pattern:
        if not any(re.match(rf"(.*\.)?({pattern})$", name) for name in modules):
            yield "adapter.rank_pattern", pattern
