"""`tuiwiz watch [RUN]`: any run, running or finished, from any terminal."""

from __future__ import annotations

from pathlib import Path

import typer


def register(app: typer.Typer) -> None:
    @app.command("watch")
    def watch(
        run: str | None = typer.Argument(
            None, help="A run folder, a name or the start of one, or a study's folder; else the newest run."
        ),
        plain: bool = typer.Option(False, "--plain", help="Lines in place of the live screen."),
        as_json: bool = typer.Option(False, "--json", help="Events, one JSON object a line."),
        ascii: bool = typer.Option(False, "--ascii", help="Draw with ASCII alone (also TUIWIZ_ASCII=1)."),
    ) -> None:
        """Watch a run, or a study. Looking never touches it; a finished run is printed and left."""
        from tuiwiz.cli.output import on_screen
        from tuiwiz.runs.registry import find
        from tuiwiz.tune.study import is_study

        if run is not None and is_study(Path(run)):
            from tuiwiz.cli.tune import show
            from tuiwiz.cli.tune import watch as watch_study

            if plain or as_json or not on_screen():
                show(run, out=None, preset="", importance=False, as_json=as_json)
            else:
                watch_study(run, ascii=ascii)
            return
        folder = find(run)
        if plain or as_json or not on_screen():
            from tuiwiz.cli.follow import follow_run

            follow_run(folder, as_json=as_json)
            return
        from tuiwiz.ui.app import run_app

        raise typer.Exit(run_app(screen="run", ascii=True if ascii else None, run=folder.path))
