"""Two optimizer steps under a trace: by the second, gradients and optimizer states have been there before."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tuiwiz.base.errors import InvalidError
from tuiwiz.executor.batching import MicroBatch
from tuiwiz.executor.device import Device
from tuiwiz.executor.model import trainable
from tuiwiz.executor.objectives.causal import CausalObjective
from tuiwiz.executor.objectives.objective import mean
from tuiwiz.executor.optim import make_optimizer
from tuiwiz.executor.simulation.autocast import MetaAutocast
from tuiwiz.executor.simulation.build import META, TYPES
from tuiwiz.executor.simulation.quantised import constants_of
from tuiwiz.executor.simulation.replaced import replaced
from tuiwiz.executor.simulation.trace import Trace
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import Stack
from tuiwiz.spec.bundle import Bundle

STEPS = 2
FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"


def run_steps(model: Any, setting: Setting, stack: Stack, bundle: Bundle, trace: Trace) -> int:
    """Trace the steps; returns the number of trained elements."""
    weights = trainable(model)
    for parameter in model.parameters():
        trace.hold([parameter, *constants_of(parameter)])
    trace.hold(model.buffers())
    compute = TYPES[setting.compute]
    mixed = stack.autocast(setting)
    autocast: Callable[[], AbstractContextManager[Any]] = (lambda: MetaAutocast(compute)) if mixed else nullcontext
    loss_of = _our_loss(model, setting, compute) if stack.loss == "chunked" else _library_loss(model, setting, stack)
    with trace, _meta_is_fused():
        optimizer = _optimizer(weights, bundle, stack, compute)
        total = torch.zeros((), device=META)
        for _ in range(STEPS):
            for _ in range(min(setting.accumulation, 2)):
                with autocast():
                    loss, kept = loss_of()
                trace.end_moment(FORWARD)
                # Recomputed forward passes run under an autocast like the first's, each layer under its own.
                with MetaAutocast(compute, keeps=False) if mixed and setting.checkpointing else nullcontext():
                    torch.autograd.backward(loss)
                total += loss.detach()
                del loss, kept
                trace.end_moment(BACKWARD)
            nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            trace.end_moment(UPDATE)
    return sum(parameter.numel() for parameter in weights.values())


def _our_loss(model: Any, setting: Setting, compute: torch.dtype) -> Callable[[], tuple[Tensor, Any]]:
    """The executor's objective on rows that all have the full length."""
    objective = CausalObjective(model, fused=setting.fused_loss)
    shape = (setting.micro * setting.lines, setting.length)
    count = max(1, round(setting.tokens * setting.supervised))
    places = [torch.zeros(count, dtype=torch.long, device=META) for _ in range(3)]
    batch = MicroBatch(
        input_ids=torch.zeros(shape, dtype=torch.long, device=META),
        position_ids=None,
        predicting=places[0],
        targets=places[1],
        row_of=places[2],
        rows=shape[0],
        tokens=setting.tokens,
        lengths=torch.zeros(shape[0], dtype=torch.long, device=META),
    )

    def loss() -> tuple[Tensor, Any]:
        return mean(objective(batch).parts, objective.counts(batch)), None

    return loss


def _library_loss(model: Any, setting: Setting, stack: Stack) -> Callable[[], tuple[Tensor, Any]]:
    """The model's own loss, as plain loops and trainers ask for it.

    Raises:
        InvalidError: the stack's loss is a kernel of its own, whose memory is in the closed form alone.
    """
    if stack.loss == "fused":
        raise InvalidError(f"the loss of {stack.name} cannot be simulated: its kernel runs on a card only")
    ids = torch.zeros((setting.micro * setting.lines, setting.length), dtype=torch.long, device=META)
    if stack.loss == "shifted":
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        base.loss_function = _shifted

    def loss() -> tuple[Tensor, Any]:
        out = model(input_ids=ids, labels=ids)
        if stack.wide_logits:
            out["logits"] = out.logits.float()
        return out.loss, out if stack.keeps_logits else None

    return loss


def _shifted(logits: Tensor, labels: Tensor, vocab_size: int, **_: Any) -> Tensor:
    """The loss of transformers until 2025: logits in fp32, and a copy without the last position."""
    logits = logits.float()
    kept = logits[..., :-1, :].contiguous().view(-1, vocab_size)
    return functional.cross_entropy(kept, labels[..., 1:].contiguous().view(-1))


def _optimizer(weights: dict[str, nn.Parameter], bundle: Bundle, stack: Stack, compute: torch.dtype) -> Any:
    if bundle.optimizer.name == "adamw" and stack.foreach:
        return torch.optim.AdamW(weights.values(), foreach=True)
    optimizer = make_optimizer(weights.items(), bundle, Device(META, "meta", compute))
    if bundle.optimizer.name.startswith("paged"):
        return _Paged(optimizer)
    return optimizer


class _Paged:
    """Paged states lie in memory that the driver moves, outside of the allocator: the update takes nothing."""

    def __init__(self, optimizer: Any) -> None:
        self.zero_grad = optimizer.zero_grad

    def step(self) -> None:
        pass


@contextmanager
def _meta_is_fused() -> Iterator[None]:
    """Let fused optimizers take tensors of the meta device."""
    with replaced(
        sys.modules[torch.optim.Optimizer.__module__], "_get_fused_kernels_supported_devices", lambda: ["meta"]
    ):
        yield
