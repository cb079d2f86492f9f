"""Events as lines for people: what `run --plain`, `watch --plain` and pipes print."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from tuiwiz.base.text import clean_line
from tuiwiz.base.units import human_bytes, human_count, human_duration, human_number
from tuiwiz.events import types
from tuiwiz.events.view import RunView

if TYPE_CHECKING:
    from tuiwiz.doctor.finding import Finding

PERIOD_S = 1.0
"""Steps are told at most so often, live."""
STAGE_PERIOD_S = 5.0
"""So is the progress of a stage: in a file or a log it is worth less."""
SHARES = 60
"""A finished run is told in about so many lines of steps."""


class Lines:
    """Remembers what was said, so that a line comes when there is something new. `live`: what happens from now on is
    throttled by the clock; history, and a run that is over, by the share of the run, so that it stays readable."""

    def __init__(self, *, live: bool) -> None:
        self._live_from = time.time() if live else math.inf
        self._said = 0.0
        self._said_step = -1
        self._stage = ""

    def of(self, event: types.Event, view: RunView) -> list[str]:
        """The lines for `event`; `view` has it folded in already."""
        match event:
            case types.RunStarted():
                return self._started(event)
            case types.Stage():
                return self._stage_line(event, live=event.t >= self._live_from)
            case types.Metric():
                return self._metric(event, view, live=event.t >= self._live_from)
            case types.Eval():
                return [_eval(event, view)]
            case types.Sample():
                return [
                    f"sample   {clean_line(event.prompt, 160)}",
                    f"           expected  {clean_line(event.expected, 140)}",
                    f"           base      {clean_line(event.base, 140)}",
                    f"           now       {clean_line(event.now, 140)}",
                ]
            case types.Checkpoint():
                best = ", the best so far" if event.best else ""
                return [f"saved    {event.path} ({human_bytes(event.bytes)}{best})"]
            case types.Memory():
                return _memory(event)
            case types.Alert():
                return [f"{event.severity:<8} {clean_line(event.message)}"]
            case types.Control():
                return [f"request  {event.request}: {clean_line(event.answer)}"]
            case types.Adjusted():
                return [f"adjusted {event.key}: {event.from_} -> {event.to} ({clean_line(event.reason)})"]
            case types.Log():
                return [f"{event.level if event.level != 'info' else 'note':<8} {clean_line(event.message, 300)}"]
            case types.Finished() | types.Stopped() | types.Failed():
                return closing_lines(event)
            case _:
                return []

    def _started(self, event: types.RunStarted) -> list[str]:
        again = f", attempt {event.attempt} from step {event.from_step}" if event.attempt > 1 else ""
        return [
            f"run      {clean_line(event.name)}: {event.task} with {event.method} on {clean_line(event.device)}{again}",
            f"         {event.steps} steps of {event.effective} rows; {event.rows:,} training and "
            f"{event.validation_rows:,} held-out rows; {clean_line(event.model)}",
        ]

    def _stage_line(self, event: types.Stage, *, live: bool) -> list[str]:
        new = event.name != self._stage
        self._stage = event.name
        if event.name == "training" or (not new and not self._due(STAGE_PERIOD_S)):
            return []
        if not new and not live:
            return []
        self._said = time.monotonic()
        share = f" {event.done:,}/{event.total:,}" if event.total else f" {event.done:,} rows" if event.done else ""
        return [f"{event.name:<8}{share}{' ' + clean_line(event.note) if event.note else ''}".rstrip()]

    def _metric(self, event: types.Metric, view: RunView, *, live: bool) -> list[str]:
        last = event.step >= view.steps
        if live:
            if not last and not self._due():
                return []
        elif not last and event.step - self._said_step < max(1, view.steps // SHARES):
            return []
        self._said, self._said_step = time.monotonic(), event.step
        got = event.metrics
        # Three digits, as everywhere else in the line: it must not grow and shrink from step to step.
        rate = float(f"{got.get('learning_rate', 0.0):.3g}")
        eta = eta_seconds(view)
        parts = [
            f"step     {event.step}/{view.steps} {100 * event.step / max(1, view.steps):3.0f} %",
            f"loss {got.get('loss', float('nan')):.4f}",
            f"grad {got.get('grad_norm', float('nan')):.3g}",
            f"rate {human_number(rate)}",
            f"{human_count(got.get('tokens_per_second', 0.0))} tokens/s",
        ]
        if live and eta is not None and not last:
            parts.append(f"{human_duration(eta)} left")
        return ["  ".join(parts)]

    def _due(self, period_s: float = PERIOD_S) -> bool:
        return time.monotonic() - self._said >= period_s


def fault_lines(one: Finding) -> list[str]:
    """What the doctor found, in two or three lines."""
    from tuiwiz.doctor.words import change_words, evidence_words

    lines = [f"doctor   {one.severity}: {one.title} ({one.id}): {evidence_words(one)}"]
    if one.change:
        lines.append(f"         try {change_words(one)}")
    if one.advice:
        lines.append(f"         {'then ' if one.change else ''}{clean_line(one.advice)}")
    return lines


def eta_seconds(view: RunView) -> float | None:
    """Time to the last step by the median of the last 32 steps' distances, evaluations and saves included."""
    clock = view.series.get("time")
    if clock is None or len(clock) < 3:
        return None
    start = max(0, len(clock) - 33)
    return (clock.y[-1] - clock.y[start]) / (clock.x[-1] - clock.x[start]) * max(0, view.steps - view.step)


def closing_lines(event: types.Finished | types.Stopped | types.Failed) -> list[str]:
    """How the run ended, in words."""
    got = event.summary
    if isinstance(event, types.Failed):
        lines = [f"failed   {clean_line(str(got.get('message', 'the run failed')), 400)}"]
        for problem in got.get("problems", [])[:10]:
            if isinstance(problem, dict) and problem.get("message") != got.get("message"):
                place = f"{problem.get('place')}: " if problem.get("place") else ""
                lines.append(clean_line(f"         {place}{problem.get('message')}", 300))
        if got.get("hint"):
            lines.append(f"         hint: {clean_line(str(got['hint']), 400)}")
        return lines
    word = "finished" if isinstance(event, types.Finished) else "stopped"
    place = f" at step {got.get('step')}/{got['steps']}" if "steps" in got else ""
    lines = [f"{word}{place}: {clean_line(str(got.get('reason', '')))}"]
    first, best = got.get("first_loss"), got.get("best_loss")
    if first is not None and best is not None:
        lines.append(f"         held-out loss {first:.4f} -> {best:.4f} (step {got.get('best_step')})")
    metric, before, after = got.get("metric", "loss"), got.get("first_score"), got.get("best_score")
    if metric != "loss" and before is not None and after is not None:
        lines.append(f"         held-out {clean_line(str(metric), 40)} {before:.4f} -> {after:.4f}")
    if got.get("elapsed_s"):
        lines.append(
            f"         {human_duration(got['elapsed_s'])}, {human_count(got.get('tokens', 0))} tokens, "
            f"{human_count(got.get('tokens_per_second', 0))} tokens/s, peak {human_bytes(got.get('peak_bytes', 0))}"
        )
    if got.get("artifact"):
        lines.append(f"         result in {got['artifact']}/ (weights of step {got.get('artifact_step')})")
    return lines


def _eval(event: types.Eval, view: RunView) -> str:
    text = f"held out step {event.step}: loss {event.metrics.get('loss', float('nan')):.4f}"
    if len(view.evals) > 1 and "loss" in view.evals[0].metrics:
        text += f" ({view.evals[0].metrics['loss']:.4f} before)"
    if "exact_match" in event.metrics:
        text += f", {100 * event.metrics['exact_match']:.1f} % of answers exact token by token"
    for name in ("accuracy", "macro_f1", "margin", "pearson", "rougeL", "chrf"):
        if name in event.metrics:
            text += f", {name} {event.metrics[name]:.3f}"
    return text + f", {event.rows:,} rows"


def _memory(event: types.Memory) -> list[str]:
    actual = sum(event.actual.values())
    if not event.predicted:
        return [f"memory   peak {human_bytes(actual)}"]
    return [f"memory   peak {human_bytes(actual)}, predicted {human_bytes(sum(event.predicted.values()))}"]
