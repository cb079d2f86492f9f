"""Conditions of presets and their cases: for which task, model band, method, number of rows and memory they speak."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from tuiwiz.base.problems import nearest
from tuiwiz.base.units import GIB, gib, parse_bytes
from tuiwiz.presets.bands import BAND_NAMES, band_words
from tuiwiz.spec.fields import choices

KEYS = ("task", "band", "method", "rows", "memory")
MOST_ITEMS = 32

_COMPARISON = re.compile(r"^\s*(<|>=)\s*(.+?)\s*$")
_SPAN = re.compile(r"^\s*(.+?)\s*\.\.\s*(.+?)\s*$")


class Interval(msgspec.Struct, frozen=True):
    """`low <= x < high`."""

    low: float
    high: float


class When(msgspec.Struct, frozen=True, kw_only=True):
    """All conditions must hold; each holds when one of its items does; an empty one always holds.

    `rows` are training rows, `memory` the device's bytes.
    """

    task: tuple[str, ...] = ()
    band: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    rows: tuple[Interval, ...] = ()
    memory: tuple[Interval, ...] = ()

    @property
    def count(self) -> int:
        """How many conditions there are: the more, the more special."""
        return sum(bool(getattr(self, key)) for key in KEYS)


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a preset is wanted for; None is "not known". `device` is `cuda` or `cpu`, `parameters` those of the model,
    `longest` the tokens of the longest row."""

    task: str
    method: str
    band: str | None = None
    rows: int | None = None
    memory_bytes: int | None = None
    device: str | None = None
    parameters: float | None = None
    longest: int | None = None


def holds(when: When, context: Context) -> bool | None:
    """Whether all conditions hold; None when none fails but one depends on something unknown."""
    answers = [_named(when.task, context.task), _named(when.band, context.band), _named(when.method, context.method)]
    answers += [_within(when.rows, context.rows), _within(when.memory, context.memory_bytes)]
    if False in answers:
        return False
    return None if None in answers else True


def overlay(parent: When, child: When) -> When:
    """The conditions of a preset that extends another: its own, and the parent's where it has none."""
    return When(**{key: getattr(child, key) or getattr(parent, key) for key in KEYS})


def words(when: When) -> str:
    """`chat; 4.5-10B; qlora or lora; fewer than 5,000 rows`; `always` without conditions."""
    parts = [" or ".join(when.task), " or ".join(band_words(name) for name in when.band), " or ".join(when.method)]
    parts.append(" or ".join(_interval_words(one, "rows") for one in when.rows))
    parts.append(" or ".join(_interval_words(one, "memory") for one in when.memory))
    return "; ".join(part for part in parts if part) or "always"


def read_when(table: Any) -> tuple[When, list[tuple[str, str, str]]]:
    """Conditions from a TOML table, with problems as (key, message, hint)."""
    if not isinstance(table, dict):
        return When(), [("", "when must be a table", 'e.g. [when] task = "chat"')]
    found: dict[str, tuple[Any, ...]] = {}
    problems: list[tuple[str, str, str]] = []
    for key, value in table.items():
        if key not in KEYS:
            close = nearest(key, KEYS)
            problems.append((key, f"unknown condition {key}", f"did you mean {close}?" if close else _one_of(KEYS)))
            continue
        items = value if isinstance(value, list) else [value]
        if not items or len(items) > MOST_ITEMS:
            problems.append((key, f"{key} needs 1 to {MOST_ITEMS} items", ""))
            continue
        good = []
        for item in items:
            read, message, hint = _item(key, item)
            if message:
                problems.append((key, message, hint))
            else:
                good.append(read)
        found[key] = tuple(good)
    return When(**found), problems


def _named(allowed: tuple[str, ...], value: str | None) -> bool | None:
    if not allowed:
        return True
    return None if value is None else value in allowed


def _within(allowed: tuple[Interval, ...], value: float | None) -> bool | None:
    if not allowed:
        return True
    return None if value is None else any(one.low <= value < one.high for one in allowed)


def _item(key: str, item: Any) -> tuple[Any, str, str]:
    """One item of a condition as (value, problem, hint)."""
    if key in ("rows", "memory"):
        interval = _interval(item, key) if isinstance(item, str) else None
        unit = "5000" if key == "rows" else "24GiB"
        hint = f'write "<{unit}", ">={unit}" or "{unit}..{unit}"'
        return (interval, "", "") if interval else (None, f"{item!r} is no range of {key}", hint)
    known = BAND_NAMES if key == "band" else tuple(str(c) for c in choices(_CHOICES_OF[key]))
    if item in known:
        return item, "", ""
    close = nearest(str(item), known)
    return None, f"unknown {key} {item!r}", f"did you mean {close}?" if close else _one_of(known)


_CHOICES_OF = {"task": "task.kind", "method": "adapter.method"}


def _interval(text: str, key: str) -> Interval | None:
    comparison, span = _COMPARISON.match(text), _SPAN.match(text)
    if comparison:
        bound = _number(comparison[2], key)
        if bound is None:
            return None
        return Interval(0.0, bound) if comparison[1] == "<" else Interval(bound, math.inf)
    if span:
        low, high = _number(span[1], key), _number(span[2], key)
        return Interval(low, high) if low is not None and high is not None and low < high else None
    return None


def _number(text: str, key: str) -> float | None:
    if key == "memory":
        size = parse_bytes(text)
        return None if size is None else float(size)
    plain = text.replace("_", "").replace(",", "")
    return float(plain) if plain.isdigit() and len(plain) <= 15 else None


def _interval_words(one: Interval, key: str) -> str:
    def shown(value: float) -> str:
        return gib(value, 0 if value % GIB == 0 else 1) if key == "memory" else f"{value:,.0f}"

    unit = " of memory" if key == "memory" else " rows"
    if one.high == math.inf:
        return f"{shown(one.low)}{unit} or more"
    if one.low == 0:
        return f"{'less' if key == 'memory' else 'fewer'} than {shown(one.high)}{unit}"
    return f"{shown(one.low)} to {shown(one.high)}{unit}"


def _one_of(known: tuple[str, ...]) -> str:
    return f"one of {', '.join(known)}"
