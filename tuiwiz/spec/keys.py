"""A bundle as a flat mapping of dotted keys to plain values, and back: the form in which presets, `--set`, the
wizard and diffs speak of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import msgspec

from tuiwiz.spec.bundle import SECTIONS, Bundle

Plain = str | int | float | bool | list[Any] | dict[str, Any] | None

TOP_LEVEL = ("name", "format", "seed")


@cache
def _fields(owner: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a struct, worked out once: doing so evaluates every annotation anew."""
    return msgspec.structs.fields(owner)


_TYPES: dict[str, type[msgspec.Struct]] = {
    field.name: field.type for field in _fields(Bundle) if field.name in SECTIONS
}


def section_keys(section: str) -> tuple[str, ...]:
    """The keys of one section as they are written in a file, in order."""
    return tuple(field.encode_name for field in _fields(_TYPES[section]))


@cache
def all_keys() -> tuple[str, ...]:
    """Every dotted key of a bundle that holds a value, in the order of the file (`phases` is one key)."""
    keys = list(TOP_LEVEL)
    for section in SECTIONS:
        keys += [f"{section}.{key}" for key in section_keys(section)]
    return (*keys, "phases")


def default_of(key: str) -> Plain:
    """The value of a key that a bundle leaves out; None for a required key."""
    owner: type[msgspec.Struct] = Bundle
    name = key
    if "." in key:
        section, name = key.split(".", 1)
        owner = _TYPES[section]
    for field in _fields(owner):
        if field.encode_name == name:
            if field.default is not msgspec.NODEFAULT:
                return cast(Plain, plain(field.default))
            if field.default_factory is not msgspec.NODEFAULT:
                return cast(Plain, plain(field.default_factory()))
            return None
    raise KeyError(key)


def type_of(key: str) -> Any:
    """The declared type of a dotted key's value."""
    owner: type[msgspec.Struct] = Bundle
    name = key
    if "." in key:
        section, name = key.split(".", 1)
        owner = _TYPES[section]
    for field in _fields(owner):
        if field.encode_name == name:
            return field.type
    raise KeyError(key)


def plain(value: Any) -> Any:
    """`value` as TOML and JSON know it: structs become tables, tuples lists."""
    return _lists(msgspec.to_builtins(value))


def _lists(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return value


def flatten(bundle: Bundle) -> dict[str, Plain]:
    """All values by dotted key, defaults included, without `origin` and `lock`."""
    tree = plain(bundle)
    flat: dict[str, Plain] = {key: tree[key] for key in TOP_LEVEL}
    for section in SECTIONS:
        for key in section_keys(section):
            flat[f"{section}.{key}"] = tree[section][key]
    flat["phases"] = tree["phases"]
    return flat


def unflatten(flat: Mapping[str, Plain]) -> dict[str, Any]:
    """The nested table of a flat mapping; keys whose value is None are left out."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        if value is None:
            continue
        section, _, name = key.rpartition(".")
        if section:
            tree.setdefault(section, {})[name] = value
        else:
            tree[name] = value
    return tree
