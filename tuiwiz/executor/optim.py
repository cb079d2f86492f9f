"""Optimizers: which parameters form a group, with what rate, and which library moves them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from tuiwiz.base.errors import MachineLacksError
from tuiwiz.executor.device import Device
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.parts import is_embedding, is_head

MUON_MOMENTUM = 0.95
"""Muon's momentum where the bundle leaves it open (https://kellerjordan.github.io/posts/muon)."""


def make_optimizer(parameters: Iterable[tuple[str, nn.Parameter]], bundle: Bundle, device: Device) -> Any:
    """The bundle's optimizer over groups of one weight decay and one rate.

    Matrices are decayed, vectors (norms, biases) are not. Each group's `ratio` is its share of the learning rate.
    AdamW, https://arxiv.org/abs/1711.05101; 8-bit states, https://arxiv.org/abs/2110.02861; paged states, QLoRA;
    LAMB, https://arxiv.org/abs/1904.00962; Lion, https://arxiv.org/abs/2302.06675; Adafactor,
    https://arxiv.org/abs/1804.04235; schedule-free, https://arxiv.org/abs/2405.15682.

    Raises:
        MachineLacksError: the library with this optimizer is not installed.
    """
    wanted = bundle.optimizer
    named = list(parameters)
    if wanted.name == "muon":
        return _muon(named, bundle)
    groups = groups_of(named, bundle)
    rate: dict[str, Any] = {"lr": wanted.learning_rate}
    adam: dict[str, Any] = {**rate, "betas": wanted.betas, "eps": wanted.epsilon}
    match wanted.name:
        case "adamw":
            return torch.optim.AdamW(groups, fused=True, **adam)
        case "sgd":
            return torch.optim.SGD(groups, momentum=wanted.momentum or 0.0, nesterov=bool(wanted.nesterov), **rate)
        case "adafactor":
            from transformers.optimization import Adafactor

            # Its own step size would replace learning rate and schedule.
            return Adafactor(groups, scale_parameter=False, relative_step=False, warmup_init=False, **rate)
        case "lamb":
            return _library("pytorch_optimizer", wanted.name).Lamb(groups, **adam)
        case "lion":
            return _library("pytorch_optimizer", wanted.name).Lion(groups, betas=wanted.betas, **rate)
        case "schedule_free_adamw":
            made = _library("schedulefree", wanted.name).AdamWScheduleFree(groups, **adam)
            made.train()
            return made
    optim = _library("bitsandbytes", wanted.name).optim
    kinds = {
        "adamw_8bit": optim.AdamW8bit,
        "paged_adamw_8bit": optim.PagedAdamW8bit,
        "paged_adamw_32bit": optim.PagedAdamW32bit,
    }
    return kinds[wanted.name](groups, **adam)


def groups_of(named: Iterable[tuple[str, nn.Parameter]], bundle: Bundle) -> list[dict[str, Any]]:
    """Parameter groups, one for each pair of weight decay and share of the learning rate."""
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        decay = bundle.optimizer.weight_decay if parameter.ndim >= 2 else 0.0
        found.setdefault((ratio_of(name, bundle), decay), []).append(parameter)
    # Decayed before plain, so that groups stand in one order whatever the model begins with.
    ordered = sorted(found.items(), key=lambda item: (item[0][0], -item[0][1]))
    return [{"params": params, "weight_decay": decay, "ratio": ratio} for (ratio, decay), params in ordered]


def ratio_of(name: str, bundle: Bundle) -> float:
    """A parameter's share of the learning rate: LoRA+ (https://arxiv.org/abs/2402.12354), embeddings, head."""
    wanted = bundle.optimizer
    if ".lora_" not in name:
        if is_head(name):
            return wanted.head_ratio
        return wanted.embedding_ratio if is_embedding(name) else 1.0
    plus = bundle.adapter.variant == "loraplus" and (".lora_B." in name or ".lora_embedding_B" in name)
    return bundle.adapter.loraplus_ratio if plus else 1.0


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the learning rate; each group takes its share of it."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("ratio", 1.0)


@contextmanager
def for_evaluation(optimizer: Any) -> Iterator[None]:
    """Put the weights in place that are judged and kept: schedule-free trains others than it averages."""
    if not hasattr(optimizer, "eval"):
        yield
        return
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()


def _muon(named: list[tuple[str, nn.Parameter]], bundle: Bundle) -> Any:
    """Muon for matrices inside the layers, AdamW for embeddings, head and vectors, as its author has it.

    Its step is scaled to AdamW's root mean square, so that both halves share one learning rate
    (https://arxiv.org/abs/2502.16982).
    """
    from tuiwiz.executor.joined import Joined

    wanted = bundle.optimizer
    inner = [(n, p) for n, p in named if p.ndim == 2 and not is_embedding(n) and not is_head(n)]
    names = {name for name, _ in inner}
    outer = groups_of([(n, p) for n, p in named if n not in names], bundle)
    parts: list[Any] = []
    if inner:
        momentum = MUON_MOMENTUM if wanted.momentum is None else wanted.momentum
        muon = torch.optim.Muon(
            groups_of(inner, bundle),
            lr=wanted.learning_rate,
            momentum=momentum,
            nesterov=wanted.nesterov is not False,
            adjust_lr_fn="match_rms_adamw",
        )
        parts.append(muon)
    if outer:
        adam = torch.optim.AdamW(outer, lr=wanted.learning_rate, betas=wanted.betas, eps=wanted.epsilon, fused=True)
        parts.append(adam)
    return Joined(parts)


def _library(module: str, optimizer: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.replace("_", "-")
        raise MachineLacksError(
            f"{optimizer} needs {package}", hint=f'pip install {package}, or set optimizer.name = "adamw"'
        ) from error
