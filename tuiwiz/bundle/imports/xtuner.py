"""XTuner 0.x: its Python configurations, read as syntax."""

from __future__ import annotations

from typing import Any

from tuiwiz.base.errors import InvalidError
from tuiwiz.bundle.imports import trainer
from tuiwiz.bundle.imports.adapters import method, refuse
from tuiwiz.bundle.imports.draft import Draft, Imported, Line
from tuiwiz.bundle.imports.syntax import BASE, Base, Unknown, assignments

NAME = "XTuner"
MODELS = {"SupervisedFinetune": "chat", "DPO": "dpo", "ORPO": "orpo", "RewardModel": "reward"}
OPTIMIZERS = {"AdamW": "adamw", "PagedAdamW32bit": "paged_adamw_32bit", "PagedAdamW8bit": "paged_adamw_8bit",
              "PagedAdamW": "paged_adamw_32bit", "AdamW8bit": "adamw_8bit", "SGD": "sgd", "DeepSpeedCPUAdam": "adamw",
              "Lion": "lion"}  # fmt: skip
SOURCES = ("pretrained_model_name_or_path", "llm_name_or_path", "model_name_or_path", "model_dir")
REASONS = {
    "tokenizer": "the model folder says it",
    "prompt_template*": "tuiwiz takes the model's own chat template; set data.template for another",
    "SYSTEM": "set data.system",
    "dataloader*": trainer.MACHINE,
    "evaluation_*": "evaluation.samples answers held-out prompts",
    "custom_hooks": trainer.OTHER_WAY,
    "default_hooks": trainer.OTHER_WAY,
    "env_cfg": trainer.OTHER_WAY,
    "visualizer": "set tracking.* in the bundle",
    "log*": "every step is recorded",
    "load_from": "set adapter.from",
    "resume": "`tuiwiz resume` continues a run",
    "randomness": "set seed",
    "sampler": "rows are shuffled by seed",
    "train_dataloader": trainer.OTHER_WAY,
    "train_dataset": "tuiwiz recognises a row's shape from the row itself",
    "train_cfg": trainer.OTHER_WAY,
    "use_varlen_attn": trainer.MACHINE,
    "sequence_parallel*": "a run on one device needs no sharding",
    "max_dataset_length": "cut the file itself",
    "trainable_*": trainer.OTHER_WAY,
    "bot_name": trainer.OTHER_WAY,
    "data_config_name": "the weights of its sets lie in a file of their own",
    "dataset_folder": "data.train names files themselves",
    "max_packed_length": "sequences are packed up to data.max_length",
    "loss_type": "a judge learns by the one loss of Bradley and Terry",
    "penalty_type": "a judge learns by the one loss of Bradley and Terry",
    "label_smoothing": 'set objective.loss = "robust" for pairs that may be the wrong way round',
    "reward_token_id": "the head reads the last token of a row",
    "moss_sft*": "tuiwiz recognises a row's shape from the row itself; see `data check`",
    "gradient_checkpointing": trainer.MACHINE,
    "save_optimizer": "checkpoints hold all that is needed to go on",
    "mmlu*": "evaluation.metric and evaluation.samples judge the run",
    "evaluate_steps": "see evaluation.every",
    "val_*": "see validation.path",
    "test_*": "see validation.path",
    "launcher": "a run on one device needs no launcher",
    "strategy": "a run on one device needs no sharding",
    "runner_type": trainer.OTHER_WAY,
}


def read(text: str, base: Base | None = None, processes: int = 1) -> Imported:
    """The bundle of a configuration; `base` reads the files that it builds on.

    Raises:
        InvalidError: no Python, values that lie in files that are not here, or a task without counterpart.
    """
    given, unread = assignments(text, base)
    if given.pop(BASE, None) is not None and "model" not in given:
        raise InvalidError(f"{NAME}: its values lie in other files", hint="`xtuner copy-cfg` writes a whole one")
    draft = Draft(NAME, given)
    draft.lines += [Line(source=one, fate="not carried", how="only running the file would tell") for one in unread]
    model = _table(draft.take("model"))
    if "training_args" in given and _word(model.get("type")) == "from_pretrained":
        return _with_trainer(draft, model, processes)
    task = _task(draft, model)
    llm = _table(model.get("llm"))
    named = [draft.take(name) for name in SOURCES]
    source = llm.get("pretrained_model_name_or_path") or next((one for one in named if one), "")
    draft.set("model.source", str(source), "pretrained_model_name_or_path")
    trainer.data(draft, "data_path", _places(draft))
    _method(draft, model)
    _optimizer(draft, processes)
    _schedule(draft)
    length = (
        draft.number("max_length") or draft.number("max_position_embeddings") or _inner(draft, "max_length") or 2048
    )
    draft.set("data.max_length", int(length), "max_length")
    packed = draft.take("pack_to_max_length", _inner(draft, "pack_to_max_length"))
    if packed is not None:
        draft.set("data.packing", packed is True, "pack_to_max_length")
    if task == "pretrain":
        draft.set("data.train_on", "all", "model", "all text is learnt")
    beta = draft.number("loss_beta") or (model.get("beta") if task in ("dpo", "orpo") else None)
    if isinstance(beta, int | float) and not isinstance(beta, bool):
        draft.set("objective.lambda" if task == "orpo" else "objective.beta", float(beta), "loss_beta")
    if task == "dpo" and draft.has("dpo_loss_type"):
        word = str(draft.take("dpo_loss_type"))
        if word in ("sigmoid", "ipo", "robust"):
            draft.set("objective.loss", word, "dpo_loss_type")
        else:
            draft.drop("dpo_loss_type", word, "no such loss: sigmoid stands")
    every = draft.number("save_steps")
    if every and draft.take("by_epoch") is not True:
        draft.set("checkpoint.every", float(every), "save_steps")
    kept = draft.number("save_total_limit")
    if kept and kept >= 2:
        draft.set("checkpoint.keep", int(kept), "save_total_limit")
    return draft.done(REASONS | _sets_of(draft))


def _with_trainer(draft: Draft, model: dict[str, Any], processes: int) -> Imported:
    """The few configurations that hand everything to the Hugging Face trainer."""
    draft.set("task.kind", "chat", "framework", "the Hugging Face trainer on these rows")
    source = model.get("pretrained_model_name_or_path") or draft.peek("pretrained_model_name_or_path", "")
    draft.take("pretrained_model_name_or_path")
    draft.set("model.source", str(source), "model.pretrained_model_name_or_path")
    trainer.data(draft, "dataset_name_or_path", trainer.words(draft.take("dataset_name_or_path", "")))
    lora = _table(draft.take("lora"))
    _method(draft, {"lora": lora, "llm": {"quantization_config": model.get("quantization_config", model)}})
    arguments = _table(draft.take("training_args"))
    draft.left |= {name: value for name, value in arguments.items() if name != "type"}
    trainer.common(draft, trainer.Defaults(), processes)
    draft.set("data.max_length", int(draft.number("max_length") or 2048), "max_length")
    if draft.has("pack_to_max_length"):
        draft.set("data.packing", draft.flag("pack_to_max_length"), "pack_to_max_length")
    return draft.done(trainer.REASONS | REASONS | {"framework": trainer.OTHER_WAY, "trainer": trainer.OTHER_WAY})


def _inner(draft: Draft, name: str) -> Any:
    """A value that stands only inside a data set's own table."""
    for value in draft.left.values():
        inner = _table(value)
        found = inner.get(name, _table(inner.get("dataset")).get(name))
        if found is not None and not isinstance(found, Unknown):
            return found
    return None


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    return str(value or "").rpartition(".")[2]


def _task(draft: Draft, model: dict[str, Any]) -> str:
    kind = _word(model.get("type"))
    if kind not in MODELS:
        what = f"a model of type {kind}" if kind else "a file without a model"
        raise refuse(draft, what, ", ".join(MODELS))
    task = MODELS[kind]
    if task == "chat":
        sets = [_table(value) for name, value in draft.left.items() if isinstance(value, dict) and "type" in value]
        if any("pretrain" in str(one.get("dataset_map_fn", "")) for one in sets):
            task = "pretrain"
    draft.set("task.kind", task, "model.type", f"{kind} on these rows")
    return task


def _places(draft: Draft) -> list[str]:
    """Every `..._path` of data, and the `path` of data sets that are written out."""
    found: list[str] = []
    for name in [one for one in draft.left if one.endswith(("_path", "_paths")) or one in ("data_files", "data_path")]:
        value = draft.take(name)
        many = value if isinstance(value, list) else [value]
        found += [str(one) for one in many if isinstance(one, str) and not isinstance(one, Unknown)]
    if not found:
        for value in draft.left.values():
            inner = _table(_table(value).get("dataset"))
            files = inner.get("data_files", inner.get("path"))
            files = files.get("train") if isinstance(files, dict) else files
            many = files if isinstance(files, list) else [files]
            found += [one for one in many if isinstance(one, str) and not isinstance(one, Unknown)]
    return found


def _sets_of(draft: Draft) -> dict[str, str]:
    return {
        name: "tuiwiz recognises a row's shape from the row itself; see `data check`"
        for name, value in draft.left.items()
        if isinstance(value, dict) and ("dataset" in value or "dataset_map_fn" in value)
    }


def _method(draft: Draft, model: dict[str, Any]) -> None:
    lora, llm = _table(model.get("lora")), _table(model.get("llm"))
    base = _table(llm.get("quantization_config"))
    bits = 4 if base.get("load_in_4bit") is True else 8 if base.get("load_in_8bit") is True else None
    with_adapters = method(draft, "lora" if lora else "full", bits if lora else None, "model.lora")
    if not with_adapters:
        return
    rank, alpha = lora.get("r", 8), lora.get("lora_alpha", 8)
    draft.set("adapter.rank", int(rank), "model.lora.r")
    draft.set("adapter.alpha", float(alpha), "model.lora.lora_alpha")
    draft.set("adapter.dropout", float(lora.get("lora_dropout", 0.0)), "model.lora.lora_dropout")
    if isinstance(lora.get("target_modules"), list):
        draft.set("adapter.targets", [str(one) for one in lora["target_modules"]], "model.lora.target_modules")
    else:
        draft.set("adapter.targets", "all-linear", "model.lora", "XTuner adapts all linear layers where none is named")
    if bits == 4:
        if base.get("bnb_4bit_quant_type") in ("nf4", "fp4"):
            draft.set("quantization.type", base["bnb_4bit_quant_type"], "bnb_4bit_quant_type")
        if isinstance(base.get("bnb_4bit_use_double_quant"), bool):
            draft.set("quantization.double", base["bnb_4bit_use_double_quant"], "bnb_4bit_use_double_quant")


def _optimizer(draft: Draft, processes: int) -> None:
    wrapper = _table(draft.take("optim_wrapper"))
    inner = _table(wrapper.get("optimizer"))
    loader = _table(draft.peek("train_dataloader"))
    # What the wrapper holds is what runs; the names above it usually are where it comes from.
    word = _word(_known(inner.get("type")) or draft.peek("optim_type") or "AdamW")
    draft.take("optim_type")
    if word in OPTIMIZERS:
        how = "" if word.lower() == OPTIMIZERS[word] else f"{word} is called {OPTIMIZERS[word]} here"
        draft.set("optimizer.name", OPTIMIZERS[word], "optim_type", how)
    else:
        draft.drop("optim_type", word, "no such optimizer: adamw stands")
    draft.set("optimizer.learning_rate", float(_number(inner.get("lr"), draft.number("lr"), 2e-5)), "lr")
    named = draft.take("betas")
    betas = inner.get("betas") or named
    if isinstance(betas, list) and len(betas) == 2 and all(isinstance(one, int | float) for one in betas):
        draft.set("optimizer.betas", [float(one) for one in betas], "betas")
    decay = _number(inner.get("weight_decay"), draft.number("weight_decay"))
    if decay is not None:
        draft.set("optimizer.weight_decay", float(decay), "weight_decay")
    clip = _number(_table(wrapper.get("clip_grad")).get("max_norm"), draft.number("max_norm"))
    if clip is not None:
        draft.set("optimizer.clip_norm", float(clip), "max_norm")
    micro = int(_number(loader.get("batch_size"), draft.number("batch_size"), 1))
    accumulation = int(_number(wrapper.get("accumulative_counts"), draft.number("accumulative_counts"), 1))
    shards = int(draft.number("sequence_parallel_size") or 1)
    effective = max(1, micro * accumulation * processes // max(1, shards))
    cards = f" x {processes} processes" if processes > 1 else "; on several cards it would be so many times more"
    how = f"{micro} rows x {accumulation} passes{cards}"
    draft.set("batch.effective", effective, "batch_size, accumulative_counts", how)


def _known(value: Any) -> Any:
    return None if value in ("optim_type", None) else value


def _number(*values: Any) -> Any:
    """The first that is a number."""
    return next((one for one in values if isinstance(one, int | float) and not isinstance(one, bool)), None)


def _schedule(draft: Draft) -> None:
    loop = _table(draft.peek("train_cfg"))
    epochs = _number(loop.get("max_epochs"), draft.number("max_epochs"))
    steps = _number(loop.get("max_iters"), draft.number("max_iters"), draft.number("max_steps"))
    if epochs:
        draft.set("schedule.epochs", float(epochs), "max_epochs")
        if steps:
            draft.drop("max_iters", steps, "max_epochs decides")
    elif steps:
        draft.set("schedule.steps", int(steps), "max_iters", "iterations as optimizer steps: divide by accumulation")
    else:
        draft.set("schedule.epochs", 1.0, "max_epochs", "not named: one pass")
    course = draft.take("param_scheduler", [])
    parts = [_table(one) for one in (course if isinstance(course, list) else [course])]
    ratio = draft.number("warmup_ratio") or draft.number("warm_up_ratio")
    draft.set("schedule.warmup", ratio if ratio is not None else _warmup(parts, epochs), "warmup_ratio")
    kinds = [_word(part.get("type")) for part in parts]
    kind = "cosine" if "CosineAnnealingLR" in kinds else "constant" if "ConstantLR" in kinds else "linear"
    draft.set("schedule.kind", kind, "param_scheduler", f"{', '.join(kinds) or 'none'}")
    rate = float(draft.values["optimizer.learning_rate"])
    for part in parts:
        least = part.get("eta_min")
        if _word(part.get("type")) == "CosineAnnealingLR" and isinstance(least, int | float) and 0 < least <= rate:
            draft.set("schedule.min_ratio", round(least / rate, 6), "eta_min", f"{least:g} as a share of {rate:g}")


def _warmup(parts: list[dict[str, Any]], epochs: float | None) -> float:
    """The warm-up of a written-out course: the end of its rising part, as a share of the epochs or in steps."""
    for part in parts:
        end = part.get("end")
        if _word(part.get("type")) == "LinearLR" and isinstance(end, int | float) and end > 0:
            if part.get("by_epoch", True) and epochs:
                return min(float(end) / epochs, 0.5)
            return float(int(end)) if end >= 1 else float(end)
    return 0.0
