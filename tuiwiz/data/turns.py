"""Chat turns of any house style as turns that chat templates take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tuiwiz.base.text import clean_line
from tuiwiz.data.formats import SPEAKERS
from tuiwiz.data.types import Message


class RowError(Exception):
    """Why one row cannot be used. `column` is where to look."""

    def __init__(self, message: str, *, hint: str = "", column: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.column = column


def text_of(value: Any, column: str, *, empty: bool = False) -> str:
    """`value` as text.

    Raises:
        RowError: it is absent, null, another type, blank (unless `empty`), or holds half of a surrogate pair.
    """
    if type(value) is not str:
        if value is None:
            if empty:
                return ""
            raise RowError(f"`{column}` is null", hint="give it a text or remove the row", column=column)
        if not isinstance(value, str):
            raise RowError(_wrong_type(value, column), hint="write texts in quotes", column=column)
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            message = (
                f"`{column}` holds half of a surrogate pair (\\u{ord(value[error.start]):04x}), which is no character"
            )
            raise RowError(
                message, hint="the text was cut inside an emoji: repair or remove the row", column=column
            ) from None
    if not empty and (not value or value.isspace()):
        raise RowError(f"`{column}` is empty", hint="give it a text or remove the row", column=column)
    return str(value)


def _wrong_type(value: Any, column: str) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    kind = kinds.get(type(value), type(value).__name__)
    return f"`{column}` is {kind} ({clean_line(repr(value), 30)}), not text"


def openai_turns(turns: Any, column: str, names: Mapping[str, str]) -> tuple[list[Message], tuple[int, ...]]:
    """Turns with role and content, and the indexes of those whose `weight` is 0."""
    messages: list[Message] = []
    untrained: list[int] = []
    for i, turn in enumerate(_listed(turns, column)):
        if not isinstance(turn, dict) or "role" not in turn:
            raise RowError(f"turn {i + 1} of `{column}` has no role", hint="a turn is {role, content}", column=column)
        role = _speaker(turn["role"], i, column, names)
        calls = turn.get("tool_calls") or None
        content = _content(
            turn.get("content"), f"{column}[{i}].content", empty=role != "assistant" or calls is not None
        )
        message: Message = {"role": "assistant" if role == "call" else role, "content": content}
        if calls is not None:
            message["tool_calls"] = calls
        if isinstance(turn.get("name"), str):
            message["name"] = turn["name"]
        if turn.get("weight") == 0 and not isinstance(turn.get("weight"), bool):
            untrained.append(i)
        messages.append(message)
    return messages, tuple(untrained)


def sharegpt_turns(turns: Any, column: str, names: Mapping[str, str]) -> list[Message]:
    """Turns with from and value; a function_call turn becomes a tool call of the assistant."""
    messages: list[Message] = []
    for i, turn in enumerate(_listed(turns, column)):
        if not isinstance(turn, dict) or "from" not in turn:
            if isinstance(turn, dict) and "role" in turn:
                return openai_turns(turns, column, names)[0]
            raise RowError(f"turn {i + 1} of `{column}` has no from", hint="a turn is {from, value}", column=column)
        role = _speaker(turn["from"], i, column, names)
        value = text_of(turn.get("value"), f"{column}[{i}].value", empty=role not in {"assistant", "call"})
        if role == "call":
            messages.append({"role": "assistant", "content": value, "tool_calls": _calls(value)})
        else:
            messages.append({"role": role, "content": value})
    return messages


def _calls(value: str) -> list[dict[str, Any]] | None:
    """A function_call turn's JSON as tool calls; None when it is not JSON, and then the text stays what it is."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    calls = found if isinstance(found, list) else [found]
    if not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
        return None
    return [
        {"type": "function", "function": {"name": call["name"], "arguments": call.get("arguments", {})}}
        for call in calls
    ]


def _listed(turns: Any, column: str) -> list[Any]:
    if isinstance(turns, str):
        try:
            turns = json.loads(turns)  # CSV and Parquet files carry turns as JSON text
        except (ValueError, RecursionError):
            raise RowError(f"`{column}` is text, not a list of turns", column=column) from None
    if turns is None or not isinstance(turns, list):
        raise RowError(f"`{column}` is not a list of turns", column=column)
    if not turns:
        raise RowError(f"`{column}` has no turns", hint="remove the row", column=column)
    return turns


def _speaker(name: Any, i: int, column: str, names: Mapping[str, str]) -> str:
    if isinstance(name, str):
        known = names.get(name) or SPEAKERS.get(name) or SPEAKERS.get(name.casefold())
        if known:
            return known
    shown = clean_line(str(name), 30)
    hint = f"""say who that is (assistant, user, system, tool): --set 'data.mapping={{"role.{shown}"="assistant"}}'"""
    raise RowError(f"turn {i + 1} has an unknown role '{shown}'", hint=hint, column=column)


def _content(content: Any, column: str, *, empty: bool) -> str:
    if isinstance(content, list):
        parts = []
        for part in content:
            if isinstance(part, str):
                parts.append(part)
            elif isinstance(part, dict) and isinstance(part.get("text"), str):
                parts.append(part["text"])
            else:
                kind = clean_line(str(part.get("type")) if isinstance(part, dict) else type(part).__name__, 30)
                raise RowError(
                    f"`{column}` holds a part of type {kind}", hint="only text can be trained", column=column
                )
        content = "".join(parts)
    return text_of(content, column, empty=empty)


def parsed_tools(value: Any) -> list[Any] | None:
    """Tool definitions as a list; data sets carry them as a list or as JSON text. None when there are none."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if isinstance(value, dict):
        value = [value]
    return value if isinstance(value, list) and value else None
