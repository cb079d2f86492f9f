"""`tuiwiz where`: all places on disk."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    @app.command("where")
    def where(as_json: bool = typer.Option(False, "--json", help="One JSON document.")) -> None:
        """Print where runs, presets, caches and settings lie."""
        from tuiwiz.base import places
        from tuiwiz.cli.output import emit_json, say

        found = {name: str(path) for name, path in places.all_places().items()}
        if as_json:
            emit_json(found)
            return
        for name, path in found.items():
            say(f"{name:<8} {path}")
