"""What the commands of `tuiwiz tune` share: facts about the bundle, the forecast, the work and its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuiwiz.base.places import expanded

if TYPE_CHECKING:
    from tuiwiz.cli.searching import Searching
    from tuiwiz.tune.rows import Row
    from tuiwiz.tune.study import Method, StudyFolder

MOST_SEEDS = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options of a search say: those of all searches and the method's own."""

    shared: Searching
    over: tuple[str, ...] = ()
    pruner: str = ""
    after: str = ""
    factors: tuple[str, ...] = ()
    seeds: int | None = None
    margin: float | None = None
    retune: bool = False


def carry_out(method: Method, path: Path, wanted: Wanted) -> None:
    """Make a study, or go on with one, say what it will take, and work on it."""
    from tuiwiz.base.errors import UsageError
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.cli.output import emit_json, note
    from tuiwiz.cli.tuning_question import forecast, question_of
    from tuiwiz.runs.folder import start_of
    from tuiwiz.tune.measure import measure
    from tuiwiz.tune.start import check_budget, extend, new_study
    from tuiwiz.tune.study import StudyFolder, is_study, refuse_method, refuse_other

    shared, as_json = wanted.shared, wanted.shared.as_json
    _check(wanted)
    check_budget(shared.budget)
    more = {"seeds": wanted.seeds, "margin": wanted.margin}
    for place in (path, shared.out):
        if place is None or not is_study(place):
            continue
        folder = StudyFolder(place.resolve())
        if place is path:
            refuse_method(folder, method)
        else:
            refuse_other(folder, read_bundle(path), method)
        if wanted.over or wanted.factors:
            raise UsageError("a study's question cannot be changed", hint="leave --over and --factor out")
        extend(folder, shared.budget, more)
        work(folder, new=False, as_json=as_json)
        return
    bundle, base = read_bundle(path), start_of(path)
    over, options, notes = question_of(method, bundle, base, wanted)
    if not as_json:
        note("tuiwiz: timing the first steps")
    measured = measure(bundle, base)
    facts = forecast(method, bundle, measured, wanted, over, options)
    for line in (*notes, *facts["words"]):
        if not as_json:
            note(f"tuiwiz: {line}")
    if shared.dry:
        if as_json:
            emit_json({"ok": True, "measured": measured, **facts, "notes": notes})
        return
    folder = new_study(
        bundle,
        base,
        method=method,
        measured=measured,
        share=shared.share,
        budget=shared.budget,
        over=over,
        options=options,
        storage=shared.storage,
        notes=notes,
        out=expanded(shared.out).absolute() if shared.out is not None else None,
    )
    work(folder, new=True, as_json=as_json)


def _check(wanted: Wanted) -> None:
    from tuiwiz.base.errors import UsageError
    from tuiwiz.tune.study import PRUNERS

    if not 0 < wanted.shared.share <= 1:
        raise UsageError(f"a share of {wanted.shared.share:g} is no share of the rows", hint="--share 0.15")
    if wanted.seeds is not None and not 2 <= wanted.seeds <= MOST_SEEDS:
        raise UsageError(f"{wanted.seeds} seeds cannot decide anything", hint=f"--seeds 2 to {MOST_SEEDS}; 5 are usual")
    if wanted.margin is not None and not 0 < wanted.margin < float("inf"):
        raise UsageError(f"a margin of {wanted.margin:g} is none", hint="--margin takes a number above 0")
    if wanted.pruner and wanted.pruner not in PRUNERS:
        raise UsageError(f"there is no pruner {wanted.pruner!r}", hint="--pruner median, hyperband or none")
    storage = wanted.shared.storage
    if storage not in ("sqlite", "journal") and "://" not in storage:
        raise UsageError(f"{storage!r} is no storage", hint="sqlite, journal, or a URL such as postgresql://...")


def work(folder: StudyFolder, *, new: bool, as_json: bool) -> None:
    """Work on a study to its end, a line a trial, and tell the result."""
    from functools import partial

    from tuiwiz.base.errors import StoppedError
    from tuiwiz.cli.output import note, say
    from tuiwiz.runs.host import Host
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
        with Host(folder.path) as host:
            run = partial(run_trial, host=host)
            reason = Worker(folder, question, rules_of(folder.base, question), run, tell=line, new=new).work()
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


def write_preset(folder: StudyFolder, name: str) -> Path:
    """Write the winner as one of the user's presets.

    Raises:
        UsageError: there is no winner, or the name cannot be taken.
    """
    from tuiwiz.base import places
    from tuiwiz.base.errors import MachineLacksError
    from tuiwiz.base.files import write_atomic
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.cli.presets_share import new_name, result_of
    from tuiwiz.events.folder import RunFolder
    from tuiwiz.presets.find import forget
    from tuiwiz.presets.write import preset_text
    from tuiwiz.tune.winner import evidence, preset_of_winner, winner

    best, name = winner(folder), new_name(name, "--preset")
    run = RunFolder(folder.run(best.number))
    path = places.presets() / f"{name}.toml"
    preset = preset_of_winner(folder, result_of(run, read_bundle(run.bundle)), name, path)
    try:
        write_atomic(path, preset_text(preset, heading=f"{evidence(folder, best)}. Study {folder.path.name}."))
    except OSError as error:
        raise MachineLacksError(f"{path} cannot be written: {error.strerror or error}") from error
    forget()
    return path


def tell(
    folder: StudyFolder,
    *,
    reason: str = "",
    written: Sequence[Path] = (),
    importances: dict[str, float] | None = None,
    as_json: bool,
) -> None:
    """Print what a study found."""
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.tune.draw import judged_lines, row_line
    from tuiwiz.tune.start import show

    found = show(folder)
    if as_json:
        paths = [str(path) for path in written]
        emit_json({"ok": True, "shown": found, "reason": reason, "written": paths, "importances": importances})
        return
    if not reason:
        for row in found.trials:
            say(row_line(row))
    onward = f"`{found.onward}` goes on beyond it" if found.onward else ""
    for line in (reason, found.note, onward, *judged_lines(found.judged, found.metric)):
        if line:
            say(line)
    for key, share in (importances or {}).items():
        say(f"{share:>6.0%}  {key}")
    if found.best is not None:
        say(f"best {found.metric}: {row_line(found.best).strip()}")
        if not written:
            say(f"`tuiwiz tune show {folder.path} -o best.toml` writes it as a bundle, --preset NAME as a preset")
    for path in written:
        say(str(path))
