"""Rules between the task and everything else; see `rules.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tuiwiz.base.problems import Problem, nearest
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import default_of, flatten
from tuiwiz.spec.task import DEFAULTS, HEAD_TASKS, LAST_ANSWER_TASKS, REFERENCE_TASKS, metrics_of, settings_of

_UNPACKED = (*HEAD_TASKS, *LAST_ANSWER_TASKS)


def _knobs(bundle: Bundle) -> Iterator[Problem]:
    """Knobs of another task's loss."""
    task, flat = bundle.task.kind, flatten(bundle)
    used = DEFAULTS.get(task, {})
    for key in (key for key in flat if key.startswith("objective.") and flat[key] is not None):
        name = key.removeprefix("objective.")
        if name not in used:
            known = ", ".join(f"objective.{one}" for one in used)
            hint = f"leave it out; {task} has {known}" if known else "leave it out"
            yield Problem(message=f"{key} has no meaning for the task {task}", key=key, hint=hint)
    given = bundle.objective.label_smoothing
    if task == "dpo" and given is not None and settings_of(task, bundle.objective)["loss"] != "robust":
        yield Problem(
            message="objective.label_smoothing has a meaning for the robust loss only",
            key="objective.label_smoothing",
            hint='leave it out, or set objective.loss = "robust"',
        )
    if bundle.regularization.label_smoothing and task in _UNPACKED:
        yield Problem(
            message=f"regularization.label_smoothing spreads word targets, which the loss of {task} does not have",
            key="regularization.label_smoothing",
            hint='leave it out; dpo has objective.loss = "robust" for pairs that may be the wrong way round',
        )


def _labels(bundle: Bundle) -> Iterator[Problem]:
    if bundle.task.labels is not None and bundle.task.kind != "classify":
        yield Problem(
            message=f"task.labels has no meaning for the task {bundle.task.kind}",
            key="task.labels",
            hint='leave it out, or set task.kind = "classify"',
        )


def _rows(bundle: Bundle) -> Iterator[Problem]:
    task, data = bundle.task.kind, bundle.data
    if data.packing and task in _UNPACKED:
        yield Problem(
            message=f"data.packing would mix rows that {task} must tell apart",
            key="data.packing",
            hint="set data.packing = false",
        )
    if data.overlong == "split" and task in _UNPACKED:
        yield Problem(
            message=f'a row means something to {task} only as a whole; data.overlong = "split" would cut it up',
            key="data.overlong",
            hint="use drop or truncate",
        )
    for key, given in (("data.system", data.system is not None), ("data.template", data.template != "model")):
        if given and task in ("pretrain", "classify"):
            yield Problem(
                severity="warning",
                message=f"{key} changes nothing: {task} reads running text, not turns",
                key=key,
                hint="leave it out",
            )
    if data.balance != "none" and (task, bundle.task.labels or "single") not in {("classify", "single")} | {
        ("kto", "single")
    }:
        yield Problem(
            message="data.balance evens out classes, and these rows have none",
            key="data.balance",
            hint="leave it out; it serves classify with one label a row, and kto",
        )
    if task in LAST_ANSWER_TASKS and data.train_on == "all":
        yield Problem(
            message=f'{task} judges answers; data.train_on = "all" has no meaning for it', key="data.train_on"
        )
    if task == "classify" and data.train_on != default_of("data.train_on"):
        yield Problem(message="data.train_on has no meaning when labels are learnt", key="data.train_on")


def _phases(bundle: Bundle) -> Iterator[Problem]:
    task = bundle.task.kind
    if task not in ("classify", *REFERENCE_TASKS) or all(phase.data is None for phase in bundle.phases):
        return
    reason = "have other classes" if task == "classify" else "were not measured before training"
    yield Problem(
        message=f"a phase of the task {task} cannot have data of its own: its rows {reason}",
        key="phases",
        hint="put all rows into data.train",
    )


def _metric(bundle: Bundle) -> Iterator[Problem]:
    task, metric = bundle.task.kind, bundle.evaluation.metric
    known = metrics_of(task, bundle.task.labels)
    if metric not in known:
        close = nearest(metric, known)
        hint = f"did you mean {close}?" if close else f"available: {', '.join(known)}"
        yield Problem(message=f"{task} has no metric {metric!r}", key="evaluation.metric", hint=hint)


RULES: tuple[Callable[[Bundle], Iterator[Problem]], ...] = (_knobs, _labels, _rows, _phases, _metric)
