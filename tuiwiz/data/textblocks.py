"""Running text as blocks of equal length: no token is lost, none is padding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from tuiwiz.data.encode import Counted
from tuiwiz.data.render import TokenRow
from tuiwiz.data.tokens import Tokens
from tuiwiz.data.types import Example

_PIECE_CHARACTERS = 1 << 16
_PIECES_AT_ONCE = 16


def blocks(tokens: Tokens, lines: Iterable[Example], length: int) -> Iterator[Counted]:
    """Consecutive blocks of `length` tokens of the lines joined by line feeds; the last block may be shorter.

    `row` of a block is the line in whose piece of text (about 64,000 characters) the block begins.
    """
    held: list[int] = []
    pieces = _pieces(lines)
    while batch := list(islice(pieces, _PIECES_AT_ONCE)):
        for (first, text), encoding in zip(batch, tokens.encode_fast([text for _, text in batch]), strict=True):
            # As mere text: a file that spells control tokens must not end a turn.
            spelled = tokens.special_pattern.search(text)
            held += tokens.encode_literal(text).ids if spelled else encoding.ids
            while len(held) >= length:
                yield _block(first, held[:length])
                del held[:length]
    if held:
        yield _block(first, held)


def _block(row: int, ids: list[int]) -> Counted:
    trained = bytearray(b"\x01") * len(ids)
    return Counted(Example(row, row, text=""), TokenRow(row, ids, trained))


def _pieces(lines: Iterable[Example]) -> Iterator[tuple[int, str]]:
    """Stretches of lines, about 64,000 characters each; a longer line is cut in front of a blank."""
    parts: list[str] = []
    first = size = 0
    for line in lines:
        if not parts:
            first = line.row
        text = line.text or ""
        while size + len(text) > 2 * _PIECE_CHARACTERS:
            cut = text.rfind(" ", 1, _PIECE_CHARACTERS)
            cut = cut if cut > 0 else min(len(text), _PIECE_CHARACTERS)
            yield first, "\n".join([*parts, text[:cut]])
            first, parts, size, text = line.row, [], 0, text[cut:]
        parts.append(text)
        size += len(text) + 1
        if size >= _PIECE_CHARACTERS:
            yield first, "\n".join(parts) + "\n"
            parts, size = [], 0
    if parts:
        yield first, "\n".join(parts)
