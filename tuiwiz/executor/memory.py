"""Predicted against actual memory, after the second step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuiwiz.events import types

if TYPE_CHECKING:
    from tuiwiz.executor.loop import Trainer


def report_memory(run: Trainer, model: Path) -> None:
    """Write the `memory` event: the plan's items beside what the device measured in all."""
    _, peak = run.device.memory()
    run.recorder.write(types.Memory, predicted={}, actual={"total": peak}, limiting="")
