"""`tuiwiz verify RUN` and `tuiwiz rerun RUN`: whether a run can be repeated, and the same run anew."""

from __future__ import annotations

from pathlib import Path

import typer

PUT_BACK = "put the old files back, or accept that it is another run with --allow-drift"


def register(app: typer.Typer) -> None:
    @app.command("verify")
    def verify_command(
        run: str | None = typer.Argument(None, help="A run folder, a name or the start of one; else the newest run."),
        steps: int = typer.Option(5, "--steps", min=1, help="How many steps are replayed."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Replay the first steps of a run and compare every loss and gradient norm with the record."""
        from tuiwiz.base.errors import ExitCode
        from tuiwiz.cli.output import emit_json, note, say
        from tuiwiz.runs.registry import find
        from tuiwiz.runs.verify import verify

        folder = find(run)
        if not as_json:
            note(f"tuiwiz: replaying {folder.path.name}; its own folder is not touched")
        found = verify(folder, steps=steps)
        if as_json:
            emit_json(found)
        else:
            say(f"{folder.path.name}: {found.verdict}, {found.compared} of {found.steps} steps compared")
            for one in found.differences:
                say(
                    f"  step {one.step:>4}  loss {one.loss!r} recorded, {one.loss_now!r} now   "
                    f"grad {one.grad_norm!r} recorded, {one.grad_norm_now!r} now"
                )
            for difference in found.drift:
                say(f"  {difference.kind:<8} {difference.message}")
            if found.differences and not found.drift:
                say("  nothing that is known differs: data, model, settings, versions and hardware are the same")
        if not found.ok:
            raise typer.Exit(ExitCode.DRIFT)

    @app.command("rerun")
    def rerun(
        run: str | None = typer.Argument(None, help="A run folder, a name or the start of one; else the newest run."),
        out: Path | None = typer.Option(None, "--out", metavar="DIR", help="The new run folder."),
        detach: bool = typer.Option(False, "--detach", help="Return at once; the run survives the terminal."),
        allow_drift: bool = typer.Option(False, "--allow-drift", help="Run though data or model have changed."),
        plain: bool = typer.Option(False, "--plain", help="Lines in place of the live screen."),
        as_json: bool = typer.Option(False, "--json", help="Events, one JSON object a line."),
    ) -> None:
        """Start the same run anew, from step 0, in a folder of its own."""
        from tuiwiz.cli.run import carry_out
        from tuiwiz.runs.folder import base_of, prepare
        from tuiwiz.runs.registry import find

        folder = find(run)
        base = base_of(folder)
        if not allow_drift:
            _refuse_drift(folder.path, base)
        ready = prepare(folder.bundle, out=out, base=base, allow_drift=allow_drift)
        carry_out(ready, detach=detach, plain=plain, as_json=as_json)


def _refuse_drift(run: Path, base: Path) -> None:
    """Refuse where data or model are not those that the run had, whether or not its bundle was locked."""
    from tuiwiz.base.errors import InvalidError
    from tuiwiz.bundle.drift import drift, refuse
    from tuiwiz.bundle.lock import absolute
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.wizard.facts import present_lock

    bundle = read_bundle(run / "bundle.toml")
    now, here = present_lock(bundle, base)
    if bundle.lock is not None:
        refuse(drift(bundle.lock, now, model_is_here=here), path=str(run / "bundle.toml"), hint=PUT_BACK)
    try:
        resolved = read_bundle(run / "resolved.toml")
    except InvalidError:
        # It never came so far as to be resolved.
        return
    if resolved.lock is not None:
        refuse(drift(resolved.lock, absolute(now, base), model_is_here=here), path=str(run), hint=PUT_BACK)
