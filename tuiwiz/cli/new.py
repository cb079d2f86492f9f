"""`tuiwiz new`: a bundle from a task, a model and data: the wizard without a screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tuiwiz.wizard.compose import Answers, Composed


def register(app: typer.Typer) -> None:
    @app.command("new")
    def new(
        task: str = typer.Option(
            ..., "--task", help="What is learnt: chat, instruct, pretrain, classify, dpo, orpo, simpo, kto or reward."
        ),
        model: str = typer.Option(
            ..., "--model", help="A model folder, hub id, known name, or only a size such as 8B."
        ),
        data: list[str] = typer.Option(
            ..., "--data", help="The training data; given again, a set mixed with it (with weights: --set data.train)."
        ),
        validation: str = typer.Option(
            "", "--validation", help="Rows that are never trained on; else a share is held out."
        ),
        gpu: str = typer.Option("", "--gpu", help="Plan for this card, by name or GiB. Left out: this machine."),
        method: str = typer.Option("", "--method", help="qlora (left out), lora, full or freeze."),
        preset: str = typer.Option("", "--preset", help="Use this preset instead of the best fitting one."),
        sets: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Your own value of a bundle key."),
        name: str = typer.Option("", "--name", help="Name of the run."),
        output: Path = typer.Option(Path("bundle.toml"), "-o", "--output", help="Where to write the bundle."),
        force: bool = typer.Option(False, "--force", help="Replace the file if it is there."),
        as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    ) -> None:
        """Write a bundle: every setting of a run, each with who decided it and why."""
        from tuiwiz.bundle.change import parse_set
        from tuiwiz.spec.data import WeightedPath
        from tuiwiz.wizard.compose import Answers

        answers = Answers(
            task=task,
            model=model,
            data=data[0],
            more=tuple(WeightedPath(path=path) for path in data[1:]),
            validation=validation or None,
            gpu=gpu or None,
            method=method or None,
            preset=preset or None,
            sets=dict(parse_set(text) for text in sets),
            name=name,
        )
        _new(answers, output, force=force, as_json=as_json)


def _new(answers: Answers, output: Path, *, force: bool, as_json: bool) -> None:
    from tuiwiz.base.errors import InvalidError, MachineLacksError, UsageError
    from tuiwiz.base.files import write_atomic
    from tuiwiz.bundle.write import write_bundle
    from tuiwiz.cli.counting import counting
    from tuiwiz.cli.output import emit_json, note, problem_lines
    from tuiwiz.wizard.compose import absorb, compose
    from tuiwiz.wizard.facts import gather, relative_to

    check_words(answers)
    if output.is_dir():
        raise UsageError(f"{output} is a folder", hint=f"name a file in it: -o {output / 'bundle.toml'}")
    if output.exists() and not force:
        raise UsageError(f"{output} exists already", hint="choose another file with -o, or replace it with --force")
    folder = output.resolve().parent
    answers = relative_to(absorb(answers), folder)
    with counting(quiet=as_json) as counter:

        def tell(text: str) -> None:
            counter.clear()
            note(f"  {text}")

        facts = gather(answers, folder, progress=None if as_json else tell, rows=counter.rows)
    composed = compose(answers, facts)
    errors = [problem for problem in composed.problems if problem.severity == "error"]
    if errors:
        message = errors[0].message if len(errors) == 1 else f"{len(errors)} problems stand against this bundle"
        raise InvalidError(message, hint=errors[0].hint if len(errors) == 1 else "", problems=errors)
    try:
        write_atomic(output, write_bundle(composed.bundle, why=composed.why, heading=_heading(composed)))
    except OSError as error:
        message = f"{output} cannot be written: {error.strerror or error}"
        raise MachineLacksError(message, hint="name a file that you may write with -o") from error
    if as_json:
        emit_json(_document(composed, output))
        return
    for line in problem_lines(problem for problem in composed.problems if problem.severity == "warning"):
        note(line)
    _summary(composed, output)


def check_words(answers: Answers) -> None:
    """Words that are no task or method at all are wrong usage; known ones that are not there yet are refused later."""
    from tuiwiz.base.errors import UsageError
    from tuiwiz.base.problems import nearest
    from tuiwiz.base.text import is_utf8
    from tuiwiz.spec.fields import choices
    from tuiwiz.spec.rules import available

    for option, name in (("--data", answers.data), ("--validation", answers.validation), ("--model", answers.model)):
        if name and not is_utf8(name):
            raise UsageError(f"{option} {name} is no UTF-8, and a bundle could not name it", hint="rename the file")
    for option, key, value in (("--task", "task.kind", answers.task), ("--method", "adapter.method", answers.method)):
        known = [str(choice) for choice in choices(key)]
        if value and value not in known:
            close = nearest(value, known)
            listed = ", ".join(str(choice) for choice in available(key))
            hint = f"did you mean {close}? (available: {listed})" if close else f"available: {listed}"
            raise UsageError(f"{option} {value} is unknown", hint=hint)


def _heading(composed: Composed) -> str:
    bundle = composed.bundle
    by = f"preset {composed.preset}" if composed.preset else "no preset"
    lines = [f"{bundle.task.kind} with {bundle.adapter.method} on {bundle.model.source}, {by}. Made by `tuiwiz new`."]
    lines.append("Paths are relative to this file. Each comment says what a value is, who decided it and why.")
    return "\n".join(lines)


def _document(composed: Composed, output: Path) -> dict[str, Any]:
    from tuiwiz.bundle.digest import digest
    from tuiwiz.spec.keys import flatten

    return {
        "ok": True,
        "path": str(output),
        "ready": composed.ready,
        "name": composed.bundle.name,
        "digest": digest(composed.bundle),
        "preset": composed.preset,
        "steps": composed.steps,
        "warmup": composed.warmup,
        "values": flatten(composed.bundle),
        "origin": composed.origin,
        "why": composed.why,
        "plan": composed.plan,
        "problems": composed.problems,
    }


def _summary(composed: Composed, output: Path) -> None:
    from tuiwiz.cli.output import say
    from tuiwiz.wizard.planning import verdict_words
    from tuiwiz.wizard.work import shown

    bundle = composed.bundle
    say(f"{bundle.name}: {bundle.task.kind}, {bundle.adapter.method}, {bundle.model.source}")
    if composed.ranked:
        say(f"  preset  {composed.preset}: {'; '.join(_reasons(composed))}")
    say(f"  memory  {verdict_words(composed.plan)}")
    rate = f"learning rate {shown(bundle.optimizer.learning_rate)}"
    if composed.steps is not None:
        epochs = bundle.schedule.epochs
        passes = "" if epochs is None else f"{epochs:g} epoch{'' if epochs == 1 else 's'}, "
        steps = f"{composed.steps:,} steps of {bundle.batch.effective} rows"
        say(f"  run     {passes}{steps}, warm-up {composed.warmup}, {rate}")
    else:
        say(f"  run     {rate}")
    say(f"  bundle  {output}")
    step = f"tuiwiz run {output}" if composed.ready else "choose a model: set model.source in the bundle"
    say(f"  next    {step}")


def _reasons(composed: Composed) -> tuple[str, ...]:
    return next((one.reasons for one in composed.ranked if one.name == composed.preset), ("your choice",))
