"""axolotl's YAML (`axolotl train FILE`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuiwiz.bundle.imports import trainer
from tuiwiz.bundle.imports.adapters import adapters, method, only_text, preference, refuse, variant
from tuiwiz.bundle.imports.draft import Draft, Imported

NAME = "axolotl"
RL = {"dpo": "dpo", "ipo": "dpo", "orpo": "orpo", "kto": "kto", "simpo": "simpo"}
PARTS = ("name", "split", "shards", "shards_idx", "revision", "preprocess_shards")
"""Keys that choose a part of a data set."""
RENAMED = {
    "micro_batch_size": "per_device_train_batch_size",
    "num_epochs": "num_train_epochs",
    "optimizer": "optim",
    "lr_scheduler": "lr_scheduler_type",
    "gradient_clipping": "max_grad_norm",
}
DEFAULTS = trainer.Defaults(learning_rate=2e-4, epochs=1.0, micro=1, schedule="cosine")
REASONS = {
    **trainer.REASONS,
    "chat_template*": "tuiwiz takes the model's own chat template; set data.template for another",
    "special_tokens": "the tokenizer's own stand",
    "tokens": "name them in adapter.new_tokens: they are added to the vocabulary and trained",
    "eot_tokens": "they follow from the chat template",
    "load_in_*": "adapter.method says it",
    "gptq*": "4-bit bases are bitsandbytes here",
    "lora_fan_in_fan_out": "the model folder says it",
    "group_by_length": "rows of a step are sorted by length anyway",
    "unsloth*": trainer.OTHER_WAY,
    "flash_attention": trainer.MACHINE,
    "xformers_attention": trainer.MACHINE,
    "sdp_attention": trainer.MACHINE,
    "eager_attention": trainer.MACHINE,
    "s2_attention": trainer.MACHINE,
    "gradient_checkpointing": trainer.MACHINE,
    "activation_offloading": trainer.MACHINE,
    "dataset_prepared_path": "rows are prepared anew for each run",
    "eval_sample_packing": "evaluations never change with packing",
    "pad_to_sequence_len": trainer.MACHINE,
    "evals_per_epoch": "counted below, where the number is known",
    "lora_mlp_kernel": trainer.MACHINE,
    "lora_qkv_kernel": trainer.MACHINE,
    "lora_o_kernel": trainer.MACHINE,
    "plugins": "tuiwiz loads no plug-ins",
    "liger_*": "set memory.liger for fused kernels",
    "cut_cross_entropy": "the loss is computed in chunks anyway",
    "mlflow*": "set tracking.* in the bundle",
    "comet*": trainer.NO_TRACKER,
    "shuffle_merged_datasets": "rows are always shuffled by seed",
    "tokenizer_type": "the model folder says it",
    "model_type": "the model folder says it",
    "is_*_derived_model": "the model folder says it",
    "debug": trainer.OTHER_WAY,
    "loss_watchdog_*": "`tuiwiz doctor` watches the loss while it runs",
    "*_kernel*": trainer.MACHINE,
    "use_kernels": trainer.MACHINE,
    "experts_implementation": trainer.MACHINE,
    "dp_*_size": "a run on one device needs no sharding",
    "model_config*": "the model folder says it",
    "lr_quadratic_warmup": "the warm-up is linear",
    "batch_size": "it follows from micro-batch and accumulation",
    "swanlab*": trainer.NO_TRACKER,
    "use_swanlab": trainer.NO_TRACKER,
    "otel*": trainer.NO_TRACKER,
    "use_otel*": trainer.NO_TRACKER,
    "relora*": "adapters are not merged while a run goes on",
    "jagged_restart*": "adapters are not merged while a run goes on",
    "lisa_*": "the same layers are trained from start to end: see adapter.trainable",
    "qat": "no training for later quantization here",
    "fp8*": "no training in 8-bit floats here",
    "num_labels": "they are counted in the rows",
    "lora_target_parameters": "adapters go on linear layers",
    "eval_table_size": "evaluation.samples answers held-out prompts",
    "eval_table_max_new_tokens": "evaluation.samples answers held-out prompts",
    "trl": "its beta is carried where there is one",
    "strict": trainer.OTHER_WAY,
}


def read(given: Mapping[str, Any], processes: int = 1) -> Imported:
    """The bundle of a configuration.

    Raises:
        InvalidError: a task or method without counterpart.
    """
    draft = Draft(NAME, {name: value for name, value in given.items() if value is not None}, RENAMED)
    only_text(draft)
    task = _task(draft)
    draft.set("model.source", str(draft.take("base_model", "")), "base_model")
    trainer.revision(draft, "revision_of_model")
    own = draft.take("datasets", [])
    sets = _tables(draft.take("pretraining_dataset", own))
    trainer.data(draft, "datasets", [path for one in sets for path in _places(one)])
    _rows(draft, task, sets)
    held_out = [path for one in _tables(draft.take("test_datasets", [])) for path in _places(one)]
    if held_out:
        draft.set("validation.path", held_out[0], "test_datasets", "the name stays as it is: put a file of rows there")
        if len(held_out) > 1:
            draft.drop("test_datasets", held_out[1:], "one file is held out: put all rows into it")
    word = str(draft.take("adapter", "full")).lower()
    bits = 4 if draft.flag("load_in_4bit") else 8 if draft.flag("load_in_8bit") else None
    unfrozen = draft.take("unfrozen_parameters")
    if unfrozen is not None:
        draft.drop("unfrozen_parameters", unfrozen, "patterns over parameters: see adapter.trainable")
    if method(draft, word, bits if word in ("lora", "qlora") else None, "adapter"):
        adapters(draft, "lora_r", "lora_alpha", "lora_dropout", 8, 16.0, 0.0)
        if draft.flag("lora_target_linear"):
            draft.take("lora_target_modules")
            draft.set("adapter.targets", "all-linear", "lora_target_linear")
        else:
            trainer.targets(draft, "lora_target_modules", ("all-linear",))
        variant(draft, {"peft_use_rslora": "rslora", "peft_use_dora": "dora"})
        ratio = draft.number("loraplus_lr_ratio")
        if ratio:
            draft.set("adapter.variant", "loraplus", "loraplus_lr_ratio")
            draft.set("adapter.loraplus_ratio", ratio, "loraplus_lr_ratio")
        if draft.has("lora_modules_to_save"):
            draft.set(
                "adapter.modules_to_save", trainer.words(draft.take("lora_modules_to_save")), "lora_modules_to_save"
            )
        if draft.has("lora_model_dir"):
            draft.carry("lora_model_dir", "adapter.from", str)
    draft.take("eval_strategy")
    _cadence(draft, "evals_per_epoch", "evaluation.every")
    _cadence(draft, "saves_per_epoch", "checkpoint.every")
    if draft.has("adam_eps"):
        draft.left["adam_epsilon"] = draft.take("adam_eps")
    trainer.common(draft, DEFAULTS, processes)
    draft.carry("cosine_min_lr_ratio", "schedule.min_ratio")
    for name in ("tensorboard", "wandb", "mlflow"):
        if draft.has(f"use_{name}"):
            draft.set(f"tracking.{name}", draft.flag(f"use_{name}"), f"use_{name}")
    _cadence_done(draft)
    share = draft.number("val_set_size")
    if share and share < 1:
        draft.set("validation.fraction", share, "val_set_size")
    elif share:
        draft.drop("val_set_size", share, "a share of the rows is needed: one is held out by size")
    elif share == 0:
        draft.set("validation.fraction", 0.0, "val_set_size")
    inner = draft.peek("trl")
    if isinstance(inner, dict) and inner.get("beta") is not None and not draft.has("rl_beta"):
        draft.left["rl_beta"] = inner["beta"]
    draft.carry("dpo_label_smoothing", "objective.label_smoothing") if task == "dpo" else None
    preference(draft, task, "orpo_alpha" if task == "orpo" else "rl_beta", "dpo_loss_type")
    if task == "simpo":
        draft.carry("simpo_gamma", "objective.gamma")
    draft.carry("kto_desirable_weight", "objective.desirable_weight")
    draft.carry("kto_undesirable_weight", "objective.undesirable_weight")
    return draft.done(REASONS)


def _task(draft: Draft) -> str:
    rl = draft.take("rl")
    if rl is not None and str(rl) not in RL:
        raise refuse(draft, f"rl {rl!r}", ", ".join(RL))
    if rl is not None:
        task = RL[str(rl)]
        if str(rl) == "ipo":
            draft.left["dpo_loss_type"] = "ipo"
    elif draft.flag("process_reward_model"):
        raise refuse(draft, "a judge of single steps (process_reward_model)", ", ".join(RL))
    elif draft.has("diffusion"):
        raise refuse(draft, "training by diffusion", ", ".join(RL))
    elif draft.flag("reward_model"):
        task = "reward"
    else:
        sets = _tables(draft.peek("datasets", []))
        plain = sets and all(str(one.get("type", "")).startswith("completion") for one in sets)
        task = "pretrain" if draft.has("pretraining_dataset") or plain else "chat"
    draft.set("task.kind", task, "rl" if rl is not None else "datasets", f"the rows are for {task}")
    return task


def _rows(draft: Draft, task: str, sets: list[dict[str, Any]]) -> None:
    length = int(draft.number("sequence_len") or 2048)
    draft.set("data.max_length", length, "sequence_len")
    if draft.has("sample_packing"):
        draft.set("data.packing", draft.flag("sample_packing"), "sample_packing")
    if task == "pretrain" or (task == "chat" and draft.flag("train_on_inputs")):
        draft.set("data.train_on", "all", "train_on_inputs" if task == "chat" else "datasets")
    for one in sets:
        parts = {name: one[name] for name in PARTS if one.get(name) is not None}
        about = {name: value for name, value in one.items() if name not in ("path", "data_files", *PARTS)}
        if parts:
            draft.drop("datasets", parts, f"{one.get('path', '')}: cut that part out into the file yourself")
        if about:
            draft.drop("datasets", about, "tuiwiz recognises a row's shape from the row itself; see `data check`")
    if draft.has("dataset_exact_deduplication"):
        draft.drop("dataset_exact_deduplication", draft.take("dataset_exact_deduplication"), "`data check` names them")


def _places(one: Mapping[str, Any]) -> list[str]:
    """Every file of a data set, or its name."""
    files = one.get("data_files")
    found = [files] if isinstance(files, str) else files if isinstance(files, list) else []
    return [str(file) for file in found] or [str(one["path"])] if found or one.get("path") else []


def _tables(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, str):
        return [{"path": value}]
    found = value if isinstance(value, list) else []
    return [one if isinstance(one, dict) else {"path": str(one)} for one in found]


def _cadence(draft: Draft, name: str, key: str) -> None:
    count = draft.number(name)
    if count:
        draft.values[key] = count
        draft.left[f"_{name}"] = key


def _cadence_done(draft: Draft) -> None:
    """So many an epoch, as a share of the run: known once the epochs are."""
    for name in ("evals_per_epoch", "saves_per_epoch"):
        key = draft.left.pop(f"_{name}", None)
        if key is None:
            continue
        count, epochs = draft.values.pop(str(key)), draft.values.get("schedule.epochs")
        if epochs and count * epochs > 1:
            how = f"{count:g} an epoch over {epochs:g} epochs"
            draft.set(str(key), round(1 / (count * epochs), 6), name, how)
        else:
            draft.drop(name, count, "once a run or less: the default cadence stands")
