"""How long trials will take, from the base's first steps on this machine, and what can be decided in that time."""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.units import human_duration
from tuiwiz.bundle.read import read_bundle
from tuiwiz.bundle.write import write_bundle
from tuiwiz.events.fold import view_of
from tuiwiz.events.folder import RunFolder
from tuiwiz.runs.launch import run_job
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.derive import cadence
from tuiwiz.tune.stats import smallest_effect
from tuiwiz.tune.study import Budget, Measured
from tuiwiz.tune.trial import shares
from tuiwiz.tune.work import deadline

STEPS = 4
EVALUATION_SHARE = 0.4
"""A held-out row costs so much of a trained one: the forward pass alone, and a little."""
AGAIN_SHARE = 0.1
"""Of the time to begin a run, what a later run in the same process takes: data, adapters, files.

Measured on 2 cores over the seven later trials of three studies (two layers of width 64, and SmolLM2-135M): 1.5 to 3.0
of the 14 to 21 s that `load_s` was, a share of 0.09 to 0.14, the median 0.105.
"""
LEAST_STEPS = 60
SHARE = 0.15
"""Of the rows that a proxy run sees: 10-20 % rank settings as the whole set does."""


def measure(bundle: Bundle, base: Path, *, tick: Callable[[], None] = lambda: None) -> Measured:
    """Run the first steps of a bundle in a scratch folder and take the time.

    Raises:
        TuiwizError: the run fails, in its own words.
    """
    try:
        places.cache().mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="measure-", dir=places.cache()))
        write_atomic(scratch / "bundle.toml", write_bundle(bundle))
    except OSError as error:
        raise MachineLacksError(f"{places.cache()} cannot be written: {error.strerror or error}") from error
    try:
        run_job("replay", scratch, {"bundle_folder": str(base), "replay": STEPS}, tick=tick)
        view = view_of(RunFolder(scratch))
        micro = read_bundle(RunFolder(scratch).resolved).batch.micro
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    times = list(view.series["step_seconds"].y) if "step_seconds" in view.series else []
    started = view.started
    if started is None or not times:
        raise MachineLacksError("the first steps could not be timed", hint="`tuiwiz run` shows what is wrong")
    return Measured(
        load_s=max(0.0, view.last_t - view.first_t - sum(times)),
        step_s=statistics.median(times[1:] or times),
        tokens_per_step=view.metrics.get("tokens", 0.0) / len(times),
        rows=started.rows,
        validation_rows=started.validation_rows,
        full_steps=started.steps,
        micro=micro,
    )


def proxy_steps(measured: Measured, effective: int, share: float = SHARE) -> int:
    """Steps of a trial: one pass over `share` of the rows, at least `LEAST_STEPS`, at most the whole run."""
    return min(measured.full_steps, max(LEAST_STEPS, math.ceil(share * measured.rows / effective)))


def trial_seconds(measured: Measured, bundle: Bundle, steps: int) -> float:
    """What a trial of so many steps takes after the first, evaluations included."""
    evaluations = 1 + math.ceil(steps / cadence(bundle.evaluation.every, steps))
    each = measured.validation_rows / bundle.batch.effective * measured.step_s * EVALUATION_SHARE
    again = measured.load_s * AGAIN_SHARE if shares(bundle) else measured.load_s
    return again + steps * measured.step_s + evaluations * each


def once_seconds(measured: Measured) -> float:
    """What the first trial takes more: libraries and base model are read once for all."""
    return measured.load_s * (1 - AGAIN_SHARE)


def within(budget: Budget, now: datetime) -> Budget:
    """The budget with the time until its end as hours."""
    if budget.until is None:
        return budget
    left = (deadline(budget.until, now) - now).total_seconds() / 3600
    return msgspec.structs.replace(budget, hours=left if budget.hours is None else min(left, budget.hours))


def affordable(least: int, each_s: float, budget: Budget, *, once_s: float) -> int:
    """Trials that a budget pays for, of the `least` that the method wants."""
    limits = [least if budget.trials is None else min(least, budget.trials)]
    if budget.hours is not None:
        limits.append(max(0, int((3600 * budget.hours - once_s) / each_s)))
    return min(limits)


def time_words(method: str, trials: int, each_s: float, steps: int, *, once_s: float) -> str:
    """`about 6 trials of 60 steps, 40 s each: 4 min 00 s`."""
    more = "at least " if method == "grid" else "up to " if method == "bayes" else ""
    return (
        f"{more}{trials} trials of {steps} steps, about {human_duration(each_s)} each: "
        f"{more}{human_duration(once_s + trials * each_s)}"
    )


def decides(method: str, trials: int, arms: int = 0) -> str:
    """What so many trials can and cannot decide, in words."""
    if method == "ablate":
        pairs = trials // max(1, arms)
        return (
            f"{pairs} pairs of runs find a difference of {smallest_effect(pairs):.1f} sigma of a paired difference, "
            "four times out of five; smaller ones end as `cannot tell`"
        )
    if method == "grid":
        return (
            "it finds the best of rates that lie a factor of 3 apart; with one seed each, neighbours that differ by "
            "less than the noise of seeds stay undecided"
        )
    keys = "the learning rate" if trials < 10 else "rate and rank" if trials < 25 else "five or six keys"
    return f"{trials} trials are enough to search {keys}; importances need 30"


def refuse_too_little(method: str, least: int, each_s: float, budget: Budget, *, once_s: float = 0.0) -> None:
    """Refuse a budget that cannot answer the question at all.

    Raises:
        UsageError: it is too small.
    """
    needed = {"grid": 3, "bayes": 4, "ablate": least}[method]
    if budget.trials is not None and budget.trials < needed:
        raise UsageError(
            f"{budget.trials} trials are too little for this question: `tune {method}` needs at least {needed}",
            hint=f"--trials {needed} or more",
        )
    wanted_s = once_s + needed * each_s
    if budget.hours is not None and 3600 * budget.hours < wanted_s:
        raise UsageError(
            f"{human_duration(max(0.0, 3600 * budget.hours))} are too little for this question: {needed} trials of "
            f"about {human_duration(each_s)} are needed, {human_duration(wanted_s)}",
            hint="give more time, fewer steps (--share) or fewer factors",
        )
