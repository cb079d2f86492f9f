"""Whether a run can be repeated: its first steps once more, compared number by number with what was recorded."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import InvalidError, MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.bundle.change import change
from tuiwiz.bundle.diff import diff
from tuiwiz.bundle.drift import Drift, drift
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.write import write_bundle
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.events.view import RunView
from tuiwiz.runs.folder import base_of
from tuiwiz.runs.launch import run_job
from tuiwiz.spec.bundle import Bundle

STEPS = 5
LOSS_TOLERANCE = 5e-3
NORM_TOLERANCE = 5e-2
"""Relative differences of loss and gradient norm that other hardware or versions explain: bf16 has 8 bits."""
_PATHS = ("model.source", "data.train", "validation.path", "data.template", "adapter.from")
"""Where files lie is no difference: the lock compares what is in them."""
_WITHOUT_EFFECT = ("name", "checkpoint.", "tracking.", "launch.")

Word = Literal["exact", "within tolerance", "different"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: what was recorded and what came out now."""

    step: int
    loss: float
    loss_now: float
    grad_norm: float
    grad_norm_now: float

    @property
    def exact(self) -> bool:
        return _same(self.loss, self.loss_now) and _same(self.grad_norm, self.grad_norm_now)

    @property
    def close(self) -> bool:
        return _near(self.loss, self.loss_now, LOSS_TOLERANCE) and _near(
            self.grad_norm, self.grad_norm_now, NORM_TOLERANCE
        )


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`exact`: every loss and gradient norm to the last bit. `ok`: the same inputs, and exact or within tolerance.

    `drift` is what differs between the recorded run and the replay, whether or not it shows in the numbers.
    """

    ok: bool
    verdict: Word
    steps: int
    compared: int
    max_abs_difference: float
    exact: bool
    drift: list[Drift]
    differences: list[Step]


def verify(folder: RunFolder, *, steps: int = STEPS, tick: Callable[[], None] = lambda: None) -> Verdict:
    """Replay the first `steps` steps of a run in a scratch folder and compare.

    Raises:
        UsageError: the run has no finished step.
        MachineLacksError: no scratch folder can be made.
        TuiwizError: the replay failed; what the executor said of it.
    """
    recorded = _curve(view_of(folder))
    last = max((step for step in recorded if step <= steps), default=0)
    if not last:
        raise UsageError(f"{folder.path.name} has no finished step to compare with")
    before = _resolved(folder)
    try:
        places.cache().mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="replay-", dir=places.cache()))
        write_atomic(scratch / "bundle.toml", write_bundle(_pinned(read_bundle(folder.bundle), before)))
    except OSError as error:
        raise MachineLacksError(f"{places.cache()} cannot be written: {error.strerror or error}") from error
    try:
        arguments = {"bundle_folder": str(base_of(folder)), "replay": last, "allow_drift": True}
        run_job("replay", scratch, arguments, tick=tick)
        again = RunFolder(scratch)
        return judge(recorded, _curve(view_of(again)), last, _differences(before, _resolved(again)))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def judge(
    recorded: dict[int, tuple[float, float]], now: dict[int, tuple[float, float]], steps: int, found: list[Drift]
) -> Verdict:
    """The verdict on two curves (step -> loss and gradient norm) with what is known to differ between them."""
    common = [step for step in range(1, steps + 1) if step in recorded and step in now]
    pairs = [
        Step(
            step=step,
            loss=recorded[step][0],
            loss_now=now[step][0],
            grad_norm=recorded[step][1],
            grad_norm_now=now[step][1],
        )
        for step in common
    ]
    exact = bool(pairs) and all(one.exact for one in pairs)
    close = bool(pairs) and all(one.close for one in pairs)
    same_inputs = not any(one.fatal for one in found)
    word: Word = "different"
    if same_inputs and close:
        word = "exact" if exact else "within tolerance"
    apart = (abs(a - b) for one in pairs for a, b in ((one.loss, one.loss_now), (one.grad_norm, one.grad_norm_now)))
    return Verdict(
        ok=same_inputs and close,
        verdict=word,
        steps=steps,
        compared=len(pairs),
        max_abs_difference=max((value for value in apart if math.isfinite(value)), default=0.0),
        exact=exact,
        drift=found,
        differences=[one for one in pairs if not one.exact],
    )


def _pinned(bundle: Bundle, before: Bundle | None) -> Bundle:
    """The run's bundle with what its planner decided at the time: precision and micro-batch."""
    if before is None:
        return bundle
    edits: dict[str, object] = {"batch.micro": before.batch.micro, "model.dtype": before.model.dtype}
    return msgspec.structs.replace(change(bundle, edits, by="replay"), adjustments=before.adjustments)


def _differences(before: Bundle | None, now: Bundle | None) -> list[Drift]:
    """Values, data, model, versions and hardware that are not those of the recorded run."""
    if before is None or now is None:
        return []
    found = [
        Drift(
            kind="setting",
            name=one.key,
            locked=str(one.a),
            now=str(one.b),
            message=f"{one.key} was {one.a} and is now {one.b}",
        )
        for one in diff(before, now)
        if one.key not in _PATHS and not one.key.startswith(_WITHOUT_EFFECT)
    ]
    if before.lock is not None and now.lock is not None:
        found += drift(before.lock, now.lock)
    return found


def _resolved(folder: RunFolder) -> Bundle | None:
    try:
        return read_bundle(folder.resolved)
    except InvalidError:
        return None


def _curve(view: RunView) -> dict[int, tuple[float, float]]:
    """Loss and gradient norm by step; both series have a point a step."""
    loss, norm = view.series.get("loss"), view.series.get("grad_norm")
    if loss is None or norm is None:
        return {}
    return {int(x): (y, z) for x, y, z in zip(loss.x, loss.y, norm.y, strict=False)}


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _near(a: float, b: float, tolerance: float) -> bool:
    return _same(a, b) or abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-6)
