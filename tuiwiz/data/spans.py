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
_LONGEST_CONTROL_TOKEN = 64
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")


def answer_spans(
    render: Callable[[Sequence[Message], bool], str],
    messages: Sequence[Message],
    full: str,
    turns: Sequence[int],
    special: re.Pattern[str],
) -> list[Span]:
    """For each assistant turn in `turns`: from the first character after the generation prompt to the end of its
    end-of-turn token (of its text, where the template ends turns without a control token).

    The generation prompt is found by rendering the turns before the answer: what the model will be given when it is
    used is then exactly what it was not trained on. Templates that render earlier turns differently once later ones
    follow (by dropping their reasoning, say) are read by marks around the answer's text instead.

    Raises:
        RowError: neither way shows where an answer lies.
    """
    found: list[Span | None] = []
    for turn in turns:
        last = turn == len(messages) - 1
        span = None
        try:
            before = render(messages[:turn], True) if turn else ""
            after = full if last else render(messages[: turn + 1], False)
        except RowError:
            before = after = _OPEN
        if turn and full.startswith(before):
            if full.startswith(after):
                span = (len(before), _end_of_turn(full, len(before), len(after), special))
            elif full.startswith(after.rstrip()):
                span = (len(before), _end_of_turn(full, len(before), len(after.rstrip()), special))
        found.append(span)
    if None in found:
        marked = content_spans(
            render, messages, full, [t for t, span in zip(turns, found, strict=True) if span is None]
        )
        if marked is None:
            raise RowError("the chat template does not show where the answer lies", hint="choose another data.template")
        rest = iter(marked)
        found = [_with_end(full, next(rest), special) if span is None else span for span in found]
    return [span for span in found if span is not None]


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
    """Marks inside the outer white space, so that a template's trimming finds that white space as ever."""
    inner = content.strip()
    if not inner:
        return f"{_OPEN}{content}{_CLOSE}"
    lead = content.index(inner)
    return f"{content[:lead]}{_OPEN}{inner}{_CLOSE}{content[lead + len(inner) :]}"


def _end_of_turn(full: str, start: int, end: int, special: re.Pattern[str]) -> int:
    """The end of a turn without the separator that follows its end-of-turn token."""
    text = full[start:end]
    bare = text.rstrip()
    ends = [match.end() for match in special.finditer(bare, max(0, len(bare) - _LONGEST_CONTROL_TOKEN))]
    return start + len(bare) if ends and ends[-1] == len(bare) else end


def _with_end(full: str, span: Span, special: re.Pattern[str]) -> Span:
    """The span stretched over the end-of-turn token, when one follows with at most white space between."""
    at = span[1]
    while at < len(full) and full[at].isspace():
        at += 1
    match = special.match(full, at)
    return (span[0], match.end()) if match else span
