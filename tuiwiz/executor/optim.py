"""Optimizers and the learning rate, the latter a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from tuiwiz.base.errors import MachineLacksError
from tuiwiz.executor.device import Device
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.derive import warmup_steps
from tuiwiz.spec.optimizer import Schedule


def make_optimizer(parameters: Iterable[tuple[str, nn.Parameter]], bundle: Bundle, device: Device) -> Any:
    """The bundle's optimizer over two groups: matrices with weight decay, vectors (norms, biases) without.

    AdamW, https://arxiv.org/abs/1711.05101; 8-bit states, https://arxiv.org/abs/2110.02861; paged states, QLoRA.
    """
    wanted = bundle.optimizer
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for _, parameter in parameters:
        (decayed if parameter.ndim >= 2 else plain).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": wanted.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if wanted.name == "sgd":
        return torch.optim.SGD(groups, lr=wanted.learning_rate, momentum=wanted.momentum or 0.0)
    adam: dict[str, Any] = {"lr": wanted.learning_rate, "betas": wanted.betas, "eps": wanted.epsilon}
    if wanted.name == "adamw":
        return torch.optim.AdamW(groups, fused=True, **adam)
    try:
        from bitsandbytes import optim
    except ImportError as error:
        raise MachineLacksError(f"{wanted.name} needs bitsandbytes", hint='set optimizer.name = "adamw"') from error
    kinds = {
        "adamw_8bit": optim.AdamW8bit,
        "paged_adamw_8bit": optim.PagedAdamW8bit,
        "paged_adamw_32bit": optim.PagedAdamW32bit,
    }
    return kinds[wanted.name](groups, **adam)


def rate_factor(step: int, total: int, schedule: Schedule) -> float:
    """The learning rate of the update with 0-based `step`, as a share of the peak.

    Linear warm-up over W steps, ending at the peak; then, with x = (step - W) / (total - W):
    constant 1; linear 1 - (1 - m) x; cosine m + (1 - m) (1 + cos(pi x)) / 2, where m is `min_ratio`
    (cosine: https://arxiv.org/abs/1608.03983).
    """
    warmup = warmup_steps(schedule.warmup, total)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    x = min(1.0, (step - warmup) / max(1, total - warmup))
    least = schedule.min_ratio
    if schedule.kind == "linear":
        return 1 - (1 - least) * x
    if schedule.kind == "cosine":
        return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * x))
    return 1.0


def set_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
