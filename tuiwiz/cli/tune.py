"""`tuiwiz tune lr|grid|bayes|ablate|join|show|watch`: finds settings by short runs, and says what they can decide."""

from __future__ import annotations

from pathlib import Path

import typer

from tuiwiz.cli.searching import Searching, searching

BUNDLE = typer.Argument(..., metavar="BUNDLE", help="The bundle, or a study's folder to go on with it.")
OVER = typer.Option([], "--over", metavar="KEY=A,B,C", help="What to vary: values, or for bayes a range LOW..HIGH.")
STUDY = typer.Argument(..., help="The study's folder or name.")
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
    group.command("watch")(watch)


def lr(
    bundle: Path = typer.Argument(..., help="The bundle."),
    out: Path | None = typer.Option(None, "-o", metavar="FILE", help="Write the bundle with the suggested rate."),
    low: float | None = typer.Option(None, "--low", help="Least rate; else the band of the method."),
    high: float | None = typer.Option(None, "--high", help="Largest rate."),
    steps: int = typer.Option(120, "--steps", help="Steps of the sweep."),
    dry: bool = typer.Option(False, "--dry-run", help="Say how long it takes and what it can decide, and leave."),
    as_json: bool = JSON,
) -> None:
    """Sweep the learning rate until training diverges: a ceiling for the preset's rate."""
    from tuiwiz.cli.tuning_rate import sweep

    sweep(bundle, out=out, low=low, high=high, steps=steps, dry=dry, as_json=as_json)


@searching
def grid(
    bundle: Path = BUNDLE,
    over: list[str] = OVER,
    halving: bool = typer.Option(False, "--halving", help="End the worse half after 1/4 and 1/2 of the tokens."),
    *,
    shared: Searching,
) -> None:
    """Try the rate times 1/3, 1, 3, then the rank at the best rate; or every combination of --over."""
    from tuiwiz.cli.tuning import Wanted, carry_out

    carry_out("grid", bundle, Wanted(shared, over=tuple(over), pruner="halving" if halving else ""))


@searching
def bayes(
    bundle: Path = BUNDLE,
    over: list[str] = OVER,
    after: str = typer.Option("", "--after", metavar="STUDY", help="A grid whose best trials are tried first."),
    pruner: str = typer.Option("median", "--pruner", help="median, hyperband or none: which trials end early."),
    *,
    shared: Searching,
) -> None:
    """Search within the preset's valid ranges: the preset first, then quasi-random, then where results point.

    At most 20 trials where no budget is given.
    """
    from dataclasses import replace

    from tuiwiz.cli.tuning import Wanted, carry_out
    from tuiwiz.tune.study import Budget, is_study

    if shared.budget == Budget() and not is_study(bundle):
        shared = replace(shared, trials=20)
    carry_out("bayes", bundle, Wanted(shared, over=tuple(over), after=after, pruner=pruner))


@searching
def ablate(
    bundle: Path = BUNDLE,
    factors: list[str] = typer.Option([], "--factor", help="dropout, packing, data:PATH, key=value, ...; repeatable."),
    seeds: int | None = typer.Option(None, "--seeds", help="Paired seeds an arm; 5 where nothing is said."),
    margin: float | None = typer.Option(None, "--margin", help="A difference that does not matter, in the metric."),
    retune: bool = typer.Option(False, "--retune", help="Choose the rate of each arm anew, of three."),
    *,
    shared: Searching,
) -> None:
    """Remove or change one factor at a time, with the same seeds: differs, no difference, or cannot tell."""
    from tuiwiz.cli.tuning import Wanted, carry_out

    carry_out("ablate", bundle, Wanted(shared, factors=tuple(factors), seeds=seeds, margin=margin, retune=retune))


def join(
    study: str = STUDY,
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
    study: str = STUDY,
    out: Path | None = typer.Option(None, "-o", metavar="FILE", help="Write the best settings as a bundle."),
    preset: str = typer.Option("", "--preset", metavar="NAME", help="Write the best settings as a preset of yours."),
    importance: bool = typer.Option(False, "--importance", help="Which keys moved the score, from 30 trials on."),
    as_json: bool = JSON,
) -> None:
    """Show what a study found so far."""
    from tuiwiz.cli.tuning import shares, tell, write_preset
    from tuiwiz.tune.study import find
    from tuiwiz.tune.winner import write_winner

    folder = find(study)
    written = []
    if out is not None:
        written.append(write_winner(folder, out)[0])
    if preset:
        written.append(write_preset(folder, preset))
    tell(folder, written=written, importances=shares(folder) if importance else None, as_json=as_json)


def watch(
    study: str = STUDY,
    ascii: bool = typer.Option(False, "--ascii", help="Draw with ASCII alone (also TUIWIZ_ASCII=1)."),
) -> None:
    """Watch a study on a screen: trials, curves, what is left; the screen never touches it."""
    from tuiwiz.base.errors import UsageError
    from tuiwiz.cli.output import on_screen
    from tuiwiz.tune.study import find

    folder = find(study)
    if not on_screen():
        raise UsageError("the screen needs a terminal", hint=f"`tuiwiz tune show {study}` prints the study")
    from tuiwiz.ui.app import run_app

    raise typer.Exit(run_app(screen="study", ascii=True if ascii else None, study=folder.path))
