"""What the model thought of every row before training: computed once from the weights as they were loaded, so that no
second copy of the model is ever needed.

Fresh adapters are silent (their B is zero) and continued ones are the start of this run: in both cases, and with all
weights trained, the model before its first update is the reference. A resumed run reads the numbers back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tuiwiz.base.files import fsync_folder
from tuiwiz.data.types import Prepared, Rows
from tuiwiz.executor.batching import Order
from tuiwiz.executor.evaluate import by_length, dropout_off
from tuiwiz.spec.bundle import Bundle

FILE = "reference.safetensors"


def visited_rows(bundle: Bundle, prepared: Prepared, total: int) -> dict[str, list[int]]:
    """The rows that a run of `total` steps comes to: those of its first epoch, and all that are held out."""
    order = Order(len(prepared.train), bundle.batch.effective, bundle.seed)
    steps = range(min(total, order.per_epoch))
    return {
        "train": sorted({row for step in steps for row in order.step(step)}),
        "validation": list(range(len(prepared.validation))),
    }


def fill_reference(
    folder: Path,
    prepared: Prepared,
    visited: dict[str, list[int]],
    model: Any,
    objective: Any,
    autocast: Callable[[], Any],
    progress: Callable[[int, int], None],
) -> None:
    """Give the rows that are `visited` their `reference`, from the run folder where it lies there already.

    `objective` has `measure(batch)`: [n, k] log-probabilities that rows are compared by. Rows that the run never comes
    to have none (nan).
    """
    sets = {"train": prepared.train, "validation": prepared.validation}
    found = _read(folder / FILE, sets)
    missing = {
        name: [row for row in rows if name not in found or not bool(found[name][row].isfinite().all())]
        for name, rows in visited.items()
    }
    total, done = sum(len(rows) for rows in missing.values()), 0
    device = next(model.parameters()).device
    for name, places in missing.items():
        rows = sets[name]
        for group in by_length(rows.lengths_of(places)):
            indexes = [places[index] for index in group]
            with torch.inference_mode(), dropout_off(model), autocast():
                batch = objective.collate(rows, [[index] for index in indexes], device)
                measured = objective.measure(batch).float().cpu()
            if name not in found:
                found[name] = torch.full((len(rows), measured.shape[1]), math.nan)
            found[name][indexes] = measured
            done += len(indexes)
            progress(done, total)
    if total:
        temporary = folder / f".{FILE}.tmp"
        save_file(found, temporary)
        temporary.replace(folder / FILE)
        fsync_folder(folder)
    for name, rows in sets.items():
        rows.reference = [tuple(values) for values in found[name].tolist()] if len(rows) else []


def _read(path: Path, sets: dict[str, Rows]) -> dict[str, Tensor]:
    """The numbers of an earlier attempt; nothing where there are none for just these rows."""
    try:
        found = load_file(path)
    except (OSError, SafetensorError):
        return {}
    wanted = {name: len(rows) for name, rows in sets.items() if len(rows)}
    return found if {name: len(values) for name, values in found.items()} == wanted else {}
