"""Rows beyond the longest length: what each way of dealing with them keeps, and the pieces that splitting makes."""

from __future__ import annotations

from collections.abc import Collection

from tuiwiz.data.encode import Counted
from tuiwiz.data.render import TokenRow

CONTEXT_SHARE = 4
"""A piece in the midst of an answer begins with a quarter of its length of the text before, untrained."""


def shortened(found: Counted, limit: int, way: str, special: Collection[int]) -> list[Counted]:
    """What becomes of a row that is too long: nothing (`drop`), its beginning (`truncate`) or pieces (`split`).

    A pair, a verdict or a text to classify means something only as a whole: it is never split. Of a pair both answers
    must keep a trained token. `special` are the ids of control tokens.
    """
    if way == "drop":
        return []
    if way == "split":
        if found.other is not None or found.example.label is not None:
            return []
        return [Counted(found.example, piece) for piece in pieces(found.tokens, limit)]
    to_classify = found.example.text is not None and found.example.label is not None
    if not to_classify and any(not row.trained.count(1, 0, limit) for row in found.rows):
        return []
    cut = [truncated(row, limit, special) for row in found.rows]
    return [Counted(found.example, *cut)]


def trained_tokens(found: Counted, limit: int | None = None) -> int:
    """Trained tokens among the first `limit` of the row, of both answers of a pair."""
    return sum(row.trained.count(1, 0, len(row.ids) if limit is None else limit) for row in found.rows)


def alike(found: Counted) -> bool:
    """Whether the two answers of a pair have become one and the same."""
    return found.other is not None and found.tokens.ids == found.other.ids


def truncated(row: TokenRow, limit: int, special: Collection[int]) -> TokenRow:
    """The first `limit` tokens; of a text to classify, the token that closes it stays the last one."""
    ids, trained = row.ids[:limit], row.trained[:limit]
    if not trained.count(1) and row.ids[-1] in special:
        ids[-1] = row.ids[-1]
    return TokenRow(row.row, ids, trained)


def pieces(row: TokenRow, limit: int) -> list[TokenRow]:
    """Stretches of at most `limit` tokens in which every trained token of `row` is trained exactly once.

    Each begins with some of the text before it as context: a quarter of `limit` (more where there is room), one token
    in running text, where every token is trained. Stretches in which nothing is trained are left out.
    """
    ids, trained = row.ids, row.trained
    last = trained.rfind(1)
    overlap = 1 if trained.count(1) == len(trained) else limit // CONTEXT_SHARE
    found: list[TokenRow] = []
    start = covered = 0
    while covered <= last:
        end = min(start + limit, len(ids))
        if 1 in trained[covered:end]:
            found.append(TokenRow(row.row, ids[start:end], bytearray(covered - start) + trained[covered:end]))
        covered = end
        following = trained.find(1, covered)
        if following < 0:
            break
        start = max(0, following - overlap)
        if last < start + limit and overlap > 1:
            start = max(0, last + 1 - limit)  # the rest fits with room to spare: give it more context
        covered = max(covered, start)
    return found
