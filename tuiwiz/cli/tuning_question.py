"""What a search of `tuiwiz tune` asks, how long that will take, and what it can decide in that time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuiwiz.base.units import human_number

if TYPE_CHECKING:
    from tuiwiz.cli.tuning import Wanted
    from tuiwiz.spec.bundle import Bundle
    from tuiwiz.tune.rows import Row
    from tuiwiz.tune.space import Dimension
    from tuiwiz.tune.study import Measured, Method


def question_of(
    method: Method, bundle: Bundle, base: Path, wanted: Wanted
) -> tuple[tuple[Dimension, ...], dict[str, Any], list[str]]:
    """Dimensions, the method's own options and remarks."""
    import msgspec

    from tuiwiz.base.errors import UsageError
    from tuiwiz.tune.ablate import parse_factors
    from tuiwiz.tune.bayes import default_space, outside, wider
    from tuiwiz.tune.rows import ranked
    from tuiwiz.tune.space import parse_over
    from tuiwiz.tune.study import find

    over = parse_over(bundle, wanted.over)
    if method == "ablate":
        arms = [msgspec.to_builtins(arm) for arm in parse_factors(bundle, wanted.factors)]
        options = {"arms": arms, "retune": wanted.retune, "seeds": wanted.seeds, "margin": wanted.margin}
        return (), {key: value for key, value in options.items() if value is not None}, []
    if method == "grid":
        if ranges := [one.key for one in over if not one.values]:
            raise UsageError(f"a grid needs values of {ranges[0]}, not a range", hint=f"--over {ranges[0]}=a,b,c")
        return over, {"pruner": wanted.pruner} if wanted.pruner else {}, []
    ranges_known, name = _ranges(bundle, base)
    space = over or default_space(bundle, ranges_known, wanted.shared.budget.trials)
    notes = [f"searching {'; '.join(one.words for one in space)}" + (f" (preset {name})" if name else "")]
    notes += wider(space, ranges_known)
    first: list[dict[str, Any]] = []
    if wanted.after:
        earlier = find(wanted.after)
        best = ranked(earlier.rows, lower=earlier.question.lower)[:3]
        first = [row.edits for row in best]
        notes += [_left_out(row, apart) for row in best if (apart := outside(bundle, space, row.edits))]
    return space, {"first": first, "pruner": wanted.pruner}, notes


def _left_out(row: Row, apart: dict[str, Any]) -> str:
    words = ", ".join(f"{key} {_value(value)}" for key, value in apart.items())
    key, value = next(iter(apart.items()))
    return (
        f"trial {row.number} of the earlier study ({_value(row.score)}) is not tried again: {words} lies outside; "
        f"--over {key}=LOW..HIGH around {_value(value)} searches there"
    )


def _value(value: Any) -> str:
    return human_number(value) if isinstance(value, float) else str(value)


def _ranges(bundle: Bundle, base: Path) -> tuple[dict[str, tuple[float, float]], str]:
    """What the preset's evidence covers, by key, and its name: the one of the bundle's rate, else the best."""
    from tuiwiz.base.errors import TuiwizError
    from tuiwiz.presets.bands import band_of
    from tuiwiz.presets.choose import choose
    from tuiwiz.presets.find import all_presets
    from tuiwiz.presets.resolve import LEARNING_RATE, resolve
    from tuiwiz.presets.when import Context
    from tuiwiz.wizard.facts import model_facts

    try:
        shape = model_facts(bundle.model.source, bundle.model.revision, base).shape
    except TuiwizError:
        # Whoever trains it tells why; the search goes on without a preset.
        shape = None
    if shape is None:
        return {}, ""
    context = Context(task=bundle.task.kind, method=bundle.adapter.method, band=band_of(shape.parameters))
    word, _, name = bundle.origin.get(LEARNING_RATE, "").partition(" ")
    known = all_presets().presets
    if word == "preset" and name in known:
        found = resolve(known[name], context)
    else:
        best = choose(context)
        if not best:
            return {}, ""
        found = best[0].resolved
    return {key: why.range for key, why in found.why.items() if why.range is not None}, found.name


def forecast(
    method: Method,
    bundle: Bundle,
    measured: Measured,
    wanted: Wanted,
    over: tuple[Dimension, ...],
    options: dict[str, Any],
) -> dict[str, Any]:
    """How long it takes and what can be decided in that time; refuses what is too little for the question."""
    from datetime import datetime

    from tuiwiz.tune.measure import (
        affordable,
        decides,
        once_seconds,
        proxy_steps,
        refuse_too_little,
        time_words,
        trial_seconds,
        within,
    )
    from tuiwiz.tune.start import rules_of, trial_base
    from tuiwiz.tune.study import Question

    steps = proxy_steps(measured, bundle.batch.effective, wanted.shared.share)
    base = trial_base(bundle, steps)
    each, once = trial_seconds(measured, base, steps), once_seconds(measured)
    question = Question(
        method=method,
        digest="",
        folder="",
        metric=bundle.evaluation.metric,
        seed=bundle.seed,
        steps=steps,
        over=over,
        budget=wanted.shared.budget,
        options=options,
    )
    least = rules_of(base, question).least
    budget = within(wanted.shared.budget, datetime.now())
    refuse_too_little(method, least, each, budget, once_s=once)
    trials = affordable(least, each, budget, once_s=once)
    words = [time_words(method, trials, each, steps, once_s=once)]
    words.append(decides(method, trials, 1 + len(options.get("arms") or ())))
    seconds = once + trials * each
    return {"trials": trials, "steps": steps, "trial_seconds": each, "seconds": seconds, "words": words}
