"""`[batch] [evaluation] [checkpoint] [memory] [launch] [tracking]`: how the run is carried out and watched."""

from __future__ import annotations

from typing import Literal

from tuiwiz.spec.section import Section


class Batch(Section, frozen=True, kw_only=True):
    """`effective` rows make one optimizer step; `micro` rows or `micro_tokens`, `accumulation` and `processes` are only
    the way there."""

    effective: int = 16
    micro: int | None = None
    micro_tokens: int | None = None
    accumulation: int | None = None
    processes: int = 1


class Evaluation(Section, frozen=True, kw_only=True):
    """`every`: 1 or more is optimizer steps, below 1 a share of the run."""

    every: float = 0.1
    metric: str = "loss"
    patience: int | None = None
    min_delta: float = 0.0
    noise_aware: bool = False
    samples: int = 3


class Checkpoint(Section, frozen=True, kw_only=True):
    """`every`, `milestones`: 1 or more is optimizer steps, below 1 a share of the run. `keep`: the last so many; the
    best and the milestones stay besides."""

    every: float = 0.1
    keep: int = 2
    milestones: float | None = None


class Memory(Section, frozen=True, kw_only=True):
    gradient_checkpointing: bool = False
    fused_loss: bool = True
    offload: Literal["none", "activations", "optimizer"] = "none"
    liger: bool = False
    compile: bool = False
    tf32: bool = False
    oom: Literal["ladder", "fail"] = "ladder"


class Launch(Section, frozen=True, kw_only=True):
    strategy: Literal["single", "ddp", "fsdp", "zero2", "zero3"] = "single"
    nodes: int = 1
    devices: str | tuple[int, ...] = "auto"


class Tracking(Section, frozen=True, kw_only=True):
    tensorboard: bool = True
    wandb: bool = False
    trackio: bool = False
    mlflow: bool = False
