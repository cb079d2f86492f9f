"""What rehearsals measured on this machine, as corrections of what is planned on it.

Weights are what they are; all else is scaled by the median of measured over predicted. Rehearsals of the same model and
method count alone; without any, those of other models with this method, if there are enough.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tuiwiz.memory.estimate import Estimate

OTHERS_NEEDED = 3
"""Rehearsals of other models from which on they say something about this one."""
LATEST = 8
MOST = 3.0
"""Factor beyond which a measurement is not believed: something else was going on."""
SURE = 0.06
"""Band of the part beyond the weights where the very same model and method was measured."""


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """Factors for memory beyond the weights and for the seconds of a step, from `count` rehearsals; `same` model."""

    memory: float = 1.0
    seconds: float = 1.0
    count: int = 0
    same: bool = False

    def words(self) -> str:
        if not self.count:
            return ""
        whose = "of this model" if self.same else "of other models"
        times = "rehearsal" if self.count == 1 else "rehearsals"
        return (
            f"corrected by {self.count} {times} {whose} here: memory beyond the weights x {self.memory:.2f}, "
            f"time x {self.seconds:.2f}"
        )


def correction_of(kept: Iterable[Mapping[str, Any]], model: str, method: str, device: str) -> Correction:
    """From measurements as `catalog.measured` keeps them, oldest first; those of another device say nothing."""
    here = [one for one in kept if one.get("planned_on") == device and one.get("method") == method]
    own = [one for one in here if one.get("shape") == model]
    same = bool(own)
    if not same and len({one.get("shape") for one in here}) < OTHERS_NEEDED:
        return Correction()
    chosen = (own if same else here)[-LATEST:]
    memory = [ratio for one in chosen if not one.get("adjustments") and (ratio := _memory(one)) is not None]
    seconds = [ratio for one in chosen if (ratio := _ratio(one, "seconds_per_step", "predicted_seconds")) is not None]
    if not memory and not seconds:
        return Correction()
    return Correction(
        memory=statistics.median(memory) if memory else 1.0,
        seconds=statistics.median(seconds) if seconds else 1.0,
        count=max(len(memory), len(seconds)),
        same=same and bool(memory),
    )


def corrected(found: Estimate, by: Correction) -> Estimate:
    """The estimate as it came out here before; the difference goes to `reserve`, and beyond that to what moves."""
    if not by.count or by.memory == 1.0:
        return found
    items = dict(found.items)
    fixed = items["weights"] + items["quantization_constants"]
    left = round((by.memory - 1) * (found.total_bytes - fixed))
    for name in ("reserve", "temporary", "logits", "activations", "context", "optimizer", "gradients", "adapter"):
        taken = max(-items[name], left)
        items[name] += taken
        left -= taken
        if not left:
            break
    total = sum(items.values())
    low, high = (found.low_bytes / found.total_bytes, found.high_bytes / found.total_bytes)
    if by.same:
        low, high = (1 - SURE * (total - fixed) / total, 1 + SURE * (total - fixed) / total)
    return msgspec.structs.replace(
        found, items=items, total_bytes=total, low_bytes=round(low * total), high_bytes=round(high * total)
    )


def _memory(one: Mapping[str, Any]) -> float | None:
    fixed = one.get("fixed_bytes")
    measured, predicted = one.get("peak_bytes"), one.get("predicted_bytes")
    if not (_number(fixed) and _number(measured) and _number(predicted)):
        return None
    return _believed(float(measured) - float(fixed), float(predicted) - float(fixed))  # type: ignore[arg-type]


def _ratio(one: Mapping[str, Any], measured: str, predicted: str) -> float | None:
    ours, theirs = one.get(measured), one.get(predicted)
    return _believed(float(ours), float(theirs)) if _number(ours) and _number(theirs) else None  # type: ignore[arg-type]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _believed(measured: float, predicted: float) -> float | None:
    if measured <= 0 or predicted <= 0 or not 1 / MOST <= measured / predicted <= MOST:
        return None
    return measured / predicted
