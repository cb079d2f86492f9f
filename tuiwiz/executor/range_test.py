"""Job `range-test`: the learning rate grows from step to step until the loss turns (Smith, arXiv 1506.01186).

On a fixed small set of rows, each batch set against its own loss before the sweep, so that the curve tells of the rate
and not of the rows: batches of four differ by more than divergence is dated by. The rate at which the smoothed loss has
left its best by a tenth is where training diverges: a ceiling, not a pick, since a few steps say nothing of a whole
run. What the sweep moved is put back to the last bit.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tuiwiz.base.errors import RunFailedError
from tuiwiz.bundle.read import read_bundle
from tuiwiz.data.prepare import prepare
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.job import read_job
from tuiwiz.executor import checkpoint
from tuiwiz.executor.batching import lay_out
from tuiwiz.executor.course import stage_of
from tuiwiz.executor.evaluate import dropout_off
from tuiwiz.executor.loop import optimizer_step
from tuiwiz.executor.objectives.objective import added, mean
from tuiwiz.executor.trainer import Trainer

ROWS = 64
BETA = 0.9
"""Of the exponential mean of the losses, corrected for its start."""
DIVERGED, STOP = 1.1, 1.5
"""Times the best smoothed loss: where divergence is dated, and where the sweep ends."""
FLOOR = 0.25
"""Share of the first loss below which a best counts as this much: a tenth of next to nothing is noise."""
SETTLED = 10
"""Steps before the mean is believed."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One point a step; a loss is the set's mean before the sweep plus what its batch has changed. `divergence` is the
    first rate at which the smoothed loss had left its best, None where it did not; `steepest` the rate at which it fell
    fastest; `ended` says why the sweep did."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    divergence: float | None
    steepest: float | None
    ended: str


class Snapshot:
    """Weights, optimizer, loss scale, counters and random streams, to be put back to the last bit."""

    def __init__(self, run: Trainer) -> None:
        self._weights = {name: value.detach().clone() for name, value in run.weights.items()}
        self._optimizer = copy.deepcopy(run.optimizer.state_dict())
        self._scaler = copy.deepcopy(run.scaler.state_dict()) if run.scaler is not None else None
        self._progress = copy.deepcopy(run.progress)
        self._streams = checkpoint.random_streams()

    def restore(self, run: Trainer) -> None:
        with torch.no_grad():
            for name, value in run.weights.items():
                value.copy_(self._weights[name])
                value.grad = None
        run.optimizer.load_state_dict(copy.deepcopy(self._optimizer))
        if run.scaler is not None:
            run.scaler.load_state_dict(copy.deepcopy(self._scaler))
        run.progress = copy.deepcopy(self._progress)
        checkpoint.restore_streams(self._streams)


def sweep(run: Trainer, low: float, high: float, steps: int) -> Sweep:
    """Train `steps` steps at rates from `low` to `high`, evenly in the logarithm, and put everything back."""
    before = Snapshot(run)
    batches = micro_set(len(run.train_rows), run.bundle.batch.effective)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    average, best, ended = 0.0, math.inf, "end of the band"
    try:
        untrained = [loss_before(run, indexes) for indexes in batches[:steps]]
        level = sum(untrained) / len(untrained)
        first = stage_of(run).span.rate(0)
        for number in range(steps):
            run.interrupts.check()
            rate = low * (high / low) ** (number / max(1, steps - 1))
            # The schedule is held at its first step; each group keeps its share of the rate.
            run.progress.rate_scale = rate / first
            place = number % len(batches)
            try:
                loss = optimizer_step(run, batches[place])["loss"] - untrained[place] + level
            except RunFailedError:
                loss = math.nan
            run.recorder.stage("sweeping", number + 1, steps, f"learning rate {rate:.1e}")
            average = BETA * average + (1 - BETA) * loss
            rates.append(rate)
            losses.append(loss)
            smoothed.append(average / (1 - BETA ** (number + 1)))
            if not math.isfinite(loss):
                ended = "a loss that is not finite"
                break
            best = min(best, smoothed[-1])
            if number >= SETTLED and smoothed[-1] - best > (STOP - 1) * _yardstick(best, smoothed[0]):
                ended = "divergence"
                break
    finally:
        before.restore(run)
    return judge(rates, losses, smoothed, ended)


def micro_set(rows: int, effective: int) -> list[list[int]]:
    """Batches of up to `effective` rows, none overlapping, out of the first `ROWS`."""
    rows = min(ROWS, rows)
    size = min(effective, rows)
    return [[*range(start, start + size)] for start in range(0, rows - size + 1, size)]


def loss_before(run: Trainer, indexes: list[int]) -> float:
    """Mean loss of a batch under the weights as they are, without dropout."""
    layout = lay_out(run.train_rows, indexes, run.micro, packing=run.bundle.data.packing, tokens=run.micro_tokens)
    with torch.no_grad(), dropout_off(run.model), run.autocast():
        batches = [run.objective.collate(run.train_rows, sequences, run.device.where) for sequences in layout]
        counts = added(run.objective.counts(batch) for batch in batches)
        run.objective.settle(run.objective.begin(batches))
        return sum(float(mean(run.objective(batch).parts, counts)) for batch in batches)


def _yardstick(best: float, first: float) -> float:
    """The best smoothed loss, or a share of the first where it has come close to nothing."""
    return max(best, FLOOR * first)


def judge(rates: list[float], losses: list[float], smoothed: list[float], ended: str) -> Sweep:
    """Date divergence and the steepest fall on a swept curve."""
    divergence = steepest = None
    best = math.inf
    fall = 0.0
    for number, value in enumerate(smoothed):
        if not math.isfinite(value):
            divergence = rates[number] if divergence is None else divergence
            break
        best = min(best, value)
        if divergence is None and number >= SETTLED and value - best > (DIVERGED - 1) * _yardstick(best, smoothed[0]):
            divergence = rates[number]
        if number >= SETTLED and divergence is None and smoothed[number] - smoothed[number - 1] < fall:
            fall, steepest = smoothed[number] - smoothed[number - 1], rates[number]
    return Sweep(rates, losses, smoothed, divergence, steepest, ended)


def run(folder: Path) -> dict[str, Any]:
    """Arguments: `bundle_folder`, `low`, `high`, `steps`; the bundle lies in `folder`. Result: the sweep, rates and
    losses a list each, `rows` of the set, `seconds` a step, and `restored`: whether all is as it was."""
    from tuiwiz.executor.build import build
    from tuiwiz.executor.chance import be_deterministic, seed_everything
    from tuiwiz.executor.device import choose_device, set_threads
    from tuiwiz.executor.interrupt import Interrupts
    from tuiwiz.executor.memory import planned_micro
    from tuiwiz.executor.quiet import prepare_environment
    from tuiwiz.executor.record import Recorder
    from tuiwiz.executor.reference import fill_reference
    from tuiwiz.executor.source import model_folder
    from tuiwiz.spec.task import REFERENCE_TASKS

    job, where = read_job(folder), RunFolder(folder)
    prepare_environment(offline=True)
    bundle, base = read_bundle(where.bundle), Path(job["bundle_folder"])
    interrupts = Interrupts()
    with Recorder(where) as recorder:
        interrupts.install()
        weights = model_folder(bundle, base, lambda what, done, total: recorder.stage(what, done, total))
        prepared = prepare(bundle, base, weights, tokenizer_name=bundle.model.source)
        set_threads()
        device = choose_device(bundle)
        seed_everything(bundle.seed)
        be_deterministic()
        built = build(bundle, base, weights, prepared, device, recorder)
        visited = {
            "train": [index for batch in micro_set(len(prepared.train), bundle.batch.effective) for index in batch]
        }
        if bundle.task.kind in REFERENCE_TASKS:
            fill_reference(folder, prepared, visited, built.model, built.objective, built.autocast, _quiet)
        trainer = Trainer(
            bundle=bundle,
            device=device,
            model=built.model,
            objective=built.objective,
            weights=built.trained,
            optimizer=built.optimizer,
            scaler=built.scaler,
            autocast=built.autocast,
            train_rows=prepared.train,
            held_out=prepared.validation,
            total=int(job["steps"]),
            micro=bundle.batch.micro or planned_micro(bundle, prepared.train, weights),
            micro_tokens=bundle.batch.micro_tokens,
            evaluation_steps=frozenset(),
            checkpoint_every=int(job["steps"]),
            recorder=recorder,
            interrupts=interrupts,
            sample=lambda step: None,
            generated=dict,
            after_step=lambda step: None,
        )
        state = fingerprint(trainer)
        found = sweep(trainer, float(job["low"]), float(job["high"]), int(job["steps"]))
        restored = fingerprint(trainer) == state
    return {
        "rates": found.rates,
        "losses": [_number(value) for value in found.losses],
        "smoothed": [_number(value) for value in found.smoothed],
        "divergence": found.divergence,
        "steepest": found.steepest,
        "ended": found.ended,
        "rows": len(visited["train"]),
        "restored": restored,
    }


def fingerprint(run: Trainer) -> str:
    """A hash of weights, optimizer, counters and random streams."""
    import hashlib

    digest = hashlib.sha256()
    tensors, plain = checkpoint.flatten_state(run.optimizer.state_dict())
    for name, tensor in [*sorted(run.weights.items()), *sorted(tensors.items())]:
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(name.encode() + flat.view(torch.uint8).numpy().tobytes())
    digest.update(repr((plain, run.progress, checkpoint.random_streams())).encode())
    return digest.hexdigest()


def _quiet(done: int, total: int) -> None:
    return None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
