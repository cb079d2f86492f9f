"""`tuiwiz models list|get`: base models by size, and bringing one to the local cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tuiwiz.catalog.models import Known


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Base models by size, and bringing one to the local cache.")
    app.add_typer(group, name="models")
    group.command("list")(list_command)
    group.command("get")(get_command)


def get_command(
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


def list_command(
    size: str = typer.Option("", "--size", help="Only models of about this size, such as 1B."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """List known base models with size, licence and whether they are on this machine."""
    from tuiwiz.base.errors import UsageError
    from tuiwiz.base.units import human_count
    from tuiwiz.catalog.models import all_models, of_size
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.presets.bands import parse_size

    found = list(all_models())
    if size:
        parameters = parse_size(size)
        if not parameters:
            raise UsageError(f"{size!r} is no size", hint="for example 1B or 135M")
        found = of_size(parameters)
    rows = [_row(known) for known in found]
    if as_json:
        emit_json(rows)
        return
    if not rows:
        say(f"no known model has about {size} parameters; any local folder or hub id can be trained")
        return
    say(f"{'name':<34} {'size':>8}  {'here':<4}  licence")
    for row in rows:
        terms = ", needs an agreement" if row["gated"] else ""
        here = "yes" if row["here"] else ""
        say(f"{row['name']:<34} {human_count(row['parameters']):>8}  {here:<4}  {row['licence']}{terms}")


def _row(known: Known) -> dict[str, Any]:
    from tuiwiz.catalog.models import on_this_machine
    from tuiwiz.presets.bands import band_of

    return {
        "name": known.name,
        "hub": known.hub,
        "parameters": known.shape.parameters,
        "band": band_of(known.shape.parameters),
        "licence": known.licence,
        "gated": known.gated,
        "here": on_this_machine(known),
        "source": known.source,
        "stated": known.stated,
        "stated_source": known.stated_source,
    }
