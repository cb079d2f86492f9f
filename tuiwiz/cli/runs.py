"""`tuiwiz runs`: what has been run, with results, notes and tags; what was removed and can come back."""

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
    def bare(context: typer.Context, as_json: bool = AS_JSON) -> None:
        """What has been run, with results; without a word: the list."""
        if context.invoked_subcommand is None:
            _list(as_json=as_json)
        elif as_json:
            from tuiwiz.base.errors import UsageError

            word = context.invoked_subcommand
            raise UsageError("--json belongs behind the word", hint=f"tuiwiz runs {word} --json, where it takes that")

    @runs.command("list")
    def list_command(
        tag: str = typer.Option("", "--tag", help="Only runs with this tag."),
        state: str = typer.Option("", "--state", help="Only runs in this state, such as finished."),
        as_json: bool = AS_JSON,
    ) -> None:
        """All runs, newest first."""
        _list(as_json=as_json, tag=tag, state=state)

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
        from tuiwiz.cli.diff import value_words
        from tuiwiz.cli.output import emit_json, note, say
        from tuiwiz.events.fold import view_of
        from tuiwiz.runs.registry import find, info

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
            say(f"  {one_difference.key:<28} {value_words(one_difference.a)}  ->  {value_words(one_difference.b)}")

    @runs.command("remove")
    def remove(
        run: str = typer.Argument(..., help="A run folder or the whole name of a run."),
        for_good: bool = typer.Option(False, "--for-good", help="Delete it; else `runs restore` brings it back."),
        yes: bool = typer.Option(False, "--yes", help="Do not ask."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Remove a run that is not running, with its checkpoints and its result, to the trash."""
        from tuiwiz.cli.trash import remove_run

        remove_run(run, for_good=for_good, yes=yes, as_json=as_json)

    @runs.command("restore")
    def restore(
        run: str | None = typer.Argument(None, help="The name of a removed run; else the last one."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Bring a removed run back to where it lay."""
        from tuiwiz.cli.output import emit_json, say
        from tuiwiz.runs import trash

        path = trash.restore(run)
        if as_json:
            emit_json({"ok": True, "run": str(path)})
        else:
            say(f"{path} is back")

    @runs.command("trash")
    def trash_command(
        empty: bool = typer.Option(False, "--empty", help="Delete everything in it for good."),
        yes: bool = typer.Option(False, "--yes", help="Do not ask."),
        as_json: bool = AS_JSON,
    ) -> None:
        """What was removed and can still be brought back."""
        from tuiwiz.cli.trash import show_trash

        show_trash(empty=empty, yes=yes, as_json=as_json)

    @runs.command("note")
    def note_command(
        run: str = typer.Argument(..., help="A run folder, a name or the start of one."),
        text: str = typer.Argument(..., help="The note; an empty text removes it."),
    ) -> None:
        """Write a note beside a run."""
        from tuiwiz.cli.output import say
        from tuiwiz.runs.notes import write_notes
        from tuiwiz.runs.registry import find

        folder = find(run)
        write_notes(folder.path, note=text)
        say(f"{folder.path.name}: {text or 'no note'}")

    @runs.command("tag")
    def tag(
        run: str = typer.Argument(..., help="A run folder, a name or the start of one."),
        tags: list[str] = typer.Argument(..., help="Tags to add; with --remove, to take away."),
        remove: bool = typer.Option(False, "--remove", help="Take the tags away."),
    ) -> None:
        """Tag a run; `runs list --tag` finds it again."""
        from tuiwiz.cli.output import say
        from tuiwiz.runs.notes import write_notes
        from tuiwiz.runs.registry import find

        folder = find(run)
        found = write_notes(folder.path, add=() if remove else tags, remove=tags if remove else ())
        say(f"{folder.path.name}: {', '.join(found.tags) or 'no tags'}")


def _list(*, as_json: bool, tag: str = "", state: str = "") -> None:
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.runs.index import list_runs

    found = [one for one in list_runs() if (not tag or tag in one.tags) and (not state or state == one.state)]
    if as_json:
        emit_json(found)
        return
    if not found:
        say("no such runs" if tag or state else "no runs yet; `tuiwiz demo` makes one")
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        say(f"{one.name:<{width}}  {_line(one)}")


def _line(one: RunInfo) -> str:
    from tuiwiz.base.text import clean_line
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
    if one.tags:
        parts.append(" ".join(f"#{tag}" for tag in one.tags))
    if one.note:
        parts.append(clean_line(one.note, 60))
    return "  ".join(parts)


def _shown(name: str, value: object) -> str:
    from datetime import datetime

    from tuiwiz.base.units import human_bytes, human_duration

    if value is None or value == "":
        return "-"
    if name == "peak_bytes" and isinstance(value, int):
        return human_bytes(value)
    if name == "elapsed_s" and isinstance(value, float):
        return human_duration(value)
    if name == "tokens_per_second" and isinstance(value, float):
        return f"{value:,.0f}"
    if name == "started" and isinstance(value, float):
        return datetime.fromtimestamp(value).astimezone().isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list | tuple):
        return " ".join(str(one) for one in value) or "-"
    if isinstance(value, dict):
        return "  ".join(f"{key} {one:.4f}" if isinstance(one, float) else f"{key} -" for key, one in value.items())
    return str(value)
