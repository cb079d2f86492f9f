"""`[model]`: which base model, in which precision."""

from __future__ import annotations

from typing import Literal

from tuiwiz.spec.section import Section

Dtype = Literal["auto", "bf16", "fp16", "fp32"]
Attention = Literal["auto", "sdpa", "flash", "eager"]


class Model(Section, frozen=True, kw_only=True):
    source: str
    revision: str | None = None
    dtype: Dtype = "auto"
    attention: Attention = "auto"
