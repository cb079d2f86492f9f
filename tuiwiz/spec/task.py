"""`[task]` and `[objective]`: what is learnt."""

from __future__ import annotations

from typing import Literal

import msgspec

from tuiwiz.spec.section import Section

TaskKind = Literal["chat", "instruct", "pretrain", "classify", "dpo", "orpo", "kto", "simpo", "reward"]
Labels = Literal["single", "multi", "regression"]


class Task(Section, frozen=True, kw_only=True):
    kind: TaskKind
    labels: Labels | None = None


class Objective(Section, frozen=True, kw_only=True):
    """Knobs of the preference losses; unset means the method's own default."""

    beta: float | None = None
    gamma: float | None = None
    lambda_: float | None = msgspec.field(name="lambda", default=None)
    loss: str | None = None
    desirable_weight: float | None = None
    undesirable_weight: float | None = None
