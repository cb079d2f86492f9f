"""AdamW's states in 8 bits, made of the 32-bit ones in the middle of a run (https://arxiv.org/abs/2110.02861).

The moments are rounded in blocks, so that the steps after it are no longer those of a run that had room.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tuiwiz.bundle.change import change
from tuiwiz.executor.device import Device
from tuiwiz.executor.optim import make_optimizer
from tuiwiz.spec.bundle import Adjustment, Bundle

KEY = "optimizer.name"
FROM = "adamw"
BLOCK = 256
"""Elements that share a scale, as bitsandbytes has them."""


def small_name(device: Device) -> str:
    """Paged where there is something to page to."""
    return "paged_adamw_8bit" if device.is_cuda else "adamw_8bit"


def possible(bundle: Bundle, optimizer: Any) -> bool:
    """Whether the run's optimizer is one whose states can be made small, and the library for it is here."""
    own = bundle.optimizer.name == FROM and type(optimizer) is torch.optim.AdamW
    return own and importlib.util.find_spec("bitsandbytes") is not None


def optimizer_at(
    bundle: Bundle, adjustments: tuple[Adjustment, ...], step: int, weights: Mapping[str, nn.Parameter], device: Device
) -> Any:
    """The optimizer that a checkpoint of this step was saved with; None where it is the bundle's own."""
    names = [str(one.to) for one in adjustments if one.key == KEY and one.step < step]
    return make_optimizer(weights.items(), change(bundle, {KEY: names[-1]}, by="executor"), device) if names else None


def with_small_states(
    optimizer: Any, bundle: Bundle, name: str, weights: Mapping[str, nn.Parameter], device: Device
) -> Any:
    """An optimizer of this name with the moments of `optimizer`, which loses its own one by one."""
    from bitsandbytes.functional import quantize_blockwise

    small = make_optimizer(weights.items(), change(bundle, {KEY: name}, by="executor"), device)
    rates = [group["lr"] for group in optimizer.param_groups]
    for number, group in enumerate(small.param_groups):
        group["lr"] = rates[number]
        for place, parameter in enumerate(group["params"]):
            old = optimizer.state.pop(parameter, None)
            if not old:
                continue
            small.init_state(group, parameter, number, place)
            state = small.state[parameter]
            state["step"] = int(old["step"])
            for ours, theirs in (("1", "exp_avg"), ("2", "exp_avg_sq")):
                if state[f"state{ours}"].dtype == torch.float32:
                    state[f"state{ours}"].copy_(old[theirs])
                    continue
                found, scales = quantize_blockwise(old[theirs].float(), code=state[f"qmap{ours}"], blocksize=BLOCK)
                state[f"state{ours}"].copy_(found.view_as(state[f"state{ours}"]))
                state[f"absmax{ours}"].copy_(scales.absmax)
    return small
