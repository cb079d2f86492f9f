"""`tuiwiz presets`: settings that carry their evidence; sharing lies in `presets_share` and `presets_sign`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tuiwiz.cli import presets_share, presets_sign

if TYPE_CHECKING:
    from tuiwiz.presets.resolve import Resolved
    from tuiwiz.wizard.alternatives import Alternative

TASK = typer.Option("", "--task", help="chat, instruct, ...; left out: the first that the preset covers.")
BAND = typer.Option("M", "--band", help="Model size: XS, S, M, L, XL, XXL, or a size such as 8B.")
METHOD = typer.Option("qlora", "--method", help="qlora, lora, full or freeze.")
ROWS = typer.Option(None, "--rows", min=1, help="Training rows.")
PRESET = typer.Option(..., "--preset", help="The preset's name.")
JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Settings that say where they come from.")
    app.add_typer(group, name="presets")
    group.command("list")(list_command)
    group.command("show")(show)
    group.command("why")(why)
    group.command("validate")(validate)
    group.command("copy")(copy)
    presets_sign.register(group)
    presets_share.register(group)


def list_command(
    task: str = typer.Option("", "--task", help="Only presets for this task."), as_json: bool = JSON
) -> None:
    """List every preset with the tasks, model sizes and methods that it covers."""
    from typing import get_args

    from tuiwiz.base.errors import UsageError
    from tuiwiz.cli.output import emit_json, note, problem_lines, say
    from tuiwiz.presets.choose import coverage
    from tuiwiz.presets.find import all_presets
    from tuiwiz.spec.task import TaskKind

    if task and task not in get_args(TaskKind):
        raise UsageError(f"there is no task {task!r}", hint=f"tasks are: {', '.join(get_args(TaskKind))}")
    gallery = all_presets()
    found = [one for one in coverage(gallery.presets) if task in ("", one.task)]
    for line in problem_lines(gallery.problems):
        note(line)
    if as_json:
        emit_json(found)
        return
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in found:
        rows.setdefault((one.name, one.task, one.method), {})[one.band] = one.grade or "-"
    bands = ("XS", "S", "M", "L", "XL", "XXL")
    say(f"{'preset':<20} {'task':<10} {'method':<7} " + " ".join(f"{band:>3}" for band in bands))
    for (name, of_task, method), grades in rows.items():
        say(f"{name:<20} {of_task:<10} {method:<7} " + " ".join(f"{grades.get(band, ''):>3}" for band in bands))
    say("grade of the learning rate: A tuned or released, B neighbouring evidence, C extrapolated")


def show(
    name: str = typer.Argument(..., help="The preset's name."),
    task: str = TASK,
    band: str = BAND,
    method: str = METHOD,
    rows: int | None = ROWS,
    as_json: bool = JSON,
) -> None:
    """Show a preset's values for one task, model size and method, each with its reason."""
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.presets.explain import why_words
    from tuiwiz.presets.tiers import tier, tier_words
    from tuiwiz.wizard.work import shown

    resolved = resolved_for(name, task, band, method, rows)
    if as_json:
        gib = tier(resolved.context.task, resolved.context.method, resolved.context.band)
        emit_json(
            {
                "name": name,
                "card_gib": gib,
                "context": resolved.context,
                "values": resolved.values,
                "why": resolved.why,
            }
        )
        return
    context = resolved.context
    fits = tier_words(context.task, context.method, context.band)
    say(f"{name}: {context.task}, {context.method}, band {context.band}, {fits}")
    width = max(len(key) for key in resolved.values)
    for key, value in sorted(resolved.values.items()):
        say(f"{key:<{width}}  {shown(value)}")
        say(f"{'':<{width}}    {why_words(resolved.why[key]) or 'no reason given'}")


def why(
    key: str = typer.Argument(..., help="A bundle key such as optimizer.learning_rate."),
    preset: str = PRESET,
    task: str = TASK,
    band: str = BAND,
    method: str = METHOD,
    rows: int | None = ROWS,
    as_json: bool = JSON,
) -> None:
    """Print the chain behind one value: value, formula, source, grade, range, what happens beyond."""
    import msgspec

    from tuiwiz.base.errors import UsageError
    from tuiwiz.base.problems import nearest
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.presets.explain import explain, explanation_lines
    from tuiwiz.wizard.work import shown

    resolved = resolved_for(preset, task, band, method, rows)
    found = explain(resolved, key)
    if found is None:
        close = nearest(key, resolved.values)
        raise UsageError(f"preset {preset} does not set {key}", hint=f"did you mean {close}?" if close else "")
    others = _guide(resolved, key)
    if as_json:
        emit_json({**msgspec.to_builtins(found), "alternatives": others})
        return
    for line in explanation_lines(found):
        say(line)
    for other in others:
        say(f"  {other.who} says {shown(other.value)}: {other.comment}")


def validate(
    files: list[Path] = typer.Argument(..., help="Preset files."),
    as_json: bool = JSON,
) -> None:
    """Report everything that is wrong with preset files."""
    from tuiwiz.base.errors import ExitCode
    from tuiwiz.cli.output import emit_json, problem_lines, say
    from tuiwiz.presets.check import check_file

    found = {str(path): check_file(path) for path in files}
    problems = [problem for each in found.values() for problem in each]
    ok = not any(problem.severity == "error" for problem in problems)
    if as_json:
        emit_json({"ok": ok, "problems": problems})
    else:
        for line in problem_lines(problems):
            say(line)
        for path, each in found.items():
            errors = sum(problem.severity == "error" for problem in each)
            say(f"{path}: {'valid' if not errors else 'not valid'}, {errors} errors, {len(each) - errors} warnings")
    if not ok:
        raise typer.Exit(ExitCode.INVALID)


def copy(
    name: str = typer.Argument(..., help="The preset to start from."),
    new_name: str = typer.Argument(..., help="Name of the copy."),
    as_json: bool = JSON,
) -> None:
    """Copy a preset into your own folder under a new name, to change it there."""
    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.presets.copy import copy_preset

    path = copy_preset(name, new_name)
    if as_json:
        emit_json({"ok": True, "path": str(path)})
    else:
        say(f"{new_name} is {path}: edit it, then `tuiwiz presets validate {path}`")


def resolved_for(name: str, task: str, band: str, method: str, rows: int | None) -> Resolved:
    """A preset's values for one task, model size and method.

    Raises:
        UsageError: there is no such preset, or it has no settings for them.
    """
    from tuiwiz.base.errors import UsageError
    from tuiwiz.presets.bands import BAND_NAMES
    from tuiwiz.presets.choose import coverage
    from tuiwiz.presets.find import all_presets, find
    from tuiwiz.presets.resolve import resolve
    from tuiwiz.presets.when import Context

    preset = find(name)
    known = all_presets().presets
    covered = coverage(known, only=name)
    if not task:
        task = covered[0].task if covered else "chat"
    wanted: dict[str, Any] = {"task": task, "band": _band(band), "method": method}
    if covered and not any(all(getattr(one, key) == value for key, value in wanted.items()) for one in covered):
        tasks, methods = ({getattr(one, key) for one in covered} for key in ("task", "method"))
        hint = f"it covers {', '.join(sorted(tasks))}; {', '.join(sorted(methods))}; bands {', '.join(BAND_NAMES)}"
        raise UsageError(f"preset {name} has no settings for {task}, {method}, band {wanted['band']}", hint=hint)
    return resolve(preset, Context(**wanted, rows=rows), known)


def _guide(resolved: Resolved, key: str) -> tuple[Alternative, ...]:
    """What others recommend for a key, where that is something else."""
    from tuiwiz.spec.derive import total_steps
    from tuiwiz.wizard.alternatives import alternatives
    from tuiwiz.wizard.work import Work

    work, context = Work(), resolved.context
    for of, value in {"task.kind": context.task, "adapter.method": context.method, **resolved.values}.items():
        work.put(of, value, "preset")
    epochs = work.values["schedule.epochs"]
    known = context.rows is not None and epochs is not None
    steps = total_steps(context.rows or 0, int(work.values["batch.effective"]), epochs, None) if known else None
    return alternatives(work, band=context.band, rows=context.rows, steps=steps).get(key, ())


def _band(text: str) -> str:
    from tuiwiz.base.errors import UsageError
    from tuiwiz.presets.bands import BAND_NAMES, band_of, parse_size

    if text.upper() in BAND_NAMES:
        return text.upper()
    size = parse_size(text)
    if size is None:
        raise UsageError(f"{text!r} is no model size", hint=f"one of {', '.join(BAND_NAMES)}, or a size such as 8B")
    return band_of(size)
