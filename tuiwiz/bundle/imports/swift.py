"""ms-swift's command lines (`swift sft --model ... --train_type lora`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuiwiz.bundle.imports import trainer
from tuiwiz.bundle.imports.adapters import adapters, method, only_text, preference, refuse, variant
from tuiwiz.bundle.imports.draft import Draft, Imported

NAME = "ms-swift"
RLHF = {"dpo": "dpo", "orpo": "orpo", "simpo": "simpo", "kto": "kto", "rm": "reward"}
RENAMED = {"model_id_or_path": "model", "model_type": "model", "sft_type": "train_type", "tuner_type": "train_type",
           "batch_size": "per_device_train_batch_size", "lora_dropout_p": "lora_dropout",
           "lora_target_modules": "target_modules", "init_lora_weights": "init_weights",
           "custom_train_dataset_path": "dataset", "custom_val_dataset_path": "val_dataset"}  # fmt: skip
REASONS = {
    **trainer.REASONS,
    "template*": "tuiwiz takes the model's own chat template; set data.template for another",
    "model_author": "facts for the tool's own data set about itself",
    "model_name": "facts for the tool's own data set about itself",
    "gradient_checkpointing": trainer.MACHINE,
    "load_from_cache_file": "rows are prepared anew for each run",
    "freeze_vit": "tuiwiz trains on text",
    "freeze_aligner": "tuiwiz trains on text",
    "max_pixels": "tuiwiz trains on text",
    "strict": trainer.OTHER_WAY,
    "tuner_backend": trainer.OTHER_WAY,
    "check_dataset_strategy": "`tuiwiz data check` reads every row",
    "agent_template": "calls of tools are rendered by the model's own chat template",
    "lora_dtype": "adapters are kept in fp32",
    "ref_model*": "the model before training is what answers are held against",
    "max_prompt_length": "rows are measured whole",
    "galore*": "no such optimizer: adamw stands, whose rates may differ",
    "use_galore": "no such optimizer: adamw stands, whose rates may differ",
    "add_version": trainer.OTHER_WAY,
    "ignore_args_error": trainer.OTHER_WAY,
    "enable_cache": trainer.MACHINE,
    "new_special_tokens": "set adapter.train_tokens for tokens whose embeddings are trained",
    "custom_register_path": "tuiwiz loads no plug-ins",
    "external_plugins": "tuiwiz loads no plug-ins",
    "freeze_llm": "tuiwiz trains on text",
    "target_regex": "patterns over layers: name the layers in adapter.targets",
    "use_hf": "models come from a folder or the hub",
    "lazy_tokenize": trainer.MACHINE,
    "streaming": trainer.MACHINE,
    "padding_free": trainer.MACHINE,
    "use_chat_template": trainer.OTHER_WAY,
    "ds3_*": "a run on one device needs no sharding",
    "create_checkpoint_symlink": trainer.OTHER_WAY,
}


def read(given: Mapping[str, Any], command: str, processes: int = 1) -> Imported:
    """The bundle of a command line: `command` is sft, pt or rlhf.

    Raises:
        InvalidError: a task or method without counterpart.
    """
    draft = Draft(NAME, given, RENAMED)
    only_text(draft)
    task = _task(draft, command)
    draft.set("model.source", str(draft.take("model", "")), "model")
    trainer.revision(draft, "model_revision")
    sets = draft.take("dataset", draft.take("cached_dataset", []))
    trainer.data(draft, "dataset", [name.partition("#")[0] for name in trainer.words(sets)])
    if any("#" in name for name in trainer.words(sets)):
        draft.drop("dataset", sets, "a number of rows after # is not carried: cut the file itself")
    held_out = trainer.words(draft.take("val_dataset", ""))
    if held_out:
        draft.set("validation.path", held_out[0].partition("#")[0], "val_dataset", "put a file of rows there")
    bits = draft.number("quant_bits") or draft.number("quantization_bit")
    if not bits:
        bits = 4 if draft.flag("load_in_4bit") else 8 if draft.flag("load_in_8bit") else None
    word = str(draft.take("train_type", "lora" if command != "pt" else "full")).lower()
    with_adapters = method(draft, word, None if not bits else int(bits), "train_type")
    if with_adapters:
        adapters(draft, "lora_rank", "lora_alpha", "lora_dropout", 8, 32.0, 0.05)
        trainer.targets(draft, "target_modules", ("all-linear", "ALL", "all", "DEFAULT", "AUTO"))
        variant(draft, {"use_rslora": "rslora", "use_dora": "dora"})
        start = str(draft.take("init_weights", "true")).lower()
        if start.startswith("pissa"):
            draft.set("adapter.variant", "pissa", "init_weights")
        elif start not in ("true", "gaussian", "kaiming"):
            draft.drop("init_weights", start, "no such start of adapters: B starts at zero")
        ratio = draft.number("lorap_lr_ratio")
        if ratio:
            draft.set("adapter.variant", "loraplus", "lorap_lr_ratio")
            draft.set("adapter.loraplus_ratio", ratio, "lorap_lr_ratio")
        if draft.has("modules_to_save"):
            draft.set("adapter.modules_to_save", trainer.words(draft.take("modules_to_save")), "modules_to_save")
        if draft.has("adapters"):
            draft.set("adapter.from", trainer.words(draft.take("adapters"))[0], "adapters")
    rate = 1e-4 if with_adapters else 1e-5
    defaults = trainer.Defaults(learning_rate=rate, micro=1, schedule="cosine", weight_decay=0.1, betas=(0.9, 0.95))
    if not draft.has("gradient_accumulation_steps"):
        micro = int(float(draft.peek("per_device_train_batch_size", 1)))
        draft.left["gradient_accumulation_steps"] = max(1, 16 // max(1, micro * processes))
    draft.left.setdefault("eval_strategy", "steps" if draft.has("eval_steps") else "no")
    trainer.common(draft, defaults, processes)
    if draft.has("max_length"):
        draft.carry("max_length", "data.max_length", int)
    if draft.has("packing"):
        draft.set("data.packing", draft.flag("packing"), "packing")
    strategy = str(draft.take("truncation_strategy", "delete"))
    if strategy in ("left", "right"):
        draft.set("data.overlong", "truncate", "truncation_strategy", f"{strategy}: rows are cut, at their end")
    draft.carry("system", "data.system", str)
    if task == "pretrain":
        draft.set("data.train_on", "all", "command")
    elif task == "chat" and str(draft.take("loss_scale", "default")) in ("all",):
        draft.set("data.train_on", "all", "loss_scale")
    share = draft.number("split_dataset_ratio")
    if share is not None:
        draft.set("validation.fraction", share, "split_dataset_ratio")
    preference(draft, task, "beta", "loss_type")
    draft.carry("simpo_gamma", "objective.gamma")
    draft.carry("desirable_weight", "objective.desirable_weight")
    draft.carry("undesirable_weight", "objective.undesirable_weight")
    if draft.has("use_liger_kernel"):
        draft.set("memory.liger", draft.flag("use_liger_kernel"), "use_liger_kernel")
    return draft.done(REASONS)


def _task(draft: Draft, command: str) -> str:
    kind = str(draft.take("task_type", "causal_lm")).lower()
    if kind == "seq_cls":
        count = str(draft.take("num_labels", ""))
        problem = str(draft.take("problem_type", "regression" if count == "1" else "single_label_classification"))
        draft.set("task.kind", "classify", "task_type")
        labels = {"multi_label_classification": "multi", "regression": "regression"}.get(problem, "single")
        draft.set("task.labels", labels, "problem_type")
        return "classify"
    if kind not in ("causal_lm",):
        raise refuse(draft, f"task_type {kind!r}", "causal_lm, seq_cls")
    if command == "rlhf":
        wanted = str(draft.take("rlhf_type", "dpo"))
        if wanted not in RLHF:
            raise refuse(draft, f"rlhf_type {wanted!r}", ", ".join(RLHF))
        task = RLHF[wanted]
    else:
        task = {"sft": "chat", "pt": "pretrain"}.get(command, "")
    if not task:
        raise refuse(draft, f"swift {command}", "sft, pt, rlhf")
    draft.set("task.kind", task, "command", f"swift {command}")
    return task
