"""A preset as a file: one that stands by itself, with its digest. Reading it back gives the same preset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import tomli_w

from tuiwiz.base.units import gib
from tuiwiz.presets.find import chain
from tuiwiz.presets.preset import Layer, Preset, Result, Why
from tuiwiz.presets.when import KEYS, Interval, When, overlay
from tuiwiz.spec.fields import choices
from tuiwiz.spec.keys import unflatten


def digest_of(preset: Preset) -> str:
    """Hex SHA-256 over what a preset does: parent, conditions, values and reasons in order.

    Its name and its results are left out, so that the same preset keeps its digest under another name and when results
    of several people come together.
    """
    parts = [preset.extends, *(_table(layer) for layer in (preset.base, *preset.cases))]
    return hashlib.sha256(msgspec.json.encode(_whole(parts), order="sorted")).hexdigest()


def _whole(value: Any) -> Any:
    """A whole float and the same integer are one value in TOML's eyes but not in JSON's."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return value


def preset_text(preset: Preset, heading: str = "") -> str:
    """The preset as TOML with its digest. The same preset gives the same bytes."""
    tree: dict[str, Any] = {"name": preset.name, "digest": digest_of(preset)}
    if preset.extends is not None:
        tree["extends"] = preset.extends
    tree |= _table(preset.base)
    if preset.cases:
        tree["case"] = [_table(layer) for layer in preset.cases]
    if preset.results:
        tree["results"] = [_result(one) for one in preset.results]
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    return comment + tomli_w.dumps(tree)


def standing_alone(preset: Preset, known: Mapping[str, Preset]) -> Preset:
    """The preset with those parents written into it that do not come with tuiwiz, so that one file is enough.

    Raises:
        InvalidError: `extends` does not lead anywhere.
    """
    line = chain(preset, dict(known))
    own = next((index for index, one in enumerate(line) if not one.shipped), len(line) - 1)
    mine = line[own:]
    if len(mine) == 1:
        return preset
    condition = When()
    cases: list[Layer] = []
    for one in mine:
        condition = overlay(condition, one.base.when)
        if one is not mine[0] and one.base.values:
            # A child's values come after its parent's cases, so they need a case of their own that always holds.
            everywhere = When(task=tuple(str(task) for task in choices("task.kind")))
            cases.append(msgspec.structs.replace(one.base, when=everywhere))
        cases += one.cases
    base = msgspec.structs.replace(mine[0].base, when=condition)
    return msgspec.structs.replace(preset, base=base, cases=tuple(cases), extends=mine[0].extends)


def _table(layer: Layer) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    if layer.when.count:
        tree["when"] = when_table(layer.when)
    tree |= unflatten(layer.values)
    if layer.why:
        tree["why"] = {key: _why(why) for key, why in layer.why.items()}
    return tree


def when_table(when: When) -> dict[str, Any]:
    """Conditions as a file writes them."""
    found: dict[str, Any] = {}
    for key in KEYS:
        items = [_interval(one, key) if isinstance(one, Interval) else one for one in getattr(when, key)]
        if items:
            found[key] = items[0] if len(items) == 1 else items
    return found


def _interval(one: Interval, key: str) -> str:
    def shown(value: float) -> str:
        if key != "memory":
            return f"{value:.0f}"
        whole = gib(value, 0)
        return whole.replace(" ", "") if value % (1 << 30) == 0 else f"{value:.0f}B"

    if one.high == float("inf"):
        return f">={shown(one.low)}"
    return f"<{shown(one.high)}" if one.low == 0 else f"{shown(one.low)}..{shown(one.high)}"


def _why(why: Why) -> dict[str, Any]:
    found: dict[str, Any] = {name: text for name in ("reason", "source", "grade") if (text := getattr(why, name))}
    if why.range is not None:
        found["range"] = list(why.range)
    return found


def _result(one: Result) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(one).items() if value not in (None, "")}
