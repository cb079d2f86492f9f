"""The objective of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuiwiz.executor.objectives.objective import Objective
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.task import DEFAULTS, settings_of


def objective_of(bundle: Bundle, model: Any, labels: Sequence[str] = ()) -> Objective:
    """The loss that `task` and `[objective]` ask for, under this model; `labels` names the classes."""
    task, fused = bundle.task.kind, bundle.memory.fused_loss
    knobs: dict[str, Any] = settings_of(task, bundle.objective) if task in DEFAULTS else {}
    if task == "classify":
        from tuiwiz.executor.objectives.classify import ClassifyObjective

        return ClassifyObjective(model, kind=bundle.task.labels or "single", names=labels)
    if task == "reward":
        from tuiwiz.executor.objectives.reward import RewardObjective

        return RewardObjective(model)
    if task == "dpo":
        from tuiwiz.executor.objectives.dpo import DpoObjective

        return DpoObjective(model, fused=fused, **knobs)
    if task == "orpo":
        from tuiwiz.executor.objectives.orpo import OrpoObjective

        return OrpoObjective(model, fused=fused, weight=knobs["lambda"])
    if task == "simpo":
        from tuiwiz.executor.objectives.simpo import SimpoObjective

        return SimpoObjective(model, fused=fused, **knobs)
    if task == "kto":
        from tuiwiz.executor.objectives.kto import KtoObjective

        return KtoObjective(model, fused=fused, **knobs)
    from tuiwiz.executor.objectives.causal import CausalObjective

    return CausalObjective(model, fused=fused, smoothing=bundle.regularization.label_smoothing)
