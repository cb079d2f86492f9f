"""`[task]` and `[objective]`: what is learnt."""

from __future__ import annotations

from typing import Literal

import msgspec

from tuiwiz.spec.section import Section

TaskKind = Literal["chat", "instruct", "pretrain", "classify", "dpo", "orpo", "kto", "simpo", "reward"]
Labels = Literal["single", "multi", "regression"]
PreferenceLoss = Literal["sigmoid", "ipo", "robust"]

HEAD_TASKS = ("classify", "reward")
"""Tasks whose model ends in a small head of numbers in place of words."""
PAIR_TASKS = ("dpo", "orpo", "simpo", "reward")
"""Tasks that learn from a better and a worse answer to one prompt."""
LAST_ANSWER_TASKS = ("dpo", "orpo", "simpo", "kto", "reward")
"""Tasks that judge the last answer of a row and nothing before it."""
REFERENCE_TASKS = ("dpo", "kto")
"""Tasks that hold the model against itself as it was before training."""


class Task(Section, frozen=True, kw_only=True):
    kind: TaskKind
    labels: Labels | None = None


class Objective(Section, frozen=True, kw_only=True):
    """Knobs of the preference losses; unset means the method's own default, `DEFAULTS`."""

    beta: float | None = None
    gamma: float | None = None
    lambda_: float | None = msgspec.field(name="lambda", default=None)
    loss: PreferenceLoss | None = None
    label_smoothing: float | None = None
    desirable_weight: float | None = None
    undesirable_weight: float | None = None


DEFAULTS: dict[str, dict[str, float | str]] = {
    "dpo": {"beta": 0.1, "loss": "sigmoid", "label_smoothing": 0.1},
    "orpo": {"lambda": 0.1},
    "simpo": {"beta": 2.0, "gamma": 1.0},
    "kto": {"beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0},
}
"""By task, the knobs of its loss and their values where a bundle leaves them out."""

GENERATED = ("rouge1", "rouge2", "rougeL", "chrf", "generated_exact")
"""Metrics of answers that are generated at every evaluation."""

FALLING = ("loss", "mean_absolute_error", "mean_squared_error")
"""Metrics that are better when lower; all others are better when higher."""


def metrics_of(task: str, labels: str | None = None) -> tuple[str, ...]:
    """What `evaluation.metric` may be: the metrics that an evaluation of this task measures."""
    if task == "classify":
        return {
            "multi": ("loss", "accuracy", "macro_f1"),
            "regression": ("loss", "mean_squared_error", "mean_absolute_error", "pearson"),
        }.get(labels or "single", ("loss", "accuracy", "macro_f1", "matthews"))
    if task in LAST_ANSWER_TASKS:
        return ("loss", "accuracy", "margin")
    if task == "pretrain":
        return ("loss",)
    return ("loss", "exact_match", *GENERATED)


def settings_of(task: str, given: Objective) -> dict[str, float | str]:
    """The knobs of a task's loss: the given ones over the defaults."""
    tree: dict[str, float | str | None] = msgspec.to_builtins(given)
    return {name: value if (value := tree[name]) is not None else default for name, default in DEFAULTS[task].items()}
