"""The stages of a run as spans of optimizer steps. A run without `[[phases]]` is one span of its whole length."""

from __future__ import annotations

import re

import msgspec

from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.derive import total_steps
from tuiwiz.spec.optimizer import Phase, Schedule
from tuiwiz.spec.rates import rate_factor

_UNTIL = re.compile(r"^plateau:([1-9]\d*)$")


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Steps `start` <= step < `start` + `steps`. `patience`: evaluations without improvement that end it early."""

    name: str
    start: int
    steps: int
    learning_rate: float
    schedule: Schedule
    trainable: str | tuple[str, ...] | None = None
    data: str | None = None
    patience: int | None = None

    def rate(self, local: int, steps: int | None = None) -> float:
        """The learning rate of the span's update with 0-based number `local`, were the span `steps` long."""
        return self.learning_rate * rate_factor(local, self.steps if steps is None else steps, self.schedule)


def run_steps(bundle: Bundle, rows: int) -> int:
    """T: the optimizer steps of a run over `rows` training rows."""
    if bundle.phases and all(phase.steps is not None for phase in bundle.phases):
        return sum(phase.steps or 0 for phase in bundle.phases)
    return total_steps(rows, bundle.batch.effective, bundle.schedule.epochs, bundle.schedule.steps)


def spans(bundle: Bundle, total: int) -> tuple[Span, ...]:
    """The run's spans in order; they cover its `total` steps. Shares are rounded where they end."""
    if not bundle.phases:
        whole = Span(
            name="", start=0, steps=total, learning_rate=bundle.optimizer.learning_rate, schedule=bundle.schedule
        )
        return (whole,)
    found: list[Span] = []
    start, share = 0, 0.0
    for phase in bundle.phases:
        share += phase.share or 0.0
        end = start + phase.steps if phase.steps is not None else round(share * total)
        end = total if phase is bundle.phases[-1] else min(end, total)
        rate = bundle.optimizer.learning_rate if phase.learning_rate is None else phase.learning_rate
        found.append(
            Span(
                name=phase.name,
                start=start,
                steps=end - start,
                learning_rate=rate,
                schedule=schedule_of(bundle, phase),
                trainable=phase.trainable,
                data=phase.data,
                patience=patience_of(phase.until),
            )
        )
        start = end
    return tuple(found)


def schedule_of(bundle: Bundle, phase: Phase) -> Schedule:
    """The run's schedule with what the phase changes in it."""
    own = {"kind": phase.schedule, "warmup": phase.warmup}
    return msgspec.structs.replace(bundle.schedule, **{name: value for name, value in own.items() if value is not None})


def patience_of(until: str | None) -> int | None:
    """N of `plateau:N`; None for anything else."""
    found = _UNTIL.match(until or "")
    return int(found[1]) if found else None


def rate_curve(bundle: Bundle, total: int, points: int) -> list[tuple[float, float]]:
    """At most `points` (step, learning rate) over the whole run, as planned."""
    course = [span for span in spans(bundle, total) if span.steps]
    count = max(1, min(points, total))
    steps = sorted({round(i * (total - 1) / max(1, count - 1)) for i in range(count)})
    found = []
    for step in steps:
        span = next(span for span in reversed(course) if span.start <= step)
        found.append((float(step), span.rate(step - span.start)))
    return found
