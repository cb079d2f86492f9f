"""Writes bundles: stable order, one comment a key that says what it is and who decided it and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import tomli_w

from tuiwiz.base.text import clean_line
from tuiwiz.spec.bundle import SECTIONS, Bundle
from tuiwiz.spec.fields import FIELDS
from tuiwiz.spec.keys import default_of, flatten, plain, section_keys

LONGEST_COMMENT = 200
"""Characters of a comment; reasons beyond are cut, `tuiwiz presets why` prints them whole."""

LOCK_HEADING = "# What this bundle was made with; `tuiwiz run` compares."

_ONLY_WITH: dict[str, tuple[str, ...]] = {
    "quantization": ("qlora",),
    "adapter.rank": ("qlora", "lora"),
    "adapter.alpha": ("qlora", "lora"),
    "adapter.dropout": ("qlora", "lora"),
    "adapter.targets": ("qlora", "lora"),
    "adapter.variant": ("qlora", "lora"),
    "adapter.trainable": ("freeze",),
}
"""Keys that say nothing for other methods: left out there while they hold their default."""

_SELDOM = frozenset(
    {
        "data.mapping",
        "optimizer.nesterov",
        "optimizer.embedding_ratio",
        "optimizer.head_ratio",
        "schedule.cycles",
        "schedule.power",
        "schedule.decay",
        "schedule.plateau_factor",
        "schedule.plateau_patience",
        "adapter.rank_pattern",
        "adapter.modules_to_save",
        "adapter.train_tokens",
        "adapter.new_tokens",
        "adapter.loraplus_ratio",
        "evaluation.noise_aware",
        "memory.liger",
        "memory.compile",
        "memory.tf32",
    }
)
"""Keys that few runs set: left out while they hold their default."""

_QUIET_SECTIONS = ("objective", "tracking", "launch", "regularization")
"""Sections that are left out as a whole while every key holds its default."""


def write_bundle(bundle: Bundle, *, why: Mapping[str, str] | None = None, heading: str = "") -> str:
    """The bundle as TOML. The same bundle, reasons and heading give the same bytes; reading it back gives `bundle`.

    Args:
        why: dotted key -> reason, put into the key's comment.
        heading: lines for the top of the file.
    """
    reasons = why or {}
    flat = flatten(bundle)
    lines = [f"# {clean_line(line)}".rstrip() for line in heading.splitlines()]
    if lines:
        lines.append("")
    for key in ("name", "format", "seed"):
        lines += _entry(key, key, flat[key], bundle, reasons)
    for section in SECTIONS:
        body: list[str] = []
        for name in section_keys(section):
            key = f"{section}.{name}"
            if flat[key] is not None and not _left_out(key, section, flat, bundle):
                body += _entry(key, name, flat[key], bundle, reasons)
        if body:
            lines += ["", f"[{section}]", *body]
    for phase in plain(bundle.phases):
        lines += ["", "[[phases]]"]
        lines += [_value(name, value) for name, value in phase.items() if value is not None]
    for one in plain(bundle.adjustments):
        lines += ["", "[[adjustments]]", *(_value(name, value) for name, value in one.items())]
    if bundle.origin:
        lines += ["", "# Who decided each value.", "[origin]"]
        lines += [f'"{key}" = {_literal(clean_line(bundle.origin[key]))}' for key in sorted(bundle.origin)]
    if bundle.lock is not None:
        lines += ["", LOCK_HEADING]
        lines.append(tomli_w.dumps({"lock": plain(bundle.lock)}).rstrip())
    return "\n".join(lines) + "\n"


def _left_out(key: str, section: str, flat: Mapping[str, Any], bundle: Bundle) -> bool:
    if flat[key] != default_of(key):
        return False
    if key in bundle.origin and bundle.origin[key] == "user":
        return False
    methods = _ONLY_WITH.get(key) or _ONLY_WITH.get(section)
    if methods and bundle.adapter.method not in methods:
        return True
    if key in _SELDOM:
        return True
    if section in _QUIET_SECTIONS:
        return all(flat[f"{section}.{name}"] == default_of(f"{section}.{name}") for name in section_keys(section))
    return False


def _entry(key: str, name: str, value: Any, bundle: Bundle, why: Mapping[str, str]) -> list[str]:
    field = FIELDS[key]
    comment = field.help + (f" ({field.unit})" if field.unit and field.unit not in field.help else "") + "."
    who = bundle.origin.get(key, "")
    reason = why.get(key, "")
    if who or reason:
        comment += f" {who or 'set'}: {reason}" if reason else f" Decided by: {who}."
    return [f"# {clean_line(comment, LONGEST_COMMENT)}", _value(name, value)]


def _value(name: str, value: Any) -> str:
    return f"{name} = {_literal(value)}"


def _literal(value: Any) -> str:
    """A TOML value on one line."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_bare(key)} = {_literal(item)}" for key, item in value.items() if item is not None)
        return "{" + inner + "}" if inner else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    return tomli_w.dumps({"x": value})[len("x = ") :].rstrip("\n")


def _bare(key: str) -> str:
    return tomli_w.dumps({key: 0})[: -len(" = 0\n")]


def bundle_json(bundle: Bundle) -> bytes:
    """Canonical JSON of a bundle: sorted keys, no white space."""
    return msgspec.json.encode(plain(bundle), order="sorted")
