"""The simulation as the planner sees it: what to ask the executor's job `simulate` for, and what its answer means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.catalog.gpus import Device
from tuiwiz.catalog.shapes import ModelShape
from tuiwiz.memory.estimate import LOADING, estimate, hardest
from tuiwiz.memory.plan import Simulation
from tuiwiz.memory.setting import Setting
from tuiwiz.memory.stack import OURS, Stack
from tuiwiz.memory.verdict import verdict

JOB = "simulate"


def job_arguments(
    settings: Iterable[Setting], shape: ModelShape, model_folder: Path | None = None, stack: Stack = OURS
) -> dict[str, Any]:
    """Arguments of the job. A folder's own config.json is more exact than a shape; either is enough. Of a run in phases
    that train different parts, the one that takes most is simulated."""
    own = model_folder is not None and (model_folder / "config.json").is_file()
    return {
        "settings": [_plain(hardest(shape, setting, stack)) for setting in settings],
        "shape": _plain(shape),
        "stack": _plain(stack),
        "model_folder": str(model_folder.resolve()) if own and model_folder is not None else None,
    }


def read_results(
    results: Sequence[Mapping[str, Any]], settings: Iterable[Setting], shape: ModelShape, device: Device
) -> list[Simulation]:
    """What each setting takes from the device: segments and context on a card, resident pages on a processor."""
    found = []
    for result, setting in zip(results, settings, strict=True):
        if result.get("problem"):
            found.append(Simulation(problem=str(result["problem"])))
            continue
        # A processor's heap has gaps of its own, which are measured and not simulated.
        planned = estimate(shape, setting, device)
        held = int(result["reserved_bytes"] if device.kind == "cuda" else result["allocated_bytes"])
        # A processor's heap has gaps of its own, which are measured and not simulated.
        gaps = 0 if device.kind == "cuda" else planned.items["reserve"]
        total = held + gaps + planned.items["context"]
        # The step alone is simulated.
        total = max(total, planned.total_bytes) if planned.limiting == LOADING else total
        found.append(
            Simulation(
                allocated_bytes=int(result["allocated_bytes"]),
                total_bytes=total,
                verdict=verdict(total, device.usable_bytes),
                seconds=float(result["seconds"]),
            )
        )
    return found


def _plain(value: Any) -> dict[str, Any]:
    """For TOML, which has no null."""
    return {key: item for key, item in msgspec.to_builtins(value).items() if item is not None}
