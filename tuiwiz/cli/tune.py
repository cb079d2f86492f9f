"""`tuiwiz tune lr|grid|bayes|ablate|join|show`: finds settings by short runs, and says what they can decide."""

from __future__ import annotations

from pathlib import Path

import typer

BUNDLE = typer.Argument(..., metavar="BUNDLE", help="The bundle, or a study's folder to go on with it.")
OUT = typer.Option(None, "--out", metavar="DIR", help="The study's folder; else one among the user's.")
TRIALS = typer.Option(None, "--trials", help="At most so many trials.")
HOURS = typer.Option(None, "--hours", help="At most so many hours of trials.")
TOKENS = typer.Option(None, "--tokens", help="At most so many trained tokens.")
UNTIL = typer.Option(None, "--until", metavar="TIME", help="No trial that would end after 08:00 begins.")
SHARE = typer.Option(0.15, "--share", help="Share of the rows that a trial sees; 0.1 to 0.2 rank settings well.")
OVER = typer.Option([], "--over", metavar="KEY=A,B,C", help="What to vary: values, or for bayes a range LOW..HIGH.")
STORAGE = typer.Option("sqlite", "--storage", help="sqlite, journal, or the URL of a database.")
DRY = typer.Option(False, "--dry-run", help="Say how long it takes and what it can decide, and leave.")
JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Find settings by short runs.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="tune")
    group.command("lr")(lr)
    group.command("grid")(grid)
    group.command("bayes")(bayes)
    group.command("ablate")(ablate)
    group.command("join")(join)
    group.command("show")(show)


def lr(
    bundle: Path = typer.Argument(..., help="The bundle."),
    out: Path | None = typer.Option(None, "-o", metavar="FILE", help="Write the bundle with the suggested rate."),
    low: float | None = typer.Option(None, "--low", help="Least rate; else the band of the method."),
    high: float | None = typer.Option(None, "--high", help="Largest rate."),
    steps: int = typer.Option(120, "--steps", help="Steps of the sweep."),
    as_json: bool = JSON,
) -> None:
    """Sweep the learning rate until training diverges: a ceiling for the preset's rate."""
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.cli.output import emit_json, note, say
    from tuiwiz.tune.draw import curve
    from tuiwiz.tune.lr import range_test
    from tuiwiz.tune.space import RATE
    from tuiwiz.tune.start import write_beside

    given, base = read_bundle(bundle), bundle.resolve().parent
    if not as_json:
        note(f"tuiwiz: {steps} steps on a small set of rows; it gives a ceiling for the rate, not a pick")
    found = range_test(given, base, low=low, high=high, steps=steps)
    written = None
    if out is not None:
        written = write_beside(given, base, {RATE: found.suggested}, "tune lr", found.verdict, out)
    if as_json:
        emit_json({"ok": True, "tested": found, "bundle": None if written is None else str(written)})
        return
    for line in curve(found):
        say(line)
    say("g: the bundle's rate, c: the ceiling, d: divergence")
    say(f"ended at {found.rates[-1]:.1e} by {found.ended}; weights, optimizer and random streams are as before")
    say(f"suggested {found.suggested:.3g}: {found.verdict}")
    if written is not None:
        say(str(written))


def grid(
    bundle: Path = BUNDLE,
    over: list[str] = OVER,
    out: Path | None = OUT,
    share: float = SHARE,
    trials: int | None = TRIALS,
    hours: float | None = HOURS,
    tokens: int | None = TOKENS,
    until: str | None = UNTIL,
    storage: str = STORAGE,
    dry: bool = DRY,
    as_json: bool = JSON,
) -> None:
    """Try the rate times 1/3, 1, 3, then the rank at the best rate; or every combination of --over."""
    from tuiwiz.cli.tuning import Wanted, carry_out
    from tuiwiz.tune.study import Budget

    budget = Budget(trials=trials, hours=hours, tokens=tokens, until=until)
    carry_out("grid", bundle, Wanted(out, share, budget, storage, over=tuple(over)), dry=dry, as_json=as_json)


def bayes(
    bundle: Path = BUNDLE,
    over: list[str] = OVER,
    after: str = typer.Option("", "--after", metavar="STUDY", help="A grid whose best trials are tried first."),
    out: Path | None = OUT,
    share: float = SHARE,
    trials: int | None = typer.Option(None, "--trials", help="At most so many trials; 20 where nothing else is said."),
    hours: float | None = HOURS,
    tokens: int | None = TOKENS,
    until: str | None = UNTIL,
    storage: str = STORAGE,
    dry: bool = DRY,
    as_json: bool = JSON,
) -> None:
    """Search within the preset's valid ranges: the preset first, then quasi-random, then where results point."""
    from tuiwiz.cli.tuning import Wanted, carry_out
    from tuiwiz.tune.study import Budget, is_study

    if trials is None and hours is None and tokens is None and until is None and not is_study(bundle):
        trials = 20
    budget = Budget(trials=trials, hours=hours, tokens=tokens, until=until)
    wanted = Wanted(out, share, budget, storage, over=tuple(over), after=after)
    carry_out("bayes", bundle, wanted, dry=dry, as_json=as_json)


def ablate(
    bundle: Path = BUNDLE,
    factors: list[str] = typer.Option([], "--factor", help="dropout, packing, data:PATH, key=value, ...; repeatable."),
    seeds: int | None = typer.Option(None, "--seeds", help="Paired seeds an arm; 5 where nothing is said."),
    margin: float | None = typer.Option(None, "--margin", help="A difference that does not matter, in the metric."),
    retune: bool = typer.Option(False, "--retune", help="Choose the rate of each arm anew, of three."),
    out: Path | None = OUT,
    share: float = SHARE,
    trials: int | None = TRIALS,
    hours: float | None = HOURS,
    tokens: int | None = TOKENS,
    until: str | None = UNTIL,
    storage: str = STORAGE,
    dry: bool = DRY,
    as_json: bool = JSON,
) -> None:
    """Remove or change one factor at a time, with the same seeds: differs, no difference, or cannot tell."""
    from tuiwiz.cli.tuning import Wanted, carry_out
    from tuiwiz.tune.study import Budget

    budget = Budget(trials=trials, hours=hours, tokens=tokens, until=until)
    wanted = Wanted(out, share, budget, storage, factors=tuple(factors), seeds=seeds, margin=margin, retune=retune)
    carry_out("ablate", bundle, wanted, dry=dry, as_json=as_json)


def join(
    study: str = typer.Argument(..., help="The study's folder or name."),
    device: str = typer.Option("", "--device", metavar="N", help="The card of this worker: CUDA_VISIBLE_DEVICES."),
    as_json: bool = JSON,
) -> None:
    """Work on a study: beside other workers, or alone where one was stopped."""
    import os

    from tuiwiz.cli.tuning import work
    from tuiwiz.tune.study import find

    if device:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    work(find(study), new=False, as_json=as_json)


def show(
    study: str = typer.Argument(..., help="The study's folder or name."),
    out: Path | None = typer.Option(None, "-o", metavar="FILE", help="Write the best settings as a bundle."),
    importance: bool = typer.Option(False, "--importance", help="Which keys moved the score, from 30 trials on."),
    as_json: bool = JSON,
) -> None:
    """Show what a study found so far."""
    from tuiwiz.cli.tuning import shares, tell
    from tuiwiz.tune.start import write_winner
    from tuiwiz.tune.study import find

    folder = find(study)
    written = write_winner(folder, out)[0] if out is not None else None
    tell(folder, written=written, importances=shares(folder) if importance else None, as_json=as_json)
