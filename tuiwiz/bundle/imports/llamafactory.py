"""LLaMA-Factory's YAML and JSON (`llamafactory-cli train FILE`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuiwiz.bundle.imports import trainer
from tuiwiz.bundle.imports.adapters import adapters, method, only_text, preference, refuse, variant
from tuiwiz.bundle.imports.draft import Draft, Imported
from tuiwiz.bundle.imports.factory_v1 import RENAMED, flattened, is_new

NAME = "LLaMA-Factory"
STAGES = {"sft": "chat", "pt": "pretrain", "dpo": "dpo", "kto": "kto", "rm": "reward"}
DEFAULTS = trainer.Defaults()
NEW_DEFAULTS = trainer.Defaults(learning_rate=1e-4, micro=1, schedule="constant")
LOST_OPTIMIZER = "no such optimizer: adamw stands, whose rates may differ"
REASONS = {
    **trainer.REASONS,
    "template": "tuiwiz takes the model's own chat template; set data.template for another",
    "dataset_dir": "data.train names files themselves",
    "media_dir": "tuiwiz trains on text",
    "image*": "tuiwiz trains on text",
    "video*": "tuiwiz trains on text",
    "freeze_*": "it is about models that see or has its own words: see adapter.trainable",
    "use_unsloth*": trainer.OTHER_WAY,
    "max_samples": "cut the file itself, or set schedule.steps",
    "tokenized_path": "rows are prepared anew for each run",
    "quantization_method": "4-bit bases are bitsandbytes here",
    "upcast*": trainer.MACHINE,
    "disable_gradient_checkpointing": trainer.MACHINE,
    "ray*": "a run on one machine needs no cluster",
    "dist_config*": "a run on one device needs no sharding",
    "kernel_config*": trainer.MACHINE,
    "quant_config*": "4-bit bases are bitsandbytes here",
    "init_config*": trainer.MACHINE,
    "batching_*": trainer.MACHINE,
    "model_class": trainer.OTHER_WAY,
    "sample_backend": "evaluation.samples answers held-out prompts",
    "max_new_tokens": "evaluation.samples answers held-out prompts",
    "global_batch_size": "it is the effective batch",
    "full_determinism": "runs are repeatable anyway, see `tuiwiz verify`",
    "fp8*": "no training in 8-bit floats here",
    "use_galore": LOST_OPTIMIZER,
    "galore*": LOST_OPTIMIZER,
    "use_apollo": LOST_OPTIMIZER,
    "apollo*": LOST_OPTIMIZER,
    "use_badam": LOST_OPTIMIZER,
    "badam*": LOST_OPTIMIZER,
    "use_adam_mini": LOST_OPTIMIZER,
    "use_llama_pro": "the last layers are trained; blocks are not put between them",
    "mixture_of_depths": "the model's layers stay as they are",
    "use_*_loss": "no such loss: cross-entropy stands",
    "asft_alpha": "no such loss: cross-entropy stands",
    "*_parallel_size": "a run on one device needs no sharding",
    "predict_with_generate": "evaluation.samples answers held-out prompts",
}


def read(given: Mapping[str, Any], processes: int = 1) -> Imported:
    """The bundle of a configuration.

    Raises:
        InvalidError: a stage or method without counterpart.
    """
    new = is_new(given)
    draft = Draft(NAME, flattened(given) if new else given, RENAMED if new else None)
    only_text(draft)
    if str(draft.peek("model_class", "llm")) != "llm":
        raise refuse(draft, f"model_class {draft.peek('model_class')!r}", ", ".join(STAGES))
    stage = str(draft.take("stage", "sft"))
    if stage not in STAGES:
        raise refuse(draft, f"stage {stage!r}", ", ".join(STAGES))
    task = STAGES[stage]
    if task == "dpo" and str(draft.peek("pref_loss", "sigmoid")) in ("orpo", "simpo"):
        task = str(draft.take("pref_loss"))
    draft.set("task.kind", task, "stage", f"stage {stage}")
    draft.set("model.source", str(draft.take("model_name_or_path", "")), "model_name_or_path")
    trainer.data(draft, "dataset", trainer.words(draft.take("dataset", "")))
    held_out = trainer.words(draft.take("eval_dataset", ""))
    if held_out:
        draft.set("validation.path", held_out[0], "eval_dataset", "the name stays as it is: put a file of rows there")
    bits = draft.number("quantization_bit")
    word = str(draft.take("finetuning_type", "lora"))
    with_adapters = method(draft, word, None if bits is None else int(bits), "finetuning_type")
    if with_adapters:
        adapters(draft, "lora_rank", "lora_alpha", "lora_dropout", 8, 0.0, 0.0)
        trainer.targets(draft, "lora_target", ("all", "all-linear"))
        variant(draft, {"use_rslora": "rslora", "use_dora": "dora", "pissa_init": "pissa"})
        ratio = draft.number("loraplus_lr_ratio")
        if ratio:
            draft.set("adapter.variant", "loraplus", "loraplus_lr_ratio")
            draft.set("adapter.loraplus_ratio", ratio, "loraplus_lr_ratio")
        if draft.has("additional_target"):
            modules = trainer.words(draft.take("additional_target"))
            draft.set("adapter.modules_to_save", modules, "additional_target")
    elif word == "freeze":
        layers = int(draft.number("freeze_trainable_layers") or 2)
        how = "the last layers" if layers > 0 else "the first layers"
        draft.set("adapter.trainable", f"layers[{-layers}:]" if layers > 0 else f"layers[:{-layers}]",
                  "freeze_trainable_layers", how)  # fmt: skip
    if draft.has("adapter_name_or_path"):
        draft.carry("adapter_name_or_path", "adapter.from", str)
    if draft.has("use_muon") and draft.flag("use_muon"):
        draft.left["optim"] = "muon"
    if with_adapters and bits and draft.has("double_quantization"):
        draft.set("quantization.double", draft.flag("double_quantization"), "double_quantization")
    trainer.common(draft, NEW_DEFAULTS if new else DEFAULTS, processes)
    draft.set("data.max_length", int(draft.number("cutoff_len") or 2048), "cutoff_len")
    packing = draft.take("packing")
    if packing is not None or task == "pretrain":
        draft.set("data.packing", str(packing).lower() == "true" or packing is None, "packing")
    if task == "chat" and draft.flag("train_on_prompt"):
        draft.set("data.train_on", "all", "train_on_prompt")
    elif task == "chat" and draft.flag("mask_history"):
        draft.set("data.train_on", "completion", "mask_history", "only the last answer counts")
    elif task == "pretrain":
        draft.set("data.train_on", "all", "stage")
    share = draft.number("val_size")
    if share:
        if share < 1:
            draft.set("validation.fraction", share, "val_size")
        else:
            draft.drop("val_size", share, "a share of the rows is needed: one is held out by size")
    preference(draft, task, "pref_beta", "pref_loss")
    if task == "simpo":
        draft.carry("simpo_gamma", "objective.gamma")
    draft.carry("kto_chosen_weight", "objective.desirable_weight")
    draft.carry("kto_rejected_weight", "objective.undesirable_weight")
    if draft.has("enable_liger_kernel"):
        draft.set("memory.liger", draft.flag("enable_liger_kernel"), "enable_liger_kernel")
    return draft.done(REASONS)
