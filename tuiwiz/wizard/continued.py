"""An adapter to continue from: whether it is there, and what of the bundle it overrules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tuiwiz.base.problems import Problem
from tuiwiz.catalog.weights import parameter_shapes
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import default_of, flatten
from tuiwiz.spec.task import HEAD_TASKS

CHECKPOINT = ("manifest.json", "weights.safetensors")
"""What a run's checkpoint has in place of an adapter's files."""
_FORM = ("adapter.variant", "adapter.targets", "adapter.modules_to_save", "adapter.rank_pattern")


def continued(bundle: Bundle, base: Path, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Problem]:
    """Problems of `adapter.from`, whose path starts at `base`; `shapes` are those of the model."""
    folder = base / (bundle.adapter.from_ or "")
    if all((folder / name).is_file() for name in CHECKPOINT):
        yield from _checkpoint(bundle, folder)
        return
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            message = f"there is no adapter in {folder}: it has no {name}"
            yield Problem(message=message, key="adapter.from", hint="name a folder that peft has saved an adapter in")
            return
    try:
        config: Any = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        numbers = {
            "adapter.rank": (config["r"], bundle.adapter.rank),
            "adapter.alpha": (config["lora_alpha"], bundle.adapter.alpha),
            "adapter.dropout": (config.get("lora_dropout", 0), bundle.adapter.dropout),
        }
        form, tokens = _form_of(config), _count(config.get("trainable_token_indices"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        yield Problem(
            message=f"{folder / 'adapter_config.json'} cannot be read", key="adapter.from", hint="save it anew"
        )
        return
    for key, (has, asked) in numbers.items():
        if has != asked and bundle.origin.get(key, "user") == "user":
            message = f"{key} = {asked:g} changes nothing: the adapter in {folder} has {has}"
            yield Problem(severity="warning", message=message, key=key, hint="leave it out, or leave out adapter.from")
    yield from _other_form(bundle, folder, form)
    yield from _other_task(bundle, folder, config.get("task_type"))
    asked_tokens = len(bundle.adapter.train_tokens) + len(bundle.adapter.new_tokens)
    if asked_tokens > tokens:
        key = "adapter.new_tokens" if bundle.adapter.new_tokens else "adapter.train_tokens"
        message = f"{key}: the adapter in {folder} trains {tokens or 'no'} tokens, and {asked_tokens} are asked for"
        yield Problem(message=message, key=key, hint="name those that it was trained with, or leave out adapter.from")
    yield from _other_model(folder, shapes)


def _checkpoint(bundle: Bundle, folder: Path) -> Iterator[Problem]:
    """Its weights go into adapters made anew by the bundle: they must have the same form."""
    adapter = bundle.adapter
    ranks = {adapter.rank, *adapter.rank_pattern.values()}
    for name, shape in parameter_shapes(folder).items():
        if ".lora_A." in name and "/" not in name and shape[0] not in ranks:
            message = f"the checkpoint in {folder} is of adapters of rank {shape[0]}, not {adapter.rank}"
            hint = f"set adapter.rank = {shape[0]}, or name the adapter folder of its run, which brings its own rank"
            yield Problem(message=message, key="adapter.from", hint=hint)
            return


def _form_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What an adapter's own file says about its form, by the bundle's keys."""
    targets = config.get("target_modules") or ()
    return {
        "adapter.variant": "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "plain",
        "adapter.targets": targets if isinstance(targets, str) else sorted(targets),
        "adapter.modules_to_save": sorted(config.get("modules_to_save") or ()),
        "adapter.rank_pattern": dict(config.get("rank_pattern") or {}),
    }


def _other_form(bundle: Bundle, folder: Path, form: Mapping[str, Any]) -> Iterator[Problem]:
    """Settings that shape new adapters, where the one that is continued has another shape."""
    flat: dict[str, Any] = dict(flatten(bundle))
    for key in _FORM:
        asked, has = flat[key], form[key]
        # LoRA+ differs in its rates alone, which are this run's.
        if asked == default_of(key) or asked == "loraplus":
            continue
        wanted = sorted(asked) if isinstance(asked, list | tuple) else asked
        # A head that its task brings is saved, too.
        same = set(wanted) <= set(has) if key == "adapter.modules_to_save" else wanted == has
        if not same:
            words = json.dumps(has) if has else "none"
            yield Problem(
                message=f"{key} would change nothing: the adapter in {folder} has {words}",
                key=key,
                hint="leave it out, or leave out adapter.from",
            )


def _other_task(bundle: Bundle, folder: Path, kind: object) -> Iterator[Problem]:
    with_head = kind == "SEQ_CLS"
    if with_head != (bundle.task.kind in HEAD_TASKS):
        has = "brings a head of scores" if with_head else "has no head of scores"
        yield Problem(
            message=f"the adapter in {folder} {has}: it cannot be continued with {bundle.task.kind}",
            key="adapter.from",
            hint="continue it with the task that it was trained for, or leave out adapter.from",
        )


def _other_model(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Problem]:
    for name, shape in parameter_shapes(folder).items():
        module, found_a, _ = name.removeprefix("base_model.model.").rpartition(".lora_A.weight")
        if shapes and found_a and shape[-1] not in _shape_of(module, shapes):
            yield Problem(
                message=f"the adapter in {folder} is of another model: it has {module} with {shape[-1]} inputs",
                key="adapter.from",
                hint="continue it on the model that it was trained on",
            )
            return


def _shape_of(module: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a module's weight; files of encoders name their modules without the base model's prefix."""
    parts = f"{module}.weight".split(".")
    names = (".".join(parts[start:]) for start in range(len(parts) - 2))
    return next((shapes[name] for name in names if name in shapes), ())


def _count(given: Any) -> int:
    """Tokens that an adapter trains; where embedding and head are apart it lists them for each."""
    if isinstance(given, dict):
        return max((len(rows) for rows in given.values()), default=0)
    return len(given or ())
