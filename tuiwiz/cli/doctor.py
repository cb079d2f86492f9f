"""`tuiwiz doctor [RUN]`: what is wrong with a run and the change to try next, or, without a run, this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from tuiwiz.doctor.finding import Finding
    from tuiwiz.events.folder import RunFolder
    from tuiwiz.events.view import RunView


def register(app: typer.Typer) -> None:
    @app.command("doctor")
    def doctor(
        run: str | None = typer.Argument(None, help="A run folder, a name or the start of one; left out: the machine."),
        everything: bool = typer.Option(False, "--all", help="Also what was judged and found right."),
        apply: int | None = typer.Option(None, "--apply", metavar="N", help="Write the bundle with the change of N."),
        out: Path | None = typer.Option(None, "-o", metavar="FILE", help="Where --apply writes; else beside the run."),
        best: bool = typer.Option(False, "--best", help="With --apply: begin with the run's best weights."),
        rules: bool = typer.Option(False, "--rules", help="List what is judged, and what is not and why."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Judge a run by its events and propose one change, or check what this machine has."""
        from tuiwiz.base.errors import UsageError

        if best and apply is None:
            raise UsageError("--best belongs to --apply", hint="tuiwiz doctor RUN --apply 1 --best -o new.toml")
        if rules:
            _rules(as_json=as_json)
            return
        if run is None:
            if apply is not None:
                raise UsageError("--apply needs a run", hint="tuiwiz doctor RUN --apply 1 -o new.toml")
            raise typer.Exit(_machine(as_json=as_json))
        from tuiwiz.cli.output import emit_json, note
        from tuiwiz.doctor.examine import examine, wrong
        from tuiwiz.events.fold import view_of
        from tuiwiz.runs.registry import find

        folder = find(run)
        view = view_of(folder)
        if not view.events:
            raise UsageError(f"{folder.path} has no events yet", hint="the doctor reads what a run has written")
        findings = examine(folder, view)
        faults = wrong(findings)
        if apply is not None:
            _apply(folder, view, faults, apply, out, best=best, as_json=as_json)
            return
        if view.unreadable:
            note(f"warning: {view.log[-1].message}; the doctor judges the rest")
        if as_json:
            rest = [one for one in findings if one.verdict != "yes"]
            emit_json({"ok": True, "run": folder.path.name, "findings": [*faults, *rest]})
            return
        _print(findings, faults, folder, view, everything=everything)


def _print(
    findings: list[Finding], faults: list[Finding], folder: RunFolder, view: RunView, *, everything: bool
) -> None:
    from tuiwiz.base.text import clean_line
    from tuiwiz.cli.output import say
    from tuiwiz.doctor.words import change_words, evidence_words
    from tuiwiz.events.types import Failed

    judged = sum(one.verdict == "no" for one in findings)
    waiting = [one for one in findings if one.verdict == "unknown"]
    for number, one in enumerate(faults, start=1):
        say(f"{number}  {one.severity:<8} {one.title}  ({one.id} {one.rule})")
        say(f"            {evidence_words(one)}")
        if one.change:
            say(f"   try      {change_words(one)}")
        if one.advice:
            say(f"   {'then' if one.change else 'do  '}     {one.advice}")
        say(f"   why      {one.why}")
    if not faults and isinstance(view.closing, Failed):
        # Not a matter of numbers: a file that is missing, a full disk.
        say(f"the run failed: {clean_line(str(view.closing.summary.get('message', '')), 300)}")
        if hint := clean_line(str(view.closing.summary.get("hint", "")), 300):
            say(f"  hint: {hint}")
    elif not faults:
        say(f"nothing wrong: {judged} rules judged, {len(waiting)} need more data")
    else:
        say(f"{len(faults)} of {len(findings)} rules; {judged} found nothing, {len(waiting)} need more data")
        if faults[0].change:
            say(f"next: tuiwiz doctor {folder.path.name} --apply 1 -o new.toml, and only this change")
    if everything:
        for one in findings:
            if one.verdict != "yes":
                say(f"   {one.verdict:<8} {one.id:<4} {one.rule:<24} {evidence_words(one)}")


def _apply(
    folder: RunFolder,
    view: RunView,
    faults: list[Finding],
    number: int,
    out: Path | None,
    *,
    best: bool,
    as_json: bool,
) -> None:
    from tuiwiz.base.errors import UsageError
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.doctor.fork import best_weights, fork

    if not 1 <= number <= len(faults):
        raise UsageError(
            f"there is no finding {number}", hint=f"the run has {len(faults)}: tuiwiz doctor {folder.path.name}"
        )
    start = best_weights(folder, view, faults[number - 1]) if best else None
    if best and start is None:
        hint = "leave out --best: no best weights were kept, or the change makes weights of another form"
        raise UsageError("this run has no best weights to begin with", hint=hint)
    if start is None and (kept := _kept(folder, faults[number - 1])):
        hint = faults[number - 1].advice or "nothing else is proposed"
        raise UsageError(f"the run has that already: {kept}", hint=hint)
    path = fork(folder, faults[number - 1], out, start=start)
    if as_json:
        emit_json({"ok": True, "bundle": str(path), "change": faults[number - 1].change})
    else:
        say(str(path))


def _kept(folder: RunFolder, finding: Finding) -> str:
    """The finding's change in words, where the run's bundle has every value of it already."""
    from tuiwiz.bundle.read import read_bundle
    from tuiwiz.doctor.words import change_words
    from tuiwiz.spec.keys import flatten

    values = flatten(read_bundle(folder.bundle))
    same = bool(finding.change) and all(values.get(key) == value for key, value in finding.change.items())
    return change_words(finding) if same else ""


def _rules(*, as_json: bool) -> None:
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.doctor.rules import ALL, NOT_JUDGED

    if as_json:
        judged = [
            {"id": one.id, "rule": one.name, "family": one.family, "title": one.title, "why": one.why} for one in ALL
        ]
        rest = [{"id": number, "title": title, "why": why} for number, title, why in NOT_JUDGED]
        emit_json({"ok": True, "rules": judged, "not_judged": rest})
        return
    for one in ALL:
        say(f"{one.id:<4} {one.name:<22} {one.title}")
    say("not judged:")
    for number, title, why in NOT_JUDGED:
        say(f"{number:<4} {title}: {why}")


def _machine(*, as_json: bool) -> int:
    """Check this machine; exit code 8 where a run could not work here."""
    from tuiwiz.base.errors import ExitCode
    from tuiwiz.cli.output import emit_json, note, say
    from tuiwiz.doctor.machine import check_machine
    from tuiwiz.runs.probe import probe

    if not as_json:
        note("tuiwiz: trying the libraries on this machine, a few seconds")
    checks = check_machine(probe())
    bad = [one for one in checks if one.verdict == "bad"]
    if as_json:
        emit_json({"ok": not bad, "checks": checks})
    else:
        width = max(len(one.name) for one in checks)
        for one in checks:
            say(f"{one.verdict:<5} {one.name:<{width}}  {one.said}")
            if one.fix:
                say(f"{'':<{width + 8}}fix: {one.fix}")
    return int(ExitCode.MACHINE_LACKS if bad else ExitCode.DONE)
