"""`tuiwiz data formats|check|show`: what a data file is taken for, every defect by row, and the exact trained text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tuiwiz.base.places import expanded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuiwiz.data.check import Report
    from tuiwiz.data.load import Settings
    from tuiwiz.data.types import PreviewRow, Segment

FILE = typer.Argument(..., help="A file, or a folder of shards.")
TASK = typer.Option("", "--task", help="chat, instruct, pretrain, classify, dpo, ...; left out: any.")
MODEL = typer.Option("", "--model", help="A model or tokenizer folder: its template and tokenizer are used.")
SETS = typer.Option([], "--set", metavar="KEY=VALUE", help="A bundle value, such as data.max_length=1024.")
JSON = typer.Option(False, "--json", help="One JSON document.")
_MARKS = {True: ("⟦", "⟧", "⟪cut: ", "⟫"), False: ("[[", "]]", "{{cut: ", "}}")}
_COLOURS = {"trained": "\x1b[32m", "truncated": "\x1b[9;2m", "context": "\x1b[2m"}


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
    from tuiwiz.cli.output import emit_json
    from tuiwiz.data.check import check as run_check
    from tuiwiz.data.render import Renderer

    if fix != (output is not None):
        raise UsageError("--fix and -o FILE go together", hint="tuiwiz data check FILE --fix -o clean.jsonl")
    settings, template = _settings(file, task, sets)
    folder, name = _tokenizer(model)
    renderer = Renderer(folder, template=template)
    counter = _counter(as_json)
    report = run_check(file, settings, renderer, validation=validation, tokenizer=name, fixed=output, progress=counter)
    if counter is not None:
        counter("", 0, 0)
    if as_json:
        emit_json(report)
    else:
        _print_report(file, report)
    if not report.ok:
        raise typer.Exit(ExitCode.INVALID)


def _counter(quiet: bool) -> Callable[[str, int, int], None] | None:
    """Shows on a terminal how many rows have been read, once there are many."""
    import sys

    from tuiwiz.cli.output import is_dumb

    if quiet or not sys.stderr.isatty() or is_dumb():
        return None

    def show_rows(stage: str, done: int, total: int) -> None:
        # An empty stage is the end: the line goes.
        if done >= 10_000 or not stage:
            sys.stderr.write(f"\r{done:,} rows read\x1b[K\r" if stage else "\r\x1b[K")
            sys.stderr.flush()

    return show_rows


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

    from tuiwiz.cli.output import emit_json, note
    from tuiwiz.data.preview import preview

    settings, template = _settings(file, task, sets)
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
        template=template,
        task=task,
        skip=skip,
        limit=rows,
    )
    if as_json:
        emit_json({"tokenizer": name, "rows": [msgspec.to_builtins(row) for row in found]})
        return
    note(f"template and tokenizer: {name}" if name else _NO_TOKENIZER)
    for row in found:
        _print_row(row)


_NO_TOKENIZER = (
    "no tokenizer at hand (--model FOLDER names one): token counts are unknown, and text is shown "
    "with the template for base models"
)


def _settings(file: Path, task: str, sets: list[str]) -> tuple[Settings, str]:
    """What `--task` and `--set` ask for, and the template's name."""
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
    return msgspec.structs.replace(settings_of(bundle), task=task), bundle.data.template


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


def _print_report(file: Path, report: Report) -> None:
    from tuiwiz.base.text import clean_line
    from tuiwiz.cli.output import note, problem_lines, say

    for line in problem_lines(report.problems):
        say(line)
    if report.format != "none":
        mapping = ", ".join(f"{role} = {clean_line(column, 40)}" for role, column in report.mapping.items())
        say(f"format   {report.format}{f' ({mapping})' if mapping else ''}")
    unusable = report.rows - report.usable_rows
    left_out = f", {unusable:,} left out" if unusable else ""
    say(f"rows     {report.rows:,}, {report.usable_rows:,} usable{left_out}")
    if report.classes is not None:
        say(f"classes  {report.classes:,}")
    if report.tokens:
        about = "about " if report.estimated else ""
        share = f", {100 * report.supervised_tokens / report.tokens:.0f} % trained" if report.supervised_tokens else ""
        say(f"tokens   {about}{report.tokens:,}{share}")
        lengths = report.lengths
        say(f"lengths  median {lengths.p50:,}, 95 % up to {lengths.p95:,}, longest {lengths.max:,}")
    if report.ok:
        counted = f"counted with {report.tokenizer}, rows up to {report.max_length} tokens"
        note(counted if report.tokenizer else "no tokenizer at hand: --model FOLDER names one")
    say(f"{file}: {'accepted' if report.ok else 'refused'}")
    if report.fix is not None:
        for what, count in report.fix.changes.items():
            say(f"fix      {count:,} row{'s' if count > 1 else ''}: {what}")
        say(f"fix      {report.fix.rows_out:,} of {report.fix.rows_in:,} rows written to {report.fix.output}")
        note(f"every change is listed in {report.fix.report}")


def _print_row(row: PreviewRow) -> None:
    """One row in place. The marks are text, so they survive pipes and terminals without colour."""
    import os
    import sys

    from tuiwiz.cli.output import is_dumb, problem_lines, say

    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not is_dumb()
    counts = f", {row.tokens:,} tokens, {row.supervised_tokens:,} trained" if row.tokens is not None else ""
    say(f"── row {row.row}{f' (line {row.line})' if row.line else ''}{counts}" if utf8 else f"-- row {row.row}{counts}")
    if row.problem is not None:
        for line in problem_lines([row.problem]):
            say(line)
    if row.label:
        say(f"label: {row.label}")
    encoding = sys.stdout.encoding or "utf-8"
    for title, stretches in (("", row.segments), ("worse answer:", row.other)):
        if title and stretches:
            say(title)
        if stretches or not title:
            text = _marked(stretches, utf8=utf8, colour=colour)
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")


def _marked(stretches: Sequence[Segment], *, utf8: bool, colour: bool) -> str:
    """Text with the marks of what is trained and what is cut off."""
    from tuiwiz.base.text import clean

    start, end, cut, cut_end = _MARKS[utf8]
    parts = []
    for segment in stretches:
        text = clean(segment.text)
        if segment.mark == "trained":
            text = f"{start}{text}{end}"
        elif segment.mark == "truncated":
            text = f"{cut}{text}{cut_end}"
        parts.append(f"{_COLOURS[segment.mark]}{text}\x1b[0m" if colour else text)
    return "".join(parts)
