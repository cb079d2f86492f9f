"""From a source row to an example: one function per format, built once per data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tuiwiz.base.text import clean_line
from tuiwiz.data.paths import MISSING, getter
from tuiwiz.data.sniff import as_columns
from tuiwiz.data.transcript import transcript, turns_in_text
from tuiwiz.data.turns import RowError, openai_turns, parsed_tools, sharegpt_turns, text_of
from tuiwiz.data.types import Example, Message, Row

Mapper = Callable[[Row], Example]
"""Raises RowError for a row that cannot be used."""

_KTO = {"true": True, "false": False, "1": True, "0": False}


class _Reader:
    """Reads roles from a row through the mapping."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self.mapping = {role: column for role, column in mapping.items() if not role.startswith("role.")}
        self.names = {role[5:]: who for role, who in mapping.items() if role.startswith("role.")}
        self._get = {role: getter(column) for role, column in self.mapping.items()}

    def has(self, role: str) -> bool:
        return role in self._get

    def raw(self, row: dict[str, Any], role: str) -> Any:
        value = self._get[role](row)
        if value is MISSING:
            column = self.mapping[role]
            raise RowError(f"has no `{column}`", hint=f"every row needs {column}", column=column)
        return value

    def text(self, row: dict[str, Any], role: str) -> str:
        return text_of(self.raw(row, role), self.mapping[role])

    def optional(self, row: dict[str, Any], role: str) -> Any:
        if role not in self._get:
            return None
        value = self._get[role](row)
        return None if value is MISSING else value

    def optional_text(self, row: dict[str, Any], role: str) -> str:
        value = self.optional(row, role)
        return "" if value is None else text_of(value, self.mapping[role], empty=True)

    def turns(self, row: dict[str, Any], role: str) -> tuple[list[Message], tuple[int, ...]]:
        value = self.raw(row, role)
        return _any_turns(value, self.mapping[role], self.names)


def _any_turns(value: Any, column: str, names: Mapping[str, str]) -> tuple[list[Message], tuple[int, ...]]:
    if isinstance(value, str):
        value = turns_in_text(value) or value
    if isinstance(value, list) and value and isinstance(value[0], dict) and "from" in value[0]:
        return sharegpt_turns(value, column, names), ()
    return openai_turns(value, column, names)


def mapper(format: str, mapping: Mapping[str, str], *, system: str | None = None) -> Mapper:
    """The function that turns rows of this format into examples.

    `system` is put in front of chats that bring no system turn of their own.
    """
    reader = _Reader(mapping)
    build = _BUILD[format]
    by_place = all(column.isdecimal() for column in reader.mapping.values())

    def map_row(row: Row) -> Example:
        value = row.value
        if type(value) is not dict:
            if isinstance(value, list) and not by_place:
                hint = "each row is one JSON object, like the others"
                raise RowError(f"is a list, but columns have names here: {clean_line(repr(value), 30)}", hint=hint)
            value = as_columns(value)
            if format == "text" and isinstance(value, str):
                return Example(row.number, row.line, text=text_of(value, "line", empty=True))
            if not isinstance(value, dict):
                shown = "null" if value is None else clean_line(repr(value), 30)
                raise RowError(f"is not an object but {shown}", hint="each row is one JSON object")
        example = build(reader, row, value)
        messages = example.messages
        if messages and messages[0]["role"] != "system":
            own = reader.optional_text(value, "system") if reader.has("system") else ""
            text = own or system
            if text:
                messages.insert(0, {"role": "system", "content": text})
                example.untrained = tuple(i + 1 for i in example.untrained)
        return example

    return map_row


def _chat(reader: _Reader, row: Row, value: dict[str, Any]) -> Example:
    if reader.has("messages"):
        messages, untrained = reader.turns(value, "messages")
    else:
        # A prompt and a completion that are themselves lists of turns.
        prompt, completion = reader.raw(value, "prompt"), reader.raw(value, "completion")
        messages = [] if isinstance(prompt, str) else _any_turns(prompt, reader.mapping["prompt"], reader.names)[0]
        if isinstance(prompt, str):
            messages.append({"role": "user", "content": text_of(prompt, reader.mapping["prompt"])})
        answers, _ = _any_turns(completion, reader.mapping["completion"], reader.names)
        untrained = tuple(i for i, message in enumerate(messages) if message["role"] == "assistant")
        messages = messages + answers
    if not any(message["role"] == "assistant" for message in messages):
        hint = "a row needs an answer to learn from"
        raise RowError("no assistant turn: nothing to learn from", hint=hint, column=reader.mapping.get("messages", ""))
    tools = parsed_tools(reader.optional(value, "tools"))
    return Example(row.number, row.line, messages, tools=tools, untrained=untrained)


def _alpaca(reader: _Reader, row: Row, value: dict[str, Any]) -> Example:
    prompt = reader.text(value, "instruction")
    below = reader.optional_text(value, "input")
    if below and not below.isspace():
        prompt = f"{prompt}\n{below}"
    messages: list[Message] = []
    history = reader.optional(value, "history")
    for pair in history if isinstance(history, list) else []:
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError("`history` is not a list of [question, answer] pairs", column=reader.mapping["history"])
        messages.append({"role": "user", "content": text_of(pair[0], "history")})
        messages.append({"role": "assistant", "content": text_of(pair[1], "history")})
    messages.append({"role": "user", "content": prompt})
    messages.append({"role": "assistant", "content": reader.text(value, "output")})
    return Example(row.number, row.line, messages)


def _prompt_completion(reader: _Reader, row: Row, value: dict[str, Any]) -> Example:
    if not isinstance(reader.raw(value, "completion"), str) and isinstance(reader.raw(value, "completion"), list):
        return _chat(reader, row, value)
    prompt = {"role": "user", "content": reader.text(value, "prompt")}
    return Example(row.number, row.line, [prompt, {"role": "assistant", "content": reader.text(value, "completion")}])


def _text(reader: _Reader, row: Row, value: dict[str, Any]) -> Example:
    return Example(row.number, row.line, text=reader.text(value, "text"))


def _classification(reader: _Reader, row: Row, value: dict[str, Any]) -> Example:
    text = reader.text(value, "text")
    if reader.has("text_pair"):
        text = f"{text}\n{reader.text(value, 'text_pair')}"
    label = reader.raw(value, "label")
    column = reader.mapping["label"]
    if label is None or (isinstance(label, str) and not label.strip()):
        raise RowError(f"`{column}` is empty", hint="every row needs a label", column=column)
    if not isinstance(label, str | int | float):
        raise RowError(f"`{column}` is no label: {clean_line(repr(label), 30)}", column=column)
    return Example(row.number, row.line, text=text, label=label)


def _multi_label(reader: _Reader, row: Row, value: dict[str, Any]) -> Example:
    label = reader.raw(value, "label")
    column = reader.mapping["label"]
    if not isinstance(label, list) or not all(isinstance(one, str | int) for one in label):
        raise RowError(f"`{column}` is not a list of labels", column=column)
    return Example(row.number, row.line, text=reader.text(value, "text"), label=label)


def _preference(reader: _Reader, row: Row, value: dict[str, Any]) -> Example:
    messages: list[Message] = []
    if reader.has("messages"):
        messages, _ = reader.turns(value, "messages")
    elif reader.has("prompt"):
        prompt = reader.raw(value, "prompt")
        if isinstance(prompt, list):
            messages, _ = _any_turns(prompt, reader.mapping["prompt"], reader.names)
        else:
            text = text_of(prompt, reader.mapping["prompt"])
            messages = transcript(text) or [{"role": "user", "content": text}]
    chosen, before = _answer(reader, value, "chosen")
    rejected, _ = _answer(reader, value, "rejected")
    if chosen.strip() == rejected.strip():
        hint = "a pair needs a better and a worse answer"
        raise RowError("chosen and rejected are the same", hint=hint, column=reader.mapping["rejected"])
    if before and not isinstance(reader.raw(value, "chosen"), str):
        messages = before  # a whole chat says all; a column of turns beside it often holds the same answer again
    messages = (messages or before) + [{"role": "assistant", "content": chosen}]
    return Example(row.number, row.line, messages, rejected=rejected)


def _answer(reader: _Reader, value: dict[str, Any], role: str) -> tuple[str, list[Message]]:
    """The answer's text and, where it is a whole chat, the turns before it."""
    found, column = reader.raw(value, role), reader.mapping[role]
    if isinstance(found, dict):
        found = [found]
    if isinstance(found, list):
        turns, _ = _any_turns(found, column, reader.names)
        if turns[-1]["role"] != "assistant":
            raise RowError(f"`{column}` does not end with an assistant turn", column=column)
        return str(turns[-1]["content"]), turns[:-1]
    text = text_of(found, column)
    said = transcript(text) or []
    if len(said) > 1 and said[-1]["role"] == "assistant":
        return str(said[-1]["content"]), said[:-1]
    return text, []


def _kto(reader: _Reader, row: Row, value: dict[str, Any]) -> Example:
    label = reader.raw(value, "label")
    if isinstance(label, str | int | float):
        label = _KTO.get(str(label).casefold(), label)
    if not isinstance(label, bool):
        column = reader.mapping["label"]
        raise RowError(f"`{column}` is neither true nor false: {clean_line(repr(label), 30)}", column=column)
    example = _chat(reader, row, value) if reader.has("messages") else _prompt_completion(reader, row, value)
    example.label = label
    return example


_BUILD: dict[str, Callable[[_Reader, Row, dict[str, Any]], Example]] = {
    "openai": _chat,
    "sharegpt": _chat,
    "alpaca": _alpaca,
    "prompt-completion": _prompt_completion,
    "text": _text,
    "classification": _classification,
    "multi-label": _multi_label,
    "preference": _preference,
    "reward": _preference,
    "kto": _kto,
}
