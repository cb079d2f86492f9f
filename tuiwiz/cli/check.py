"""`tuiwiz check BUNDLE`: every problem of a bundle, its data and this machine at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tuiwiz.base.problems import Problem


def register(app: typer.Typer) -> None:
    @app.command("check")
    def check(
        bundle: Path = typer.Argument(..., help="The bundle file."),
        sets: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a value before checking."),
        rehearse: bool = typer.Option(
            False, "--rehearse", help="Then really take the worst batch, an evaluation, a save, a reload, a generation."
        ),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Report all problems of a bundle, its data and this machine at once."""
        from tuiwiz.base.errors import ExitCode
        from tuiwiz.cli.output import emit_json, problem_lines, say

        problems, fits = _collect(bundle, sets, quiet=as_json)
        errors = [problem for problem in problems if problem.severity == "error"]
        figures = None
        if rehearse and not errors and fits:
            from tuiwiz.cli.output import note
            from tuiwiz.rehearsal.take import MOMENTS, rehearsal

            note(f"tuiwiz: rehearsing: {MOMENTS}")
            figures, found = rehearsal(bundle, sets)
            problems = [*problems, *found]
            errors = [problem for problem in problems if problem.severity == "error"]
        if as_json:
            rehearsed = {} if figures is None else {"rehearsal": figures}
            emit_json({"ok": not errors and fits, "problems": problems, **rehearsed})
        else:
            for line in problem_lines(problems):
                say(line)
            warnings = len(problems) - len(errors)
            verdict = "ready to run" if not errors and fits else "not ready"
            say(f"{bundle}: {verdict}, {len(errors)} errors, {warnings} warnings and notes")
        if any(problem.key == "rehearsal.memory" for problem in errors):
            raise typer.Exit(ExitCode.DOES_NOT_FIT)
        if errors and all(problem.key.startswith("lock.") for problem in errors):
            raise typer.Exit(ExitCode.DRIFT)
        if errors:
            raise typer.Exit(ExitCode.INVALID)
        if not fits:
            raise typer.Exit(ExitCode.DOES_NOT_FIT)


def _collect(path: Path, sets: list[str], *, quiet: bool) -> tuple[list[Problem], bool]:
    """All problems, in the order bundle, model, data, memory; and whether the run fits."""
    from tuiwiz.base.errors import TuiwizError
    from tuiwiz.bundle.change import apply_sets
    from tuiwiz.bundle.read import inspect_bundle

    bundle, found = inspect_bundle(path)
    problems = list(found)
    if bundle is None or not found.ok:
        return problems, True
    try:
        bundle = apply_sets(bundle, sets)
    except TuiwizError as error:
        return [*problems, *error.problems], True
    from tuiwiz.cli.counting import counting
    from tuiwiz.runs.folder import start_of
    from tuiwiz.wizard.preflight import preflight

    with counting(quiet=quiet) as counter:
        report = preflight(bundle, start_of(path), rows=counter.rows, hashing=counter.file)
    return [*problems, *report.problems], report.fits
