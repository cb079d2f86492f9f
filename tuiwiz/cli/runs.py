"""`tuiwiz runs list|show|compare|remove`: what has been run, with results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tuiwiz.runs.registry import RunInfo

AS_JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    runs = typer.Typer(help="What has been run, with results.", no_args_is_help=False, rich_markup_mode=None)
    app.add_typer(runs, name="runs", invoke_without_command=True)

    @runs.callback(invoke_without_command=True)
    def bare(context: typer.Context) -> None:
        """What has been run, with results; without a word: the list."""
        if context.invoked_subcommand is None:
            _list(as_json=False)

    @runs.command("list")
    def list_command(as_json: bool = AS_JSON) -> None:
        """All runs, newest first."""
        _list(as_json=as_json)

    @runs.command("show")
    def show(
        run: str | None = typer.Argument(None, help="A run folder, a name or the start of one; else the newest."),
        as_json: bool = AS_JSON,
    ) -> None:
        """One run: state, result, speed, memory."""
        import msgspec

        from tuiwiz.cli.output import emit_json, say
        from tuiwiz.runs.registry import find, info

        found = info(find(run))
        if as_json:
            emit_json(found)
            return
        for name, value in msgspec.to_builtins(found).items():
            say(f"{name:<18} {_shown(name, value)}")

    @runs.command("compare")
    def compare(
        a: str = typer.Argument(..., help="A run."),
        b: str = typer.Argument(..., help="The other one."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Two runs: results side by side, loss curves, and the bundle difference that explains them."""
        from tuiwiz.base.errors import InvalidError
        from tuiwiz.bundle.diff import Difference, diff
        from tuiwiz.bundle.read import read_bundle
        from tuiwiz.cli.output import emit_json, note, say
        from tuiwiz.runs.registry import find, info, view_of

        folders = (find(a), find(b))
        views = [view_of(folder) for folder in folders]
        infos = [info(folder, view) for folder, view in zip(folders, views, strict=True)]
        differences: list[Difference] | None = None
        try:
            differences = diff(*(read_bundle(folder.bundle) for folder in folders))
        except InvalidError as error:
            # A run of another version; its results can be compared all the same.
            note(f"tuiwiz: the bundles cannot be compared: {error.message}")
        if as_json:
            curves = [
                {
                    "train": [[x, y] for x, y in zip(view.series["loss"].x, view.series["loss"].y, strict=True)]
                    if "loss" in view.series
                    else [],
                    "held_out": [[event.step, event.metrics.get("loss")] for event in view.evals],
                }
                for view in views
            ]
            emit_json({"ok": True, "runs": infos, "differences": differences, "curves": curves})
            return
        width = max(len(one.name) for one in infos)
        for one in infos:
            say(f"{one.name:<{width}}  {_line(one)}")
        for event_a, event_b in zip(views[0].evals, views[1].evals, strict=False):
            losses = [event.metrics.get("loss", float("nan")) for event in (event_a, event_b)]
            say(f"  held out  step {event_a.step:>6} {losses[0]:.4f}   step {event_b.step:>6} {losses[1]:.4f}")
        for one_difference in differences or ():
            say(f"  {one_difference.key:<28} {one_difference.a}  ->  {one_difference.b}")

    @runs.command("remove")
    def remove(
        run: str = typer.Argument(..., help="A run folder or the whole name of a run."),
        yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    ) -> None:
        """Remove a run that is not running, with its checkpoints and its result."""
        import shutil
        import sys

        from tuiwiz.base.errors import UsageError
        from tuiwiz.cli.follow import state_now
        from tuiwiz.cli.output import say
        from tuiwiz.events.state import LIVE
        from tuiwiz.runs.registry import find

        folder = find(run)
        if state_now(folder) in LIVE:
            raise UsageError(f"{folder.path.name} is running", hint="`tuiwiz stop` ends it")
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("removing needs --yes where nobody can be asked")
            try:
                agreed = typer.confirm(f"Remove {folder.path} with everything in it?")
            except typer.Abort as error:
                raise KeyboardInterrupt from error
            if not agreed:
                say("nothing removed")
                return
        shutil.rmtree(folder.path)
        say(f"removed {folder.path}")


def _list(*, as_json: bool) -> None:
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.runs.registry import list_runs

    found = list_runs()
    if as_json:
        emit_json(found)
        return
    if not found:
        say("no runs yet; `tuiwiz demo` makes one")
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        say(f"{one.name:<{width}}  {_line(one)}")


def _line(one: RunInfo) -> str:
    from tuiwiz.base.units import human_bytes, human_count, human_duration

    best, first = one.metrics["best"], one.metrics["first"]
    parts = [f"{one.state:<10} {one.step:>6}/{one.steps:<6}"]
    parts.append(f"loss {first:.4f} -> {best:.4f}" if best is not None and first is not None else "loss -")
    if one.tokens_per_second:
        parts.append(f"{human_count(one.tokens_per_second)} tokens/s")
    if one.peak_bytes:
        parts.append(human_bytes(one.peak_bytes))
    if one.elapsed_s:
        parts.append(human_duration(one.elapsed_s))
    return "  ".join(parts)


def _shown(name: str, value: object) -> str:
    from datetime import datetime

    from tuiwiz.base.units import human_bytes, human_duration

    if value is None:
        return "-"
    if name == "peak_bytes" and isinstance(value, int):
        return human_bytes(value)
    if name == "elapsed_s" and isinstance(value, float):
        return human_duration(value)
    if name == "tokens_per_second" and isinstance(value, float):
        return f"{value:,.0f}"
    if name == "started" and isinstance(value, float):
        return datetime.fromtimestamp(value).astimezone().isoformat(sep=" ", timespec="seconds")
    if isinstance(value, dict):
        return "  ".join(f"{key} {one:.4f}" if isinstance(one, float) else f"{key} -" for key, one in value.items())
    return str(value)
