"""Edits: `section.key=VALUE` as typed on the command line, and the same from the wizard and the doctor."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from tuiwiz.base.errors import InvalidError, UsageError
from tuiwiz.base.problems import nearest
from tuiwiz.bundle.convert import to_bundle
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import all_keys, flatten, plain, unflatten

ALTERNATIVES: dict[str, str] = {
    "schedule.epochs": "schedule.steps",
    "schedule.steps": "schedule.epochs",
    "validation.path": "validation.fraction",
    "validation.fraction": "validation.path",
    "batch.micro": "batch.micro_tokens",
    "batch.micro_tokens": "batch.micro",
}
"""Setting the one removes the other."""


def parse_set(text: str) -> tuple[str, Any]:
    """`section.key=VALUE` as key and value; VALUE is TOML, else a bare string; empty means unset (None).

    Raises:
        UsageError: no `=`, or a key that does not exist.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals:
        raise UsageError(f"--set {text!r} has no value", hint="write section.key=VALUE")
    if key not in all_keys() or key == "format":
        close = nearest(key, all_keys())
        raise UsageError(f"--set names an unknown key {key!r}", hint=f"did you mean {close}?" if close else "")
    return key, parse_value(value)


def parse_value(text: str) -> Any:
    """A value as typed: TOML where it is TOML, else the text itself; None when empty."""
    text = text.strip()
    if not text:
        return None
    try:
        parsed = tomllib.loads(f"x = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["x"] if set(parsed) == {"x"} else text


def fixes_length(phases: Any) -> bool:
    """Whether phases say in steps how long they are: the run's own length has no place beside them."""
    tables = phases if isinstance(phases, list | tuple) else ()
    return any(isinstance(phase, Mapping) and phase.get("steps") is not None for phase in tables)


def change(bundle: Bundle, edits: Mapping[str, Any], *, by: str = "user") -> Bundle:
    """The bundle with `edits` applied (dotted key -> value, None = unset) and their origin recorded.

    Raises:
        InvalidError: with every problem that the changed bundle has.
    """
    flat = flatten(bundle)
    origin = dict(bundle.origin)
    for key, value in edits.items():
        flat[key] = value
        origin[key] = by
        other = ALTERNATIVES.get(key)
        if value is not None and other is not None and other not in edits:
            flat[other] = None
            origin.pop(other, None)
        if value is None:
            origin.pop(key, None)
    if fixes_length(edits.get("phases")):
        for key in {"schedule.epochs", "schedule.steps"} - set(edits):
            flat[key] = None
            origin.pop(key, None)
    # An accumulation that the edits did not ask for follows from the batch and the micro-batch.
    if {"batch.effective", "batch.micro", "batch.micro_tokens"} & set(edits) and "batch.accumulation" not in edits:
        flat["batch.accumulation"] = None
    tree = unflatten(flat)
    tree["origin"] = origin
    # A lock speaks of the files that it was made with: other files, no lock.
    if bundle.lock is not None and not set(edits) & {"data.train", "validation.path", "model.source", "model.revision"}:
        tree["lock"] = plain(bundle.lock)
    changed, problems = to_bundle(tree)
    errors = [problem for problem in problems if problem.severity == "error"]
    if changed is None or errors:
        raise InvalidError(errors[0].message, hint=errors[0].hint, problems=errors)
    return changed


def apply_sets(bundle: Bundle, sets: Iterable[str]) -> Bundle:
    """`change` with edits as typed: `["optimizer.learning_rate=1e-4"]`."""
    edits = dict(parse_set(text) for text in sets)
    return change(bundle, edits) if edits else bundle
