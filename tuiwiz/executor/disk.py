"""Whether there is room on the disk: for the whole run before it starts, for one checkpoint before it is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from tuiwiz.base.errors import MachineLacksError
from tuiwiz.base.units import human_bytes
from tuiwiz.events.folder import RunFolder
from tuiwiz.spec.bundle import Bundle

STATE_BYTES: dict[str, float] = {
    "sgd": 0.0,
    "adamw_8bit": 2.1,
    "paged_adamw_8bit": 2.1,
    "lion": 4.0,
    "adafactor": 4.0,
}
"""Bytes of optimizer state a parameter; two fp32 moments where not listed."""
TWO_MOMENTS = 8.0
SLACK_BYTES = 1 << 20
"""Counters, random streams and file headers of one checkpoint, and what events add in the meantime."""


def checkpoint_bytes(weights: Mapping[str, nn.Parameter], bundle: Bundle) -> int:
    """Forecast of one checkpoint: trained weights in fp32 and the optimizer's state."""
    parameters = sum(value.numel() for value in weights.values())
    state = 4.0 if bundle.optimizer.momentum else STATE_BYTES.get(bundle.optimizer.name, TWO_MOMENTS)
    return int(parameters * (4 + state)) + SLACK_BYTES


def check_room(folder: RunFolder, weights: Mapping[str, nn.Parameter], bundle: Bundle, *, kept: int) -> None:
    """Refuse a run whose checkpoints would not fit: `kept` ones, the best, one that is being written, and the result.

    Raises:
        MachineLacksError: with the figures.
    """
    one = checkpoint_bytes(weights, bundle)
    result = sum(value.nbytes for value in weights.values())
    needed = one * (kept + 2) + result
    there = sum(path.stat().st_size for path in folder.checkpoints.rglob("*") if path.is_file())
    free = shutil.disk_usage(folder.path).free
    if needed > free + there:
        raise MachineLacksError(
            f"checkpoints and result take up to {human_bytes(needed)} of disk, {human_bytes(free)} are free",
            hint=f"free some space, choose another --out, or lower checkpoint.keep: each takes {human_bytes(one)}",
        )


def refuse_without_room(folder: Path, tensors: Iterable[Tensor]) -> None:
    """Refuse to begin a checkpoint that cannot be finished.

    Raises:
        MachineLacksError: with the figures; the checkpoints that are there stay as they are.
    """
    needed = sum(tensor.nbytes for tensor in tensors) + SLACK_BYTES
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise MachineLacksError(
            f"the disk is full: a checkpoint takes {human_bytes(needed)}, {human_bytes(free)} are free",
            hint="free some space, then `tuiwiz resume` goes on from the last checkpoint",
        )
