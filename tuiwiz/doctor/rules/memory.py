"""D19-D21: memory that ran out, or will."""

from __future__ import annotations

import math

from tuiwiz.base.errors import ExitCode
from tuiwiz.doctor import edits, stats
from tuiwiz.doctor.case import Case
from tuiwiz.doctor.finding import Outcome, Rule, no, unknown, yes
from tuiwiz.events import types

START = 5
PACE = 0.8
"""Of its own first half: caches that fill grow less and less."""
LEAK = 0.05
"""Growth over 100 steps; a process on a processor breathes by a hundredth."""


def _ran_out(case: Case) -> str:
    """How the run ran out of memory; empty where it did not."""
    closing = case.view.closing
    if isinstance(closing, types.Failed):
        said = str(closing.summary.get("message", ""))
        if closing.summary.get("exit_code") == int(ExitCode.DOES_NOT_FIT) or "out of memory" in said.lower():
            return said or "out of memory"
    if case.exit is not None and case.exit.out_of_memory:
        return case.exit.evidence or case.exit.message or "ended by the system for want of memory"
    return ""


def at_start(case: Case) -> Outcome:
    said = _ran_out(case)
    if said and case.view.step < START:
        return yes(edits.smaller(case), "`tuiwiz plan` shows what fits", step=case.view.step, message=said)
    return no(step=case.view.step) if case.view.step else unknown("a first step")


def late(case: Case) -> Outcome:
    said = _ran_out(case)
    if not said:
        return no(step=case.view.step) if case.view.step >= START else unknown(f"{START} steps")
    if case.view.step < START:
        return no(step=case.view.step)
    evaluating = case.view.stage is not None and case.view.stage.name in ("evaluating", "sampling")
    bundle = case.bundle
    if not evaluating and bundle is not None and bundle.data.max_length > 256 and (bundle.batch.micro or 2) == 1:
        change: dict[str, object] = {"data.max_length": bundle.data.max_length // 2}
    else:
        change = edits.smaller(case)
    where = "evaluation" if evaluating else "training"
    return yes(
        change,
        "a batch of long rows came late; `tuiwiz check --rehearse` tries the longest first",
        step=case.view.step,
        during=where,
        message=said,
    )


def leak(case: Case) -> Outcome:
    """Allocated memory grows step by step."""
    sizes = case.series("allocated_bytes")
    from_here = [index for index, step in enumerate(case.steps) if step > 50]
    if len(sizes) != case.count or len(from_here) < 30:
        return unknown("80 steps")
    first = from_here[0]
    steps, late_sizes = case.steps[first:], sizes[first:]
    per_step, error = stats.slope(steps, late_sizes)
    level = stats.median(late_sizes)
    growth = 100 * per_step / level if level else math.nan
    half = len(steps) // 2
    early, late_pace = (stats.slope(steps[part], late_sizes[part])[0] for part in (slice(half), slice(half, None)))
    steady = per_step > 8 * error and late_pace > PACE * early
    if not (growth > LEAK and steady and late_sizes[-1] > late_sizes[0]):
        return no(growth_per_100_steps=growth)
    return yes(
        {"checkpoint.every": 0.1},
        "something keeps tensors: update the libraries; frequent checkpoints save the work",
        growth_per_100_steps=growth,
        allocated_bytes=sizes[-1],
    )


RULES = (
    Rule(
        "D19",
        "out_of_memory_at_start",
        "memory",
        "error",
        "Out of memory at the start",
        "The worst case of a run is known before it begins: the next smaller setting is one step of the ladder.",
        at_start,
    ),
    Rule(
        "D20",
        "out_of_memory_late",
        "memory",
        "error",
        "Out of memory in the middle of the run",
        "It fitted until longer rows, or an evaluation, came.",
        late,
    ),
    Rule(
        "D21",
        "memory_leak",
        "memory",
        "warning",
        "Memory grows from step to step",
        "After some tens of steps a run needs no new memory; one that does will run out of it.",
        leak,
    ),
)
