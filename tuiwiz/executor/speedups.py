"""Settings that trade generality for memory or speed on CUDA: TF32, Liger kernels, torch.compile, activation offload.

Kernels that replace others must agree with them: the loss of one batch is compared before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from tuiwiz.base.errors import MachineLacksError, RunFailedError
from tuiwiz.executor.device import Device
from tuiwiz.executor.evaluate import dropout_off
from tuiwiz.executor.objectives.objective import mean
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.needs import without_cuda

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer

TOLERANCE = 0.02
"""Relative difference of the losses up to which kernels agree; bf16 alone makes 0.005."""


def refuse_without_cuda(bundle: Bundle, device: Device) -> None:
    """Raises:
    MachineLacksError: the bundle asks for what only CUDA has.
    """
    if device.is_cuda:
        return
    for problem in without_cuda(bundle):
        raise MachineLacksError(problem.message, hint=problem.hint, problems=[problem])


def set_precision(bundle: Bundle) -> None:
    """TF32 products for fp32 matrices, or exact ones."""
    torch.set_float32_matmul_precision("high" if bundle.memory.tf32 else "highest")


def replace_kernels(model: Any, bundle: Bundle, loss: Callable[[], float], *, backend: str = "inductor") -> list[str]:
    """Put Liger's kernels and the compiler in place, as asked; returns the names of what was.

    Args:
        loss: the loss of one and the same batch, without dropout.

    Raises:
        MachineLacksError: liger-kernel is not installed, or knows nothing of this architecture.
        RunFailedError: the loss is another one with the new kernels.
    """
    done: list[str] = []
    for name, wanted, put in (
        ("Liger kernels", bundle.memory.liger, _liger),
        ("torch.compile", bundle.memory.compile, lambda model: _compile(model, backend)),
    ):
        if not wanted:
            continue
        before = loss()
        put(model)
        after = loss()
        if not abs(after - before) <= TOLERANCE * abs(before):
            raise RunFailedError(
                f"{name} change the loss of the first batch from {before:.4f} to {after:.4f}",
                hint="they do not fit this model or these library versions: leave them out",
            )
        done.append(name)
    return done


def first_loss(run: Trainer) -> float:
    """Mean loss of the first rows, without dropout and without gradients."""
    places = [[index] for index in range(min(run.micro, len(run.train_rows)))]
    with torch.no_grad(), dropout_off(run.model), run.autocast():
        batch = run.objective.collate(run.train_rows, places, run.device.where)
        run.objective.settle(run.objective.begin([batch]))
        return float(mean(run.objective(batch).parts, run.objective.counts(batch)))


def _liger(model: Any) -> None:
    try:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance as apply
    except ImportError as error:
        raise MachineLacksError(
            "liger-kernel is not installed", hint="pip install liger-kernel, or remove memory.liger"
        ) from error
    # The loss has a fused form of its own, see objectives.
    apply(model=causal_of(model), fused_linear_cross_entropy=False, cross_entropy=False)


def _compile(model: Any, backend: str) -> None:
    """Compile layer by layer: lengths differ from batch to batch, and whole models take minutes."""
    decoder = causal_of(model).get_decoder()
    for layer in decoder.layers:
        layer.forward = torch.compile(layer.forward, dynamic=True, backend=backend)


def causal_of(model: Any) -> Any:
    """The language model inside an adapter's wrapping."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def keeping_activations(bundle: Bundle, *, pin: bool = True) -> Callable[[], AbstractContextManager[Any]]:
    """Makes the context of a training pass: what is saved for the backward pass goes to host memory, or stays."""
    if bundle.memory.offload == "activations":
        return lambda: torch.autograd.graph.save_on_cpu(pin_memory=pin)
    return nullcontext
