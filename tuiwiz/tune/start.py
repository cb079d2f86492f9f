"""From a command to a study: a new one, or one that goes on with more budget; and what it found."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import UsageError
from tuiwiz.base.places import studies
from tuiwiz.bundle.change import change
from tuiwiz.bundle.digest import digest
from tuiwiz.bundle.rebase import absolute
from tuiwiz.runs.names import slug
from tuiwiz.spec.bundle import Bundle
from tuiwiz.tune.ablate import SEEDS, Ablate, Arm, Judged
from tuiwiz.tune.bayes import Bayes
from tuiwiz.tune.grid import Grid
from tuiwiz.tune.measure import proxy_steps
from tuiwiz.tune.rows import Row, ranked
from tuiwiz.tune.space import Dimension
from tuiwiz.tune.study import GIVEN, Budget, Measured, Method, Question, StudyFolder, create
from tuiwiz.tune.work import deadline

EVALUATIONS = 0.25
"""Evaluate and save a trial after each quarter: the points at which it may be ended early."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What `tune show` prints. `best` is the best finished trial, `judged` the arms of an ablation.

    `onward` is the command that tries what lies beyond the edge on which the best trial stands; empty where none is.
    """

    study: str
    method: str
    metric: str
    steps: int
    trials: list[Row]
    best: Row | None
    judged: list[Judged]
    note: str
    onward: str = ""
    notes: tuple[str, ...]
    seconds: float


def check_budget(budget: Budget) -> None:
    """Refuse a budget of nothing.

    Raises:
        UsageError: a budget is zero or less, or `until` is no time.
    """
    from datetime import datetime

    for name, value in (("trials", budget.trials), ("hours", budget.hours), ("tokens", budget.tokens)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"a budget of {value:g} {name} runs nothing", hint=f"--{name} takes a number above 0")
    if budget.until is not None:
        deadline(budget.until, datetime.now())


def trial_base(bundle: Bundle, steps: int, micro: int | None = None) -> Bundle:
    """The base of short trials: the schedule compressed to `steps`, few checkpoints kept, no samples.

    `micro`: for a bundle that leaves it open. What is free when a trial begins would decide it, and no two trials would
    surely add up their sums in the same order.
    """
    edits: dict[str, Any] = {
        "checkpoint.keep": 2,
        "evaluation.samples": 0,
        "evaluation.every": EVALUATIONS,
        "checkpoint.every": EVALUATIONS,
    }
    if micro is not None and bundle.batch.micro is None and bundle.batch.accumulation is None:
        edits["batch.micro"] = min(micro, bundle.batch.effective)
    if any(phase.steps is not None for phase in bundle.phases):
        # Phases in steps say how long a run is.
        return change(bundle, edits, by="tune")
    return change(bundle, {**edits, "schedule.steps": steps}, by="tune")


def new_study(
    bundle: Bundle,
    base: Path,
    *,
    method: Method,
    measured: Measured,
    share: float,
    budget: Budget,
    over: Sequence[Dimension] = (),
    options: Mapping[str, Any] | None = None,
    storage: str = "sqlite",
    notes: Sequence[str] = (),
    out: Path | None = None,
) -> StudyFolder:
    """Write a study's folder; its trials are of `share` of the rows.

    Raises:
        UsageError: nothing is held out, or the folder is not empty.
    """
    if not measured.validation_rows:
        raise UsageError("nothing is held out to judge trials by", hint="set validation.fraction or validation.path")
    steps = proxy_steps(measured, bundle.batch.effective, share)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{method}-{slug(bundle.name)}"
    folder = StudyFolder(out or studies() / name)
    question = Question(
        method=method,
        digest=digest(bundle),
        folder=str(base),
        metric=bundle.evaluation.metric,
        seed=bundle.seed,
        steps=steps,
        storage=storage,
        over=tuple(over),
        budget=budget,
        options=dict(options or {}),
        notes=tuple(notes),
        measured=measured,
    )
    searched = {
        *(one.key for one in over),
        *(key for arm in question.options.get("arms") or () for key in arm["edits"]),
    }
    fixed = not any(key.startswith("batch.") for key in searched)
    # Whoever runs one of the study's bundles by hand runs what it ran: their paths start nowhere.
    given = absolute(bundle, base)
    create(folder, question, trial_base(given, steps, measured.micro if fixed else None), given)
    return folder


def extend(folder: StudyFolder, budget: Budget, options: Mapping[str, Any]) -> Question:
    """Go on with a study under another budget and more seeds, where they are given; returns what it asks now."""
    question = folder.question
    given = {name: value for name, value in msgspec.structs.asdict(budget).items() if value is not None}
    # A new budget replaces the old one: the old one's other limits would end what the new one asks for.
    question = msgspec.structs.replace(
        question,
        budget=Budget(**given) if given else question.budget,
        options={**question.options, **{name: value for name, value in options.items() if value is not None}},
    )
    with folder.locked():
        folder.write_question(question)
    return question


def rules_of(base: Bundle, question: Question) -> Grid | Bayes | Ablate:
    """The method of a study."""
    options = question.options
    match question.method:
        case "grid":
            return Grid(base, question.over, lower=question.lower)
        case "bayes":
            first = options.get("first") or ()
            return Bayes(base, question.over, trials=question.budget.trials, first=first, lower=question.lower)
    arms = [msgspec.convert(arm, Arm) for arm in options.get("arms") or ()]
    seeds, retune = int(options.get("seeds") or SEEDS), bool(options.get("retune"))
    return Ablate(base, arms, seeds=seeds, retune=retune, lower=question.lower)


def _onward(folder: StudyFolder, over: Sequence[str]) -> str:
    words = [shlex.quote(word) for one in over for word in ("--over", one)]
    return shlex.join(["tuiwiz", "tune", "grid", str(folder.path / GIVEN)]) + " " + " ".join(words) if over else ""


def show(folder: StudyFolder) -> Shown:
    """What a study found so far, from its table alone."""
    question, rows = folder.question, folder.rows
    rules = rules_of(folder.base, question)
    best = next(iter(ranked(rows, lower=question.lower)), None)
    judged = rules.judge(rows, question.options.get("margin")) if isinstance(rules, Ablate) else []
    note = rules.edge(rows) if isinstance(rules, Grid) else rules.no_gain(rows) if isinstance(rules, Bayes) else ""
    return Shown(
        study=str(folder.path),
        method=question.method,
        metric=question.metric,
        steps=question.steps,
        trials=rows,
        best=None if question.method == "ablate" else best,
        judged=judged,
        note=note,
        onward=_onward(folder, rules.onward(rows)) if isinstance(rules, Grid) else "",
        notes=question.notes,
        seconds=sum(row.seconds for row in rows),
    )
