"""Loads the base model as the bundle says: quantised, in 16 bit with adapters, or whole."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuiwiz.base.errors import InvalidError, MachineLacksError
from tuiwiz.executor.attention import register
from tuiwiz.executor.device import Device
from tuiwiz.executor.fused import slim
from tuiwiz.executor.lora import speed_up
from tuiwiz.spec.bundle import Bundle


def load_base(folder: Path, bundle: Bundle, device: Device) -> Any:
    """The causal language model in `folder`, on the device, without adapters.

    Base weights of adapter methods are kept in the compute type; `full` keeps fp32 masters and computes under autocast.

    Raises:
        InvalidError: the folder holds no loadable safetensors model.
        MachineLacksError: the attention implementation is not installed here.
    """
    from transformers import AutoModelForCausalLM

    method = bundle.adapter.method
    options: dict[str, Any] = {
        "dtype": torch.float32 if method == "full" else device.compute,
        "attn_implementation": _attention(bundle, device),
        "use_safetensors": True,
        "trust_remote_code": False,
        "local_files_only": True,
        "low_cpu_mem_usage": True,
    }
    if method == "qlora":
        options["quantization_config"] = _four_bit(bundle, device)
        options["device_map"] = {"": device.where}
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, **options)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise InvalidError(
            f"the model in {folder} cannot be loaded: {(str(error) or type(error).__name__).splitlines()[0]}",
            hint="it needs config.json and *.safetensors of an architecture that transformers knows",
        ) from error
    if method != "qlora":
        model = model.to(device.where)
    model.config.use_cache = False
    keep_quantized_weights(model)
    if not device.is_cuda:
        slim(model)
    model.train()
    return model


def keep_quantized_weights(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights in an evaluation.

    On processors with avx512_bf16 it does so in place, and training afterwards loses its gradients without a word.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def add_adapters(model: Any, bundle: Bundle, folder: Path) -> Any:
    """Wrap the model with LoRA adapters in fp32; only they are trained.

    LoRA, https://arxiv.org/abs/2106.09685; rsLoRA, https://arxiv.org/abs/2312.03732; QLoRA, arXiv 2305.14314.
    `folder` is where a relative `adapter.from` starts.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    adapter = bundle.adapter
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    if adapter.from_ is not None:
        source = folder / adapter.from_
        if not (source / "adapter_config.json").is_file():
            raise InvalidError(f"there is no adapter in {source}", hint="adapter.from names a folder with one")
        if not (source / "adapter_model.safetensors").is_file():
            # peft would unpickle an adapter_model.bin, which can run anything.
            hint = "only safetensors are loaded: save it again with a newer peft"
            raise InvalidError(f"the adapter in {source} has no adapter_model.safetensors", hint=hint)
        wrapped = PeftModel.from_pretrained(model, str(source), is_trainable=True, autocast_adapter_dtype=True)
    else:
        targets = adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets)
        config = LoraConfig(
            r=adapter.rank,
            lora_alpha=adapter.alpha,
            lora_dropout=adapter.dropout,
            target_modules=targets,
            use_rslora=adapter.variant == "rslora",
            task_type="CAUSAL_LM",
            bias="none",
        )
        try:
            wrapped = get_peft_model(model, config, autocast_adapter_dtype=True)
        except ValueError as error:
            raise InvalidError(
                f"adapter.targets does not fit this model: {error}", hint='use "all-linear" or names of its layers'
            ) from error
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    speed_up(wrapped)
    return wrapped


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trained parameters by name, in order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def enable_checkpointing(model: Any) -> None:
    """Recompute activations in the backward pass (https://arxiv.org/abs/1604.06174)."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def _attention(bundle: Bundle, device: Device) -> str:
    wanted = bundle.model.attention
    if wanted == "auto" and not device.is_cuda:
        return register()
    if wanted in ("auto", "sdpa"):
        return "sdpa"
    if wanted == "flash":
        if not device.is_cuda:
            raise MachineLacksError("flash attention needs a CUDA device", hint='set model.attention = "sdpa"')
        if importlib.util.find_spec("flash_attn") is None:
            raise MachineLacksError("flash-attn is not installed", hint='set model.attention = "sdpa"')
        return "flash_attention_2"
    return "eager"


def _four_bit(bundle: Bundle, device: Device) -> Any:
    from transformers import BitsAndBytesConfig

    quantization = bundle.quantization
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.type,
        bnb_4bit_use_double_quant=quantization.double,
        bnb_4bit_compute_dtype=device.compute,
    )
