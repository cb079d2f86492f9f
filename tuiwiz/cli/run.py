"""`tuiwiz run BUNDLE`: trains, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tuiwiz.runs.folder import Ready


def register(app: typer.Typer) -> None:
    @app.command("run")
    def run(
        bundle: Path | None = typer.Argument(None, help="The bundle; may be left out with --resume."),
        out: Path | None = typer.Option(None, "--out", metavar="DIR", help="The run folder; else one in the run root."),
        detach: bool = typer.Option(False, "--detach", help="Return at once; the run survives the terminal."),
        sets: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Change a value, e.g. adapter.rank=8."),
        resume: bool = typer.Option(False, "--resume", help="Continue the run in DIR from its newest checkpoint."),
        allow_drift: bool = typer.Option(False, "--allow-drift", help="Train though data or model left the lock."),
        no_rehearsal: bool = typer.Option(False, "--no-rehearsal", help="Start a long run without rehearsing it."),
        plain: bool = typer.Option(False, "--plain", help="Lines in place of the live screen."),
        as_json: bool = typer.Option(False, "--json", help="Events, one JSON object a line."),
    ) -> None:
        """Train a bundle. On a terminal the live screen opens; leaving it asks whether the run goes on.

        What takes hours is rehearsed first: the longest batch, an evaluation, a save, a reload, a generation.
        """
        from tuiwiz.base.errors import UsageError
        from tuiwiz.cli.output import note
        from tuiwiz.rehearsal.due import rehearse_if_long
        from tuiwiz.runs.folder import prepare

        if bundle is None and not resume:
            raise UsageError("no bundle named", hint="tuiwiz run BUNDLE; `tuiwiz new` writes one")
        if bundle is not None and bundle.is_file() and not resume and not allow_drift:
            refuse_drift(bundle, sets)
        if bundle is not None and bundle.is_file() and not resume and not no_rehearsal:
            rehearse_if_long(bundle, sets, lambda words: note(f"tuiwiz: {words}"))
        ready = prepare(bundle, out=out, sets=sets, resume=resume, allow_drift=allow_drift)
        carry_out(ready, detach=detach, plain=plain, as_json=as_json)


def carry_out(ready: Ready, *, detach: bool, plain: bool, as_json: bool) -> None:
    """Start a prepared run as the options and the terminal say.

    Raises:
        typer.Exit: with the run's exit code, where this command stays until its end.
    """
    from tuiwiz.cli.output import emit_json, note, on_screen, say

    if ready.note:
        note(f"tuiwiz: {ready.note}")
    if ready.done:
        if as_json:
            print_history(ready)
        return
    if detach:
        start_detached(ready)
        if as_json:
            emit_json({"ok": True, "run": str(ready.path), "name": ready.path.name})
        else:
            say(ready.path.name)
        return
    if plain or as_json or not on_screen():
        raise typer.Exit(run_as_child(ready, as_json=as_json))
    start_detached(ready)
    from tuiwiz.ui.app import run_app

    raise typer.Exit(run_app(screen="run", run=ready.path, started_here=True))


def refuse_drift(path: Path, sets: list[str]) -> None:
    """Refuse a bundle whose data or model are not those of its lock, before a run folder is made for it.

    Raises:
        DriftError: with every difference.
    """
    from tuiwiz.bundle.change import apply_sets
    from tuiwiz.bundle.drift import refuse
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.cli.counting import counting
    from tuiwiz.runs.folder import start_of
    from tuiwiz.wizard.facts import drift_of

    bundle = apply_sets(read_bundle(path), sets)
    with counting(quiet=False) as counter:
        found = drift_of(bundle, start_of(path), progress=counter.file)
    refuse(found, path=str(path))


def start_detached(ready: Ready) -> None:
    """Start the run so that it survives this process, and wait until its executor is in charge.

    Raises:
        RunFailedError: it ended before that.
    """
    from tuiwiz.base.errors import RunFailedError
    from tuiwiz.cli.follow import died_summary
    from tuiwiz.events.fold import view_of
    from tuiwiz.events.process import read_process
    from tuiwiz.runs.launch import start

    supervisor = start(ready.folder, detach=True)
    if supervisor.poll() is not None and read_process(ready.folder.pid) is None:
        died = died_summary(ready.folder, view_of(ready.folder))
        raise RunFailedError(died["message"], hint=died["hint"])


def run_as_child(ready: Ready, *, as_json: bool, out: Callable[[str], None] | None = None) -> int:
    """Run to the end as a child, printing what happens (lines through `out`); the run ends when this process does.

    The first Ctrl-C stops after the step and saves; the second ends at once.
    """
    import signal
    from types import FrameType

    from tuiwiz.base.errors import ExitCode
    from tuiwiz.cli.follow import Follower
    from tuiwiz.cli.output import note, say
    from tuiwiz.events.fold import view_of
    from tuiwiz.events.folder import RunFolder
    from tuiwiz.runs.launch import exit_code, start
    from tuiwiz.runs.notify import ring, trouble

    forwarded = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    folder: RunFolder = ready.folder
    follower = Follower(folder, as_json=as_json, skip=view_of(folder).events, out=out or say)
    if not as_json:
        note(f"tuiwiz: run folder {folder.path}")
    if words := trouble():
        note(f"tuiwiz: config.toml: {words}; nobody will be told how the run ends")
    asked: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            child.send_signal(number)
            return
        asked.append(number)
        if len(asked) == 1:
            note("tuiwiz: stopping after this step and saving; once more ends it at once")
        child.terminate()

    child = start(folder, detach=False)
    # A signal before this line ends this process, and the run with it: its supervisor dies with its parent.
    before = {number: signal.signal(number, forward) for number in forwarded}
    try:
        follower.until(lambda: child.poll() is not None)
        follower.close(exit_code(folder, child.returncode))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if child.poll() is None:
            child.terminate()
    code = exit_code(folder, child.returncode)
    ring(folder.path.name, {0: "finished", 7: "stopped"}.get(code, "failed"))
    return int(ExitCode.INTERRUPTED_TWICE) if len(asked) > 1 and code not in (0, 7) else code


def print_history(ready: Ready) -> None:
    from tuiwiz.cli.follow import follow_run

    follow_run(ready.folder, as_json=True)
