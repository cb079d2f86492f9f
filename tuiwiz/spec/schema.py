"""JSON Schema of the bundle and explanations of single keys, both made from the structs and `fields.FIELDS`."""

from __future__ import annotations

from typing import Any

import msgspec

from tuiwiz.base.errors import UsageError
from tuiwiz.base.problems import nearest
from tuiwiz.spec.bundle import SECTIONS, Bundle
from tuiwiz.spec.explanations import EXPLANATIONS
from tuiwiz.spec.fields import FIELDS, Field, choices
from tuiwiz.spec.keys import TOP_LEVEL, all_keys, default_of, plain, section_keys
from tuiwiz.spec.rules import AVAILABLE, available

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema that editors use for completion: types, choices, bounds and help of every key."""
    (_, components) = msgspec.json.schema_components([Bundle], ref_template="#/$defs/{name}")
    root = components.pop("Bundle")
    for key in TOP_LEVEL:
        _describe(root["properties"][key], key)
    for section in SECTIONS:
        definition = components[section.capitalize()]
        for name in section_keys(section):
            _describe(definition["properties"][name], f"{section}.{name}")
    return plain({"$schema": DIALECT, "title": "tuiwiz bundle", **root, "$defs": components})  # type: ignore[no-any-return]


def explain_key(key: str) -> dict[str, Any]:
    """Meaning, unit, bounds, choices, default, and what happens when the value is too high or too low.

    Raises:
        UsageError: there is no such key.
    """
    if key not in FIELDS:
        close = nearest(key, all_keys())
        raise UsageError(f"unknown key {key}", hint=f"did you mean {close}?" if close else "`tuiwiz schema` lists all")
    field, more = FIELDS[key], EXPLANATIONS[key]
    words = list(available(key)) if choices(key) else []
    when = {**more.words, **field.words}
    return {
        "key": key,
        "meaning": field.help,
        "unit": field.unit or more.unit,
        "default": plain(default_of(key)),
        "choices": words,
        "bounds": _bounds(field),
        "too low": field.too_low or more.low,
        "too high": field.too_high or more.high,
        "source": field.source or more.source,
        "when": [f"{word}: {text}" for word, text in when.items() if not words or word in map(str, words)],
        "note": "" if words or key not in AVAILABLE else "not available in this version beyond its default",
    }


def _bounds(field: Field) -> str:
    parts = [
        f"at least {field.least:g}" if field.least is not None else "",
        f"above {field.above:g}" if field.above is not None else "",
        f"at most {field.most:g}" if field.most is not None else "",
        f"below {field.below:g}" if field.below is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _describe(schema: dict[str, Any], key: str) -> None:
    field = FIELDS[key]
    schema["description"] = field.help + (f" [{field.unit}]" if field.unit else "")
    bounds = {
        "minimum": field.least,
        "exclusiveMinimum": field.above,
        "maximum": field.most,
        "exclusiveMaximum": field.below,
    }
    schema.update({name: value for name, value in bounds.items() if value is not None})
