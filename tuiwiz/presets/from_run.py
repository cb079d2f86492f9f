"""A preset from a finished run: its values, who decided them, and what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.units import human_number
from tuiwiz.presets.bands import BAND_NAMES, band_of
from tuiwiz.presets.find import all_presets
from tuiwiz.presets.preset import PRESET_KEYS, Layer, Preset, Result, Why
from tuiwiz.presets.resolve import LEARNING_RATE, condition_of, resolve
from tuiwiz.presets.when import Context, When, holds
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.fields import FIELDS
from tuiwiz.spec.keys import flatten

_OF_THE_DATA = ("data.max_length", "validation.fraction")
"""Fitted to each set of rows: two runs that differ in them only are runs of one preset."""
_OF_THE_MACHINE = ("memory.gradient_checkpointing",)
"""Decided by the planner for each device anew."""


def preset_of_run(bundle: Bundle, result: Result, name: str, path: Path) -> Preset:
    """The settings of a run as a preset for its task and method, for models of its size and its neighbours'.

    Phases, paths, seed and what belongs to one machine stay behind.
    """
    values = values_of(bundle)
    bands = _around(result.parameters)
    when = When(task=(bundle.task.kind,), band=bands, method=(bundle.adapter.method,))
    why = {key: _why(key, value, bundle, result) for key, value in values.items()}
    return Preset(name=name, path=path, base=Layer(when=when, values=values, why=why), results=(result,))


def differing(preset: Preset, bundle: Bundle, result: Result) -> list[str]:
    """Keys in which a run is none of this preset, the learning rate first; empty where its result counts for it."""
    band = band_of(result.parameters) if result.parameters else None
    context = Context(task=bundle.task.kind, method=bundle.adapter.method, band=band)
    known = all_presets().presets
    if holds(condition_of(preset, known), msgspec.structs.replace(context, rows=result.rows)) is False:
        return ["when"]
    wanted, flat = resolve(preset, context, known).values, flatten(bundle)
    found = [
        key for key, value in wanted.items() if key not in (*_OF_THE_DATA, *_OF_THE_MACHINE) and flat[key] != value
    ]
    return sorted(found, key=lambda key: (key != LEARNING_RATE, key))


def values_of(bundle: Bundle) -> dict[str, Any]:
    """What of a bundle can be part of a preset, empty lists and unset keys left out."""
    flat = flatten(bundle)
    return {
        key: value
        for key in PRESET_KEYS
        if key not in _OF_THE_MACHINE and (value := flat[key]) is not None and value != [] and value != {}
    }


def _around(parameters: int | None) -> tuple[str, ...]:
    if not parameters:
        return ()
    at = BAND_NAMES.index(band_of(parameters))
    return BAND_NAMES[max(0, at - 1) : at + 2]


def _why(key: str, value: Any, bundle: Bundle, result: Result) -> Why:
    decided = bundle.origin.get(key, "default")
    source = f"one run of {bundle.name} on {result.hardware or 'an unnamed device'}"[:200]
    shown = human_number(value) if isinstance(value, float) else msgspec.json.encode(value).decode()[:80]
    reason = f"{FIELDS[key].label} {shown} in the run, decided by {decided}"
    if key != LEARNING_RATE:
        return Why(reason=reason, source=source)
    steps = f" over {result.steps:,} steps" if result.steps else ""
    outcome = "" if result.value is None else f"; best {result.metric} {human_number(round(result.value, 4))}{steps}"
    return Why(reason=f"{reason}{outcome}. One run, no sweep around it", source=source, grade="B")
