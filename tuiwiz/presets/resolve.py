"""A preset's values for one context: parents first, then the cases whose conditions hold, later wins."""

from __future__ import annotations

from typing import Any

import msgspec

from tuiwiz.presets.find import all_presets, chain
from tuiwiz.presets.preset import Preset, Result, Why
from tuiwiz.presets.when import Context, When, holds, overlay, words

LEARNING_RATE = "optimizer.learning_rate"


class Step(msgspec.Struct, frozen=True):
    """One layer that set a key: from which preset, on which line, under which condition, to which value."""

    preset: str
    line: int
    condition: str
    value: Any
    why: Why


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Values and reasons by dotted key; `trail` holds all layers that spoke of a key, the deciding one last.

    `measured` is the run that the values come from, None where they are published ones.
    """

    name: str
    context: Context
    values: dict[str, Any]
    why: dict[str, Why]
    trail: dict[str, tuple[Step, ...]]
    measured: Result | None = None

    @property
    def covers(self) -> bool:
        """Whether the preset says anything about this context: it has a learning rate for it."""
        return LEARNING_RATE in self.values

    @property
    def grade(self) -> str:
        """The grade of the learning rate."""
        return self.why.get(LEARNING_RATE, Why()).grade


def resolve(preset: Preset, context: Context, known: dict[str, Preset] | None = None) -> Resolved:
    """The values of `preset` for `context`. A case that depends on something unknown does not apply.

    Raises:
        InvalidError: `extends` does not lead anywhere.
    """
    values: dict[str, Any] = {}
    why: dict[str, Why] = {}
    trail: dict[str, list[Step]] = {}
    whole = msgspec.structs.replace(context, method="full") if context.method == "freeze" else context
    for one in chain(preset, all_presets().presets if known is None else known):
        for layer in (one.base, *one.cases):
            if layer is not one.base and not holds(layer.when, context) and not holds(layer.when, whole):
                continue
            condition = "always" if layer is one.base else words(layer.when)
            for key, value in layer.values.items():
                # A reason belongs to its value: another value without a reason has none.
                reason = layer.why.get(key, Why())
                if key == LEARNING_RATE and not holds(layer.when, context):
                    reason = _of_a_part(reason)
                values[key], why[key] = value, reason
                trail.setdefault(key, []).append(Step(one.name, layer.line, condition, value, reason))
    _for_device(values, why, trail, context)
    steps = {key: tuple(found) for key, found in trail.items()}
    measured = preset.results[0] if preset.results and LEARNING_RATE in preset.base.values else None
    return Resolved(name=preset.name, context=context, values=values, why=why, trail=steps, measured=measured)


def _of_a_part(why: Why) -> Why:
    """Nobody published rates for training a part of the weights: those for all of them stand in, at grade C."""
    reason = f"published for all weights, of which a part is trained here: untested. {why.reason}"
    return msgspec.structs.replace(why, reason=reason, grade="C")


def condition_of(preset: Preset, known: dict[str, Preset]) -> When:
    """When a preset may be chosen: its own conditions, and its parents' where it has none."""
    when = When()
    for one in chain(preset, known):
        when = overlay(when, one.base.when)
    return when


def _for_device(values: dict[str, Any], why: dict[str, Why], trail: dict[str, list[Step]], context: Context) -> None:
    """Paged and 8-bit optimizers exist on CUDA only; elsewhere the same update rule runs unpaged in 32 bit."""
    key = "optimizer.name"
    name = values.get(key, "")
    if context.device == "cpu" and name in ("adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"):
        reason = Why(
            reason=f"{name} needs CUDA; on this processor plain AdamW does the same update", source="bitsandbytes"
        )
        values[key], why[key] = "adamw", reason
        trail.setdefault(key, []).append(Step("device", 0, "no CUDA device", "adamw", reason))
