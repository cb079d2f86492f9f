"""Job `rehearse`: the hardest that a run can meet, before it is started.

Three optimizer steps on the longest rows, an evaluation of the longest held-out ones, a save, a reload and a
generation, by the code that the run itself uses, in a scratch folder. The peak is compared with the plan.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tuiwiz.base.errors import ExitCode, RunFailedError, StoppedError
from tuiwiz.data.types import Prepared, Rows
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.reader import EventReader
from tuiwiz.events.types import Adjusted, Checkpoint, Event, Memory, Metric
from tuiwiz.executor import checkpoint
from tuiwiz.executor.evaluate import TOKENS
from tuiwiz.executor.memory import plan_of

if TYPE_CHECKING:
    from tuiwiz.executor.sampling import Sampler
    from tuiwiz.executor.trainer import Trainer

RESULT = "rehearsal.json"


def run(folder: Path) -> dict[str, Any]:
    """Rehearse the bundle in `folder`; returns what was measured.

    Keys: `predicted_bytes` (None where the planner does not know the model; `fixed_bytes` of it are weights),
    `predicted_seconds` of a step of such rows, `shape` and `planned_on` as the plan calls model and device,
    `peak_bytes`, `seconds_per_step` (median of the steps after the first), `longest` tokens, `checkpoint_bytes`,
    `reload_s`, `generation_s`, `adjustments` (what the ladder had to change, as [key, from, to]), `device`.

    Raises:
        StoppedError: something asked it to stop before.
    """
    from tuiwiz.executor import train

    code = train.run(folder)
    if code not in (ExitCode.DONE, ExitCode.STOPPED) or not (folder / RESULT).exists():
        raise StoppedError("the rehearsal was stopped")
    found: dict[str, Any] = msgspec.json.decode((folder / RESULT).read_bytes())
    events: list[Event] = EventReader(RunFolder(folder).events).read(100_000)
    seconds = [event.metrics["step_seconds"] for event in events if isinstance(event, Metric)]
    found["seconds_per_step"] = statistics.median(seconds[1:] or seconds)
    found["checkpoint_bytes"] = max(event.bytes for event in events if isinstance(event, Checkpoint))
    found["adjustments"] = [[event.key, event.from_, event.to] for event in events if isinstance(event, Adjusted)]
    memory = [event for event in events if isinstance(event, Memory)]
    found["limiting"] = memory[-1].limiting if memory else ""
    return found


def worst_of(prepared: Prepared, effective: int) -> Prepared:
    """The longest rows of one optimizer step, and the held-out rows of the longest evaluation pass."""
    held_out = _longest(prepared.validation, len(prepared.validation))
    longest = held_out.lengths_of(range(len(held_out)))
    passed = max(1, TOKENS // max(1, longest[0])) if longest else 0
    return msgspec.structs.replace(
        prepared,
        train=_longest(prepared.train, effective),
        validation=held_out.take(range(min(passed, len(held_out)))),
    )


def _longest(rows: Rows, count: int) -> Rows:
    lengths = rows.lengths_of(range(len(rows)))
    return rows.take(sorted(range(len(rows)), key=lambda index: -lengths[index])[:count])


def rest(run: Trainer, sampler: Sampler, model: Path) -> None:
    """What follows the steps: save, reload, generate; and the figures of the device.

    Raises:
        RunFailedError: a reloaded weight is not the one that was saved.
    """
    from tuiwiz.executor.loop import save_checkpoint

    save_checkpoint(run)
    before = {name: weight.detach().clone() for name, weight in run.weights.items()}
    started = time.perf_counter()
    path, complaints = checkpoint.newest_valid(run.recorder.folder.checkpoints)
    if path is None:
        raise RunFailedError(f"the checkpoint cannot be read back: {'; '.join(complaints)}")
    checkpoint.load(path, run.weights, run.optimizer, run.scaler)
    reload_s = time.perf_counter() - started
    changed = [name for name, weight in run.weights.items() if not bool((weight == before[name]).all())]
    if changed:
        raise RunFailedError(f"{changed[0]} came back changed from its checkpoint")
    started = time.perf_counter()
    sampler.at(run.progress.step, final=True)
    # Measured against the bare plan: a correction of a corrected plan would creep away.
    plan = plan_of(run.bundle, run.train_rows, model, correct=False)
    fixed = plan.items["weights"] + plan.items["quantization_constants"] if plan is not None else None
    figures = {
        "predicted_bytes": plan.total_bytes if plan is not None else None,
        "fixed_bytes": fixed,
        "predicted_seconds": plan.seconds_per_step if plan is not None else None,
        "shape": plan.model if plan is not None else "",
        "planned_on": plan.device if plan is not None else "",
        "peak_bytes": run.device.held()[0] if run.device.is_cuda else run.device.memory()[1],
        "longest": max(run.train_rows.lengths_of(range(len(run.train_rows)))),
        "micro": run.micro,
        "reload_s": reload_s,
        "generation_s": time.perf_counter() - started,
        "device": f"{run.device.name}, {run.device.compute_name}",
    }
    (run.recorder.folder.path / RESULT).write_bytes(msgspec.json.encode(figures))
