"""The first rows of a file as the model will see them, within a second for any size of file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.problems import Problem
from tuiwiz.base.text import clean_line
from tuiwiz.data.encode import disputed, with_worse_answer
from tuiwiz.data.mapping import Mapper, mapper
from tuiwiz.data.render import Rendered, Renderer, TokenRow
from tuiwiz.data.sniff import sniff_source
from tuiwiz.data.source import Source, open_source
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Example, Mark, PreviewRow, Row, Segment

_TRAINED = {"text": "all", "preference": "completion", "reward": "completion", "kto": "completion"}
"""By format, what is trained whatever `data.train_on` says."""
LINES_OF_TEXT = 40
"""Lines of a plain text file that are shown as one row."""
MOST_CHARACTERS = 200_000
"""Of a longer row only the beginning is shown: tokenising all of it would take longer than anybody waits."""


def preview(
    path: Path,
    tokenizer_folder: Path | None,
    *,
    format: str = "auto",
    mapping: Mapping[str, str] | None = None,
    train_on: str = "assistant",
    system: str | None = None,
    max_length: int = 2048,
    overlong: str = "drop",
    template: str = "model",
    task: str = "",
    skip: int = 0,
    limit: int = 5,
    renderer: Renderer | None = None,
) -> list[PreviewRow]:
    """Up to `limit` rows after the first `skip`, with trained, context and truncated stretches.

    Joined, the segments of a row are its exact text. Without a tokenizer folder the rows are written with the template
    for base models, and token counts are None; `renderer` may be given instead of a folder to save opening it again.
    A row that would be dropped for its length is shown, and `problem` says so.

    Raises:
        InvalidError: the file, the tokenizer or the template cannot be read, or no format fits.
    """
    source = open_source(path)
    sniffed = sniff_source(source, format=format, mapping=mapping or {}, task=task)
    if sniffed.format == "none":
        first = sniffed.problems[0]
        raise InvalidError(first.message, hint=first.hint, problems=sniffed.problems)
    renderer = renderer or Renderer(tokenizer_folder, template=template)
    map_row = mapper(sniffed.format, sniffed.mapping, system=system)
    train_on = _TRAINED.get(sniffed.format, train_on)
    if source.container == "text":
        max_length = sys.maxsize  # running text is cut into blocks, never dropped
    shown = []
    for found in islice(_rows(source), skip, skip + limit):
        if isinstance(found, Problem):
            shown.append(PreviewRow(row=found.row or 0, line=found.line or 0, problem=source.placed(found)))
            continue
        shown.append(_preview_row(source, renderer, map_row, found, train_on, max_length, overlong))
    return shown


def _rows(source: Source) -> Iterator[Row | Problem]:
    """Rows as they are shown: plain text in pieces of some lines, everything else row by row."""
    if source.container != "text":
        yield from source.read()
        return
    rows = source.read()
    lines: list[Row] = []
    size = 0
    for row in rows:
        if isinstance(row, Row):
            lines.append(row)
            size += len(row.value)
        if len(lines) == LINES_OF_TEXT or size > MOST_CHARACTERS:
            yield Row(lines[0].number, lines[0].line, "\n".join(str(line.value) for line in lines)[:MOST_CHARACTERS])
            lines, size = [], 0
    if lines:
        yield Row(lines[0].number, lines[0].line, "\n".join(str(line.value) for line in lines))


def _preview_row(
    source: Source, renderer: Renderer, map_row: Mapper, row: Row, train_on: str, max_length: int, overlong: str
) -> PreviewRow:
    try:
        example = map_row(row)
        size = _characters(example)
        if size > MOST_CHARACTERS:
            example = _beginning(example)
        rendered = renderer.render(example, train_on)
        other = renderer.render(with_worse_answer(example), train_on) if example.rejected is not None else None
    except RowError as error:
        problem = Problem(
            severity="warning",
            message=error.message,
            hint=error.hint,
            path=str(source.path),
            row=row.number,
            line=row.line or None,
        )
        return PreviewRow(row=row.number, line=row.line, problem=source.placed(problem))
    label = "" if example.label is None else clean_line(str(example.label), 200)
    if renderer.tokens is None:
        return PreviewRow(
            row=row.number,
            line=row.line,
            segments=segments(rendered, len(rendered.text)),
            other=segments(other, len(other.text)) if other is not None else (),
            label=label,
        )
    encoded = renderer.encode([rendered])[0]
    verdict = renderer.verify([rendered], [encoded])[0]
    problem_or_none = _length_problem(row, len(encoded.ids), max_length, overlong)
    if verdict is not None:
        dispute = disputed(verdict)
        problem_or_none = source.placed(
            Problem(
                message=dispute.message, hint=dispute.hint, path=str(source.path), row=row.number, line=row.line or None
            )
        )
    if size > MOST_CHARACTERS:
        message = f"the row has {size:,} characters: only the beginning of each text is shown and counted"
        problem_or_none = Problem(severity="info", message=message, row=row.number, line=row.line or None)
    cut = _cut(renderer, rendered, encoded, sys.maxsize if overlong == "split" else max_length)
    supervised = encoded.trained.count(1, 0, max_length if overlong == "truncate" else len(encoded.ids))
    return PreviewRow(
        row=row.number,
        line=row.line,
        segments=segments(rendered, cut),
        other=_other_segments(renderer, other, max_length) if other is not None else (),
        label=label,
        tokens=len(encoded.ids),
        supervised_tokens=supervised,
        problem=problem_or_none,
    )


def _characters(example: Example) -> int:
    return len(example.text or "") + sum(len(message["content"]) for message in example.messages)


def _beginning(example: Example) -> Example:
    share = MOST_CHARACTERS // (len(example.messages) + 1)
    messages = [{**message, "content": message["content"][:share]} for message in example.messages]
    text = example.text[:MOST_CHARACTERS] if example.text is not None else None
    return msgspec.structs.replace(example, messages=messages, text=text)


def _other_segments(renderer: Renderer, other: Rendered, max_length: int) -> tuple[Segment, ...]:
    return segments(other, _cut(renderer, other, renderer.encode([other])[0], max_length))


def _length_problem(row: Row, tokens: int, max_length: int, overlong: str) -> Problem | None:
    if tokens <= max_length:
        return None
    fates = {"drop": "it is left out", "truncate": "the rest is cut off", "split": "it is split into pieces"}
    fate = fates[overlong]
    message = f"{tokens:,} tokens, {tokens - max_length:,} more than data.max_length: {fate}"
    return Problem(
        severity="warning", message=message, hint="raise data.max_length", row=row.number, line=row.line or None
    )


def _cut(renderer: Renderer, rendered: Rendered, encoded: TokenRow, max_length: int) -> int:
    """The character at which a row that is too long breaks off; the text's length for all others."""
    if len(encoded.ids) <= max_length or renderer.tokens is None:
        return len(rendered.text)
    if rendered.literal:
        return min(len(rendered.text), len(renderer.decode(encoded.ids[:max_length])))
    encoding = renderer.tokens.encode_batch([rendered.text])[0]
    place = encoding.token_to_chars(max_length - 1)
    return place[1] if place is not None else len(rendered.text)


def segments(rendered: Rendered, cut: int) -> tuple[Segment, ...]:
    """The text in stretches of trained, context and, from character `cut` on, truncated."""
    text = rendered.text
    found: list[Segment] = []

    def add(start: int, end: int, mark: Mark) -> None:
        if start < end:
            found.append(Segment(text[start:end], mark))

    at = 0
    for start, end in rendered.spans:
        add(min(at, cut), min(start, cut), "context")
        add(min(start, cut), min(end, cut), "trained")
        at = end
    add(min(at, cut), cut, "context")
    add(cut, len(text), "truncated")
    return tuple(found)
