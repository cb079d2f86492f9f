"""The bundle: everything a run needs and nothing implied."""

from __future__ import annotations

import msgspec

from tuiwiz.spec.adapter import Adapter, Quantization
from tuiwiz.spec.data import Data, Validation
from tuiwiz.spec.model import Model
from tuiwiz.spec.optimizer import Optimizer, Phase, Regularization, Schedule
from tuiwiz.spec.running import Batch, Checkpoint, Evaluation, Launch, Memory, Tracking
from tuiwiz.spec.section import Section
from tuiwiz.spec.task import Objective, Task

FORMAT = 1
"""The newest bundle format that this version reads and the one that it writes."""


class Lock(Section, frozen=True, kw_only=True):
    """What the bundle was made with. Hashes are hex SHA-256; an empty string is "not known"."""

    tuiwiz: str = ""
    libraries: dict[str, str] = {}
    model: dict[str, str] = {}
    revision: str = ""
    tokenizer: str = ""
    template: str = ""
    data: dict[str, str] = {}
    rows: dict[str, int] = {}
    hardware: dict[str, str] = {}


class Adjustment(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}, forbid_unknown_fields=True):
    """What the ladder changed at `step` of a run for want of memory; written to `resolved.toml` alone."""

    step: int
    key: str
    from_: int | bool | str
    to: int | bool | str
    reason: str = ""


class Bundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run. Paths are relative to the folder of the bundle's file.

    `origin` maps a dotted key to who decided its value: `default`, `preset NAME`, `planner`, `data`, `user`, or
    another short word. It never changes what runs.
    """

    name: str = "run"
    format: int = FORMAT
    seed: int = 42
    task: Task
    model: Model
    data: Data
    validation: Validation = Validation()
    adapter: Adapter = Adapter()
    quantization: Quantization = Quantization()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    batch: Batch = Batch()
    phases: tuple[Phase, ...] = ()
    regularization: Regularization = Regularization()
    evaluation: Evaluation = Evaluation()
    checkpoint: Checkpoint = Checkpoint()
    memory: Memory = Memory()
    launch: Launch = Launch()
    tracking: Tracking = Tracking()
    objective: Objective = Objective()
    origin: dict[str, str] = {}
    lock: Lock | None = None
    adjustments: tuple[Adjustment, ...] = ()


SECTIONS: tuple[str, ...] = (
    "task",
    "model",
    "data",
    "validation",
    "adapter",
    "quantization",
    "optimizer",
    "schedule",
    "batch",
    "regularization",
    "evaluation",
    "checkpoint",
    "memory",
    "launch",
    "tracking",
    "objective",
)
"""The value sections in the order in which they are written."""
