"""Running text as blocks of equal length: no token is lost, none is padding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tuiwiz.data.encode import Counted
from tuiwiz.data.render import TokenRow
from tuiwiz.data.tokens import Tokens
from tuiwiz.data.types import Example

_PIECE_CHARACTERS = 1 << 16


def blocks(tokens: Tokens, lines: Iterable[Example], length: int) -> Iterator[Counted]:
    """Consecutive blocks of `length` tokens of the lines joined by line feeds; the last block may be shorter.

    `row` of a block is the line in whose piece of text (about 64,000 characters) the block begins.
    """
    held: list[int] = []
    for first, text in _pieces(lines):
        # As mere text: a file that spells control tokens must not end a turn.
        ids = (
            tokens.encode_literal(text).ids
            if tokens.special_pattern.search(text)
            else tokens.encode_fast([text])[0].ids
        )
        held += ids
        while len(held) >= length:
            yield _block(first, held[:length])
            del held[:length]
    if held:
        yield _block(first, held)


def _block(row: int, ids: list[int]) -> Counted:
    trained = bytearray(b"\x01") * len(ids)
    return Counted(Example(row, row, text=""), TokenRow(row, ids, trained))


def _pieces(lines: Iterable[Example]) -> Iterator[tuple[int, str]]:
    parts: list[str] = []
    first = size = 0
    for line in lines:
        if not parts:
            first = line.row
        parts.append(line.text or "")
        size += len(parts[-1]) + 1
        if size >= _PIECE_CHARACTERS:
            yield first, "\n".join(parts) + "\n"
            parts, size = [], 0
    if parts:
        yield first, "\n".join(parts)
