# ruff: noqa: E501
"""Popular models whose shapes are known without their files, so that a size or a name is enough to plan."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import msgspec

from tuiwiz.catalog.shapes import ModelShape


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the table. `stated` is the parameter count that its publisher gives, in elements.

    `gated`: the hub asks for an agreement before it gives the files.
    """

    name: str
    hub: str
    shape: ModelShape
    licence: str
    gated: bool
    stated: int


_APACHE, _MIT = "Apache-2.0", "MIT"
_LLAMA31, _LLAMA32, _LLAMA33, _GEMMA = "Llama 3.1", "Llama 3.2", "Llama 3.3", "Gemma terms"
# Hub id; model_type; hidden, intermediate, layers, heads, kv heads, head width; vocabulary, tied; licence, gated; stated.
_DENSE: tuple[tuple[str, str, int, int, int, int, int, int, int, bool, str, bool, int], ...] = (
    ("HuggingFaceTB/SmolLM2-135M-Instruct", "llama", 576, 1536, 30, 9, 3, 64, 49152, True, _APACHE, False, 134515008),
    ("HuggingFaceTB/SmolLM2-360M-Instruct", "llama", 960, 2560, 32, 15, 5, 64, 49152, True, _APACHE, False, 361821120),
    ("google/gemma-3-270m-it", "gemma3_text", 640, 2048, 18, 4, 1, 256, 262144, True, _GEMMA, True, 268098176),
    ("Qwen/Qwen2.5-0.5B-Instruct", "qwen2", 896, 4864, 24, 14, 2, 64, 151936, True, _APACHE, False, 494032768),
    ("Qwen/Qwen3-0.6B", "qwen3", 1024, 3072, 28, 16, 8, 128, 151936, True, _APACHE, False, 596049920),
    ("google/gemma-3-1b-it", "gemma3_text", 1152, 6912, 26, 4, 1, 256, 262144, True, _GEMMA, True, 999885952),
    ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "llama", 2048, 5632, 22, 32, 4, 64, 32000, False, _APACHE, False, 1100048384),
    ("meta-llama/Llama-3.2-1B-Instruct", "llama", 2048, 8192, 16, 32, 8, 64, 128256, True, _LLAMA32, True, 1235814400),
    ("allenai/OLMo-2-0425-1B-Instruct", "olmo2", 2048, 8192, 16, 16, 16, 128, 100352, False, _APACHE, False, 1484916736),
    ("Qwen/Qwen2.5-1.5B-Instruct", "qwen2", 1536, 8960, 28, 12, 2, 128, 151936, True, _APACHE, False, 1543714304),
    ("HuggingFaceTB/SmolLM2-1.7B-Instruct", "llama", 2048, 8192, 24, 32, 32, 64, 49152, True, _APACHE, False, 1711376384),
    ("Qwen/Qwen3-1.7B", "qwen3", 2048, 6144, 28, 16, 8, 128, 151936, True, _APACHE, False, 1720574976),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "qwen2", 1536, 8960, 28, 12, 2, 128, 151936, False, _MIT, False, 1777088000),
    ("google/gemma-2-2b-it", "gemma2", 2304, 9216, 26, 8, 4, 256, 256000, True, _GEMMA, True, 2614341888),
    ("HuggingFaceTB/SmolLM3-3B", "smollm3", 2048, 11008, 36, 16, 4, 128, 128256, True, _APACHE, False, 3075098624),
    ("Qwen/Qwen2.5-3B-Instruct", "qwen2", 2048, 11008, 36, 16, 2, 128, 151936, True, "Qwen research", False, 3085938688),
    ("meta-llama/Llama-3.2-3B-Instruct", "llama", 3072, 8192, 28, 24, 8, 128, 128256, True, _LLAMA32, True, 3212749824),
    ("microsoft/Phi-3-mini-4k-instruct", "phi3", 3072, 8192, 32, 32, 32, 96, 32064, False, _MIT, False, 3821079552),
    ("microsoft/Phi-4-mini-instruct", "phi3", 3072, 8192, 32, 24, 8, 128, 200064, True, _MIT, False, 3836021760),
    ("Qwen/Qwen3-4B", "qwen3", 2560, 9728, 36, 32, 8, 128, 151936, True, _APACHE, False, 4022468096),
    ("01-ai/Yi-1.5-6B-Chat", "llama", 4096, 11008, 32, 32, 4, 128, 64000, False, _APACHE, False, 6061035520),
    ("meta-llama/Llama-2-7b-chat-hf", "llama", 4096, 11008, 32, 32, 32, 128, 32000, False, "Llama 2", True, 6738415616),
    ("mistralai/Mistral-7B-Instruct-v0.3", "mistral", 4096, 14336, 32, 32, 8, 128, 32768, False, _APACHE, False, 7248023552),
    ("allenai/OLMo-2-1124-7B-Instruct", "olmo2", 4096, 11008, 32, 32, 32, 128, 100352, False, _APACHE, False, 7298617344),
    ("Qwen/Qwen2.5-7B-Instruct", "qwen2", 3584, 18944, 28, 28, 4, 128, 152064, False, _APACHE, False, 7615616512),
    ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "qwen2", 3584, 18944, 28, 28, 4, 128, 152064, False, _MIT, False, 7615616512),
    ("meta-llama/Llama-3.1-8B-Instruct", "llama", 4096, 14336, 32, 32, 8, 128, 128256, False, _LLAMA31, True, 8030261248),
    ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "llama", 4096, 14336, 32, 32, 8, 128, 128256, False, _MIT, False, 8030261248),
    ("Qwen/Qwen3-8B", "qwen3", 4096, 12288, 36, 32, 8, 128, 151936, False, _APACHE, False, 8190735360),
    ("01-ai/Yi-1.5-9B-Chat", "llama", 4096, 11008, 48, 32, 4, 128, 64000, False, _APACHE, False, 8829407232),
    ("google/gemma-2-9b-it", "gemma2", 3584, 14336, 42, 16, 8, 256, 256000, True, _GEMMA, True, 9241705984),
    ("mistralai/Mistral-Nemo-Instruct-2407", "mistral", 5120, 14336, 40, 32, 8, 128, 131072, False, _APACHE, False, 12247782400),
    ("meta-llama/Llama-2-13b-chat-hf", "llama", 5120, 13824, 40, 40, 40, 128, 32000, False, "Llama 2", True, 13015864320),
    ("allenai/OLMo-2-1124-13B-Instruct", "olmo2", 5120, 13824, 40, 40, 40, 128, 100352, False, _APACHE, False, 13716198400),
    ("microsoft/phi-4", "phi3", 5120, 17920, 40, 40, 10, 128, 100352, False, _MIT, False, 14659507200),
    ("Qwen/Qwen3-14B", "qwen3", 5120, 17408, 40, 40, 8, 128, 151936, False, _APACHE, False, 14768307200),
    ("Qwen/Qwen2.5-14B-Instruct", "qwen2", 5120, 13824, 48, 40, 8, 128, 152064, False, _APACHE, False, 14770033664),
    ("mistralai/Mistral-Small-24B-Instruct-2501", "mistral", 5120, 32768, 40, 32, 8, 128, 131072, False, _APACHE, False, 23572403200),
    ("google/gemma-2-27b-it", "gemma2", 4608, 36864, 46, 32, 16, 128, 256000, True, _GEMMA, True, 27227128320),
    ("Qwen/Qwen3-32B", "qwen3", 5120, 25600, 64, 64, 8, 128, 151936, False, _APACHE, False, 32762123264),
    ("Qwen/Qwen2.5-32B-Instruct", "qwen2", 5120, 27648, 64, 40, 8, 128, 152064, False, _APACHE, False, 32763876352),
    ("01-ai/Yi-1.5-34B-Chat", "llama", 7168, 20480, 60, 56, 8, 128, 64000, False, _APACHE, False, 34388917248),
    ("meta-llama/Llama-3.1-70B-Instruct", "llama", 8192, 28672, 80, 64, 8, 128, 128256, False, _LLAMA31, True, 70553706496),
    ("meta-llama/Llama-3.3-70B-Instruct", "llama", 8192, 28672, 80, 64, 8, 128, 128256, False, _LLAMA33, True, 70553706496),
    ("Qwen/Qwen2.5-72B-Instruct", "qwen2", 8192, 29568, 80, 64, 8, 128, 152064, False, "Qwen", False, 72706203648),
)  # fmt: skip
# The same, with experts, active experts and the width of one in front of the vocabulary.
_EXPERTS: tuple[tuple[str, str, int, int, int, int, int, int, int, int, int, str, bool, int], ...] = (
    ("Qwen/Qwen3-30B-A3B", "qwen3_moe", 2048, 48, 32, 4, 128, 128, 8, 768, 151936, _APACHE, False, 30532122624),
    ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral", 4096, 32, 32, 8, 128, 8, 2, 14336, 32000, _APACHE, False, 46702792704),
)  # fmt: skip


@cache
def all_models() -> tuple[Known, ...]:
    """Every model of the table, smallest first."""
    rows = [_dense(row) for row in _DENSE] + [_experts(row) for row in _EXPERTS]
    return tuple(sorted(rows, key=lambda known: known.shape.parameters))


def find(name: str) -> Known | None:
    """A model by its name or hub id, in any case; None if it is not in the table."""
    wanted = name.strip().lower()
    return next((known for known in all_models() if wanted in (known.name, known.hub.lower())), None)


def of_size(parameters: float, is_here: Callable[[Known], bool] | None = None) -> list[Known]:
    """Models within a third of so many parameters: those on this machine first, then those nearest in size.

    Among equals, one that asks for no agreement comes first, and a dense one before one with experts.
    """
    here = is_here or on_this_machine
    near = [known for known in all_models() if abs(math.log(known.shape.parameters / parameters)) < math.log(4 / 3)]

    def rank(known: Known) -> tuple[bool, bool, bool, float]:
        apart = abs(math.log(known.shape.parameters / parameters))
        return not here(known), known.shape.experts > 0, known.gated, apart

    return sorted(near, key=rank)


def on_this_machine(known: Known) -> bool:
    """Whether the model's files are here, without asking the network."""
    from tuiwiz.base import places
    from tuiwiz.catalog.sources import has_weights, hub_cache

    cached = hub_cache(known.hub, None)
    return has_weights(places.cache() / "models" / known.name) or (cached is not None and has_weights(cached))


def _dense(row: tuple[str, str, int, int, int, int, int, int, int, bool, str, bool, int]) -> Known:
    hub, architecture, hidden, intermediate, layers, heads, kv_heads, head_dim, vocab, tied, licence, gated, stated = (
        row
    )
    name = hub.partition("/")[2].lower()
    shape = ModelShape(
        name=name,
        architecture=architecture,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=intermediate,
        vocab=vocab,
        tied=tied,
    )
    return Known(name=name, hub=hub, shape=shape, licence=licence, gated=gated, stated=stated)


def _experts(row: tuple[str, str, int, int, int, int, int, int, int, int, int, str, bool, int]) -> Known:
    (
        hub,
        architecture,
        hidden,
        layers,
        heads,
        kv_heads,
        head_dim,
        experts,
        active,
        width,
        vocab,
        licence,
        gated,
        stated,
    ) = row
    name = hub.partition("/")[2].lower()
    shape = ModelShape(
        name=name,
        architecture=architecture,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=width,
        vocab=vocab,
        experts=experts,
        active_experts=active,
        expert_intermediate=width,
    )
    return Known(name=name, hub=hub, shape=shape, licence=licence, gated=gated, stated=stated)
