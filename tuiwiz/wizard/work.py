"""The values of a bundle while they are being decided, and the one rule between deciders: the user's word stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tuiwiz.base.problems import Problem, Problems
from tuiwiz.base.units import human_number
from tuiwiz.bundle.change import ALTERNATIVES, fixes_length
from tuiwiz.bundle.convert import value_problems
from tuiwiz.spec.fields import FIELDS
from tuiwiz.spec.keys import all_keys, default_of

DEFAULT, USER, PLANNER, DATA = "default", "user", "planner", "data"


class Work:
    """Dotted key -> value, who decided it and why. Deciders come in order; `put` passes over what the user set."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {key: default_of(key) for key in all_keys()}
        self.origin: dict[str, str] = dict.fromkeys(self.values, DEFAULT)
        self.why: dict[str, str] = {}
        self.problems = Problems()
        self._user: set[str] = set()

    def put(self, key: str, value: Any, by: str, why: str = "") -> None:
        """Decide a key, unless the user did."""
        if key in self._user:
            return
        self.values[key] = value
        self.origin[key] = by
        if why:
            self.why[key] = why
        else:
            self.why.pop(key, None)

    def set_by_user(self, edits: Mapping[str, Any]) -> None:
        """Take the user's values; one that is wrong by itself is reported and left as it was."""
        for key, value in edits.items():
            if key == "format" or key not in FIELDS:
                self.problems.extend(value_problems(key, value) or [Problem(message=f"{key} cannot be set", key=key)])
                continue
            found = [] if value is None else value_problems(key, value)
            self.problems.extend(found)
            if found:
                continue
            before, reason = self.values[key], self.why.get(key, "")
            self.values[key] = default_of(key) if value is None else value
            self.origin[key] = USER
            self.why[key] = _instead(before, reason) if before is not None and before != value else "your own choice"
            self._user.add(key)
            if key == "phases" and fixes_length(value):
                for length in {"schedule.epochs", "schedule.steps"} - set(edits):
                    self.values[length], self.origin[length] = None, USER
                    self._user.add(length)
            other = ALTERNATIVES.get(key)
            if other is not None and value is not None and other not in edits:
                self.values[other], self.origin[other] = None, USER
                self.why.pop(other, None)
                self._user.add(other)

    def is_users(self, key: str) -> bool:
        return key in self._user

    def warn(self, key: str, message: str, hint: str = "") -> None:
        self.problems.warning(message, key=key, hint=hint)


def _instead(before: Any, reason: str) -> str:
    return f"your own choice; without it {shown(before)}" + (f": {reason}" if reason else "")


def shown(value: Any) -> str:
    """A value as people write it: `2e-4`, `true`, `all-linear`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return human_number(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_quoted(item)}" for key, item in value.items() if item is not None) + "}"
    return str(value)


def brief(key: str, value: Any) -> str:
    """A value in a narrow list: of phases their names."""
    return ", ".join(str(phase["name"]) for phase in value) if key == "phases" else shown(value)


def _quoted(value: Any) -> str:
    """A value inside a table, as TOML has it, so that what is shown can be typed."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_quoted(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else shown(value)
