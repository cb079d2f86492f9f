"""Which card a preset needs: the smallest usual one on which the planner trains its longest rows, one at a time.

Computed by `memory/` for a usual model of each band (`MODELS`), with gradient checkpointing, at the preset's own
length; a test holds every preset against it. Shorter rows need less, the band's largest models more.
"""

from __future__ import annotations

MODELS = {
    "XS": "qwen3-0.6b",
    "S": "llama-3.2-3b-instruct",
    "M": "qwen3-8b",
    "L": "qwen2.5-14b-instruct",
    "XL": "qwen3-32b",
    "XXL": "llama-3.1-70b-instruct",
}
_WHOLE = {"XS": 16, "S": 80, "M": 141}
_TIERS: dict[str, dict[str, int]] = {
    "qlora": {"XS": 8, "S": 12, "M": 12, "L": 24, "XL": 40, "XXL": 80},
    "lora": {"XS": 12, "S": 12, "M": 24, "L": 40, "XL": 80},
    "full": _WHOLE,
    "freeze": _WHOLE,
}
_RANK_128 = {"XS": 12, "S": 12, "M": 40, "L": 80, "XL": 141}
"""Continued pre-training with adapters on a 16-bit base: rank 128 takes more than the others' 16 to 32."""


def tier(task: str, method: str, band: str | None) -> int | None:
    """GiB of the smallest card; None where it takes more than one card, or the size is unknown."""
    if band is None:
        return None
    if task == "pretrain" and method == "lora":
        return _RANK_128.get(band)
    return _TIERS[method].get(band)


def tier_words(task: str, method: str, band: str | None) -> str:
    found = tier(task, method, band)
    if band is None:
        return "size unknown"
    if found is None:
        return "more than one card"
    return f"fits a card of {found} GiB ({MODELS[band]}, by the planner)"
