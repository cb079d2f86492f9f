"""`tuiwiz diff A B`: what differs between two bundles or runs, and who decided each value."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tuiwiz.spec.bundle import Bundle


def register(app: typer.Typer) -> None:
    @app.command("diff")
    def diff_command(
        a: str = typer.Argument(..., help="A bundle file, a run folder or a run's name."),
        b: str = typer.Argument(..., help="The other one."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Show which values differ between two bundles or runs and who decided each."""
        from tuiwiz.bundle.diff import diff
        from tuiwiz.cli.output import emit_json, say

        differences = diff(_bundle_of(a), _bundle_of(b))
        if as_json:
            emit_json({"ok": True, "differences": differences})
            return
        if not differences:
            say("no value differs")
            return
        width = max(len(difference.key) for difference in differences)
        for one in differences:
            say(f"{one.key:<{width}}  {_side(one.a, one.a_by)}  ->  {_side(one.b, one.b_by)}")


def _side(value: object, by: str) -> str:
    import msgspec

    shown = "unset" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"{shown} ({by})" if by else f"{shown}"


def _bundle_of(name: str) -> Bundle:
    from tuiwiz.bundle.read import read_bundle

    path = Path(name)
    if path.is_dir() and (path / "bundle.toml").is_file():
        path = path / "bundle.toml"
    elif not path.exists():
        from tuiwiz.runs.registry import find

        path = find(name).bundle
    return read_bundle(path)
