"""The learning-rate range test: a ceiling for the rate, set against the preset's value.

The band depends on the method; preference losses diverge at about a twentieth. The ceiling is the rate of divergence
divided by 10 for LoRA, whose B starts at zero so that its effective rate still grows, and by 3 for full weights. It
caps the preset's rate and never replaces it.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import InternalError, MachineLacksError, UsageError
from tuiwiz.base.files import write_atomic
from tuiwiz.base.units import human_duration, human_number
from tuiwiz.bundle.write import write_bundle
from tuiwiz.runs.launch import run_job
from tuiwiz.spec.bundle import Bundle
from tuiwiz.tune.space import RATE, rounded
from tuiwiz.tune.study import Measured

STEPS = 120
LEAST_STEPS, MOST_STEPS = 20, 5000
BANDS: dict[bool, tuple[float, float]] = {True: (1e-6, 1e-2), False: (1e-8, 1e-3)}
"""By whether adapters are trained: least and most rate."""
PREFERENCE = ("dpo", "orpo", "simpo", "kto")
PREFERENCE_SHARE = 1 / 20
DIVISORS: dict[bool, float] = {True: 10.0, False: 3.0}
SUSPECT = 0.5
"""A ceiling below this share of the preset's rate speaks of faulty data or precision, not of the rate."""


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep and what follows from it. `ceiling` is None where nothing diverged in the band; `suggested` is the
    preset's rate (the bundle's) or the ceiling, whichever is lower; `verdict` says in words how the two agree."""

    rates: list[float]
    losses: list[float | None]
    smoothed: list[float | None]
    divergence: float | None
    steepest: float | None
    ended: str
    rows: int
    restored: bool
    given: float
    given_by: str
    ceiling: float | None
    suggested: float
    agrees: bool
    verdict: str


def band(bundle: Bundle) -> tuple[float, float]:
    """Least and most rate of a sweep of this bundle."""
    low, high = BANDS[_adapters(bundle)]
    share = PREFERENCE_SHARE if bundle.task.kind in PREFERENCE else 1.0
    return low * share, high * share


def band_of_sweep(bundle: Bundle, low: float | None, high: float | None, steps: int) -> tuple[float, float]:
    """Least and most rate where some may be given.

    Raises:
        UsageError: an empty or inverted band, or too few or too many steps.
    """
    least, most = band(bundle)
    least, most = (least if low is None else low), (most if high is None else high)
    if not 0 < least < most < math.inf:
        what = "inverted" if least > most else "empty"
        raise UsageError(
            f"the band {human_number(least)} to {human_number(most)} is {what}",
            hint="0 < --low < --high",
        )
    if steps < LEAST_STEPS:
        raise UsageError(
            f"{steps} steps are too little for this question", hint=f"--steps {LEAST_STEPS} or more; {STEPS} are usual"
        )
    if steps > MOST_STEPS:
        raise UsageError(f"{steps} steps are no short sweep", hint=f"--steps {MOST_STEPS} or fewer; {STEPS} are usual")
    return least, most


def sweep_words(measured: Measured, least: float, most: float, steps: int) -> tuple[float, list[str]]:
    """How long a sweep takes at most, in seconds; that and what it can decide, in words."""
    seconds = measured.load_s + steps * measured.step_s
    factor = (most / least) ** (1 / (steps - 1))
    return seconds, [
        f"{steps} steps from {human_number(least)} to {human_number(most)}: at most {human_duration(seconds)}, less "
        "where training diverges",
        f"it finds the rate of divergence to a factor of {factor:.2f}: a ceiling, not the best rate, which "
        "`tune grid` looks for",
    ]


def range_test(
    bundle: Bundle,
    base: Path,
    *,
    low: float | None = None,
    high: float | None = None,
    steps: int = STEPS,
    tick: Callable[[], None] = lambda: None,
) -> Tested:
    """Sweep the rate of `bundle`, whose paths start at `base`, in a scratch folder.

    Raises:
        UsageError: an empty or inverted band, or too few steps.
        TuiwizError: the job failed, in its own words.
    """
    least, most = band_of_sweep(bundle, low, high, steps)
    if bundle.phases:
        bundle = msgspec.structs.replace(bundle, phases=())
    try:
        places.cache().mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="range-", dir=places.cache()))
        write_atomic(scratch / "bundle.toml", write_bundle(bundle))
    except OSError as error:
        raise MachineLacksError(f"{places.cache()} cannot be written: {error.strerror or error}") from error
    try:
        arguments = {"bundle_folder": str(base), "low": least, "high": most, "steps": steps}
        found = run_job("range-test", scratch, arguments, tick=tick)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not found["restored"]:
        raise InternalError("the range test did not put back what it moved", hint="please report it")
    return conclude(bundle, found)


def conclude(bundle: Bundle, found: dict[str, Any]) -> Tested:
    """What a sweep means for the bundle's rate."""
    given, origin = bundle.optimizer.learning_rate, bundle.origin.get(RATE, "")
    adapters = _adapters(bundle)
    divergence = found["divergence"]
    ceiling = rounded(divergence / DIVISORS[adapters]) if divergence is not None else None
    names = ("rates", "losses", "smoothed", "divergence", "steepest", "ended", "rows", "restored")
    return Tested(
        **{name: found[name] for name in names},
        given=given,
        given_by=origin or "the bundle",
        ceiling=ceiling,
        suggested=given if ceiling is None else min(given, ceiling),
        agrees=ceiling is None or ceiling >= given,
        verdict=_verdict(given, ceiling, found["rates"][-1], DIVISORS[adapters]),
    )


def _verdict(given: float, ceiling: float | None, last: float, divisor: float) -> str:
    if ceiling is None:
        return f"nothing diverged up to {human_number(rounded(last))}: {human_number(given)} stays"
    top = f"the ceiling {human_number(ceiling)} (divergence / {divisor:g})"
    if ceiling >= given:
        return f"{human_number(given)} lies below {top} and stays: the sweep gives a ceiling, not a pick"
    if ceiling >= given * SUSPECT:
        return f"they disagree a little: {human_number(given)} is above {top}, which is suggested in its place"
    return (
        f"they disagree: {human_number(given)} is more than twice {top}; look at data and precision first "
        "(`tuiwiz data check`, `tuiwiz doctor`), then take the ceiling"
    )


def _adapters(bundle: Bundle) -> bool:
    return bundle.adapter.method in ("lora", "qlora")
