"""Rules between fields, as pure functions: a rule accepts, warns or refuses, and always names the way out.

A setting whose behaviour does not exist in this version is refused here, in one place, and never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tuiwiz.base.problems import Problem
from tuiwiz.spec import adapter_rules, task_rules
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.fields import choices
from tuiwiz.spec.keys import flatten
from tuiwiz.spec.training_rules import TRAINING_RULES

AVAILABLE: dict[str, tuple[Any, ...]] = {
    "memory.offload": ("none", "activations"),
    "launch.strategy": ("single", "ddp"),
    "launch.nodes": (1,),
}
"""Keys of which this version carries out only these values."""


INSTEAD = {
    ("memory.offload", "optimizer"): 'optimizer.name = "paged_adamw_8bit" lets the states go to host memory when the '
    "card is full, and adapters have small ones; without the line they stay on the card",
}
"""(Key, value) that is not available -> what comes nearest to it."""


def available(key: str) -> tuple[str | int, ...]:
    """The choices of an enumerated key that this version carries out."""
    only = AVAILABLE.get(key)
    return tuple(choice for choice in choices(key) if only is None or choice in only)


def check(bundle: Bundle) -> list[Problem]:
    """Every problem between the fields of a bundle whose single values are fine."""
    return [problem for rule in RULES for problem in rule(bundle)]


def _not_available(bundle: Bundle) -> Iterator[Problem]:
    flat = flatten(bundle)
    for key, allowed in AVAILABLE.items():
        if flat[key] in allowed:
            continue
        words = ", ".join(str(value) for value in allowed if value not in (None, []))
        if choices(key) or key == "launch.nodes":
            yield Problem(
                message=f"{key} = {flat[key]!r} is not available in this version",
                key=key,
                hint=INSTEAD.get((key, str(flat[key])), f"available: {words}" if words else "leave it out"),
            )
        else:
            yield Problem(message=f"{key} is not available in this version", key=key, hint="leave it out")


def _length_of_run(bundle: Bundle) -> Iterator[Problem]:
    schedule = bundle.schedule
    if schedule.epochs is not None and schedule.steps is not None:
        yield Problem(
            message="schedule.epochs and schedule.steps are both set",
            key="schedule.steps",
            hint="keep one of them",
        )
    if schedule.epochs is None and schedule.steps is None and not any(p.steps is not None for p in bundle.phases):
        yield Problem(
            message="the run has no length", key="schedule.epochs", hint="set schedule.epochs or schedule.steps"
        )
    if schedule.steps is not None and schedule.warmup >= 1 and schedule.warmup > schedule.steps:
        yield Problem(
            message=f"the warm-up of {schedule.warmup:g} steps is longer than the run of {schedule.steps}",
            key="schedule.warmup",
            hint="use a share of the run, such as 0.03",
        )
    if schedule.kind == "constant" and schedule.min_ratio:
        yield Problem(
            message="schedule.min_ratio has no meaning for a constant schedule",
            key="schedule.min_ratio",
            hint="leave it out, or choose cosine or linear",
        )


def _batch(bundle: Bundle) -> Iterator[Problem]:
    batch = bundle.batch
    for name in ("micro", "accumulation"):
        if batch.micro_tokens is not None and getattr(batch, name) is not None:
            yield Problem(
                message=f"batch.micro_tokens and batch.{name} both say what makes a forward pass",
                key="batch.micro_tokens",
                hint="keep one of them",
            )
    if batch.micro is not None and batch.micro > batch.effective:
        yield Problem(
            message=f"a micro-batch of {batch.micro} rows exceeds the effective batch of {batch.effective}",
            key="batch.micro",
            hint="lower batch.micro or raise batch.effective",
        )
    elif batch.micro is not None and batch.accumulation is not None:
        product = batch.micro * batch.accumulation * batch.processes
        if product != batch.effective:
            yield Problem(
                message=f"micro x accumulation x processes = {product}, but the effective batch is {batch.effective}",
                key="batch.accumulation",
                hint="leave out batch.accumulation: it follows from the other two",
            )


def _processes(bundle: Bundle) -> Iterator[Problem]:
    processes, devices = bundle.batch.processes, bundle.launch.devices
    if bundle.launch.strategy == "ddp" and processes == 1:
        count = len(devices) if isinstance(devices, tuple) and len(devices) > 1 else 2
        yield Problem(
            message='launch.strategy = "ddp" shares a step among processes, and batch.processes is 1',
            key="batch.processes",
            hint=f"set batch.processes = {count}, one for each card",
        )
    if bundle.launch.strategy == "single" and processes > 1:
        yield Problem(
            message=f"{processes} processes cannot share a step without a strategy",
            key="launch.strategy",
            hint='set launch.strategy = "ddp"',
        )
    if processes > bundle.batch.effective:
        yield Problem(
            message=f"{processes} processes cannot share a step of {bundle.batch.effective} rows",
            key="batch.processes",
            hint="lower batch.processes or raise batch.effective",
        )


def _validation(bundle: Bundle) -> Iterator[Problem]:
    validation, evaluation = bundle.validation, bundle.evaluation
    if validation.path is not None and validation.fraction is not None:
        yield Problem(
            message="validation.path and validation.fraction are both set",
            key="validation.fraction",
            hint="keep one of them",
        )
    if evaluation.patience is not None and evaluation.every < 1 and evaluation.patience * evaluation.every >= 1:
        yield Problem(
            message=f"{1 / evaluation.every:.0f} evaluations cannot use up a patience of {evaluation.patience}",
            key="evaluation.patience",
            hint="evaluate more often or lower evaluation.patience",
        )


def _data(bundle: Bundle) -> Iterator[Problem]:
    data = bundle.data
    if isinstance(data.train, tuple):
        if not data.train:
            yield Problem(message="data.train is an empty list", key="data.train")
        given = [one.weight for one in data.train if one.weight is not None]
        if given and len(given) < len(data.train):
            yield Problem(
                message="some training sets have a weight and some have none",
                key="data.train",
                hint="give each a weight, or none: then every row comes once",
            )
        for weight in given:
            if not 0 < weight < float("inf"):
                yield Problem(
                    message=f"a weight of {weight:g} is not above 0", key="data.train", hint="leave the set out"
                )
        if given and all(0 < weight < float("inf") for weight in given) and max(given) / min(given) > 10_000:
            message = "one training set weighs more than 10,000 times another: its rows would be repeated without end"
            yield Problem(message=message, key="data.train", hint="leave the small one out, or give it more weight")
        if any(not one.path.strip() for one in data.train):
            yield Problem(message="a training set has no path", key="data.train", hint="name a file")
    elif not data.train.strip():
        yield Problem(message="data.train is empty", key="data.train", hint="name a file")
    source = bundle.model.source.strip()
    if bundle.model.revision is not None and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        yield Problem(
            message=f"model.revision names a commit or tag of a hub model, and {source} is a path",
            key="model.revision",
            hint="leave it out, or name the model by its hub id, such as ORG/NAME",
        )
    if not source:
        yield Problem(message="model.source is empty", key="model.source", hint="`tuiwiz models list` names models")
    if bundle.task.kind == "pretrain" and data.train_on != "all":
        yield Problem(
            message=f'pretraining learns all tokens; data.train_on = "{data.train_on}" would not',
            key="data.train_on",
            hint='set data.train_on = "all"',
        )


def _devices(bundle: Bundle) -> Iterator[Problem]:
    devices = bundle.launch.devices
    if isinstance(devices, str) and devices != "auto":
        message = f'launch.devices = "{devices}" names no card'
        yield Problem(message=message, key="launch.devices", hint='"auto", or a list of one index such as [0]')
    processes = bundle.batch.processes
    if isinstance(devices, tuple) and (len(set(devices)) != processes or len(devices) != processes or min(devices) < 0):
        cards = "card" if processes == 1 else f"{processes} cards"
        yield Problem(
            message=f"launch.devices = {list(devices)} is not {'one ' if processes == 1 else ''}{cards}, and "
            f"batch.processes is {processes}: each has a card of its own",
            key="launch.devices",
            hint='"auto", or a list of one index such as [0]',
        )


RULES: tuple[Callable[[Bundle], Iterator[Problem]], ...] = (
    _not_available,
    _data,
    *task_rules.RULES,
    _length_of_run,
    _batch,
    _validation,
    _devices,
    _processes,
    *adapter_rules.RULES,
    *TRAINING_RULES,
)
