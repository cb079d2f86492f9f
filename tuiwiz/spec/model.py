"""`[model]`: which base model, in which precision."""

from __future__ import annotations

from typing import Literal

from tuiwiz.spec.section import Section

Dtype = Literal["auto", "bf16", "fp16", "fp32"]
Attention = Literal["auto", "sdpa", "flash", "eager"]

ENCODERS = frozenset(
    {
        "albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2", "distilbert",
        "electra", "ernie", "funnel", "layoutlm", "longformer", "megatron-bert", "mobilebert", "modernbert", "mpnet",
        "mra", "nystromformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "squeezebert",
        "xlm-roberta", "xlm-roberta-xl", "xmod", "yoso",
    }
)  # fmt: skip
"""Model types that read a text from both sides. transformers loads some of them as models of language all the same,
which then learn to repeat the word that they see."""


class Model(Section, frozen=True, kw_only=True):
    source: str
    revision: str | None = None
    dtype: Dtype = "auto"
    attention: Attention = "auto"
