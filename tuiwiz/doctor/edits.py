"""Proposed changes as bundle edits; each is small, bounded, and valid for the bundle that it is made for."""

from __future__ import annotations

import math
from typing import Any

from tuiwiz.doctor.case import Case

FULL_FACTOR = 10
"""A full fine-tune's rate is about a tenth of an adapter's."""


def rate(case: Case, factor: float) -> dict[str, Any]:
    """The learning rate times `factor`, to two digits."""
    return {"optimizer.learning_rate": float(f"{case.peak_rate * factor:.2g}")} if case.peak_rate else {}


def slower(case: Case, times: float) -> dict[str, Any]:
    """A rate that a loss `times` as high as before the damage asks for: the further it flew, the further down."""
    return rate(case, 0.3 if times < 2 else 0.1 if times < 5 else 0.03)


def warmup(case: Case, share: float) -> dict[str, Any]:
    return {"schedule.warmup": share}


def epochs(case: Case, factor: float) -> dict[str, Any]:
    """The length of the run times `factor`, in the unit that the bundle uses."""
    if case.bundle is None or case.bundle.schedule.steps is not None:
        return {"schedule.steps": max(1, round(case.total * factor))}
    return {"schedule.epochs": float(f"{(case.bundle.schedule.epochs or 1.0) * factor:.3g}")}


def until(case: Case, step: int) -> dict[str, Any]:
    """A run that ends at the epoch of `step`, rounded up, or at the step itself within the first epoch."""
    if case.bundle is not None and case.bundle.schedule.steps is None and case.per_epoch:
        whole = math.ceil(step / case.per_epoch)
        return {"schedule.epochs": float(whole if step > case.per_epoch else max(0.1, round(step / case.per_epoch, 2)))}
    return {"schedule.steps": max(1, step)}


def smaller(case: Case) -> dict[str, Any]:
    """The next rung of the memory ladder: micro-batch, checkpointing, quantisation, rank."""
    bundle = case.bundle
    if bundle is None:
        return {"memory.gradient_checkpointing": True}
    if bundle.batch.micro is None or bundle.batch.micro > 1:
        return {"batch.micro": max(1, (bundle.batch.micro or min(2, bundle.batch.effective)) // 2)}
    if not bundle.memory.gradient_checkpointing:
        return {"memory.gradient_checkpointing": True}
    if not bundle.memory.fused_loss:
        return {"memory.fused_loss": True}
    if bundle.adapter.method == "full":
        return {"adapter.method": "lora", "optimizer.learning_rate": float(f"{case.peak_rate * FULL_FACTOR:.2g}")}
    if bundle.adapter.method == "lora":
        return {"adapter.method": "qlora"}
    return {"data.max_length": max(128, bundle.data.max_length // 2)}
