"""The planner's part of a bundle: micro-batch, accumulation, checkpointing, and the choices of Fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from tuiwiz.wizard.answers import Picked
    from tuiwiz.wizard.facts import Facts
    from tuiwiz.wizard.work import Work


class Planned(msgspec.Struct, frozen=True):
    plan: Any = None
    choices: tuple[Any, ...] = ()


def parameters_per_rank(shape: Any) -> int:
    """Adapter parameters of one unit of rank over all linear layers: the sum of (inputs + outputs)."""
    query, key_value = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = (shape.hidden + query) * 2 + (shape.hidden + key_value) * 2
    mlp = 3 * (shape.hidden + shape.intermediate)
    return int(shape.layers * (attention + mlp))


def fill_planned(work: Work, picked: Picked | None, facts: Facts, rows: int | None) -> Planned:
    return Planned()
