"""Where in a rendered chat the answers lie, in characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Message

Span = tuple[int, int]
"""Start (included) and end (excluded), in characters of the rendered text."""

# Unicode noncharacters: no text holds them, no template touches them, and they are no white space to be trimmed.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_REASONING_END = "</think>"
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")


def answer_spans(
    render: Callable[[Sequence[Message], bool], str],
    messages: Sequence[Message],
    full: str,
    turns: Sequence[int],
    special: re.Pattern[str],
) -> list[Span]:
    """For each assistant turn in `turns`: everything that the turn adds after the generation prompt, its end-of-turn
    token and the separator behind it included (as in TRL's completion masks).

    The generation prompt is found by rendering the turns before the answer: what the model will be given when it is
    used is then exactly what it was not trained on. Templates that render earlier turns differently once later ones
    follow (by dropping their reasoning, say) are read by marks around the answer's text instead.

    Raises:
        RowError: neither way shows where an answer lies.
    """
    found = [_by_prefix(render, messages, full, turn, special) for turn in turns]
    if None not in found:
        return [span for span in found if span is not None]
    marked = content_spans(render, messages, full, [t for t, span in zip(turns, found, strict=True) if span is None])
    if marked is None:
        raise RowError("the chat template does not show where the answer lies", hint="choose another data.template")
    rest = iter(marked)
    return [_with_end(full, next(rest), special) if span is None else span for span in found]


def _by_prefix(
    render: Callable[[Sequence[Message], bool], str],
    messages: Sequence[Message],
    full: str,
    turn: int,
    special: re.Pattern[str],
) -> Span | None:
    if turn == 0:
        return None  # templates do not render an empty chat
    try:
        before = render(messages[:turn], True)
        after = full if turn == len(messages) - 1 else render(messages[: turn + 1], False)
    except RowError:
        return None
    if not full.startswith(before):
        return None
    if full.startswith(after):
        return len(before), len(after)
    # The template closes a chat differently from a turn in its midst: the turn ends with its last control token
    # before the two part ways.
    shortest = min(len(after), len(full))
    common = next((i for i in range(len(before), shortest) if after[i] != full[i]), shortest)
    ends = [match.end() for match in special.finditer(full, len(before), common)]
    if not ends or messages[turn]["content"].strip() not in full[len(before) : ends[-1]]:
        return None
    return len(before), min(_past_space(full, ends[-1]), common)


def content_spans(
    render: Callable[[Sequence[Message], bool], str], messages: Sequence[Message], full: str, turns: Sequence[int]
) -> list[Span] | None:
    """Where the contents of `turns` (in ascending order) stand in `full`; None when marks change what is rendered."""
    chosen = set(turns)
    marked = [
        {**message, "content": _mark(message["content"])} if i in chosen else message
        for i, message in enumerate(messages)
    ]
    try:
        text = render(marked, False)
    except RowError:
        return None
    spans: list[Span] = []
    start: int | None = None
    plain: list[str] = []
    at = length = 0
    for match in _MARKS.finditer(text):
        piece = text[at : match.start()]
        plain.append(piece)
        length += len(piece)
        at = match.end()
        if match[0] == _OPEN:
            start = length
        elif start is not None:
            spans.append((start, length))
            start = None
    plain.append(text[at:])
    return spans if "".join(plain) == full and len(spans) == len(chosen) else None


def _mark(content: str) -> str:
    """Marks inside the outer white space, so that a template's trimming finds that white space as ever, and behind
    any reasoning, which templates cut off and move."""
    head = content[: content.rfind(_REASONING_END) + len(_REASONING_END)] if _REASONING_END in content else ""
    tail = content[len(head) :]
    inner = tail.strip()
    if not inner:
        return f"{head}{_OPEN}{_CLOSE}{tail}"
    lead = tail.index(inner)
    return f"{head}{tail[:lead]}{_OPEN}{inner}{_CLOSE}{tail[lead + len(inner) :]}"


def _with_end(full: str, span: Span, special: re.Pattern[str]) -> Span:
    """The span stretched over the end-of-turn token and the separator behind it, when a control token follows with at
    most white space between."""
    match = special.match(full, _past_space(full, span[1]))
    return (span[0], _past_space(full, match.end())) if match else span


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
