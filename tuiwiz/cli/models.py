"""`tuiwiz models list|get`: known models, and bringing one to the local cache."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    models = typer.Typer(help="Known models, and bringing one to the local cache.", rich_markup_mode=None)
    app.add_typer(models, name="models")

    @models.command("list")
    def list_command(
        size: str = typer.Option("", "--size", metavar="SIZE", help="Only models of about this size, e.g. 1B."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Known models by size, those on this machine first."""
        from tuiwiz.cli.modellist import print_models

        print_models(size, as_json=as_json)

    @models.command("get")
    def get(
        name: str = typer.Argument(..., help="A name from `models list` or a hub id."),
        revision: str | None = typer.Option(None, "--revision", help="A commit or tag of a hub model."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Bring a model to the local cache; its folder is the last line printed."""
        from tuiwiz.cli.bring import bring
        from tuiwiz.cli.output import emit_json, say

        found = bring(name, revision)
        if as_json:
            emit_json({"ok": True, "folder": str(found)})
        else:
            say(str(found))
