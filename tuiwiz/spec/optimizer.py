"""`[optimizer]`, `[schedule]` and `[[phases]]`: how the weights move."""

from __future__ import annotations

from typing import Literal

from tuiwiz.spec.section import Section

OptimizerName = Literal[
    "adamw",
    "adamw_8bit",
    "paged_adamw_32bit",
    "paged_adamw_8bit",
    "sgd",
    "lamb",
    "adafactor",
    "lion",
    "muon",
    "schedule_free_adamw",
]
ScheduleKind = Literal[
    "constant",
    "linear",
    "cosine",
    "cosine_restarts",
    "inverse_sqrt",
    "polynomial",
    "warmup_stable_decay",
    "one_cycle",
    "plateau",
]


class Optimizer(Section, frozen=True, kw_only=True):
    name: OptimizerName = "adamw"
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    momentum: float | None = None
    nesterov: bool | None = None
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    embedding_ratio: float = 1.0
    head_ratio: float = 1.0


class Schedule(Section, frozen=True, kw_only=True):
    """Exactly one of `epochs` and `steps` is set, unless there are phases with steps of their own."""

    kind: ScheduleKind = "cosine"
    warmup: float = 0.03
    epochs: float | None = None
    steps: int | None = None
    min_ratio: float = 0.0
    cycles: int = 3
    power: float = 2.0
    decay: float = 0.2
    plateau_factor: float = 0.5
    plateau_patience: int = 2
    max_hours: float | None = None
    stop_by: str | None = None


class Phase(Section, frozen=True, kw_only=True):
    """One stage of a run, with a learning rate, schedule and trainable set of its own."""

    name: str
    share: float | None = None
    steps: int | None = None
    learning_rate: float | None = None
    schedule: ScheduleKind | None = None
    warmup: float | None = None
    trainable: str | tuple[str, ...] | None = None
    data: str | None = None
    until: str | None = None


class Regularization(Section, frozen=True, kw_only=True):
    label_smoothing: float = 0.0
    neftune: float = 0.0
    residual_dropout: float = 0.0
