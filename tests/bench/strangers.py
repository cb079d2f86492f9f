"""Words in rows of published measurements: what they mean, and which speak of what is not described here."""

from __future__ import annotations

import re

TARGETS = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj", "gate": "gate_proj", "up": "up_proj"}
TARGETS["down"] = "down_proj"
ATTENTION = (
    (("flash", "fa2", "fa3"), "flash"),
    (("efficient", "xformers", "mem"), "sdpa"),
    (("eager",), "eager"),
    (("math",), "math"),
    (("sdpa",), "flash"),
)
OPTIMIZERS = {
    "adamw_torch": "adamw",
    "adamw_torch_fused": "adamw",
    "adamw": "adamw",
    "adamw_8bit": "adamw_8bit",
    "adamw_bnb_8bit": "adamw_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "paged_adamw_32bit": "paged_adamw_32bit",
    "sgd": "sgd",
}
SHARDING = {"": "single", "none": "single", "single": "single", "no": "single", "ddp": "ddp"}
OTHER_PROGRAMS = (
    *(
        "unsloth",
        "liger",
        "deepspeed",
        "axolotl",
        "torchtune",
        "litgpt",
        "swift",
        "factory",
        "xtuner",
        "mlx",
        "megatron",
    ),
    *("scattermoe", "foak", "fused-ops", "autogptq", "gptq", "cut-cross-entropy", "torchtitan", "nemo", "hqq", "awq"),
)
"""Names in a row's stack, source or notes of programs and kernels whose memory is not described here."""
STRANGE = (
    (r"\bdora\b|use_dora", "DoRA: its norms of whole matrices"),
    (r"(?<![a-z])(dpo|orpo|kto|simpo|grpo|ppo|rloo|reward)(?![a-z])|(dpo|orpo|kto|grpo)trainer", "a preference task"),
    (r"modules_to_save", "whole modules that are trained beside adapters"),
    (r"torch[._ ]?compile", "compiled code"),
    (r"(context|sequence|tensor|pipeline)[ _-]parallel|ring[ _-]attention|ulysses", "a model in parts over cards"),
    (r"megablocks|grouped[ _-]gemm", "kernels for experts"),
    (r"\bcce\b|cut[ _-](ce|cross)|chunked[ _-](ce|cross|loss|nll)|fused[ _-]linear", "a fused cross-entropy"),
    (r"dynamic padding|(mean|average|avg|median) length|bucketed", "rows of other lengths than the one given"),
    (r"(peak|measured)[^;,]*\beval|generation peak|vllm", "what else than training took"),
    (r"torchao|\bfp8\b|\bqat\b", "another quantisation"),
    (
        r"\brocm\b|\bmi\d{3}x?\b|\bmps\b|\bapple m\d|\btpu\b|\bgaudi|\bxpu\b|\bascend\b|\bnpu\b",
        "a device that is not CUDA's",
    ),
    (r"varlen|position_ids packing|packing with flash", "packed rows whose kernels see each row alone"),
    (
        r"sequence[ _-]classif|classification head|token[ _-]classif|regression head",
        "another head than the language model's",
    ),
    (r"multi[ _-]token prediction|\bmtp\b|medusa|eagle head", "more heads than one"),
    (r"\b(adalora|vera|ia3|boft|oft|lora-fa|longlora|s2-attn|lisa|badam)\b", "another kind of adapter"),
)
"""Words in a row's text that speak of what is not described here, and what it is."""
STRANGE_MODELS = re.compile(
    r"gemma-?(3n|4)|gemma-?3-(4|12|27)b|llama-?4|qwen-?3[.-]?(5|next)|\bvl\b|[-_]vl|vision|omni|audio|llava|multimodal|moe|deepseek-?(v2|v3|moe)"
    r"|granite-?4|mamba|jamba|falcon-?h|rwkv|smolvlm|paligemma|recurrent"
)
"""Names that resemble a family of the table and have other tensors."""
VARIABLE = ("variable length", "variable-length", "padding_free", "padding-free", "random lengths", "sample packing")
