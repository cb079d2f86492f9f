"""The model of a setting on the meta device: the classes that a real run uses, and tensors without content."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from tuiwiz.executor.adapters import add_adapters
from tuiwiz.executor.device import Device
from tuiwiz.executor.freeze import freeze
from tuiwiz.executor.fused import slim
from tuiwiz.executor.model import enable_checkpointing, trainable
from tuiwiz.executor.simulation.kernels import EXPANDED, FUSED
from tuiwiz.executor.simulation.quantised import quantise_linears
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import Stack
from tuiwiz.spec.adapter import Adapter
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.data import Data
from tuiwiz.spec.model import Model
from tuiwiz.spec.optimizer import Optimizer
from tuiwiz.spec.parts import select
from tuiwiz.spec.task import Task

ATTENTION = {"flash": FUSED, "sdpa": EXPANDED, "math": "sdpa", "eager": "eager"}
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
META = torch.device("meta")


def bundle_of(setting: Setting) -> Bundle:
    """A bundle that asks for a setting, where there is none."""
    adapter = Adapter(method=setting.method)
    if setting.adapts:
        adapter = Adapter(method=setting.method, rank=setting.rank, targets=setting.targets, dropout=setting.dropout)
    elif setting.method == "freeze":
        adapter = Adapter(method="freeze", trainable=setting.trainable)
    return Bundle(
        task=Task(kind="instruct"),
        model=Model(source="-"),
        data=Data(train="-"),
        adapter=adapter,
        optimizer=Optimizer(name=setting.optimizer, momentum=0.9 if setting.momentum else None),  # type: ignore[arg-type]
    )


def build(config: Any, setting: Setting, stack: Stack, bundle: Bundle) -> Any:
    """The model that is trained, adapters and checkpointing included. `config` is a transformers configuration."""
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    config.get_text_config().use_cache = False
    compute = TYPES[setting.compute]
    whole = not setting.adapts
    with META:
        model = AutoModelForCausalLM.from_config(
            config,
            dtype=torch.float32 if whole and stack.masters_bytes == 4 else compute,
            attn_implementation=ATTENTION[setting.attention],
        )
    if setting.method == "qlora":
        quantise_linears(model, compute=compute, double=setting.double_quantised, keep=frozenset({_head(model)}))
    ours = stack.fused_adapters
    if setting.slim:
        slim(model)
    if setting.method == "freeze":
        freeze(model, bundle, Device(META, "meta", compute))
    if setting.adapts:
        model = add_adapters(model, bundle, Path()) if ours else _with_peft(model, setting, stack, bundle)
    if setting.phase:
        _only(model, setting.phase)
    if setting.checkpointing:
        enable_checkpointing(model)
        if setting.adapts and not ours:
            model.enable_input_require_grads()
    model.train()
    return model


def _only(model: Any, words: tuple[str, ...]) -> None:
    """Train what a phase names, of what is trained at all."""
    weights = trainable(model)
    chosen = frozenset(select(words, list(weights)))
    for name, parameter in weights.items():
        parameter.requires_grad_(name in chosen)


def _head(model: Any) -> str:
    """The last name of the output layer, which stays as it is."""
    head = model.get_output_embeddings()
    return next(str(name).rpartition(".")[2] for name, module in model.named_modules() if module is head)


def _with_peft(model: Any, setting: Setting, stack: Stack, bundle: Bundle) -> Any:
    """Adapters as other programs add them, prepared for k-bit training where the stack does so."""
    from peft import LoraConfig, get_peft_model

    for parameter in model.parameters():
        parameter.requires_grad = False
        if stack.wide_norms and setting.method == "qlora" and parameter.is_floating_point():
            parameter.data = parameter.data.float()
    targets = setting.targets if isinstance(setting.targets, str) else list(setting.targets)
    config = LoraConfig(
        r=setting.rank,
        lora_alpha=setting.rank,
        target_modules=targets,
        lora_dropout=setting.dropout,
        task_type="CAUSAL_LM",
        use_dora=bundle.adapter.variant == "dora",
    )
    return get_peft_model(model, config, autocast_adapter_dtype=stack.adapter_bytes == 4)
