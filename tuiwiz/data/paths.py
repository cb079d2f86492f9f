"""Columns named by a plain name, a dotted path into nested values, or a template such as `{instruction}\\n{input}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

_FIELD = re.compile(r"\{([^{}]+)\}")
MISSING: Any = object()
"""What a getter returns when the row has no such value."""


def is_path_or_template(target: str, columns: Sequence[str]) -> bool:
    """True when `target` can be read from rows with these columns as a dotted path or a template."""
    fields = _FIELD.findall(target)
    if fields:
        return all(field.split(".", 1)[0] in columns for field in fields)
    return "." in target and target.split(".", 1)[0] in columns


def getter(target: str) -> Callable[[dict[str, Any]], Any]:
    """A function that reads `target` from a row, or returns MISSING."""
    if _FIELD.search(target):
        return lambda row: _fill(target, row)
    if "." in target:
        return lambda row: row[target] if target in row else _walk(target, row)
    return lambda row: row.get(target, MISSING)


def _walk(path: str, row: dict[str, Any]) -> Any:
    value: Any = row
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def _fill(template: str, row: dict[str, Any]) -> Any:
    """The template with its fields filled in; absent and null fields are empty, and MISSING when all of them are."""
    found = 0

    def value(match: re.Match[str]) -> str:
        nonlocal found
        field = row[match[1]] if match[1] in row else _walk(match[1], row)
        if field is MISSING or field is None:
            return ""
        found += 1
        return str(field)

    text = _FIELD.sub(value, template.replace("\\n", "\n")).strip()
    return text if found else MISSING
