"""Which format a file holds, judged by its content: column names propose, the values of the first rows decide."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from tuiwiz.base.errors import TuiwizError
from tuiwiz.base.problems import Problem, nearest
from tuiwiz.base.text import clean_line
from tuiwiz.data.formats import BY_NAME, FORMATS, Format
from tuiwiz.data.paths import is_path_or_template
from tuiwiz.data.source import Source, open_source
from tuiwiz.data.transcript import transcript, turns_in_text
from tuiwiz.data.types import Row, Sniffed

ROWS_LOOKED_AT = 50
MOST_COLUMNS = 10_000
_MAP_HINT = """--set 'data.mapping={prompt="COLUMN", completion="COLUMN"}'"""
_ORDER = ("preference", "kto", "openai", "alpaca", "prompt-completion", "multi-label", "classification", "text")
_TASK_FORMATS = {
    "classify": ("multi-label", "classification"),
    "pretrain": ("text",),
    "kto": ("kto",),
    "dpo": ("preference",),
    "orpo": ("preference",),
    "simpo": ("preference",),
    "reward": ("preference",),
}


def sniff(path: Path, *, format: str = "auto", mapping: Mapping[str, str] | None = None, task: str = "") -> Sniffed:
    """Look at the first rows of `path`. Never raises for bad content: `format` is `none` and `problems` says why.

    A given `format` or `mapping` is checked against the columns instead of guessed; `task` breaks ties.
    """
    try:
        source = open_source(path)
        return sniff_source(source, format=format, mapping=mapping or {}, task=task)
    except TuiwizError as error:
        return Sniffed(format="none", mapping={}, columns=(), container="", problems=error.problems)


def sniff_source(source: Source, *, format: str, mapping: Mapping[str, str], task: str = "") -> Sniffed:
    """`sniff` on an opened source.

    Raises:
        InvalidError: the source cannot be read.
    """
    found = list(islice(source.read(), ROWS_LOOKED_AT))
    values = [as_columns(row.value) for row in found if isinstance(row, Row)]
    rows = [value for value in values if isinstance(value, dict)]
    columns = tuple(dict.fromkeys(str(key) for row in rows for key in row))
    name, roles, problems = _decide(source, values, rows, columns, format, mapping, task)
    if not values:
        problems = [p for p in found if isinstance(p, Problem)] or [_problem(source, "no rows", "the file holds none")]
    return Sniffed(
        format=name,
        mapping=roles,
        columns=columns,
        container=source.container,
        split=source.split,
        splits=source.splits,
        problems=tuple(problems),
    )


def as_columns(value: Any) -> Any:
    """A row that is a list or, in plain text, a string, as columns; anything else as it is."""
    if isinstance(value, list):
        return {str(i): cell for i, cell in enumerate(value)}
    return value


def _problem(source: Source, message: str, hint: str = "", row: int | None = None) -> Problem:
    return source.placed(Problem(message=message, hint=hint, path=str(source.path), row=row))


Decision = tuple[str, dict[str, str], list[Problem]]


def _decide(
    source: Source,
    values: list[Any],
    rows: list[dict[str, Any]],
    columns: tuple[str, ...],
    format: str,
    mapping: Mapping[str, str],
    task: str,
) -> Decision:
    if source.container == "text":
        return ("text", {}, []) if format in {"auto", "text"} else _refused_text(source, format)
    if values and not rows:
        kind = {str: "a string", int: "a number", float: "a number", type(None): "null"}.get(
            type(values[0]), "no object"
        )
        hint = 'each row must be an object with named columns; raw text is {"text": "..."} or a .txt file'
        return "none", {}, [_problem(source, f"rows are not objects: the first is {kind}", hint, 1)]
    if len(columns) > MOST_COLUMNS:
        hint = "a row has a few named columns; are rows and columns exchanged, or is the file one long line?"
        return "none", {}, [_problem(source, f"rows have {len(columns):,} columns", hint)]
    if mapping:
        return _given_mapping(source, rows, columns, format, mapping, task)
    if format != "auto":
        roles = _match(BY_NAME[format], columns)
        missing = [role.name for role in BY_NAME[format].roles if role.required and role.name not in roles]
        if missing:
            return "none", {}, [_unknown_columns(source, rows, columns, wanted=(format,))]
        return format, roles, []
    order = (*_TASK_FORMATS.get(task, ()), *(name for name in _ORDER if name not in _TASK_FORMATS.get(task, ())))
    for name in order:
        roles = _match(BY_NAME[name], columns)
        decided = _fits(name, roles, rows, columns)
        if decided == "transcript":
            if task == "pretrain":
                return "text", roles, []
            return "openai", {"messages": roles["text"]}, []
        if decided:
            return decided, roles, []
    if rows and set(columns) == {"0", "1"} and all(isinstance(row.get("0"), str) for row in rows):
        return "classification", {"text": "0", "label": "1"}, []
    return "none", {}, [_unknown_columns(source, rows, columns, wanted=())]


def _refused_text(source: Source, format: str) -> Decision:
    hint = "save it as JSON lines or CSV with named columns"
    return "none", {}, [_problem(source, f"is plain text, which cannot hold the format {format}", hint)]


@lru_cache(maxsize=4)
def _by_lower(columns: tuple[str, ...]) -> dict[str, str]:
    return {column.casefold(): column for column in reversed(columns)}


def _match(format: Format, columns: tuple[str, ...]) -> dict[str, str]:
    """Role -> column, for the roles that a column's name fits; a column plays one role."""
    by_lower = _by_lower(columns)
    taken: dict[str, str] = {}
    for role in format.roles:
        for candidate in role.columns:
            column = by_lower.get(candidate)
            if column is not None and column not in taken.values():
                taken[role.name] = column
                break
    return taken


def _values(rows: list[dict[str, Any]], column: str | None) -> list[Any]:
    return [row[column] for row in rows if row.get(column) is not None] if column is not None else []


def _is_turns(value: Any, key: str) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and key in value[0]


def _fits(name: str, roles: dict[str, str], rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """The format's name when the values agree with it (another name where they say so), else empty."""
    if any(role.required and role.name not in roles for role in BY_NAME[name].roles):
        return ""
    if name == "kto":
        verdicts = _values(rows, roles["label"])
        answered = "messages" in roles or {"prompt", "completion"} <= roles.keys()
        return name if answered and sum(map(_is_verdict, verdicts)) * 2 > len(verdicts) else ""
    if name == "openai":
        values = _values(rows, roles["messages"])
        turns = [turns_in_text(value) if isinstance(value, str) else value for value in values]
        if sum(_is_turns(value, "from") for value in turns) * 2 > len(turns):
            return "sharegpt"
        return name if any(isinstance(value, list) for value in turns) else ""
    if name == "prompt-completion":
        if any(_is_turns(value, "role") for value in _values(rows, roles["completion"])):
            return "openai"
        return name if any(isinstance(v, str) for v in _values(rows, roles["prompt"])) else ""
    if name in {"classification", "multi-label"}:
        labels = _values(rows, roles["label"])
        wanted = list if name == "multi-label" else (str, int, float)
        # One odd row must not make the labels of all others go unread.
        return name if sum(isinstance(label, wanted) for label in labels) * 2 > len(labels) else ""
    if name == "text" and _transcripts(_values(rows, roles["text"])):
        return "transcript"
    return name


def _transcripts(values: list[Any]) -> bool:
    """Whether most texts are chats written out, with an answer in them."""
    found = [transcript(value) or [] for value in values if isinstance(value, str)]
    return sum(any(turn["role"] == "assistant" for turn in turns) for turns in found) * 2 > len(values)


def _is_verdict(value: Any) -> bool:
    return value in (0, 1) or (isinstance(value, str) and value.casefold() in {"true", "false", "0", "1"})


def _given_mapping(
    source: Source,
    rows: list[dict[str, Any]],
    columns: tuple[str, ...],
    format: str,
    mapping: Mapping[str, str],
    task: str,
) -> Decision:
    """Check the user's mapping, and find the format whose roles it names when that was left open."""
    given = {role: target for role, target in mapping.items() if not role.startswith("role.")}
    candidates = [BY_NAME[format]] if format != "auto" else [BY_NAME[name] for name in _ORDER] + [BY_NAME["sharegpt"]]
    every_role = {role.name for candidate in candidates for role in candidate.roles}
    problems = []
    for role in given.keys() - every_role:
        close = nearest(role, every_role)
        hint = f"did you mean {close}?" if close else f"roles are: {', '.join(sorted(every_role))}"
        problems.append(_problem(source, f"data.mapping names an unknown role '{clean_line(role, 40)}'", hint))
    for role, target in given.items():
        if target in columns or is_path_or_template(target, columns):
            continue
        close = nearest(target, columns)
        hint = f"did you mean {close}?" if close else f"columns are: {_listed(columns)}"
        problems.append(
            _problem(source, f"data.mapping: there is no column '{clean_line(target, 40)}' for {role}", hint)
        )
    if problems:
        return "none", dict(mapping), problems
    preferred = _TASK_FORMATS.get(task, ())
    ordered = sorted(candidates, key=lambda candidate: candidate.name not in preferred)
    for candidate in ordered:
        names = {role.name for role in candidate.roles}
        roles = {**_match(candidate, columns), **given}
        if given.keys() <= names and all(role.name in roles for role in candidate.roles if role.required):
            decided = candidate.name
            if decided == "openai" and format == "auto":
                decided = _fits("openai", roles, rows, columns) or decided
            return decided, {**roles, **mapping}, []
    message = f"data.mapping ({', '.join(sorted(given))}) fits no format"
    return "none", dict(mapping), [_problem(source, message, "`tuiwiz data formats` lists formats with their roles")]


def _listed(columns: tuple[str, ...], limit: int = 8) -> str:
    shown = ", ".join(clean_line(column, 30) for column in columns[:limit])
    return f"{shown} and {len(columns) - limit} more" if len(columns) > limit else shown


def _unknown_columns(
    source: Source, rows: list[dict[str, Any]], columns: tuple[str, ...], *, wanted: tuple[str, ...]
) -> Problem:
    message = f"columns fit no known format: found {_listed(columns)}"
    if wanted:
        roles = ", ".join(role.name for role in BY_NAME[wanted[0]].roles if role.required)
        return _problem(
            source,
            f"{message}; {wanted[0]} needs {roles}",
            """name the columns: --set 'data.mapping={ROLE="COLUMN"}'""",
        )
    if source.container == "csv" and _looks_headless(rows, columns):
        hint = "put the column names into the first line, e.g. text,label"
        return _problem(
            source, f"the first line ({_listed(columns, 3)}) looks like data: a header line is missing", hint
        )
    expected = "; ".join(
        f"{format.name}: " + " + ".join(role.columns[0] for role in format.roles if role.required)
        for format in FORMATS
        if format.name in {"openai", "alpaca", "prompt-completion", "text", "classification", "preference"}
    )
    nested = [c for c in columns if any(isinstance(row.get(c), list | dict) for row in rows)]
    hint = f"expected one of {expected}. Or map them: {_MAP_HINT}"
    if nested and "." not in "".join(columns):
        hint += f" (inside {clean_line(nested[0], 30)}: a dotted path such as {clean_line(nested[0], 30)}.0.output)"
    return _problem(source, message, hint)


def _looks_headless(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> bool:
    """A 'header' cell that comes back as a value, or that differs from the values below it only in digits."""

    def shape(text: str) -> str:
        return "".join("0" if char.isdigit() else char for char in text)

    return any(
        any(
            str(row.get(column)) == column
            or (shape(str(row.get(column))) == shape(column) and any(map(str.isdigit, column)))
            for row in rows
        )
        for column in columns
    )
