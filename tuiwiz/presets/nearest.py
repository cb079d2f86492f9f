"""Nearest proven settings: how far a measured run is from the one that is wanted, in doublings of what differs.

A run with half the rows is one doubling away, one with a model of a quarter of the size two; the lengths of rows count
half, as they change what a step costs more than what it learns.
"""

from __future__ import annotations

import math

import msgspec

from tuiwiz.base.units import human_count, human_number
from tuiwiz.presets.preset import Preset, Result
from tuiwiz.presets.when import Context

NEAR = 3.0
"""Doublings in all up to which measured settings come before published ones."""
LENGTH_WEIGHT = 0.5
UNKNOWN = 1.0
"""Doublings for what one of the two does not say."""


class Proven(msgspec.Struct, frozen=True):
    """The measured run of a preset that is nearest to a context."""

    result: Result
    distance: float

    @property
    def near(self) -> bool:
        return self.distance <= NEAR


def nearest_result(preset: Preset, context: Context) -> Proven | None:
    """The nearest of a preset's results, None where it has none. Task and method are the preset's conditions."""
    found = [Proven(one, distance(one, context)) for one in preset.results]
    return min(found, key=lambda one: one.distance, default=None)


def distance(result: Result, context: Context) -> float:
    """Doublings between a measured run and a wanted one."""
    return (
        _doublings(result.parameters, context.parameters)
        + _doublings(result.rows, context.rows)
        + LENGTH_WEIGHT * _doublings(result.max_length, context.longest)
    )


def _doublings(one: float | None, other: float | None) -> float:
    if not one or not other or one <= 0 or other <= 0:
        return UNKNOWN
    return abs(math.log2(one / other))


def words(proven: Proven, context: Context) -> str:
    """`measured on qwen3-8b with 800 rows: loss 1.9 -> 0.41; yours: a model 0.5 times as large, 2 times the rows`."""
    one = proven.result
    rows = f" with {one.rows:,} rows" if one.rows else ""
    hardware = f" on {one.hardware}" if one.hardware else ""
    value = "" if one.value is None else f": {one.metric} {_change(one)}"
    differs = []
    if one.parameters and context.parameters:
        times = context.parameters / one.parameters
        same = abs(math.log2(times)) < 0.1
        differs.append("the same size of model" if same else f"a model {times:.2g} times as large")
    if one.rows and context.rows:
        differs.append(f"{context.rows / one.rows:.2g} times the rows")
    return f"measured with {one.model}{rows}{hardware}{value}" + (f"; yours: {', '.join(differs)}" if differs else "")


def _change(one: Result) -> str:
    before = "" if one.first is None else f"{human_number(round(one.first, 4))} -> "
    return f"{before}{human_number(round(one.value or 0.0, 4))}"


def figures(one: Result) -> list[tuple[str, str]]:
    """A result in short for a screen: what was measured and how much."""
    found = [("model", one.model), ("hardware", one.hardware)]
    if one.value is not None:
        found.append((one.metric, _change(one)))
    found.append(("rows", f"{one.rows:,}" if one.rows else ""))
    found.append(("steps", f"{one.steps:,}" if one.steps else ""))
    if one.peak_bytes:
        found.append(("peak", f"{one.peak_bytes / (1 << 30):.2f} GiB"))
    if one.tokens_per_second:
        found.append(("speed", f"{human_count(one.tokens_per_second)} tokens/s"))
    return [(name, text) for name, text in found if text]
