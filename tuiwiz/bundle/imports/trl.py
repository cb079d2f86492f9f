"""TRL: YAML of its commands and of the alignment handbook, and command lines (`trl sft --model_name_or_path ...`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuiwiz.bundle.imports import trainer
from tuiwiz.bundle.imports.adapters import adapters, method, preference, refuse, variant
from tuiwiz.bundle.imports.draft import Draft, Imported

NAME = "TRL"
COMMANDS = {"sft": "chat", "cpt": "pretrain", "dpo": "dpo", "kto": "kto", "orpo": "orpo", "cpo": "", "reward": "reward"}
RATES = {"chat": 2e-5, "dpo": 1e-6, "kto": 1e-6, "orpo": 1e-6, "simpo": 1e-6, "reward": 1e-4, "pretrain": 2e-5}
REASONS = {
    **trainer.REASONS,
    "dataset_*": "data.train names a file of rows",
    "padding_free": trainer.MACHINE,
    "packing_strategy": "rows are packed as tight as they come, each isolated from the others",
    "eos_token": "it follows from the chat template",
    "average_tokens_across_devices": "every trained token counts the same anyway",
    "precompute_ref_log_probs": trainer.MACHINE,
    "system_prompt": "set data.system",
    "ref_model*": "the model before training is what answers are held against",
    "center_rewards_coefficient": "a judge learns by the one loss of Bradley and Terry",
    "chat_template*": "tuiwiz takes the model's own chat template; set data.template for another",
    "max_prompt_length": "rows are measured whole",
    "max_completion_length": "rows are measured whole",
    "use_vllm": "nothing is generated while training",
    "gradient_checkpointing": trainer.MACHINE,
    "lora_task_type": "the task says it",
    "attn_implementation": trainer.MACHINE,
}


def read(given: Mapping[str, Any], command: str, processes: int = 1) -> Imported:
    """The bundle of a configuration for `command` (sft, dpo, ...).

    Raises:
        InvalidError: a task without counterpart.
    """
    draft = Draft(NAME, given)
    task = COMMANDS.get(command, "")
    if command in ("cpo", "simpo") and (command == "simpo" or str(draft.peek("loss_type", "")) == "simpo"):
        task = "simpo"
        draft.take("loss_type")
    if not task:
        raise refuse(draft, f"{command or 'a task that nothing names'}", ", ".join(COMMANDS))
    draft.set("task.kind", task, "command", f"trl {command}")
    source = draft.take("model_name_or_path", draft.take("model", ""))
    draft.set("model.source", str(source), "model_name_or_path")
    trainer.revision(draft, "model_revision")
    trainer.data(draft, "dataset_name", _sets(draft))
    bits = 4 if draft.flag("load_in_4bit") else 8 if draft.flag("load_in_8bit") else None
    quiet = draft.flag("use_peft", default="lora_r" in given and bits is not None)
    if method(draft, "lora" if quiet else "full", bits if quiet else None, "use_peft"):
        adapters(draft, "lora_r", "lora_alpha", "lora_dropout", 16, 32.0, 0.05)
        trainer.targets(draft, "lora_target_modules", ("all-linear",))
        if "adapter.targets" not in draft.values and "lora_target_modules" not in given:
            how = "left out: PEFT adapts these of most models, see adapter.targets"
            draft.set("adapter.targets", ["q_proj", "v_proj"], "lora_target_modules", how)
        variant(draft, {"use_rslora": "rslora", "use_dora": "dora"})
        if draft.has("lora_modules_to_save"):
            draft.set(
                "adapter.modules_to_save", trainer.words(draft.take("lora_modules_to_save")), "lora_modules_to_save"
            )
        if draft.has("bnb_4bit_quant_type"):
            draft.carry("bnb_4bit_quant_type", "quantization.type", str)
        if draft.has("use_bnb_nested_quant"):
            draft.set("quantization.double", draft.flag("use_bnb_nested_quant"), "use_bnb_nested_quant")
    defaults = trainer.Defaults(learning_rate=RATES[task], warmup=0.0, epochs=1.0 if task in ("reward",) else 3.0)
    trainer.common(draft, defaults, processes)
    length = draft.number("max_length") or draft.number("max_seq_length") or 1024
    draft.set("data.max_length", int(length), "max_length")
    draft.take("max_seq_length")
    if draft.has("packing"):
        draft.set("data.packing", draft.flag("packing"), "packing")
    if task == "pretrain":
        draft.set("data.train_on", "all", "command")
    elif task == "chat" and not draft.flag("assistant_only_loss") and "dataset_mixer" not in given:
        how = "TRL learns all tokens of a conversation unless assistant_only_loss is set; prompts of pairs stay masked"
        draft.set("data.train_on", "all", "assistant_only_loss", how)
    preference(draft, task, "beta", "loss_type")
    if task == "simpo":
        ratio = draft.number("gamma_beta_ratio")
        beta = float(draft.values.get("objective.beta", 2.0))
        if ratio is not None:
            draft.set("objective.gamma", ratio * beta, "gamma_beta_ratio", f"{ratio:g} x beta {beta:g}")
        draft.carry("simpo_gamma", "objective.gamma")
    draft.carry("desirable_weight", "objective.desirable_weight")
    draft.carry("undesirable_weight", "objective.undesirable_weight")
    if draft.has("use_liger_kernel"):
        draft.set("memory.liger", draft.flag("use_liger_kernel"), "use_liger_kernel")
    return draft.done(REASONS)


def _sets(draft: Draft) -> list[str]:
    """Names of the data sets, in any of the ways in which they are given."""
    mixer = draft.take("dataset_mixer")
    if isinstance(mixer, dict):
        for name, share in mixer.items():
            if share not in (1, 1.0):
                draft.drop("dataset_mixer", f"{name}: {share}", "a share of its rows: cut the file itself")
        return [str(name) for name in mixer]
    mixture = draft.take("dataset_mixture", draft.take("datasets"))
    if isinstance(mixture, dict):
        mixture = mixture.get("datasets", [])
    if isinstance(mixture, list):
        found = [one for one in mixture if isinstance(one, dict)]
        for one in found:
            about = {key: value for key, value in one.items() if key not in ("id", "path") and value is not None}
            if about:
                name = one.get("id") or one.get("path") or ""
                draft.drop("dataset_mixture", about, f"{name}: cut that part out into the file yourself")
        return [str(one.get("id") or one.get("path") or "") for one in found]
    return trainer.words(draft.take("dataset_name", ""))


def command_of(given: Mapping[str, Any], hint: str) -> str:
    """What a YAML is for: TRL's say it nowhere, so by keys of one method alone, else by the words of its path."""
    if "gamma_beta_ratio" in given or "simpo_gamma" in given:
        return "simpo"
    if "desirable_weight" in given or "undesirable_weight" in given:
        return "kto"
    if any(name in given for name in ("num_generations", "reward_funcs", "reward_model_path")):
        return "grpo"
    parts = hint.lower().replace("\\", "/").replace("_", "/").replace("-", "/").replace(".", "/").split("/")
    for part in reversed(parts):
        if part in ("apo", "dpo"):
            return "dpo"
        if part in (*COMMANDS, "simpo", "grpo", "gkd", "online"):
            return part
    if "beta" in given:
        return "dpo"
    return "sft"
