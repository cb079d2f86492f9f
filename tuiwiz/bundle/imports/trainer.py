"""What the tools share that are built on the Hugging Face trainer: its argument names and its defaults."""

from __future__ import annotations

from typing import Any

import msgspec

from tuiwiz.bundle.imports.draft import Draft

SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant",
    "constant_with_warmup": "constant",
    "inverse_sqrt": "inverse_sqrt",
    "polynomial": "polynomial",
    "cosine_with_restarts": "cosine_restarts",
    "cosine_with_min_lr": "cosine",
    "cosine_warmup_with_min_lr": "cosine",
    "warmup_stable_decay": "warmup_stable_decay",
    "reduce_lr_on_plateau": "plateau",
    "one_cycle": "one_cycle",
    "rex": "cosine",
}
LIKE = {"rex": "no such schedule: cosine, which falls to zero as well, stands"}
"""Schedules that are replaced by one that is near."""
OPTIMIZERS = {
    **dict.fromkeys(
        (
            "adamw_torch",
            "adamw_torch_fused",
            "adamw_hf",
            "adamw_apex_fused",
            "adamw_torch_xla",
            "adamw_torch_npu_fused",
        ),
        "adamw",
    ),
    "adamw": "adamw",
    "adamw_8bit": "adamw_8bit",
    "adamw_bnb_8bit": "adamw_8bit",
    "adamw_torch_8bit": "adamw_8bit",
    "paged_adamw_32bit": "paged_adamw_32bit",
    "paged_adamw": "paged_adamw_32bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "sgd": "sgd",
    "adafactor": "adafactor",
    **dict.fromkeys(("lion_32bit", "lion_8bit", "paged_lion_8bit", "paged_lion_32bit", "lion_pytorch", "lion"), "lion"),
    "muon": "muon",
    "schedule_free_adamw": "schedule_free_adamw",
}
MACHINE = "tuiwiz decides it for each device anew"
OTHER_WAY = "tuiwiz has its own way"
NO_TRACKER = "no such tracker; see tracking.*"
REASONS = {
    "deepspeed*": "a run on one device needs no sharding",
    "fsdp*": "a run on one device needs no sharding",
    "ddp*": "a run on one device needs no sharding",
    "logging*": "every step is recorded",
    "log*": "every step is recorded",
    "report_to": "set tracking.* in the bundle",
    "wandb*": "set tracking.* in the bundle",
    "output_dir": "runs lie in tuiwiz's run folder; `tuiwiz run --out` names another",
    "overwrite_output_dir": OTHER_WAY,
    "push_to_hub": "`tuiwiz push` does it after the run",
    "hub*": "`tuiwiz push` does it after the run",
    "plot_loss": "the live screen and the report draw it",
    "run_name": "it names the tool's own run",
    "per_device_eval_batch_size": MACHINE,
    "eval_batch_size": MACHINE,
    "dataloader*": MACHINE,
    "*_workers": MACHINE,
    "preprocessing_num_workers": MACHINE,
    "dataset_num_proc": MACHINE,
    "flash_attn*": MACHINE,
    "attn_impl*": MACHINE,
    "use_flash_attention_2": MACHINE,
    "torch_dtype": MACHINE,
    "dtype": MACHINE,
    "group_by_length": "rows of a step are sorted by length anyway; the steps stay random",
    "length_column_name": "rows are sorted by length anyway",
    "trust_remote_code": "a bundle never runs code of a model",
    "do_train": OTHER_WAY,
    "do_eval": OTHER_WAY,
    "eval_on_start": "there is always an evaluation before the first step",
    "resume_from_checkpoint": "`tuiwiz resume` continues a run",
    "auto_resume*": "`tuiwiz resume` continues a run",
    "save_only_model": "checkpoints hold all that is needed to go on",
    "save_safetensors": "it always is",
    "overwrite_cache": "rows are prepared anew for each run",
    "gradient_checkpointing_kwargs": MACHINE,
    "use_cache": MACHINE,
    "use_flash_attn": MACHINE,
    "bnb_4bit_comp*": MACHINE,
    "train_dataset_sample": "cut the file itself, or set schedule.steps",
    "eval_max_new_tokens": "see evaluation.samples",
    "create_new_adapter": "adapter.from continues the adapter itself",
    "neat_packing": "rows of one packed sequence never see each other here",
    "use_galore": "see optimizer.name for what there is",
    "use_badam": "see optimizer.name for what there is",
    "pissa_*": "adapters have one variant",
    "tf32": MACHINE,
    "pure_bf16": MACHINE,
    "ddp_timeout": "a run on one device needs no sharding",
    "remove_unused_columns": OTHER_WAY,
    "tokenizer*": "the model folder says it",
    "device_map*": MACHINE,
    "low_cpu_mem_usage": MACHINE,
    "bnb_4bit_quant_storage": MACHINE,
    "quant_method": "4-bit bases are bitsandbytes here",
    "torch_compile*": "set memory.compile",
    "rpo_alpha": "no likelihood term beside the loss of pairs here; task orpo has one",
    "sequence_parallel*": "a run on one device needs no sharding",
    "*parallel_size": "a run on one device needs no sharding",
    "eval_steps": "evaluations follow their strategy: none is asked for by steps",
    "save_steps": "checkpoints follow their strategy: none is asked for by steps",
    "data_seed": "one seed starts every random stream",
    "only_save_model": "checkpoints hold all that is needed to go on",
    "use_liger": "set memory.liger for fused kernels",
    "dataloader_drop_last": "no row is left out",
}


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool takes where its configuration is silent."""

    learning_rate: float = 5e-5
    epochs: float = 3.0
    micro: int = 8
    accumulation: int = 1
    schedule: str = "linear"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)


def common(draft: Draft, defaults: Defaults, processes: int = 1) -> None:
    """Rate, schedule, batch, optimizer, evaluation and the like."""
    silent = f"left out: the default of {draft.tool}"
    if not draft.carry("learning_rate", "optimizer.learning_rate"):
        draft.set("optimizer.learning_rate", defaults.learning_rate, silent)
    _length(draft, defaults, silent)
    _batch(draft, defaults, processes)
    schedule(draft, draft.take("lr_scheduler_type", defaults.schedule), "lr_scheduler_type")
    optimizer(draft, draft.take("optim", "adamw_torch"), "optim")
    if not draft.carry("weight_decay", "optimizer.weight_decay"):
        draft.set("optimizer.weight_decay", defaults.weight_decay, silent)
    if not draft.carry("max_grad_norm", "optimizer.clip_norm"):
        draft.set("optimizer.clip_norm", defaults.clip, silent)
    first, second = draft.number("adam_beta1"), draft.number("adam_beta2")
    betas = [first or defaults.betas[0], second or defaults.betas[1]]
    if betas != [0.9, 0.999]:
        draft.set("optimizer.betas", betas, "adam_beta1, adam_beta2" if first or second else silent)
    draft.carry("adam_epsilon", "optimizer.epsilon")
    draft.carry("seed", "seed", int)
    draft.carry("neftune_noise_alpha", "regularization.neftune")
    draft.carry("label_smoothing_factor", "regularization.label_smoothing")
    for name in ("early_stopping_patience", "early_stopping_steps", "early_stop_interval"):
        if draft.peek(name) not in (None, 0, "0"):
            draft.carry(name, "evaluation.patience", int)
    precision(draft)
    evaluation(draft)


def _length(draft: Draft, defaults: Defaults, silent: str) -> None:
    steps = draft.number("max_steps")
    if steps is not None and steps > 0:
        draft.set("schedule.steps", int(steps), "max_steps")
        if draft.has("num_train_epochs"):
            draft.drop("num_train_epochs", draft.take("num_train_epochs"), "max_steps decides")
    elif not draft.carry("num_train_epochs", "schedule.epochs"):
        draft.set("schedule.epochs", defaults.epochs, silent)
    ratio, warmup = draft.number("warmup_ratio"), draft.number("warmup_steps")
    if warmup:
        draft.set("schedule.warmup", warmup, "warmup_steps")
    else:
        draft.set("schedule.warmup", defaults.warmup if ratio is None else ratio, "warmup_ratio")


def _batch(draft: Draft, defaults: Defaults, processes: int) -> None:
    micro = int(draft.number("per_device_train_batch_size") or defaults.micro)
    accumulation = int(draft.number("gradient_accumulation_steps") or defaults.accumulation)
    effective = max(1, micro * accumulation * processes)
    cards = f" x {processes} processes" if processes > 1 else "; on several cards it would be so many times more"
    how = f"{micro} rows x {accumulation} passes{cards}"
    draft.set("batch.effective", effective, "per_device_train_batch_size, gradient_accumulation_steps", how)


def schedule(draft: Draft, name: Any, source: str) -> None:
    """The course of the rate by its Hugging Face name."""
    word = str(name).lower().rpartition(".")[2]
    known = SCHEDULES.get(word)
    settings = draft.take("lr_scheduler_kwargs", {})
    settings = settings if isinstance(settings, dict) else {}
    if known is None:
        draft.drop(source, name, "no such schedule: cosine stands")
        return
    called = "" if known == word else f"{word} is called {known} here"
    draft.set("schedule.kind", known, source, LIKE.get(word, called))
    ratio, least = settings.get("min_lr_rate", settings.get("min_lr_ratio")), settings.get("min_lr")
    rate = float(draft.values["optimizer.learning_rate"])
    try:
        if ratio is not None:
            draft.set("schedule.min_ratio", float(ratio), "lr_scheduler_kwargs")
        elif least is not None:
            draft.set(
                "schedule.min_ratio", float(least) / rate, "lr_scheduler_kwargs", f"{least} as a share of {rate:g}"
            )
    except (TypeError, ValueError):
        draft.drop("lr_scheduler_kwargs", settings, "it holds no number")


def optimizer(draft: Draft, name: Any, source: str) -> None:
    word = str(name).lower().rpartition(".")[2]
    known = OPTIMIZERS.get(word)
    if known is None:
        draft.drop(source, name, "no such optimizer: adamw stands, whose rates may differ")
    else:
        draft.set("optimizer.name", known, source, "" if known == word else f"{word} is called {known} here")


def precision(draft: Draft) -> None:
    """bf16 and fp16 flags; `auto` is bf16 where the device has it."""
    if draft.has("bf16"):
        value = draft.take("bf16")
        if str(value).lower() in ("true", "auto"):
            draft.set("model.dtype", "auto", "bf16", "auto takes bf16 where the device has it")
    if draft.has("fp16") and draft.flag("fp16") and "model.dtype" not in draft.values:
        draft.set("model.dtype", "fp16", "fp16")


def evaluation(draft: Draft) -> None:
    """Cadence of evaluations and checkpoints, where it counts steps."""
    by = str(draft.take("eval_strategy", draft.take("evaluation_strategy", "no"))).lower()
    every = draft.number("eval_steps")
    if by == "steps" and every:
        draft.set("evaluation.every", every if every < 1 else float(int(every)), "eval_steps")
    elif by == "epoch":
        draft.drop("eval_strategy", by, "cadence is a share of the run or a number of steps; twelve a run stand")
    saved, every = str(draft.take("save_strategy", "steps")).lower(), draft.number("save_steps")
    if saved == "steps" and every and every < 100_000:
        draft.set("checkpoint.every", every if every < 1 else float(int(every)), "save_steps")
    kept = draft.number("save_total_limit")
    if kept and kept >= 2:
        draft.set("checkpoint.keep", int(kept), "save_total_limit")


def words(value: Any) -> list[str]:
    """A list, or a text with commas or spaces, as words."""
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return [one for one in str(value).replace(",", " ").split() if one]


def revision(draft: Draft, name: str) -> None:
    """`model.revision` where it names more than the usual branch."""
    found = str(draft.take(name, ""))
    if found and found not in ("main", "master"):
        draft.set("model.revision", found, name)
    elif found:
        draft.drop(name, found, "the newest commit of that branch is locked by `tuiwiz new` and `check`")


NO_LINEAR_LAYER = ("embed_tokens", "lm_head", "wte", "word_embeddings", "embed_in", "embed_out", "output")
"""What stands beside the word for all linear layers and is not among them."""


def targets(draft: Draft, name: str, everything: tuple[str, ...]) -> None:
    """`adapter.targets` from a list of layers, or the tool's word for all linear ones."""
    if not draft.has(name):
        return
    value = draft.take(name)
    found = words(value)
    if not found or any(one in everything for one in found):
        draft.set("adapter.targets", "all-linear", name, f"{value} means all linear layers")
        if beyond := [one for one in found if one in NO_LINEAR_LAYER]:
            how = "no adapters on embeddings or the head; adapter.modules_to_save trains them whole"
            draft.drop(name, ", ".join(beyond), how)
    elif any(set("^$*|()[]\\") & set(one) for one in found):
        draft.drop(name, value, "a pattern: all linear layers stand")
    else:
        draft.set("adapter.targets", found, name)


def data(draft: Draft, source: str, found: list[str]) -> None:
    """Names or paths of training sets as they stand; what is no file here has to be brought."""
    names = list(dict.fromkeys(one for one in found if one)) or ["train.jsonl"]
    value: Any = names[0] if len(names) == 1 else [{"path": name} for name in names]
    how = "names stay as they are: put a file of rows at each path" if found else "none is named: put your rows there"
    draft.set("data.train", value, source, how)
