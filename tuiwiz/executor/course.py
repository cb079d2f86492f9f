"""Phases while a run goes through them: which is on, at what rate, over which rows, and what it trains.

At a border the optimizer's state is kept for parameters that stay trainable. The state of those that are frozen is
dropped: it would be stale, and memory held for nothing, when they are trained again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tuiwiz.base.errors import InvalidError
from tuiwiz.data.types import Rows
from tuiwiz.events import types
from tuiwiz.executor.batching import Order
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.parts import as_words, select
from tuiwiz.spec.phases import Span, spans

if TYPE_CHECKING:
    from tuiwiz.executor.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Stage:
    """A span of the run with the rows it trains on and the names of the parameters it moves."""

    span: Span
    rows: Rows
    trained: frozenset[str]
    order: Order = field(repr=False)

    @property
    def has_own_rows(self) -> bool:
        return self.span.data is not None


def make_course(
    bundle: Bundle, total: int, names: Sequence[str], rows: Rows, own_rows: Sequence[Rows | None] = ()
) -> tuple[Stage, ...]:
    """The stages of a run; `names` are all parameters that it may train, `own_rows` each phase's own data or None.

    Raises:
        InvalidError: a phase would train nothing.
    """
    stages = []
    order = Order(len(rows), bundle.batch.effective, bundle.seed)
    for number, span in enumerate(spans(bundle, total)):
        trained = frozenset(names if span.trainable is None else select(span.trainable, names))
        if not trained:
            words = ", ".join(as_words(span.trainable or ()))
            raise InvalidError(
                f'phase "{span.name}" would train nothing: {words} names no trained part of this model',
                hint="a model whose head is its embedding has no head of its own; adapters are chosen by "
                "adapter.targets; " + f"trained are, for instance, {names[0]}",
            )
        own = own_rows[number] if number < len(own_rows) else None
        if own is None:
            stages.append(Stage(span, rows, trained, order))
        else:
            stages.append(Stage(span, own, trained, Order(len(own), bundle.batch.effective, bundle.seed)))
    return tuple(stages)


def begin(run: Trainer) -> None:
    """Take up the course where `run.progress` stands: train what is trained there, and freeze the rest."""
    take_up(run)
    while _is_over(run):
        advance(run)


def stage_of(run: Trainer) -> Stage:
    return run.course[run.progress.phase]


def rate_of(run: Trainer) -> float:
    """The learning rate of the step that comes next, before the groups' shares."""
    progress = run.progress
    return stage_of(run).span.rate(progress.step - progress.phase_start, _length(run)) * progress.rate_scale


def _length(run: Trainer) -> int:
    """Steps of the present phase; the last one takes what a request made the run longer."""
    progress = run.progress
    if progress.phase + 1 < len(run.course):
        return stage_of(run).span.steps
    return run.total - progress.phase_start


def epoch_after_step(run: Trainer) -> float:
    """Passes over the stage's rows when the present step is done."""
    progress, stage = run.progress, stage_of(run)
    before = progress.phase_start if stage.has_own_rows else progress.own_data_steps
    return (progress.step + 1 - before) / stage.order.per_epoch


def rows_of_step(run: Trainer) -> list[int]:
    """Row indexes, within the stage's rows, of the step that comes next."""
    progress, stage = run.progress, stage_of(run)
    before = progress.phase_start if stage.has_own_rows else progress.own_data_steps
    return stage.order.step(progress.step - before)


def after_step(run: Trainer, *, plateau: bool = False) -> bool:
    """Go to the next phase where this one is over, also when evaluations say so; returns whether it did."""
    progress, span = run.progress, stage_of(run).span
    done = progress.step - progress.phase_start
    if plateau and done < _length(run):
        cut = _length(run) - done
        before, run.total = run.total, run.total - cut
        progress.total = run.total
        run.evaluation_steps = frozenset(step for step in run.evaluation_steps if step < run.total) | {run.total}
        reason = f'phase "{span.name}" stopped improving and ends {cut} steps early'
        run.recorder.write(types.Adjusted, step=progress.step, key="steps", from_=before, to=run.total, reason=reason)
        if progress.phase + 1 < len(run.course):
            advance(run)
        return True
    moved = False
    while _is_over(run):
        advance(run)
        moved = True
    return moved


def advance(run: Trainer) -> None:
    progress, stage = run.progress, stage_of(run)
    if stage.has_own_rows:
        progress.own_data_steps += progress.step - progress.phase_start
    progress.phase += 1
    progress.phase_start = progress.step
    progress.phase_best, progress.phase_stale = None, 0
    progress.rate_scale, progress.plateau_best, progress.plateau_stale = 1.0, None, 0
    take_up(run)
    span = stage_of(run).span
    run.recorder.log(f'phase "{span.name}" begins: {span.steps} steps, {len(stage_of(run).trained)} trained tensors')


def _is_over(run: Trainer) -> bool:
    progress = run.progress
    last = progress.phase + 1 == len(run.course)
    return not last and progress.step - progress.phase_start >= stage_of(run).span.steps


def take_up(run: Trainer) -> None:
    """Train what the stage trains, and forget what the optimizer knew about the rest."""
    stage = stage_of(run)
    run.train_rows = stage.rows
    for name, parameter in run.weights.items():
        parameter.requires_grad_(name in stage.trained)
        if name not in stage.trained:
            parameter.grad = None
            _forget(run.optimizer, parameter)


def _forget(optimizer: Any, parameter: Any) -> None:
    for part in getattr(optimizer, "parts", (optimizer,)):
        part.state.pop(parameter, None)
