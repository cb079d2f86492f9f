"""`tuiwiz stop|pause|resume|checkpoint|extend RUN`: asks a running run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tuiwiz.events.control import Kind

RUN = typer.Argument(None, help="A run folder, a name or the start of one; else the newest run.")
AS_JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    @app.command("stop")
    def stop(run: str | None = RUN, as_json: bool = AS_JSON) -> None:
        """Stop a run after its present step and save; `tuiwiz resume` goes on from there."""
        _ask(run, "stop", as_json)

    @app.command("pause")
    def pause(run: str | None = RUN, as_json: bool = AS_JSON) -> None:
        """Pause a run after its present step; it keeps its memory."""
        _ask(run, "pause", as_json)

    @app.command("checkpoint")
    def checkpoint(run: str | None = RUN, as_json: bool = AS_JSON) -> None:
        """Save a checkpoint after the present step."""
        _ask(run, "checkpoint", as_json)

    @app.command("extend")
    def extend(
        run: str | None = RUN,
        steps: int = typer.Option(..., "--steps", min=1, help="How many steps to add."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Train a running run longer; its schedule is stretched over the new length."""
        _ask(run, "extend", as_json, steps=steps)

    @app.command("resume")
    def resume(
        run: str | None = RUN,
        allow_drift: bool = typer.Option(False, "--allow-drift", help="Go on though data or model have changed."),
        as_json: bool = AS_JSON,
    ) -> None:
        """Go on with a paused run, or continue a stopped or crashed one, detached."""
        from tuiwiz.base.errors import UsageError
        from tuiwiz.cli.follow import state_now
        from tuiwiz.cli.output import emit_json, note, say
        from tuiwiz.cli.run import start_detached
        from tuiwiz.events.process import read_process
        from tuiwiz.events.state import LIVE
        from tuiwiz.runs.folder import take_up
        from tuiwiz.runs.registry import find

        folder = find(run)
        state = state_now(folder)
        if state in LIVE:
            _ask(run, "resume", as_json)
            return
        process = read_process(folder.pid)
        if state == "unknown" and process is not None:
            raise UsageError(
                f"whether process {process.pid} on {process.host} still executes {folder.path.name} is not known here",
                hint=f"once it has ended, `tuiwiz run --resume --out {folder.path}` goes on with it here",
            )
        ready = take_up(folder, allow_drift=allow_drift)
        if ready.note:
            note(f"tuiwiz: {ready.note}")
        if not ready.done:
            start_detached(ready)
        if as_json:
            emit_json({"ok": True, "run": str(ready.path), "name": ready.path.name, "done": ready.done})
        else:
            say(ready.path.name)


def _ask(run: str | None, kind: Kind, as_json: bool, *, steps: int = 0) -> None:
    from tuiwiz.base.errors import MachineLacksError, UsageError
    from tuiwiz.cli.follow import state_now
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.events.control import request
    from tuiwiz.events.process import read_process
    from tuiwiz.events.state import LIVE
    from tuiwiz.runs.registry import find

    folder = find(run)
    state = state_now(folder)
    if state not in LIVE and not (state == "unknown" and read_process(folder.pid) is not None):
        raise UsageError(f"{folder.path.name} is not running", hint="`tuiwiz runs list` shows the state of all runs")
    try:
        request(folder, kind, steps=steps)
    except OSError as error:
        raise MachineLacksError(
            f"{folder.control} cannot be written: {error.strerror}", hint="only who may write to a run can steer it"
        ) from error
    if as_json:
        emit_json({"ok": True, "run": str(folder.path), "request": kind})
    else:
        say(f"{folder.path.name}: {kind} asked; it is answered after the present step")
