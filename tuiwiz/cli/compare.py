"""`tuiwiz compare RUN...`: up to eight runs over each other, and the settings that explain the difference."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tuiwiz.runs.compare import Compared


class Align(StrEnum):
    step = "step"
    time = "time"
    tokens = "tokens"


def register(app: typer.Typer) -> None:
    @app.command("compare")
    def compare(
        runs: list[str] = typer.Argument(..., metavar="RUN...", help="Two to eight runs: folders, names, beginnings."),
        metric: str = typer.Option("", "--metric", help="What to compare; else the held-out loss, or the loss."),
        align: Align = typer.Option(Align.step, "--align", help="Over steps, time or tokens."),
        plain: bool = typer.Option(False, "--plain", help="Lines in place of the screen."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
        ascii: bool = typer.Option(False, "--ascii", help="Draw with ASCII alone (also TUIWIZ_ASCII=1)."),
    ) -> None:
        """Compare runs: curves over each other, best results, memory and speed, and which settings differ."""
        from tuiwiz.cli.output import on_screen
        from tuiwiz.runs.compare import compare as compared
        from tuiwiz.runs.compare import load, metrics_of
        from tuiwiz.runs.registry import find

        loaded = load([find(run) for run in runs])
        wanted = metric or next(iter(metrics_of(loaded)), "loss")
        if not plain and not as_json and on_screen():
            from tuiwiz.ui.app import run_app

            kw = {"runs": loaded, "metric": wanted, "align": align.value}
            raise typer.Exit(run_app(screen="compare", ascii=True if ascii else None, **kw))
        found = compared(loaded, wanted, align.value)
        if as_json:
            from tuiwiz.cli.output import emit_json

            emit_json({"ok": True, "compared": found})
            return
        _print(found)


def _print(found: Compared) -> None:
    from tuiwiz.base.price import own_price
    from tuiwiz.base.units import human_bytes, human_count, human_duration
    from tuiwiz.cli.output import note, say
    from tuiwiz.doctor.words import shown
    from tuiwiz.runs.cost import cost_words

    width = max(len(run.name) for run in found.runs) + 5
    say(
        f"{'':<{width}}{'state':<10}{'steps':>8}{'first':>9}{'best':>9}{'peak':>12}{'tokens/s':>11}{'time':>14}{'cost':>12}"
    )
    paid = own_price()
    for letter, run in zip("ABCDEFGH", found.runs, strict=False):
        first, best = (run.metrics[name] for name in ("first", "best"))
        cells = [f"{value:.4f}" if value is not None else "-" for value in (first, best)]
        peak = human_bytes(run.peak_bytes) if run.peak_bytes else "-"
        speed = human_count(run.tokens_per_second) if run.tokens_per_second else "-"
        time = human_duration(run.elapsed_s) if run.elapsed_s else "-"
        say(
            f"{letter}  {run.name:<{width - 3}}{run.state:<10}{run.step:>8}{cells[0]:>9}{cells[1]:>9}{peak:>12}"
            f"{speed:>11}{time:>14}{cost_words(paid, run.cost, run.energy_wh):>12}"
        )
    say("")
    say(f"{found.metric} by {found.align}:")
    for letter, curve in zip("ABCDEFGH", found.curves, strict=False):
        picked = [curve[round(index * (len(curve) - 1) / 5)] for index in range(6)] if len(curve) > 1 else list(curve)
        say(f"{letter}  " + "  ".join(f"{y:.4g} @{x:.5g}" for x, y in picked) if picked else f"{letter}  not recorded")
    if found.differences:
        say("")
    for one in found.differences:
        say(f"{one.key:<28} " + "  |  ".join(shown(value) for value in one.values))
    if not found.differences and not found.notes:
        say("the bundles are the same")
    for text in found.notes:
        note(f"tuiwiz: {text}")
