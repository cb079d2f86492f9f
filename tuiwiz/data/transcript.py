"""Chats that a file holds as one text: a transcript with the speakers' names in it, or a list written out as text."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from tuiwiz.data.types import Message

_ROLES = {"human": "user", "user": "user", "prompter": "user", "assistant": "assistant", "bot": "assistant"}
_ROLES |= {"gpt": "assistant", "system": "system"}
_NAMES = "|".join(_ROLES)
_HEADED = re.compile(rf"###\s*({_NAMES})\s*:", re.IGNORECASE)
_PARAGRAPHS = re.compile(rf"(?:^|\n[ \t]*\n)[ \t]*({_NAMES})[ \t]*:", re.IGNORECASE)
_LONGEST_LITERAL = 1 << 20


def transcript(text: str) -> list[Message] | None:
    """Turns of a text such as `Human: Hi` / blank line / `Assistant: Hello!` or `### Human: Hi### Assistant: Hello!`;
    None when it is no such text. A name with nothing behind it at the end, which asks for an answer, is no turn."""
    text = text.strip()
    for pattern in (_HEADED, _PARAGRAPHS):
        marks = list(pattern.finditer(text))
        if not marks or marks[0].start():
            continue
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        turns: list[Message] = [
            {"role": _ROLES[mark[1].lower()], "content": text[mark.end() : end].strip()}
            for mark, end in zip(marks, ends, strict=True)
        ]
        if len(turns) > 1 and not turns[-1]["content"]:
            turns.pop()
        return turns
    return None


def turns_in_text(text: str) -> list[Any] | None:
    """The list of turns that `text` is: JSON, as CSV and Parquet files carry it; a Python literal; a transcript."""
    head = text.lstrip()[:1]
    if head == "[":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = _literal(text)
        return found if isinstance(found, list) else None
    return transcript(text) if head in {"#", *"HUPABGShupabgs"} else None


def _literal(text: str) -> Any:
    """What a list looks like when a program printed it; nothing in it is ever run."""
    if len(text) > _LONGEST_LITERAL:
        return None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
