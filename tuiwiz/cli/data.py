"""`tuiwiz data formats|check|show`: what a data file is taken for, every defect by row, and the exact trained text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tuiwiz.base.places import expanded

if TYPE_CHECKING:
    from tuiwiz.data.load import Settings
    from tuiwiz.spec.bundle import Bundle
    from tuiwiz.spec.data import WeightedPath

FILE = typer.Argument(..., help="A file, or a folder of shards.")
TASK = typer.Option("", "--task", help="chat, instruct, pretrain, classify, dpo, ...; left out: any.")
MODEL = typer.Option("", "--model", help="A model or tokenizer folder: its template and tokenizer are used.")
SETS = typer.Option(
    [], "--set", metavar="KEY=VALUE", help="A bundle value, such as data.max_length=1024; data.train=[{path, weight}]."
)
JSON = typer.Option(False, "--json", help="One JSON document.")


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Look at data before it is trained on.")
    app.add_typer(group, name="data")
    group.command("formats")(formats)
    group.command("check")(check)
    group.command("show")(show)


def formats(as_json: bool = JSON) -> None:
    """List the formats that are recognised, each with its roles and an example row."""
    import msgspec

    from tuiwiz.cli.output import emit_json, say
    from tuiwiz.data.formats import FORMATS
    from tuiwiz.data.xtuner import COUNTERPARTS

    if as_json:
        others = {one.name: [msgspec.to_builtins(x) for x in COUNTERPARTS if x.format == one.name] for one in FORMATS}
        emit_json([{**msgspec.to_builtins(one), "xtuner": others[one.name]} for one in FORMATS])
        return
    for one in FORMATS:
        say(f"{one.name:<18} {one.about}")
        roles = ", ".join(f"{role.name}{'' if role.required else '?'}" for role in one.roles)
        say(f"{'':<18} roles   {roles}")
        say(f"{'':<18} example {one.example}")
        say(f"{'':<18} serves  {', '.join(one.serves)}")
        say()
    say("Other columns are mapped by role: a column name, a dotted path, or a template of columns, for example")
    say('  --set \'data.mapping={prompt="{title}\\n{body}", completion="answers.0.text"}\'')
    say()
    say("XTuner's map functions, and what takes their place")
    for other in COUNTERPARTS:
        roles = ", ".join(f'{role}="{column}"' for role, column in other.mapping.items())
        mapped = f"  data.mapping={{{roles}}}" if roles else ""
        say(f"  {other.name:<18} {other.format}{mapped}{f'  ({other.note})' if other.note else ''}")


def check(
    file: Path = FILE,
    task: str = TASK,
    validation: Path | None = typer.Option(None, "--validation", help="Rows that are never trained on."),
    model: str = MODEL,
    sets: list[str] = SETS,
    fix: bool = typer.Option(False, "--fix", help="Write a cleaned copy to -o, and a report of every change."),
    output: Path | None = typer.Option(None, "-o", "--output", help="Where --fix writes: JSON lines."),
    as_json: bool = JSON,
) -> None:
    """Name the format, count rows and tokens, and list every defect by row. Exit code 3 when the set is refused."""
    from tuiwiz.base.errors import ExitCode, UsageError
    from tuiwiz.cli.counting import counting
    from tuiwiz.cli.data_lines import print_report
    from tuiwiz.cli.output import emit_json
    from tuiwiz.data.check import check as run_check
    from tuiwiz.data.render import Renderer

    if fix != (output is not None):
        raise UsageError("--fix and -o FILE go together", hint="tuiwiz data check FILE --fix -o clean.jsonl")
    bundle, settings = _settings(file, task, sets)
    mix = _mix(file, bundle)
    if mix and fix:
        raise UsageError("--fix cleans one set", hint="leave data.train out and clean each by itself")
    folder, name = _tokenizer(model)
    renderer = Renderer(folder, template=bundle.data.template)
    with counting(quiet=as_json) as counter:
        report = run_check(
            file,
            settings,
            renderer,
            validation=validation,
            tokenizer=name,
            fixed=output,
            progress=counter.rows,
            sets=mix,
        )
    if as_json:
        emit_json(report)
    else:
        print_report(file, report)
    if not report.ok:
        raise typer.Exit(ExitCode.INVALID)


def show(
    file: Path = FILE,
    task: str = TASK,
    model: str = MODEL,
    rows: int = typer.Option(3, "--rows", "-n", min=1, help="How many rows."),
    skip: int = typer.Option(0, "--skip", min=0, help="Rows to pass over first."),
    sets: list[str] = SETS,
    as_json: bool = JSON,
) -> None:
    """Print rows exactly as the model will see them, trained parts in ⟦brackets⟧."""
    import msgspec

    from tuiwiz.cli.data_lines import print_row
    from tuiwiz.cli.output import emit_json, note
    from tuiwiz.data.preview import preview

    bundle, settings = _settings(file, task, sets)
    folder, name = _tokenizer(model)
    found = preview(
        file,
        folder,
        format=settings.format,
        mapping=settings.mapping,
        train_on=settings.train_on,
        system=settings.system,
        max_length=settings.max_length,
        overlong=settings.overlong,
        template=bundle.data.template,
        task=task,
        skip=skip,
        limit=rows,
    )
    if as_json:
        emit_json({"tokenizer": name, "rows": [msgspec.to_builtins(row) for row in found]})
        return
    note(f"template and tokenizer: {name}" if name else _NO_TOKENIZER)
    for row in found:
        print_row(row)


_NO_TOKENIZER = (
    "no tokenizer at hand (--model FOLDER names one): token counts are unknown, and text is shown "
    "with the template for base models"
)


def _mix(file: Path, bundle: Bundle) -> tuple[WeightedPath, ...]:
    """The sets that `--set data.train=[...]` names; none where FILE stands alone.

    Raises:
        UsageError: the first of them is not FILE, which format and mapping are those of.
        InvalidError: some have a weight and some have none.
    """
    from tuiwiz.base.errors import InvalidError, UsageError
    from tuiwiz.spec.rules import check as check_rules

    train = bundle.data.train
    if isinstance(train, str):
        return ()
    wrong = [one for one in check_rules(bundle) if one.key == "data.train" and one.severity == "error"]
    if wrong:
        raise InvalidError(wrong[0].message, hint=wrong[0].hint, problems=wrong)
    if Path(train[0].path) != file:
        raise UsageError(f"the first set of data.train is {train[0].path}, and not {file}", hint="name that one first")
    return train if len(train) > 1 else ()


def _settings(file: Path, task: str, sets: list[str]) -> tuple[Bundle, Settings]:
    """What `--task` and `--set` ask for."""
    from typing import get_args

    import msgspec

    from tuiwiz.base.errors import InvalidError, UsageError
    from tuiwiz.base.problems import nearest
    from tuiwiz.bundle.change import parse_set
    from tuiwiz.bundle.convert import value_problems
    from tuiwiz.data.prepare import settings_of
    from tuiwiz.spec.bundle import Bundle
    from tuiwiz.spec.data import Data
    from tuiwiz.spec.model import Model
    from tuiwiz.spec.task import Task, TaskKind

    kinds = get_args(TaskKind)
    if task and task not in kinds:
        close = nearest(task, kinds)
        hint = f"did you mean {close}?" if close else f"tasks are: {', '.join(kinds)}"
        raise UsageError(f"there is no task {task!r}", hint=hint)
    values: dict[str, dict[str, object]] = {"data": {"train": str(file)}, "task": {"kind": task or "instruct"}}
    for one in sets:
        key, value = parse_set(one)
        section, _, name = key.partition(".")
        if value is None or section not in values:
            continue  # the rest of a bundle does not change how rows are read
        problems = value_problems(key, value)
        if problems:
            raise InvalidError(problems[0].message, hint=problems[0].hint, problems=problems)
        values[section][name] = value
    bundle = Bundle(
        task=msgspec.convert(values["task"], Task),
        model=Model(source="none"),
        data=msgspec.convert(values["data"], Data),
    )
    return bundle, msgspec.structs.replace(settings_of(bundle), task=task)


def _tokenizer(model: str) -> tuple[Path | None, str]:
    """The tokenizer folder to count with and its name; none when only the default was wanted and it is not here.

    Raises:
        InvalidError: `model` is a folder without a model.
        UsageError: nothing is known by that name, or its tokenizer is not on this machine.
    """
    from tuiwiz.base.errors import UsageError
    from tuiwiz.catalog import embedded

    if not model:
        folder = embedded.folder()
        return (folder, embedded.NAME) if (folder / TOKENIZER_FILE).is_file() else (None, "")
    given = expanded(model)
    if (given / TOKENIZER_FILE).is_file():
        return given, model
    from tuiwiz.catalog.sources import locate

    found = locate(model, None, Path.cwd())
    if found.folder is not None and (found.folder / TOKENIZER_FILE).is_file():
        return found.folder, found.name
    hint = "name a folder that holds tokenizer.json; `tuiwiz models get NAME` brings one"
    raise UsageError(f"the tokenizer of {model!r} is not on this machine", hint=hint)


TOKENIZER_FILE = "tokenizer.json"
