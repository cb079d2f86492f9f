"""`tuiwiz queue add|list|remove`: bundles that run one after another, a card at a time."""

from __future__ import annotations

from pathlib import Path

import typer

AS_JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Bundles that run one after another.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="queue")

    @group.command("add")
    def add(
        bundles: list[Path] = typer.Argument(..., help="Bundle files, in the order in which they run."),
        sets: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a value in each of them."),
        no_rehearsal: bool = typer.Option(False, "--no-rehearsal", help="Start long runs without rehearsing them."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Queue bundles. They run in the background, one a card, and survive the terminal.

        What takes hours is rehearsed when its turn has come; where that fails, the next one runs.
        """
        from tuiwiz.bundle.change import apply_sets
        from tuiwiz.bundle.read import read_bundle
        from tuiwiz.catalog.machine import machine
        from tuiwiz.cli.output import emit_json, say
        from tuiwiz.cli.run import refuse_drift
        from tuiwiz.runs import queue

        # Told now, and not in the middle of the night.
        for bundle in bundles:
            apply_sets(read_bundle(bundle), sets)
            refuse_drift(bundle, sets)
        added = [queue.add(bundle, sets, rehearse=not no_rehearsal) for bundle in bundles]
        queue.start_worker(len(machine().gpus))
        if as_json:
            emit_json({"ok": True, "added": added})
            return
        for entry in added:
            say(f"queued {entry.bundle}")

    @group.command("list")
    def list_command(as_json: bool = AS_JSON) -> None:
        """What waits, what runs and what is over."""
        from tuiwiz.catalog.machine import machine
        from tuiwiz.cli.output import emit_json, say
        from tuiwiz.runs import queue

        known = queue.entries()
        if any(entry.state != "done" for entry in known):
            # After a reboot nobody works on what was left.
            queue.start_worker(len(machine().gpus))
        if as_json:
            emit_json(known)
            return
        for number, entry in enumerate(known, 1):
            run = Path(entry.run).name if entry.run else Path(entry.bundle).name
            end = f"  exit code {entry.code}: {entry.message}" if entry.code is not None else ""
            say(f"{number:>3}  {entry.state:<10} {run}{end}")
        if not known:
            say("the queue is empty")

    @group.command("remove")
    def remove(
        entry: str = typer.Argument(..., help="The number in the list, or the name of the bundle's file."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Take a waiting bundle out of the queue."""
        from tuiwiz.cli.output import emit_json, say
        from tuiwiz.runs import queue

        found = queue.remove(entry)
        if as_json:
            emit_json({"ok": True, "removed": found})
        else:
            say(f"removed {found.bundle} from the queue")
