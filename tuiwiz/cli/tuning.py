"""What the commands of `tuiwiz tune` share: facts about the bundle, the forecast, the work and its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuiwiz.spec.bundle import Bundle
    from tuiwiz.tune.rows import Row
    from tuiwiz.tune.space import Dimension
    from tuiwiz.tune.study import Budget, Measured, Method, StudyFolder

MOST_SEEDS = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options of a search say."""

    out: Path | None
    share: float
    budget: Budget
    storage: str
    over: tuple[str, ...] = ()
    after: str = ""
    factors: tuple[str, ...] = ()
    seeds: int | None = None
    margin: float | None = None
    retune: bool = False


def carry_out(method: Method, path: Path, wanted: Wanted, *, dry: bool, as_json: bool) -> None:
    """Make a study, or go on with one, say what it will take, and work on it."""
    from tuiwiz.base.errors import UsageError
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.cli.output import emit_json, note
    from tuiwiz.tune.measure import measure
    from tuiwiz.tune.start import check_budget, extend, new_study
    from tuiwiz.tune.study import StudyFolder, is_study, refuse_method, refuse_other

    _check(wanted)
    check_budget(wanted.budget)
    more = {"seeds": wanted.seeds, "margin": wanted.margin}
    for place in (path, wanted.out):
        if place is None or not is_study(place):
            continue
        folder = StudyFolder(place.resolve())
        if place is path:
            refuse_method(folder, method)
        else:
            refuse_other(folder, read_bundle(path), method)
        if wanted.over or wanted.factors:
            raise UsageError("a study's question cannot be changed", hint="leave --over and --factor out")
        extend(folder, wanted.budget, more)
        work(folder, new=False, as_json=as_json)
        return
    bundle, base = read_bundle(path), path.resolve().parent
    over, options, notes = _question(method, bundle, base, wanted)
    if not as_json:
        note("tuiwiz: timing the first steps")
    measured = measure(bundle, base)
    facts = _forecast(method, bundle, measured, wanted, over, options)
    for line in (*notes, *facts["words"]):
        if not as_json:
            note(f"tuiwiz: {line}")
    if dry:
        if as_json:
            emit_json({"ok": True, "measured": measured, **facts, "notes": notes})
        return
    folder = new_study(
        bundle,
        base,
        method=method,
        measured=measured,
        share=wanted.share,
        budget=wanted.budget,
        over=over,
        options=options,
        storage=wanted.storage,
        notes=notes,
        out=wanted.out.expanduser().absolute() if wanted.out is not None else None,
    )
    work(folder, new=True, as_json=as_json)


def _check(wanted: Wanted) -> None:
    from tuiwiz.base.errors import UsageError

    if not 0 < wanted.share <= 1:
        raise UsageError(f"a share of {wanted.share:g} is no share of the rows", hint="--share 0.15")
    if wanted.seeds is not None and not 2 <= wanted.seeds <= MOST_SEEDS:
        raise UsageError(f"{wanted.seeds} seeds cannot decide anything", hint=f"--seeds 2 to {MOST_SEEDS}; 5 are usual")
    if wanted.margin is not None and not 0 < wanted.margin < float("inf"):
        raise UsageError(f"a margin of {wanted.margin:g} is none", hint="--margin takes a number above 0")
    if wanted.storage not in ("sqlite", "journal") and "://" not in wanted.storage:
        raise UsageError(f"{wanted.storage!r} is no storage", hint="sqlite, journal, or a URL such as postgresql://...")


def _question(
    method: Method, bundle: Bundle, base: Path, wanted: Wanted
) -> tuple[tuple[Dimension, ...], dict[str, Any], list[str]]:
    """Dimensions, the method's own options and remarks."""
    import msgspec

    from tuiwiz.base.errors import UsageError
    from tuiwiz.tune.ablate import parse_factors
    from tuiwiz.tune.bayes import default_space, wider
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
        return over, {}, []
    ranges_known, name = _ranges(bundle, base)
    space = over or default_space(bundle, ranges_known, wanted.budget.trials)
    notes = [f"searching {'; '.join(one.words for one in space)}" + (f" (preset {name})" if name else "")]
    notes += wider(space, ranges_known)
    first: list[dict[str, Any]] = []
    if wanted.after:
        earlier = find(wanted.after)
        first = [row.edits for row in ranked(earlier.rows, lower=earlier.question.lower)[:3]]
    return space, {"first": first}, notes


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


def _forecast(
    method: Method,
    bundle: Bundle,
    measured: Measured,
    wanted: Wanted,
    over: tuple[Dimension, ...],
    options: dict[str, Any],
) -> dict[str, Any]:
    """How long it takes and what can be decided in that time; refuses what is too little for the question."""
    from tuiwiz.tune.measure import decides, proxy_steps, refuse_too_little, time_words, trial_seconds
    from tuiwiz.tune.start import rules_of, trial_base
    from tuiwiz.tune.study import Question

    steps = proxy_steps(measured, bundle.batch.effective, wanted.share)
    base = trial_base(bundle, steps)
    each = trial_seconds(measured, base, steps)
    question = Question(
        method=method,
        digest="",
        folder="",
        metric=bundle.evaluation.metric,
        seed=bundle.seed,
        steps=steps,
        over=over,
        budget=wanted.budget,
        options=options,
    )
    least = rules_of(base, question).least
    refuse_too_little(method, least, each, wanted.budget)
    limits = [least, wanted.budget.trials]
    if wanted.budget.hours is not None:
        limits.append(int(3600 * wanted.budget.hours / each))
    trials = min(one for one in limits if one is not None)
    words = [time_words(method, least, each, steps, wanted.budget)]
    words.append(decides(method, trials, 1 + len(options.get("arms") or ())))
    return {"trials": trials, "steps": steps, "trial_seconds": each, "seconds": trials * each, "words": words}


def work(folder: StudyFolder, *, new: bool, as_json: bool) -> None:
    """Work on a study to its end, a line a trial, and tell the result."""
    from tuiwiz.base.errors import StoppedError
    from tuiwiz.cli.output import note, say
    from tuiwiz.tune.draw import row_line
    from tuiwiz.tune.start import rules_of
    from tuiwiz.tune.trial import run_trial
    from tuiwiz.tune.work import Worker

    question = folder.question

    def line(row: Row) -> None:
        if not as_json:
            say(row_line(row))

    if not as_json:
        note(f"tuiwiz: study {folder.path}")
    try:
        reason = Worker(folder, question, rules_of(folder.base, question), run_trial, tell=line, new=new).work()
    except KeyboardInterrupt as error:
        raise StoppedError("the study was stopped", hint=f"`tuiwiz tune join {folder.path}` goes on") from error
    tell(folder, reason=reason, as_json=as_json)


def shares(folder: StudyFolder) -> dict[str, float]:
    """Which keys moved the score.

    Raises:
        UsageError: there are too few trials to tell.
    """
    from tuiwiz.base.errors import UsageError
    from tuiwiz.tune.bayes import IMPORTANCE_TRIALS
    from tuiwiz.tune.storage import Storage

    question, done = folder.question, sum(row.state == "finished" for row in folder.rows)
    if question.method != "bayes" or done < IMPORTANCE_TRIALS:
        raise UsageError(
            f"importances need {IMPORTANCE_TRIALS} finished trials of `tune bayes`, and there are {done}",
            hint="`tuiwiz tune bayes STUDY --trials 40` goes on",
        )
    return Storage(folder, question).importances()


def tell(
    folder: StudyFolder,
    *,
    reason: str = "",
    written: Path | None = None,
    importances: dict[str, float] | None = None,
    as_json: bool,
) -> None:
    """Print what a study found."""
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.tune.draw import judged_lines, row_line
    from tuiwiz.tune.start import show

    found = show(folder)
    if as_json:
        bundle = None if written is None else str(written)
        emit_json({"ok": True, "shown": found, "reason": reason, "bundle": bundle, "importances": importances})
        return
    if not reason:
        for row in found.trials:
            say(row_line(row))
    for line in (reason, found.note, *judged_lines(found.judged, found.metric)):
        if line:
            say(line)
    for key, share in (importances or {}).items():
        say(f"{share:>6.0%}  {key}")
    if found.best is not None:
        say(f"best {found.metric}: {row_line(found.best).strip()}")
        say(f"`tuiwiz tune show {folder.path} -o best.toml` writes it as a bundle")
    if written is not None:
        say(str(written))
