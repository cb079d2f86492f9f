"""Plain values into a typed bundle, collecting every problem instead of stopping at the first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tuiwiz.base.problems import Problem, nearest
from tuiwiz.spec.bundle import FORMAT, SECTIONS, Adjustment, Bundle, Lock
from tuiwiz.spec.fields import FIELDS, choices
from tuiwiz.spec.keys import TOP_LEVEL, all_keys, default_of, section_keys, type_of
from tuiwiz.spec.optimizer import Phase
from tuiwiz.spec.rules import check

REQUIRED = {
    "task.kind": 'say what is learnt, e.g. [task] kind = "instruct"',
    "model.source": 'say which model, e.g. [model] source = "smollm2-135m-instruct"',
    "data.train": 'say which data, e.g. [data] train = "train.jsonl"',
}

MOST_VALUES, MOST_DEEP, MOST_GUESSES = 20_000, 16, 50
"""Values of a bundle, tables in each other, and unknown keys for which a known one is suggested."""
_EXPECTED = re.compile(r"^Expected `(?P<wanted>[^`]+)`(?:, got `(?P<got>[^`]+)`)?")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


def to_bundle(tree: Mapping[str, Any]) -> tuple[Bundle | None, list[Problem]]:
    """The bundle that a nested table describes, and all its problems.

    The bundle is None when any single value is wrong; rules between fields are checked only when all values are fine.
    """
    problems: list[Problem] = [*_shape_problems(tree), *_format_problems(tree)]
    if problems:
        return None, problems
    good: dict[str, Any] = {}
    for key, value in tree.items():
        if key in TOP_LEVEL:
            problems += value_problems(key, value)
            good[key] = value
        elif key in SECTIONS:
            problems += _section_problems(key, value)
            good[key] = value
        elif key == "phases":
            problems += _phase_problems(value)
            good[key] = value
        elif key == "origin":
            good[key] = _origin(value, problems)
        elif key == "lock":
            problems += _typed_problems("lock", value, Lock)
            good[key] = value
        elif key == "adjustments":
            problems += _typed_problems("adjustments", value, tuple[Adjustment, ...])
            good[key] = value
        else:
            problems.append(_unknown(key, len(problems)))
    for key, hint in REQUIRED.items():
        section, name = key.split(".")
        table = tree.get(section, {})
        if isinstance(table, Mapping) and name not in table:
            problems.append(Problem(message=f"{key} is missing", key=key, hint=hint))
    if any(problem.severity == "error" for problem in problems):
        return None, problems
    bundle = msgspec.convert(good, Bundle)
    return bundle, [*problems, *check(bundle)]


def value_problems(key: str, value: Any) -> list[Problem]:
    """What is wrong with one value by itself: unknown key, type, choice, bounds. Used while typing, too."""
    if key not in FIELDS:
        return [_unknown(key)]
    if key == "phases":
        return _phase_problems(value)
    options = choices(key)
    if options and isinstance(value, str | int) and not isinstance(value, bool) and value not in options:
        hint = nearest(str(value), [str(option) for option in options])
        listed = ", ".join(str(option) for option in options)
        return [
            Problem(
                message=f"{key} cannot be {value!r}",
                key=key,
                hint=f"did you mean {hint!r}? (one of {listed})" if hint else f"one of {listed}",
            )
        ]
    problems = _typed_problems(key, value, type_of(key))
    if problems:
        return problems
    field = FIELDS[key]
    for number in value if isinstance(value, list | tuple) else [value]:
        if isinstance(number, int | float) and not isinstance(number, bool):
            reason = field.out_of_bounds(number)
            if reason:
                problems.append(Problem(message=f"{key} = {number:g} {reason}", key=key, hint=field.help))
                break
    return problems


def _shape_problems(tree: Mapping[str, Any]) -> list[Problem]:
    """Tables that only somebody writes who wants to keep this program busy."""
    values, level, depth = 0, [tree], 0
    while level:
        depth += 1
        below: list[Any] = []
        for table in level:
            inner = table.values() if isinstance(table, Mapping) else table
            values += len(table)
            if any(isinstance(one, int) and one.bit_length() > 63 for one in inner):
                return [Problem(message="a number is larger than TOML's 64 bits")]
            below += [one for one in inner if isinstance(one, Mapping | list | tuple)]
        if values > MOST_VALUES:
            return [Problem(message=f"more than {MOST_VALUES:,} values: this is no bundle")]
        if depth > MOST_DEEP:
            return [Problem(message="nested too deeply")]
        level = below
    return []


def _format_problems(tree: Mapping[str, Any]) -> list[Problem]:
    given = tree.get("format", FORMAT)
    if not isinstance(given, int) or isinstance(given, bool):
        return [Problem(message="format must be a whole number", key="format", hint=f"this version writes {FORMAT}")]
    if given > FORMAT:
        return [
            Problem(
                message=f"this bundle has format {given}; this version of tuiwiz reads up to format {FORMAT}",
                key="format",
                hint="install a newer tuiwiz: pip install --upgrade tuiwiz",
            )
        ]
    if given < 1:
        return [Problem(message=f"there is no format {given}", key="format", hint=f"this version writes {FORMAT}")]
    return []


def _section_problems(section: str, table: Any) -> list[Problem]:
    if not isinstance(table, Mapping):
        return [Problem(message=f"{section} must be a table", key=section, hint=f"write [{section}] and keys below it")]
    problems: list[Problem] = []
    known = section_keys(section)
    for name, value in table.items():
        key = f"{section}.{name}"
        problems += value_problems(key, value) if name in known else [_unknown(key, len(problems))]
    return problems


def _phase_problems(value: Any) -> list[Problem]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        return [Problem(message="phases must be tables", key="phases", hint="write [[phases]]")]
    known = [field.encode_name for field in msgspec.structs.fields(Phase)]
    problems: list[Problem] = []
    for item in value:
        strange = [name for name in item if name not in known]
        for name in strange:
            close = nearest(name, known)
            hint = f"did you mean {close}?" if close else f"one of {', '.join(known)}"
            problems.append(Problem(message=f"unknown key phases.{name}", key=f"phases.{name}", hint=hint))
        kinds = choices("schedule.kind")
        if (kind := item.get("schedule")) is not None and kind not in kinds:
            close = nearest(str(kind), [str(one) for one in kinds])
            hint = f"did you mean {close}?" if close else f"one of {', '.join(map(str, kinds))}"
            problems.append(Problem(message=f"a phase's schedule cannot be {kind!r}", key="phases.schedule", hint=hint))
        elif not strange:
            problems += _typed_problems("phases", item, Phase)
    return problems


def _origin(value: Any, problems: list[Problem]) -> dict[str, str]:
    """`[origin]` as a flat mapping; TOML may hold its dotted keys as nested tables."""
    flat: dict[str, str] = {}

    def walk(prefix: str, table: Any) -> None:
        if isinstance(table, Mapping):
            for name, inner in table.items():
                walk(f"{prefix}.{name}" if prefix else name, inner)
        elif isinstance(table, str) and prefix:
            flat[prefix] = table
        else:
            problems.append(Problem(message=f"origin.{prefix} must be a text", key=f"origin.{prefix}".rstrip(".")))

    walk("", value)
    return flat


def _typed_problems(key: str, value: Any, kind: Any) -> list[Problem]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return [Problem(message=f"{key}: {_in_words(str(error))}", key=key, hint=_example(key))]
    return []


def _in_words(message: str) -> str:
    """msgspec's type error in a user's words."""
    match = _EXPECTED.match(message)
    if match is None:
        return message.partition(" - at ")[0].lower()
    wanted = " or ".join(
        _WORDS.get(word.strip(), word.strip()) for word in match["wanted"].split("|") if word.strip() != "null"
    )
    got = match["got"]
    return f"expected {wanted}" + (f", got {_WORDS.get(got, got)}" if got else "")


def _example(key: str) -> str:
    if key not in FIELDS:
        return ""
    default = default_of(key)
    return (
        FIELDS[key].help if default is None else f"{FIELDS[key].help} (default {msgspec.json.encode(default).decode()})"
    )


def _unknown(key: str, before: int = 0) -> Problem:
    """`before`: problems that are known already; after many of them nobody is helped by another guess."""
    close = nearest(key, [*all_keys(), *SECTIONS]) if before < MOST_GUESSES else ""
    return Problem(
        message=f"unknown key {key}",
        key=key,
        hint=f"did you mean {close}?" if close else "`tuiwiz schema` lists all keys",
    )
