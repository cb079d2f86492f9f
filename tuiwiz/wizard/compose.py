"""From answers and facts to a bundle, with who decided each value and why. Pure: the same input, the same bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import msgspec

from tuiwiz.base.errors import InternalError, UsageError
from tuiwiz.base.problems import Problems
from tuiwiz.bundle.convert import to_bundle
from tuiwiz.presets.bands import band_of, parse_size
from tuiwiz.presets.choose import Ranked, choose
from tuiwiz.presets.explain import range_words, why_words
from tuiwiz.presets.find import all_presets, find
from tuiwiz.presets.resolve import LEARNING_RATE, Resolved, condition_of, resolve
from tuiwiz.presets.when import Context, holds, words
from tuiwiz.spec.adapter import PLANNED
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.fields import FIELDS, choices
from tuiwiz.spec.keys import default_of, plain, unflatten
from tuiwiz.spec.rules import available
from tuiwiz.wizard import derived
from tuiwiz.wizard.alternatives import Alternative, alternatives
from tuiwiz.wizard.answers import Answers, Composed, Picked, absorb
from tuiwiz.wizard.planning import Planned, apply, plan_of, take
from tuiwiz.wizard.work import DEFAULT, PLANNER, USER, Work, shown

if TYPE_CHECKING:
    from tuiwiz.memory.search import Choice
    from tuiwiz.wizard.facts import Facts


__all__ = ["Alternative", "Answers", "Composed", "Picked", "absorb", "compose", "suggested_name"]

_HEAD_TASKS = ("classify", "reward")
_WORD = re.compile(r"[^a-z0-9]+")


def compose(answers: Answers, facts: Facts) -> Composed:
    """Task, model, data and device -> preset -> values -> the user's own -> derived values -> planner -> bundle.

    Wrong values of the user are reported in `problems` and left out, so that a screen always has a bundle to show.

    Raises:
        UsageError: an unknown preset, or one that does not cover this task, size or method.
    """
    answers = absorb(answers)
    decided = _decide(answers, facts)
    work, preset = decided.work, decided.preset
    planned = _planned(decided, answers, facts)
    warmup = derived.explain_run(work, decided.rows, decided.steps)
    ranges = {key: why.range for key, why in preset.why.items() if why.range is not None}
    if (converted := derived.rate_range(work, preset)) is not None:
        ranges[LEARNING_RATE] = converted
    _judge(work, ranges)
    bundle = _bundle(work, facts, work.problems)
    context = decided.context
    return Composed(
        bundle=bundle,
        origin=dict(work.origin),
        why=dict(work.why),
        grades={key: why.grade for key, why in preset.why.items() if why.grade},
        ranges=ranges,
        alternatives=alternatives(work, band=context.band, rows=context.rows, steps=decided.steps),
        preset=preset.name,
        ranked=tuple(decided.ranked),
        preset_values=dict(preset.values),
        plan=planned.plan,
        choices=planned.choices,
        steps=decided.steps,
        warmup=warmup,
        problems=tuple(work.problems),
        ready=work.problems.ok and facts.model_chosen and facts.shape is not None and facts.data is not None,
    )


class _Decided(msgspec.Struct, frozen=True):
    """Everything but the planner's part."""

    work: Work
    context: Context
    preset: Resolved
    ranked: list[Ranked]
    rows: int | None
    steps: int | None


def _decide(answers: Answers, facts: Facts) -> _Decided:
    work = Work()
    work.problems.extend(facts.problems)
    context = _context(answers, facts)
    ranked, preset = _preset(answers, context, work)
    _answered(work, answers, context, facts)
    for key, value in preset.values.items():
        work.put(key, value, f"preset {preset.name}", why_words(preset.why[key]))
    _bare_task(work, preset)
    work.set_by_user(answers.sets)
    derived.metric(work)
    derived.split(work, facts.data)
    rows = derived.training_rows(work, facts.data)
    measured = preset.measured is not None
    derived.length(work, facts.data, measured=measured)
    per_rank = facts.shape.parameters_per_rank(experts=False) if facts.shape is not None else None
    derived.rank(work, facts.data, per_rank, measured=measured)
    derived.batch(work, rows, measured=measured)
    steps = derived.steps(work, rows)
    derived.learning_rate(work, preset, steps)
    return _Decided(work, context, preset, ranked, rows, steps)


def _planned(decided: _Decided, answers: Answers, facts: Facts) -> Planned:
    """Plan the chosen method and fill in its fastest setting that fits; list those of all methods."""
    work = decided.work
    if decided.context.method not in (*PLANNED, "freeze"):
        return Planned()
    take(work, answers.picked)
    plan = plan_of(_bundle(work, facts, Problems()), facts, decided.rows)
    if plan is None:
        return Planned()
    found = [choice for choice in plan.choices if choice.method == decided.context.method]
    for method in PLANNED:
        if method != decided.context.method:
            found += _choices_of(msgspec.structs.replace(answers, method=method, picked=None), facts)
    apply(work, plan, answers.picked, found)
    found.sort(key=lambda choice: (not choice.fits, -(choice.tokens_per_second or 0)))
    return Planned(plan_of(_bundle(work, facts, Problems()), facts, decided.rows), tuple(found))


def _choices_of(answers: Answers, facts: Facts) -> list[Choice]:
    """The planner's choices for another method, whose preset has another batch, length or rank."""
    try:
        other = _decide(answers, facts)
    except UsageError:
        # The named preset does not cover this method.
        return []
    plan = plan_of(_bundle(other.work, facts, Problems()), facts, other.rows)
    return [] if plan is None else [choice for choice in plan.choices if choice.method == answers.method]


def _context(answers: Answers, facts: Facts) -> Context:
    task = answers.task if answers.task in choices("task.kind") else "chat"
    method = answers.method or ("lora" if task in _HEAD_TASKS else "qlora")
    return Context(
        task=task,
        method=method,
        band=None if facts.shape is None else band_of(facts.shape.parameters),
        rows=None if facts.data is None else facts.data.rows,
        memory_bytes=None if facts.device is None else facts.device.total_bytes,
        device=None if facts.device is None else facts.device.kind,
        parameters=None if facts.shape is None else facts.shape.parameters,
        longest=None if facts.data is None else facts.data.longest or None,
    )


def _preset(answers: Answers, context: Context, work: Work) -> tuple[list[Ranked], Resolved]:
    """The candidates, best first, and the one to use: the named one, else the best, else none at all."""
    ranked = choose(context)
    if answers.preset:
        known = all_presets().presets
        preset = find(answers.preset)
        resolved = resolve(preset, context, known)
        if not resolved.covers and context.band is not None:
            raise UsageError(
                f"preset {preset.name} has no settings for {context.task}, {context.method}, band {context.band}",
                hint=f"fitting: {', '.join(one.name for one in ranked)}" if ranked else "leave --preset out",
            )
        when = condition_of(preset, known)
        if holds(when, context) is False:
            work.problems.warning(f"preset {preset.name} is made for {words(when)}", key="preset")
        return ranked, resolved
    if ranked:
        return ranked, ranked[0].resolved
    if context.band is not None:
        work.problems.warning(
            f"no preset covers {context.task} with {context.method} in band {context.band}: plain defaults are used",
            key="preset",
            hint="check the learning rate before a long run",
        )
    return [], Resolved(name="", context=context, values={}, why={}, trail={})


def _answered(work: Work, answers: Answers, context: Context, facts: Facts) -> None:
    """What the user answered, as bundle keys."""
    if not answers.task:
        work.problems.error(
            "no task is chosen", key="task.kind", hint=f"one of {', '.join(str(one) for one in available('task.kind'))}"
        )
    elif answers.task != context.task:
        work.problems.error(
            f"unknown task {answers.task!r}",
            key="task.kind",
            hint=f"one of {', '.join(str(one) for one in available('task.kind'))}",
        )
    work.put("task.kind", context.task, USER if answers.task else DEFAULT)
    work.put("adapter.method", context.method, USER if answers.method else DEFAULT)
    work.put("model.source", answers.model, USER)
    work.put("model.revision", answers.revision, USER if answers.revision else DEFAULT)
    work.put("data.train", answers.train, USER)
    work.put("validation.path", answers.validation, USER if answers.validation else DEFAULT)
    work.put("seed", answers.seed, USER if answers.seed != default_of("seed") else DEFAULT)
    work.put("name", answers.name or suggested_name(answers.data, answers.model), USER if answers.name else DEFAULT)
    if facts.data is not None and facts.data.format not in ("", "auto"):
        work.put("data.format", facts.data.format, "data", "recognised from the rows themselves")
        work.put("data.mapping", facts.data.mapping, "data", "recognised from the columns")
    if answers.model and not facts.model_chosen:
        hint = "set model.source to a folder, a hub id or a name from `tuiwiz models list`"
        what = "is only a size" if parse_size(answers.model) is not None else "has no weights that can be trained"
        work.warn("model.source", f"{answers.model} {what}: choose a model before running", hint)


def _bare_task(work: Work, preset: Resolved) -> None:
    """What a run needs even where no preset speaks."""
    if "schedule.epochs" not in preset.values and "schedule.steps" not in preset.values:
        work.put("schedule.epochs", 1.0, PLANNER, "one pass, as no preset says otherwise")
    if work.values["task.kind"] == "pretrain":
        work.put("data.train_on", "all", PLANNER, "pretraining learns every token")
    if work.values["task.kind"] == "classify":
        work.put("data.overlong", "truncate", PLANNER, "a text says what it is about before it ends")


def _judge(work: Work, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Warns where the user's number lies outside what the evidence covers."""
    for key, (low, high) in ranges.items():
        value = work.values[key]
        if work.is_users(key) and type(value) in (int, float) and not low <= value <= high:
            field = FIELDS[key]
            effect = field.too_low if value < low else field.too_high
            known = f"evidence covers {range_words((low, high))}"
            work.warn(key, f"{field.label} {shown(value)}: {known}", effect)
    if work.values["optimizer.name"] == "sgd" and not work.is_users(LEARNING_RATE):
        hint = "published vanilla SGD runs use batches of at most 4 and need a sweep 10 to 1000 times higher"
        work.warn(LEARNING_RATE, "the preset's rate is for AdamW, not for SGD", hint)


def _bundle(work: Work, facts: Facts, problems: Problems) -> Bundle:
    tree: dict[str, Any] = unflatten(work.values)
    tree.setdefault("model", {}).setdefault("source", "")
    tree.setdefault("data", {}).setdefault("train", "")
    tree["origin"] = {key: by for key, by in work.origin.items() if _worth_saying(work, key)}
    if facts.lock is not None:
        tree["lock"] = plain(facts.lock)
    bundle, found = to_bundle(tree)
    problems.extend(found)
    if bundle is None:
        raise InternalError("the composed values are no bundle", problems=found)
    return bundle


def _worth_saying(work: Work, key: str) -> bool:
    """Whether the file names who decided a key: not for what is unset, or a default that hardly any run touches."""
    if work.values[key] is None or key in ("format", "phases"):
        return False
    return work.origin[key] != DEFAULT or key.partition(".")[0] not in ("launch", "tracking", "regularization")


def suggested_name(data: str, model: str) -> str:
    """A name from the data file and the model, such as `gsm8k-qwen3-8b`; a file called `train` gives its folder's."""
    path = PurePath(data.replace("\\", "/"))
    stem = path.stem
    if stem.lower() in ("train", "training", "data", "dataset") and path.parent.name not in ("", ".", ".."):
        stem = path.parent.name
    parts = [_WORD.sub("-", part.lower()).strip("-") for part in (stem, PurePath(model).name)]
    return "-".join(part for part in parts if part)[:48].strip("-") or str(default_of("name"))
