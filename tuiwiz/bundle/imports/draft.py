"""A bundle while it is being imported, and what became of every key of the other tool's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem
from tuiwiz.base.text import clean_line
from tuiwiz.bundle.convert import to_bundle
from tuiwiz.spec.bundle import Bundle
from tuiwiz.spec.keys import default_of, unflatten

Fate = Literal["carried", "converted", "not carried"]
MOST_ROUNDS = 20
"""Values that may have to be taken back because they do not go together."""
NO_COUNTERPART = "tuiwiz has no counterpart"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one key. `key` is the bundle's, empty where there is none; `how` says how or why not."""

    source: str
    fate: Fate
    key: str = ""
    value: Any = None
    how: str = ""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The result: the tool that the configuration is for, the bundle, and the fate of every key."""

    tool: str
    bundle: Bundle
    lines: tuple[Line, ...]
    problems: tuple[Problem, ...] = ()


class Draft:
    """Takes keys out of the other tool's values one by one; what is left at the end is reported as not carried."""

    def __init__(self, tool: str, given: Mapping[str, Any], renamed: Mapping[str, str] | None = None) -> None:
        """`renamed`: the tool's name of a key -> the name under which it is taken here; the report keeps the tool's."""
        self.tool = tool
        names = renamed or {}
        self._own: dict[str, str] = {}
        self.left: dict[str, Any] = {}
        lost: list[tuple[str, Any]] = []
        for name, value in given.items():
            here = names.get(name, name)
            if here in self.left and (here != name or self._own.get(here, here) == name):
                lost.append((name, value))
                continue
            if here in self.left:
                lost.append((self._own.pop(here), self.left[here]))
            self.left[here] = value
            if here != name:
                self._own[here] = name
        self._taken: dict[str, Any] = {}
        self.values: dict[str, Any] = {}
        self.lines: list[Line] = []
        for name, value in lost:
            here = names.get(name, name)
            self.drop(name, value, f"{self._own.get(here, here)} says it")

    def has(self, name: str) -> bool:
        return self.left.get(name) is not None

    def peek(self, name: str, default: Any = None) -> Any:
        value = self.left.get(name)
        return default if value is None else value

    def take(self, name: str, default: Any = None) -> Any:
        value = self.left.pop(name, None)
        if value is not None:
            self._taken.setdefault(name, value)
        return default if value is None else value

    def number(self, name: str, default: float | None = None) -> float | None:
        """Take a number; texts such as `2e-4` and `2.0e-4` are numbers, too."""
        value = self.take(name)
        try:
            found = None if value is None or isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            self.drop(name, value, "it is no number")
            found = None
        return default if found is None else found

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.take(name)
        return default if value is None else str(value).lower() in ("true", "1", "yes", "on")

    def set(self, key: str, value: Any, source: str, how: str = "") -> None:
        """Decide a bundle key; with `how` it was converted."""
        self.lines = [
            msgspec.structs.replace(line, fate="not carried", key="", how=f"{source} decides {key}")
            if line.key == key
            else line
            for line in self.lines
        ]
        self.values[key] = value
        fate: Fate = "converted" if how else "carried"
        self.lines.append(Line(source=source, fate=fate, key=key, value=value, how=how))

    def carry(self, name: str, key: str, kind: type = float) -> bool:
        """Take a key as it is, if it is there."""
        if not self.has(name):
            return False
        value = self.number(name) if kind in (int, float) else self.take(name)
        if value is None:
            return False
        self.set(key, int(value) if kind is int else kind(value), name)
        return True

    def drop(self, source: str, value: Any, why: str) -> None:
        self.lines.append(Line(source=source, fate="not carried", value=_short(value), how=why))

    def done(self, reasons: Mapping[str, str]) -> Imported:
        """Report what is left with `reasons` (by key, or by a pattern with `*`) and build the bundle.

        Raises:
            InvalidError: what was carried is no bundle.
        """
        if self.values.get("adapter.method") in ("full", "freeze"):
            reasons = {**dict.fromkeys(("lora_*", "peft_*", "target_modules"), "no adapters are trained"), **reasons}
        for name, value in self.left.items():
            self.drop(name, value, _reason(name, reasons))
        self.left = {}
        told = {part for line in self.lines for part in line.source.split(", ")}
        for name, value in self._taken.items():
            if name not in told and str(value).lower() in ("false", "0", "0.0", "", "no", "none"):
                self.drop(name, value, "it is off")
            elif name not in told:
                how = "it decided how others are read"
                self.lines.append(Line(source=name, fate="converted", value=_short(value), how=how))
        problems: list[Problem] = []
        for _ in range(MOST_ROUNDS):
            bundle, problems = to_bundle(self._tree())
            errors = [problem for problem in problems if problem.severity == "error"]
            if bundle is not None and not errors:
                lines = tuple(msgspec.structs.replace(line, source=self._shown(line.source)) for line in self.lines)
                return Imported(tool=self.tool, bundle=bundle, lines=lines, problems=tuple(problems))
            if not any(self._take_back(problem) for problem in errors):
                break
        raise InvalidError(f"this {self.tool} configuration makes no bundle", problems=problems)

    def _shown(self, source: str) -> str:
        return ", ".join(self._own.get(part, part) for part in source.split(", "))

    def _tree(self) -> dict[str, Any]:
        tree = unflatten(self.values)
        tree["origin"] = dict.fromkeys((key for key in self.values if "." in key), f"imported from {self.tool}")
        return tree

    def _take_back(self, problem: Problem) -> bool:
        """Leave out a value that does not go with the others, and say so."""
        key = problem.key
        if key not in self.values or key in ("task.kind", "model.source", "data.train"):
            return False
        value = self.values.pop(key)
        before = [line for line in self.lines if line.key == key]
        self.lines = [line for line in self.lines if line.key != key]
        source = before[-1].source if before else key
        why = f"{problem.message}: the default {default_of(key)!r} stands"
        self.lines.append(Line(source=source, fate="not carried", value=_short(value), how=clean_line(why, 300)))
        return True


def _reason(name: str, reasons: Mapping[str, str]) -> str:
    if name in reasons:
        return reasons[name]
    for pattern, why in reasons.items():
        if "*" in pattern and fnmatchcase(name, pattern):
            return why
    return NO_COUNTERPART


def _short(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) or value is None else clean_line(str(value), 120)
