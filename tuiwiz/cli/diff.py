"""`tuiwiz diff A B`: what differs between two bundles, presets or runs, and who decided each value."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tuiwiz.cli.presets import METHOD, TASK

if TYPE_CHECKING:
    from tuiwiz.bundle.diff import Difference
    from tuiwiz.spec.bundle import Bundle


def register(app: typer.Typer) -> None:
    @app.command("diff")
    def diff_command(
        a: str = typer.Argument(..., help="A bundle file, a run folder or a run's name, or a preset's name."),
        b: str = typer.Argument(..., help="The other one."),
        task: str = TASK,
        band: str = typer.Option("", "--band", help="Of presets, the model size: XS to XXL, or such as 8B."),
        method: str = METHOD,
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Show which values differ between two bundles, presets or runs and who decided each.

        Of a preset the values for one task, model size and method are compared: those of the other side, if it is a
        bundle or a run, else --task, --band and --method.
        """
        from tuiwiz.bundle.diff import diff
        from tuiwiz.cli.output import emit_json, say

        left, right = _bundle_of(a), _bundle_of(b)
        if left is not None and right is not None:
            differences = diff(left, right)
        else:
            differences = _with_presets((a, left), (b, right), task, band, method)
        if as_json:
            emit_json({"ok": True, "differences": differences})
            return
        if not differences:
            say("no value differs")
            return
        width = max(len(difference.key) for difference in differences)
        for one in differences:
            say(f"{one.key:<{width}}  {_side(one.a, one.a_by)}  ->  {_side(one.b, one.b_by)}")


def value_words(value: object) -> str:
    """A value as a bundle has it; None is `unset`."""
    import msgspec

    return "unset" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _side(value: object, by: str) -> str:
    return f"{value_words(value)} ({by})" if by else value_words(value)


def _bundle_of(name: str) -> Bundle | None:
    """The bundle of a file, a folder or a run; None where `name` is that of a preset."""
    from tuiwiz.base.errors import UsageError
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.presets.find import all_presets
    from tuiwiz.runs.registry import find

    path = Path(name)
    if path.is_dir() and (path / "bundle.toml").is_file():
        path = path / "bundle.toml"
    elif not path.exists():
        if name in all_presets().presets:
            return None
        try:
            path = find(name).bundle
        except UsageError as error:
            if path.suffix != ".toml":
                raise
            raise UsageError(f"there is no bundle {name}", hint="a bundle file, a run or a preset") from error
    return read_bundle(path)


def _with_presets(
    a: tuple[str, Bundle | None], b: tuple[str, Bundle | None], task: str, band: str, method: str
) -> list[Difference]:
    """The keys in which two presets, or a preset and a bundle, differ; of a bundle those that the preset sets."""
    from tuiwiz.bundle.diff import Difference
    from tuiwiz.cli.presets import resolved_for
    from tuiwiz.spec.fields import FIELDS
    from tuiwiz.spec.keys import flatten

    given = a[1] or b[1]
    if given is not None:
        task, method = given.task.kind, given.adapter.method
    presets = {
        name: resolved_for(name, task, band or "M", method, None).values for name, bundle in (a, b) if not bundle
    }
    left, right = (presets[name] if bundle is None else flatten(bundle) for name, bundle in (a, b))

    def by(key: str, side: tuple[str, Bundle | None]) -> str:
        name, bundle = side
        return bundle.origin.get(key, "") if bundle is not None else f"preset {name}" if key in presets[name] else ""

    return [
        Difference(key, left.get(key), right.get(key), by(key, a), by(key, b))
        for key in FIELDS
        if any(key in values for values in presets.values()) and left.get(key) != right.get(key)
    ]
