"""Before a long run: its hardest moments, really taken, unless they were before or that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuiwiz.catalog.gpus import Device
    from tuiwiz.catalog.shapes import ModelShape
    from tuiwiz.spec.bundle import Bundle

LONG_S = 3600.0
"""Planned seconds from which on a run is rehearsed: the rehearsal takes a minute or some."""
LEAST_BYTES = 2
"""Of text that a token stands for, at the least, where that is to be bounded without reading."""


def due(path: Path, sets: list[str]) -> float | None:
    """Planned seconds of a bundle that has to be rehearsed before it is run; None where there is no need to: the run is
    short, how long it takes is not known, or this very bundle was rehearsed here before.

    Raises:
        TuiwizError: the bundle cannot be read.
    """
    from tuiwiz.bundle.change import apply_sets
    from tuiwiz.bundle.digest import digest
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.catalog.measured import kept
    from tuiwiz.runs.folder import start_of

    bundle = apply_sets(read_bundle(path), sets)
    seconds = planned_seconds(bundle, start_of(path))
    if seconds is None or seconds < LONG_S:
        return None
    return None if any(one.get("digest") == digest(bundle) for one in kept()) else seconds


def planned_seconds(bundle: Bundle, folder: Path) -> float | None:
    """What the plan says of the whole run, here; None where that is not known. A set that is small enough to be a short
    run in any case is not read."""
    from tuiwiz.base.errors import TuiwizError
    from tuiwiz.catalog.machine import this_device
    from tuiwiz.catalog.sources import locate
    from tuiwiz.data.profile import profile, training_rows
    from tuiwiz.memory.plan import plan

    try:
        located = locate(bundle.model.source, bundle.model.revision, folder)
        if located.shape is None:
            return None
        device = this_device()
        most = _most_seconds(bundle, folder, located.shape, device)
        if most is None or most < LONG_S:
            return most
        read = profile(bundle, folder, located.folder)
        return plan(bundle, located.shape, device, read.lengths, training_rows(bundle, read.rows)).seconds
    except (TuiwizError, OSError):
        # Whatever is wrong, the run itself says it better.
        return None


def _most_seconds(bundle: Bundle, folder: Path, shape: ModelShape, device: Device) -> float | None:
    """A bound from the size of the file alone."""
    from tuiwiz.memory.setting import setting_of
    from tuiwiz.memory.speed import speed

    if not isinstance(bundle.data.train, str):
        return None
    size = (folder / bundle.data.train).stat().st_size
    tokens = size / LEAST_BYTES * (bundle.schedule.epochs or 1.0)
    if bundle.schedule.steps is not None:
        tokens = float(bundle.schedule.steps * bundle.batch.effective * bundle.data.max_length)
    return tokens / speed(shape, setting_of(bundle, device, grouped=shape.grouped), device).tokens_per_second
