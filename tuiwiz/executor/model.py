"""Loads the base model as the bundle says: quantised, in 16 bit with adapters, or whole."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tuiwiz.base.errors import InvalidError, MachineLacksError
from tuiwiz.executor.attention import register
from tuiwiz.executor.device import Device
from tuiwiz.executor.freeze import freeze, with_residual_dropout
from tuiwiz.executor.fused import slim
from tuiwiz.executor.vocabulary import add_tokens
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.model import ENCODERS
from tuiwiz.spec.task import HEAD_TASKS


def load_base(folder: Path, bundle: Bundle, device: Device, labels: Sequence[str] = ()) -> Any:
    """The model in `folder`, on the device, without adapters: a causal language model, or for the tasks that learn
    numbers one with a new head for `labels`.

    Base weights of adapter methods are kept in the compute type; `full` keeps fp32 masters and computes under autocast.

    Raises:
        InvalidError: the folder holds no loadable safetensors model.
        MachineLacksError: the attention implementation, or what reads quantised weights, is not installed here.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    from tuiwiz.executor.heads import load_with_head

    method = bundle.adapter.method
    options: dict[str, Any] = {
        "dtype": torch.float32 if method in ("full", "freeze") else device.compute,
        "attn_implementation": _attention(bundle, device),
        "use_safetensors": True,
        "trust_remote_code": False,
        "local_files_only": True,
        "low_cpu_mem_usage": True,
    }
    if method == "qlora":
        if importlib.util.find_spec("bitsandbytes") is None:
            raise MachineLacksError("bitsandbytes is not installed", hint='pip install it, or adapter.method = "lora"')
        options["quantization_config"] = _quantized(bundle, device)
        options["device_map"] = {"": device.where}
    if bundle.regularization.residual_dropout:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        options["config"] = with_residual_dropout(config, bundle.regularization.residual_dropout)
    try:
        if bundle.task.kind in HEAD_TASKS:
            model = load_with_head(folder, bundle, labels, options)
        else:
            _reads_left_to_right(folder, bundle)
            model = AutoModelForCausalLM.from_pretrained(folder, **options)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise InvalidError(
            f"the model in {folder} cannot be loaded: {(str(error) or type(error).__name__).splitlines()[0]}",
            hint="it needs config.json and *.safetensors of an architecture that transformers knows",
        ) from error
    add_tokens(model, folder, bundle.adapter.new_tokens)
    if method != "qlora":
        model = model.to(device.where)
    model.config.use_cache = False
    keep_quantized_weights(model)
    if not device.is_cuda:
        unfold_constants(model)
        if method == "qlora":
            leave_file(model)
        slim(model)
    if method == "freeze":
        freeze(model, bundle, device)
    model.train()
    return model


def _reads_left_to_right(folder: Path, bundle: Bundle) -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if config.model_type in ENCODERS and not getattr(config, "is_decoder", False):
        raise InvalidError(
            f"{config.model_type} reads a text from both sides: it cannot learn {bundle.task.kind}",
            hint='choose a model that writes, or set task.kind = "classify"',
        )


def keep_quantized_weights(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights in an evaluation.

    On processors with avx512_bf16 it does so in place, and training afterwards loses its gradients without a word.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def unfold_constants(model: nn.Module) -> int:
    """Dequantise the constants of twice quantised 4-bit weights once instead of in every pass; returns how many.

    The same numbers come out. It costs 3 bytes for 64 weights: little on a processor, where each unpacking counts.
    """
    from bitsandbytes.functional import dequantize_blockwise

    count = 0
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None and state.nested:
            constants = dequantize_blockwise(state.absmax, state.state2) + state.offset
            state.absmax, state.nested, state.state2, state.offset = constants.float(), False, None, None
            count += 1
    return count


def leave_file(model: nn.Module) -> None:
    """Copy the weights that are not quantised out of the mapped weights file.

    As long as one of them lies in it, all pages that were read to make 4 bits of the others stay resident.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.clone()


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


def _quantized(bundle: Bundle, device: Device) -> Any:
    """4 bits in blocks (NF4 or FP4), or 8 bits with outliers apart, LLM.int8() (https://arxiv.org/abs/2208.07339)."""
    from transformers import BitsAndBytesConfig

    from tuiwiz.executor.heads import HEADS

    quantization = bundle.quantization
    skipped = list(HEADS) if bundle.task.kind in HEAD_TASKS else None
    if quantization.bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.type,
        bnb_4bit_use_double_quant=quantization.double,
        bnb_4bit_compute_dtype=device.compute,
        llm_int8_skip_modules=skipped,
    )
