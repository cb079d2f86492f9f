"""`[model]`: which base model, in which precision."""

from __future__ import annotations

from collections.abc import Mapping
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

_COUNTED = frozenset(
    {
        "albert", "bert", "big_bird", "biogpt", "convbert", "distilbert", "electra", "ernie", "gpt2", "gpt_bigcode",
        "gpt_neo", "layoutlm", "megatron-bert", "mobilebert", "nystromformer", "openai-gpt", "opt", "rembert",
        "roc_bert", "roformer", "squeezebert",
    }
)  # fmt: skip
"""Model types with a table of positions, which ends."""
_COUNTED_BEHIND_PADDING = frozenset(
    {
        "camembert", "data2vec-text", "longformer", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta",
        "xlm-roberta-xl", "xmod",
    }
)  # fmt: skip
"""The same, but the first position stands in the table behind the row of the padding token."""


def positions_of(config: Mapping[str, object]) -> int:
    """The longest input, in tokens, that a model with this config.json has positions for; 0 where there is no end."""
    kind, most = config.get("model_type"), config.get("max_position_embeddings", config.get("n_positions"))
    if not isinstance(most, int):
        return 0
    if kind in _COUNTED_BEHIND_PADDING:
        padding = config.get("pad_token_id", 1)
        return max(1, most - 1 - (padding if isinstance(padding, int) else 1))
    return most if kind in _COUNTED else 0


class Model(Section, frozen=True, kw_only=True):
    source: str
    revision: str | None = None
    dtype: Dtype = "auto"
    attention: Attention = "auto"
