"""Predicted against actual memory, after the second step: by then gradients and optimizer states exist."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tuiwiz.base.errors import TuiwizError
from tuiwiz.bundle.change import change
from tuiwiz.data.types import Rows
from tuiwiz.events import types
from tuiwiz.memory.setting import rows_within
from tuiwiz.spec.bundle import Bundle

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer
    from tuiwiz.memory.plan import Plan

CAREFUL_MICRO = 4
"""Micro-batch where the planner does not know the model."""
MOVING = ("activations", "logits", "temporary")


def report_memory(run: Trainer, model: Path) -> None:
    """Write the `memory` event: the plan's items beside what the device measured; both sum to their totals.

    The plan is that of the settings as the ladder left them.
    """
    now = {"batch.micro": run.micro, "batch.accumulation": None, "memory.gradient_checkpointing": run.recomputes}
    plan = plan_of(change(run.bundle, now, by="executor"), run.train_rows, model)
    predicted = {name: size for name, size in plan.items.items() if size} if plan is not None else {}
    run.recorder.write(
        types.Memory,
        predicted=predicted,
        actual=actual_items(run, predicted),
        limiting=plan.limiting if plan is not None else "",
    )


def planned_micro(bundle: Bundle, rows: Rows, model: Path) -> int:
    """The micro-batch of a bundle that leaves it open: what its token budget always holds, what its accumulation makes
    of it, else that of the planner's first setting for the bundle's method."""
    if bundle.batch.micro_tokens is not None:
        lines = 2 if rows.others is not None else 1
        return rows_within(bundle.batch.micro_tokens, lines * max(rows.lengths, default=1), bundle.batch.effective)
    if bundle.batch.accumulation is not None:
        return math.ceil(bundle.batch.effective / (bundle.batch.accumulation * bundle.batch.processes))
    found = plan_of(bundle, rows, model)
    for choice in found.choices if found is not None else ():
        same = choice.gradient_checkpointing == bundle.memory.gradient_checkpointing
        if choice.method == bundle.adapter.method and choice.max_length == bundle.data.max_length and same:
            return min(choice.micro_batch, bundle.batch.effective)
    return min(bundle.batch.effective, CAREFUL_MICRO)


def plan_of(bundle: Bundle, rows: Rows, model: Path, *, correct: bool = True) -> Plan | None:
    """The planner's word on a run, with the rows as they are; None where it does not know the model.

    Without `correct` nothing that was measured on this machine goes into it.
    """
    from tuiwiz.catalog.config import read_shape
    from tuiwiz.catalog.machine import this_device
    from tuiwiz.memory.plan import plan

    lengths = sorted(rows.lengths_of(range(len(rows))))
    if not lengths:
        return None
    at = {"p50": len(lengths) // 2, "p95": int(0.95 * (len(lengths) - 1)), "max": len(lengths) - 1}
    try:
        shape = read_shape(model)
        measured = {name: lengths[i] for name, i in at.items()}
        return plan(bundle, shape, this_device(), measured, len(lengths), measured=None if correct else ())
    except TuiwizError:
        return None


def actual_items(run: Trainer, predicted: dict[str, int]) -> dict[str, int]:
    """The measured peak by items. Bytes of tensors that are still there are counted.

    Those of the forward and backward pass are gone again and taken as predicted; what then remains is `reserve`: gaps
    between blocks. Where less was measured than that, all that remains is `activations`.
    """
    weights, constants, adapter, trained = _tensors(run)
    found = {
        "weights": weights,
        "quantization_constants": constants,
        "adapter": adapter,
        "gradients": trained,
        "optimizer": _bytes_of(run.optimizer.state),
    }
    peak, context = run.device.held()
    rest = peak - sum(found.values())
    # A processor's libraries are pages like all others: what they hold is taken as predicted.
    found["context"] = context if run.device.is_cuda else max(0, min(rest, predicted.get("context", 0)))
    rest = max(0, rest - found["context"])
    moving = {name: predicted.get(name, 0) for name in MOVING}
    if not predicted or rest < sum(moving.values()):
        found["activations"] = rest
    else:
        found |= moving
        found["reserve"] = rest - sum(moving.values())
    return {name: size for name, size in found.items() if size}


def _tensors(run: Trainer) -> tuple[int, int, int, int]:
    """Bytes of base weights, of their quantisation constants, of the adapter, and of what is trained."""
    names = {id(parameter) for parameter in run.weights.values()}
    trained = sum(parameter.nbytes for parameter in run.weights.values())
    weights, constants = 0, 0
    for parameter in run.model.parameters():
        if id(parameter) not in names:
            weights += parameter.nbytes
            constants += _constants(getattr(parameter, "quant_state", None))
    if run.bundle.adapter.method == "full":
        return trained, 0, 0, trained
    return weights, constants, trained, trained


def _constants(state: Any) -> int:
    """Bytes of a bitsandbytes quantisation state and, with double quantisation, of the one inside it."""
    if state is None:
        return 0
    scales = getattr(state, "absmax", None)
    return (scales.nbytes if isinstance(scales, torch.Tensor) else 0) + _constants(getattr(state, "state2", None))


def _bytes_of(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(_bytes_of(item) for item in value.values())
    return 0
