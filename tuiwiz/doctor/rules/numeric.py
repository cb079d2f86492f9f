"""D1: numbers that are no numbers."""

from __future__ import annotations

import math

from tuiwiz.doctor import edits
from tuiwiz.doctor.case import Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes
from tuiwiz.events import types

SEARCH = 10
"""Steps in which a loss scaler looks for its scale; what it skips there is by design."""
SEARCHED = 3


def non_finite(case: Case) -> Outcome:
    """A loss or gradient norm that is not finite, or a loss of exactly 0 beside such a norm."""
    if not case.count and case.view.closing is None:
        return unknown("a first step")
    norms = case.grad_norm or [0.0] * case.count
    bad = [
        int(step)
        for step, loss, norm in zip(case.steps, case.loss, norms, strict=False)
        if not (math.isfinite(loss) and math.isfinite(norm))
    ]
    told = sum(alert.rule.replace("-", "_").startswith("non_finite") for alert in case.view.alerts)
    if isinstance(case.view.closing, types.Failed):
        told += "finite" in str(case.view.closing.summary.get("message", "")) and SEARCHED + 1
    half = case.bundle is not None and case.bundle.model.dtype == "fp16"
    device = case.view.started.device if case.view.started is not None else ""
    half = half or "fp16" in device
    searched = half and len(bad) <= SEARCHED and all(step <= SEARCH for step in bad)
    if (not bad and not told) or (searched and told <= SEARCHED):
        return no(steps=case.count, not_finite=len(bad))
    change = {"model.dtype": "bf16"} if half else edits.rate(case, 0.5)
    advice = "the range of fp16 is too small for this run" if half else "if it stays, double the warm-up"
    return yes(
        change, advice, not_finite=max(len(bad), told), first_step=bad[0] if bad else None, learning_rate=case.peak_rate
    )


RULES = (
    Rule(
        "D1",
        "non_finite",
        "numeric",
        "error",
        "The loss or its gradient stopped being a number",
        "A step with such a value is skipped; many of them mean that the numbers have left the range of their format.",
        non_finite,
    ),
)
