"""LLaMA-Factory's second layout of a configuration: plug-ins as tables (`peft_config`, `quant_config`, ...)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MARKS = ("peft_config", "dist_config", "kernel_config", "quant_config", "train_dataset")
RENAMED = {
    "model": "model_name_or_path",
    "train_dataset": "dataset",
    "micro_batch_size": "per_device_train_batch_size",
    "enable_activation_checkpointing": "disable_gradient_checkpointing",
    "peft_config.name": "finetuning_type",
    "peft_config.r": "lora_rank",
    "peft_config.lora_alpha": "lora_alpha",
    "peft_config.lora_dropout": "lora_dropout",
    "peft_config.target_modules": "lora_target",
    "peft_config.use_rslora": "use_rslora",
    "peft_config.use_dora": "use_dora",
    "peft_config.modules_to_save": "additional_target",
    "peft_config.adapter_name_or_path": "adapter_name_or_path",
    "peft_config.freeze_trainable_layers": "freeze_trainable_layers",
    "quant_config.quantization_bit": "quantization_bit",
    "optim_config.name": "optim",
    "optim_config.weight_decay": "weight_decay",
    "lr_scheduler_config.name": "lr_scheduler_type",
    "lr_scheduler_config.warmup_ratio": "warmup_ratio",
    "lr_scheduler_config.warmup_steps": "warmup_steps",
}


def is_new(table: Mapping[str, Any]) -> bool:
    return "model" in table and any(key in table for key in MARKS) and "rlhf_type" not in table


def flattened(table: Mapping[str, Any]) -> dict[str, Any]:
    """Plug-ins' keys beside the others (`peft_config.r`); full training where no adapter is named."""
    found: dict[str, Any] = {"peft_config.name": "full"}
    for key, value in table.items():
        if key.endswith("_config") and isinstance(value, dict):
            found |= {f"{key}.{inner}": one for inner, one in value.items() if one is not None}
        elif value is not None:
            found[key] = value
    micro, whole = found.get("micro_batch_size", 1), found.get("global_batch_size")
    if isinstance(whole, int) and isinstance(micro, int) and whole >= micro > 0:
        found["gradient_accumulation_steps"] = whole // micro
    return found
