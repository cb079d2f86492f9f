"""What is known about the model, the device and the data: what `compose` needs but cannot work out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tuiwiz.base.problems import Problem
from tuiwiz.spec.bundle import Lock

if TYPE_CHECKING:
    from tuiwiz.catalog.gpus import Device
    from tuiwiz.catalog.shapes import ModelShape


class DataFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A measured training set. Counts are of the training part, before the split; lengths are tokens a row.

    `exact` is False while only a sample was measured and the counts are scaled up from it; `tokenizer` names whose
    tokens they are.
    """

    rows: int
    tokens: int
    supervised_tokens: int
    p50: int
    p95: int
    longest: int
    format: str = "auto"
    mapping: dict[str, str] = {}
    validation_rows: int | None = None
    tokenizer: str = ""
    exact: bool = True


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`None` is "not known yet": `compose` decides what it can without it and says what waits.

    `model_chosen` is False when `shape` only stands for a size (`8B`), which is enough to plan but not to run.
    """

    shape: ModelShape | None = None
    model_chosen: bool = True
    device: Device | None = None
    data: DataFacts | None = None
    lock: Lock | None = None
    problems: tuple[Problem, ...] = ()
